// @ts-check
// Everything that can go wrong has its code, its message and its remedy.

import assert from "node:assert/strict";
import { blankPage, serverLog, withBlankPage, withBrowser } from "./browser.mjs";
import { assertFailure, load, mustLoad, mustRecognize, recognize } from "./recognizer.mjs";
import { openSite } from "./site.mjs";
import { examples, photoUrl, url } from "./settings.mjs";

const WEIGHTS = "model.safetensors";
/** As in web/src/download.rs: a broken connection is taken up again so often. */
const RETRIES = 3;

export const limitSecs = 600;

/** The model behind a fault of the server. @param {string} fault */
const faulty = (fault) => `${url}faults/${fault}/models/nano/`;

/**
 * Requests for the weights below a path, in order.
 *
 * @param {string} baseUrl
 */
async function requestsForWeights(baseUrl) {
  const path = new URL(WEIGHTS, baseUrl).pathname;
  return (await serverLog()).requests.filter((request) => request.path === path);
}

export const tests = {
  "a file that is no photo": async () => {
    await withBlankPage("plain", async (page) => {
      await mustLoad(page);
      assertFailure(await recognize(page, `${url}examples/examples.json`), "badImage", /image|photo|format/i);
      await mustRecognize(page, photoUrl(examples[0].file), { maxNewTokens: 4 });
    });
  },

  "a photo that is not there": async () => {
    await withBlankPage("plain", async (page) => {
      await mustLoad(page);
      assertFailure(await recognize(page, `${url}examples/absent.jpg`), "notFound", /404.*absent\.jpg/);
    });
  },

  "options that make no sense": async () => {
    await withBlankPage("plain", async (page) => {
      assertFailure(await load(page, { device: "abacus" }), "badOptions", /abacus/);
      await mustLoad(page);
      const photo = photoUrl(examples[0].file);
      assertFailure(await recognize(page, photo, { maxNewTokens: 0 }), "badOptions", /maxNewTokens/);
    });
  },

  "a model that is not there": async () => {
    await withBlankPage("plain", async (page) => {
      assertFailure(await load(page, { baseUrl: `${url}models/absent/` }), "notFound", /404/);
    });
  },

  "a shard that is not there": async () => {
    await withBlankPage("plain", async (page) => {
      assertFailure(await load(page, { baseUrl: faulty("missing") }), "notFound", /model\.safetensors.*404/);
    });
  },

  "a truncated shard": async () => {
    await withBlankPage("plain", async (page) => {
      assertFailure(await load(page, { baseUrl: faulty("truncate") }), "wrongSize", /model\.safetensors.*shorter/);
    });
  },

  "a shard with a wrong hash": async () => {
    await withBlankPage("plain", async (page) => {
      const failed = await load(page, { baseUrl: faulty("hash") });
      assertFailure(failed, "wrongHash", /model\.safetensors.*sha256/);
    });
  },

  "a connection that breaks once is taken up where it broke": async () => {
    await withBlankPage("plain", async (page) => {
      const baseUrl = faulty("cut/1000000");
      await mustLoad(page, { baseUrl });
      const requests = await requestsForWeights(baseUrl);
      assert.deepEqual(
        requests.map(({ range, status }) => [range, status]),
        [
          [null, 200],
          ["bytes=1000000-", 206],
        ],
      );
      await mustRecognize(page, photoUrl(examples[0].file), { maxNewTokens: 4 });
    });
  },

  "a connection that keeps breaking, then a second load that goes on": async () => {
    await withBlankPage("plain", async (page) => {
      // Less than the file has in all.
      const bytes = 500_000;
      const baseUrl = faulty(`cut/${bytes}x${RETRIES + 1}`);
      assertFailure(await load(page, { baseUrl }), "network", /connection/);
      const received = bytes * (RETRIES + 1);
      const again = await mustLoad(page, { baseUrl });
      const last = (await requestsForWeights(baseUrl)).at(-1);
      assert.equal(last?.range, `bytes=${received}-`, "what was received is not fetched again");
      assert.ok(again.progress.some(({ phase }) => phase === "verifying"), "what was kept is verified");
      await mustRecognize(page, photoUrl(examples[0].file), { maxNewTokens: 4 });
    });
  },

  "storage that is full": async () => {
    await withBlankPage("plain", async (page) => {
      const session = await page.context().newCDPSession(page);
      const origin = new URL(url).origin;
      // Chromium tells pages more room than there is, so the check before the download cannot see this.
      await session.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: 1_000_000 });
      assertFailure(await load(page), "storageFull", /storage/);
      await session.send("Storage.overrideQuotaForOrigin", { origin });
      await mustLoad(page);
    });
  },

  "a browser without WebGPU": async () => {
    await withBlankPage("software", async (page) => {
      const module = "faults/no-gpu/fine-r1/index.js";
      assertFailure(await load(page, { module, device: "webgpu" }), "noApi", /no WebGPU/);
      const { info } = await mustLoad(page, { module, device: "auto" });
      assert.equal(info.device.kind, "cpu");
      assert.equal(info.device.fallback.code, "noApi");
    });
  },

  "a page that is not in a secure context": async () => {
    await withBrowser("insecure", async (browser) => {
      const page = await (await browser.newContext()).newPage();
      const insecure = url.replace("127.0.0.1", "plain.test");
      await page.goto(`${insecure}faults/blank`);
      const module = `${insecure}fine-r1/index.js`;
      const baseUrl = `${insecure}models/nano/`;
      for (const [device, code] of [
        ["webgpu", "noApi"],
        ["cpu", "storageFull"],
      ]) {
        const failed = await load(page, { module, baseUrl, device });
        assertFailure(failed, code, /secure context/);
        assert.match(failed.failure?.hint ?? "", /^serve the page over https or from localhost$/);
      }
    });
  },

  "a browser without an adapter": async () => {
    await withBlankPage("plain", async (page) => {
      assertFailure(await load(page, { device: "webgpu" }), "noAdapter", /adapter/);
      const { info } = await mustLoad(page, { device: "auto" });
      assert.equal(info.device.kind, "cpu");
      assert.equal(info.device.fallback.code, "noAdapter");
      assert.ok(info.device.fallback.hint);
    });
  },

  "an adapter that is a program is passed over": async () => {
    await withBlankPage("software", async (page) => {
      const { info, devices } = await mustLoad(page, { device: "auto" });
      assert.equal(info.device.kind, "cpu");
      assert.equal(info.device.fallback.code, "softwareAdapter");
      assert.equal(devices[0].fallback.code, "softwareAdapter", "it is told before the download");
    });
  },

  "the page tells what happened and what to do": async () => {
    await withBrowser("plain", async (browser) => {
      for (const [fault, told] of [
        ["missing", /404.*manifest\.json/i],
        ["truncate", /shorter/],
        ["hash", /sha256.*load again/i],
      ]) {
        const site = await openSite(await blankPage(await browser.newContext()));
        await site.loadFrom(faulty(String(fault)));
        const status = await site.waitForStatus(/^The model is not loaded: /);
        assert.match(status, /** @type {RegExp} */ (told));
      }
      const site = await openSite(await blankPage(await browser.newContext()));
      await site.load("cpu");
      await site.photo.setInputFiles({ name: "photo.jpg", mimeType: "image/jpeg", buffer: Buffer.from("no photo") });
      await site.waitForStatus(/ is chosen/);
      await site.pressRecognize();
      await site.waitForStatus(/^No answer: .+\. .+/);
    });
  },
};
