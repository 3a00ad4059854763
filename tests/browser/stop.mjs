// @ts-check
// A recognition ends within 200 ms of the wish, and the next one begins afresh.

import assert from "node:assert/strict";
import { withBlankPage } from "./browser.mjs";
import { mustLoad, mustRecognize } from "./recognizer.mjs";
import { openSite } from "./site.mjs";
import { examples, modelUrl, photoUrl, url } from "./settings.mjs";

const LIMIT_MS = 200;
const TIMES = 3;

export const tests = {
  // The module's own promise is kept before the worker has heard of it: the worker itself is asked.
  "the worker ends a thought": async () => {
    const millis = await withBlankPage("plain", (page) =>
      page.evaluate(stopInWorker, {
        worker: `${url}fine-r1/worker.js`,
        baseUrl: modelUrl,
        photo: photoUrl(examples[0].file),
        times: TIMES,
      }),
    );
    assert.equal(millis.length, TIMES);
    for (const took of millis) assert.ok(took <= LIMIT_MS, `stopped after ${millis.map(Math.round)} ms`);
  },

  "a signal ends a download whose connection has fallen silent": async () => {
    await withBlankPage("plain", async (page) => {
      const baseUrl = `${url}faults/stall/100000/models/nano/`;
      const { code, took } = await page.evaluate(
        async ({ module, baseUrl }) => {
          const { Recognizer } = await import(module);
          const controller = new AbortController();
          // By then all that comes has come: what follows is silence.
          const begun = performance.now() + 3000;
          setTimeout(() => controller.abort(), 3000);
          try {
            await Recognizer.load(baseUrl, {
              device: "cpu",
              signal: controller.signal,
            });
            return { code: "none", took: NaN };
          } catch (error) {
            return { code: /** @type {any} */ (error).code, took: performance.now() - begun };
          }
        },
        { module: `${url}fine-r1/index.js`, baseUrl },
      );
      assert.equal(code, "aborted");
      assert.ok(took <= LIMIT_MS, `stopped after ${took} ms`);
      // The same address, which answers now, in a worker that has no memory of it.
      await mustLoad(page, { baseUrl });
    });
  },

  "a signal ends the loop, and the next answer is whole": async () => {
    await withBlankPage("plain", async (page) => {
      await mustLoad(page);
      const photo = photoUrl(examples[0].file);
      const expected = await mustRecognize(page, photo, { temperature: 0 });
      const { code, took } = await page.evaluate(async (photo) => {
        const controller = new AbortController();
        let begun = NaN;
        try {
          const { recognizer } = /** @type {any} */ (globalThis);
          for await (const event of recognizer.recognize(photo, { signal: controller.signal })) {
            if (event.type === "thinking" && !controller.signal.aborted) {
              begun = performance.now();
              controller.abort();
            }
          }
          return { code: "none", took: NaN };
        } catch (error) {
          return { code: /** @type {any} */ (error).code, took: performance.now() - begun };
        }
      }, photo);
      assert.equal(code, "aborted");
      assert.ok(took <= LIMIT_MS, `stopped after ${took} ms`);
      const done = await mustRecognize(page, photo, { temperature: 0 });
      assert.deepEqual(done.tokenIds, expected.tokenIds);
    });
  },

  "leaving the loop makes room for the next question": async () => {
    await withBlankPage("plain", async (page) => {
      await mustLoad(page);
      const photo = photoUrl(examples[0].file);
      const secs = (await mustRecognize(page, photo)).usage.timeToFirstTokenSecs;
      const waited = await page.evaluate(async (photo) => {
        const { recognizer } = /** @type {any} */ (globalThis);
        for await (const event of recognizer.recognize(photo)) if (event.type === "thinking") break;
        const begun = performance.now();
        for await (const _ of recognizer.recognize(photo)) break;
        return (performance.now() - begun) / 1000;
      }, photo);
      // Twice the time to a first token, for a machine that does other things beside.
      assert.ok(waited <= 2 * secs + LIMIT_MS / 1000, `the next answer began after ${waited} s, alone ${secs} s`);
    });
  },

  "the page's Stop button": async () => {
    await withBlankPage("plain", async (page) => {
      const site = await openSite(page);
      await site.load("cpu");
      await site.choosePhoto(examples[0].file);
      // All in the page: seen from here, the thought may be over before the click.
      const millis = await page.evaluate(async () => {
        const status = /** @type {Element} */ (document.querySelector('[role="status"]'));
        /** @param {string} name */
        const press = (name) => {
          const buttons = [...document.querySelectorAll("button")];
          buttons.find((button) => button.textContent?.trim() === name)?.click();
        };
        /** @param {string} beginning */
        const told = async (beginning) => {
          const end = performance.now() + 60_000;
          while (!status.textContent?.startsWith(beginning)) {
            if (performance.now() > end) throw new Error(`the status stays "${status.textContent}", wanted ${beginning}`);
            await new Promise((resolve) => setTimeout(resolve, 1));
          }
        };
        press("Recognize");
        await told("Thinking");
        const begun = performance.now();
        press("Stop");
        await told("Stopped");
        return performance.now() - begun;
      });
      assert.ok(millis <= LIMIT_MS, `stopped after ${millis} ms`);
      // The worker has heard of it, too.
      await site.pressRecognize();
      assert.ok(await site.waitForAnswer());
    });
  },
};

/**
 * Runs in the page: speaks the protocol with a worker.
 *
 * @param {{ worker: string, baseUrl: string, photo: string, times: number }} told
 * @returns {Promise<number[]>} Milliseconds from each stop to its `aborted`.
 */
async function stopInWorker({ worker, baseUrl, photo, times }) {
  const connection = new Worker(worker, { type: "module" });
  const image = new Uint8Array(await (await fetch(photo)).arrayBuffer());
  /** @param {object} request @param {(event: any) => void} [heard] */
  const ask = (request, heard) =>
    new Promise((resolve, reject) => {
      connection.onerror = (event) => reject(new Error(event.message));
      connection.onmessage = ({ data }) => {
        heard?.(data);
        if (["ready", "done", "failed"].includes(data.type)) resolve(data);
      };
      connection.postMessage(request);
    });
  const ready = await ask({ type: "load", id: 1, baseUrl, device: "cpu" });
  if (ready.type !== "ready") throw new Error(JSON.stringify(ready));
  const millis = [];
  for (let id = 2; id < 2 + times; id += 1) {
    let begun = NaN;
    const last = await ask({ type: "recognize", id, image, options: { temperature: 0 } }, (event) => {
      if (event.type !== "thinking" || begun > 0) return;
      begun = performance.now();
      connection.postMessage({ type: "stop", id });
    });
    if (last.error?.code !== "aborted") throw new Error(JSON.stringify(last));
    millis.push(performance.now() - begun);
  }
  connection.terminate();
  return millis;
}
