// @ts-check
// The page's workbench: every way to give a photo, the question, the thought, the answer and what can be done
// with it, and the models that the browser keeps.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { withBrowser } from "./browser.mjs";
import { until } from "./patience.mjs";
import { openSite } from "./site.mjs";
import { examples, modelUrl, photoUrl, url } from "./settings.mjs";

/** @typedef {import("./site.mjs").Site} Site */
/** @typedef {import("playwright-core").Page} Page */

/** The page rounds what it shows: long times to tenths of a second, speeds to whole tokens. */
const ROUNDING = { secs: 0.051, rate: 0.51 };
const LONG_QUESTION =
  "Look at the engines, count them, tell where they hang, compare nose and tail, and then name the aircraft variant.";

/**
 * The page with its model, for as long as `use` runs.
 *
 * @param {(site: Site) => Promise<void>} use
 * @param {{ device?: "auto" | "cpu", permissions?: string[] }} [wishes] `permissions`: these and no other.
 */
function withSite(use, { device = "cpu", permissions } = {}) {
  return withBrowser("plain", async (browser) => {
    const context = await browser.newContext();
    if (permissions) await context.grantPermissions(permissions, { origin: new URL(url).origin });
    const site = await openSite(await context.newPage());
    await site.load(device);
    await use(site);
  });
}

/** Fills a field that has a label. @param {Site} site @param {string} label @param {string} text */
function fill({ page }, label, text) {
  return page.getByLabel(label, { exact: true }).fill(text);
}

/** Waits until the model has ended; of what it never learnt it may say nothing. @param {Site} site */
function waitForEnd(site) {
  return site.waitForStatus(/^(Answer: |The model ended )/);
}

/** Chooses an example's photo anew and waits for the end. @param {Site} site @param {{ file: string }} example */
async function askAbout(site, { file }) {
  await site.choosePhoto(file);
  await site.pressRecognize();
  await waitForEnd(site);
}

/**
 * What "Save as JSON" gives.
 *
 * @param {Site} site
 * @returns {Promise<{ name: string, record: any }>}
 */
async function save({ page, answer }) {
  const button = answer.getByRole("button", { name: "Save as JSON", exact: true });
  const [download] = await Promise.all([page.waitForEvent("download"), button.click()]);
  return { name: download.suggestedFilename(), record: JSON.parse(await readFile(await download.path(), "utf8")) };
}

/** The names below "Candidates considered", and those that are marked as the answer. @param {Site} site */
async function considered({ page }) {
  const list = page.getByRole("list", { name: "Candidates considered", exact: true });
  const mark = ", the answer";
  const items = (await list.getByRole("listitem").allTextContents()).map((text) => text.trim());
  const marked = items.filter((text) => text.endsWith(mark)).map((text) => text.replace(mark, ""));
  return { names: items.map((text) => text.replace(mark, "")), marked };
}

/**
 * Hands the page something as a drop or a paste would.
 *
 * @param {Page} page
 * @param {{ how: "drop" | "paste", photo?: string, name?: string, text?: string, kind?: string }} given
 * @returns {Promise<boolean>} Whether the page would take what is dragged over it.
 */
function hand(page, given) {
  return page.evaluate(async ({ how, photo, name = "photo.jpg", text = "", kind = "text/plain" }) => {
    const data = new DataTransfer();
    if (photo) {
      const blob = await (await fetch(photo)).blob();
      data.items.add(new File([blob], name, { type: blob.type }));
    } else {
      data.setData(kind, text);
    }
    const place = document.body;
    const common = { bubbles: true, cancelable: true };
    if (how === "paste") {
      place.dispatchEvent(new ClipboardEvent("paste", { ...common, clipboardData: data }));
      return true;
    }
    const taken = !place.dispatchEvent(new DragEvent("dragover", { ...common, dataTransfer: data }));
    place.dispatchEvent(new DragEvent("drop", { ...common, dataTransfer: data }));
    return taken;
  }, given);
}

/** Folders of models in the browser's storage. @param {Page} page */
function storedFolders(page) {
  return page.evaluate(async () => {
    const root = /** @type {any} */ (await navigator.storage.getDirectory());
    const models = await root.getDirectoryHandle("fine-r1");
    const names = [];
    for await (const name of models.keys()) names.push(name);
    return names;
  });
}

export const tests = {
  "a photo by drop, by paste and by its address is the same as by choice": async () => {
    await withSite(async (site) => {
      const { page } = site;
      const [{ file }] = examples;
      const photo = photoUrl(file);
      const expected = await site.recognize(examples[0]);
      /** @type {Record<string, () => Promise<unknown>>} */
      const ways = {
        "dropped.jpg": () => hand(page, { how: "drop", photo, name: "dropped.jpg" }),
        "pasted.jpg": () => hand(page, { how: "paste", photo, name: "pasted.jpg" }),
        [`${file} `]: async () => {
          await fill(site, "Photo URL", photo);
          await page.getByRole("button", { name: "Fetch", exact: true }).click();
        },
        [`${file}  `]: () => hand(page, { how: "paste", text: photo }),
        [`${file}   `]: () => hand(page, { how: "drop", text: photo, kind: "text/uri-list" }),
      };
      for (const [way, give] of Object.entries(ways)) {
        const name = way.trim();
        await give();
        const status = await site.waitForStatus(/ is chosen/);
        assert.ok(status.startsWith(`${name} is chosen`), status);
        await page.getByAltText(`The photo ${name}`, { exact: true }).waitFor();
        await site.pressRecognize();
        assert.equal(await site.waitForAnswer(), expected, name);
      }
      assert.ok(await hand(page, { how: "drop", photo }), "what is dragged over the page may be dropped");
    });
  },

  "what is no photo is refused with a remedy": async () => {
    await withSite(async (site) => {
      const { page } = site;
      const text = Buffer.from("no photo");
      await site.photo.setInputFiles({ name: "notes.pdf", mimeType: "application/pdf", buffer: text });
      await site.waitForStatus(/^Notes\.pdf is not a photo\. .+/i);
      await site.photo.setInputFiles({ name: "void.jpg", mimeType: "image/jpeg", buffer: Buffer.alloc(0) });
      await site.waitForStatus(/^Void\.jpg is empty\. .+/i);
      const fetchButton = page.getByRole("button", { name: "Fetch", exact: true });
      for (const [address, told] of /** @type {[string, RegExp][]} */ ([
        ["plane.jpg", /not the address of a photo\. .*https/i],
        [photoUrl("absent.jpg"), /server answers 404\. .+/i],
        // The page's policy lets it fetch nothing from elsewhere.
        ["https://photos.example/plane.jpg", /could not be fetched\. .+/i],
        [`${url}index.html`, /web page, not a photo\. .+/i],
      ])) {
        await fill(site, "Photo URL", address);
        await fetchButton.click();
        await site.waitForStatus(told);
        await page.getByText("No new photo", { exact: true }).waitFor();
      }
    });
  },

  "a photo from the camera, which goes off again": async () => {
    await withBrowser("camera", async (browser) => {
      const context = await browser.newContext();
      await context.grantPermissions(["camera"], { origin: new URL(url).origin });
      const page = await context.newPage();
      const site = await openSite(page);
      await site.load("cpu");
      const dialog = page.getByRole("dialog", { name: "Camera", exact: true });
      await page.getByRole("button", { name: "Use camera", exact: true }).click();
      const take = dialog.getByRole("button", { name: "Take photo", exact: true });
      await until("a camera that is on", () => take.isEnabled());
      const video = page.locator("video");
      await video.evaluate((/** @type {HTMLVideoElement} */ video) => {
        /** @type {any} */ (globalThis).tracks = /** @type {MediaStream} */ (video.srcObject).getTracks();
        if (video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) return;
        return new Promise((resolve) => video.addEventListener("loadeddata", resolve, { once: true }));
      });
      await take.click();
      await site.waitForStatus(/^camera\.jpg is chosen/);
      await dialog.waitFor({ state: "hidden" });
      await until("a camera that is off", () =>
        page.evaluate(() =>
          /** @type {any} */ (globalThis).tracks.every((/** @type {any} */ { readyState }) => readyState === "ended"),
        ),
      );
      await site.pressRecognize();
      await waitForEnd(site);
    });
  },

  "a camera that is not there or not allowed": async () => {
    await withSite(
      async ({ page }) => {
        await page.getByRole("button", { name: "Use camera", exact: true }).click();
        const dialog = page.getByRole("dialog", { name: "Camera", exact: true });
        await dialog.getByText("No photo was taken", { exact: true }).waitFor();
        assert.match(await dialog.innerText(), /camera.*choose a photo instead/is);
        assert.ok(await dialog.getByRole("button", { name: "Take photo", exact: true }).isDisabled());
        await page.keyboard.press("Escape");
        await dialog.waitFor({ state: "hidden" });
      },
      { permissions: [] },
    );
  },

  "the question reaches the model": async () => {
    await withSite(async (site) => {
      await askAbout(site, examples[0]);
      const { record: usual } = await save(site);
      await fill(site, "Question", LONG_QUESTION);
      await askAbout(site, examples[0]);
      const { record: asked } = await save(site);
      assert.deepEqual([usual.question, asked.question], [null, LONG_QUESTION]);
      const [before, after] = [usual.usage.promptTokens, asked.usage.promptTokens];
      assert.ok(after > before, `${after} tokens of the longer question, ${before} of the usual one`);
      assert.ok((await site.answer.innerText()).includes(LONG_QUESTION), "the answer names its question");
    });
  },

  "candidates are counted, given to the model and listed with the answer": async () => {
    await withSite(async (site) => {
      const { page } = site;
      const [{ candidates }] = examples;
      await fill(site, "Candidates", candidates.join("; "));
      await page.getByText(`${candidates.length} names to choose among.`, { exact: true }).waitFor();
      await askAbout(site, examples[0]);
      const { record } = await save(site);
      assert.deepEqual(record.candidates, candidates);
      const { names, marked } = await considered(site);
      assert.deepEqual(names, candidates);
      const chosen = record.considered.filter((/** @type {any} */ { isAnswer }) => isAnswer);
      assert.deepEqual(marked, chosen.map((/** @type {any} */ { name }) => name));
      const outside = page.getByText("The answer is none of them.", { exact: true });
      assert.equal(await outside.count(), marked.length === 0 ? 1 : 0);

      await fill(site, "Candidates", "");
      await askAbout(site, examples[0]);
      const { record: free } = await save(site);
      const expected = free.considered.map((/** @type {any} */ { name }) => name);
      assert.deepEqual((await considered(site)).names, expected, "those of the thought stand in");
      assert.ok(free.usage.promptTokens < record.usage.promptTokens, "the prompt held the candidates");
    });
  },

  "the thought streams, and folds when the answer comes": async () => {
    await withSite(async (site) => {
      await site.choosePhoto(examples[0].file);
      await site.thinking.evaluate((region) => {
        const details = /** @type {HTMLDetailsElement} */ (region.querySelector("details"));
        const group = /** @type {Element} */ (region.querySelector('[role="group"]'));
        const seen = /** @type {any[]} */ ([]);
        /** @type {any} */ (globalThis).seen = seen;
        const note = () => seen.push({ text: group.textContent?.trim(), isOpen: details.open });
        const everything = { subtree: true, childList: true, characterData: true, attributes: true };
        new MutationObserver(note).observe(region, everything);
      });
      await site.pressRecognize();
      await site.waitForAnswer();
      const { record } = await save(site);
      const thought = record.thinking.trim();
      assert.ok(thought, "nano thinks");
      const seen = await site.page.evaluate(() => /** @type {any} */ (globalThis).seen);
      const parts = seen.filter((/** @type {any} */ { text }) => text && text !== thought && thought.startsWith(text));
      assert.ok(parts.length > 0, "a part of the thought was seen before the whole");
      assert.ok(parts.some((/** @type {any} */ { isOpen }) => isOpen), "it was unfolded while it grew");
      const lengths = parts.map((/** @type {any} */ { text }) => text.length);
      assert.deepEqual(lengths, [...lengths].sort((one, other) => one - other), "it only grew");

      const details = site.thinking.locator("details");
      const isOpen = () => details.evaluate((/** @type {HTMLDetailsElement} */ details) => details.open);
      assert.equal(await isOpen(), false, "it folds");
      await details.locator("summary").click();
      const text = site.thinking.getByRole("group", { name: "Text of the thought", exact: true });
      await text.waitFor();
      assert.equal((await text.textContent())?.trim(), thought, "and unfolds by hand");
      await details.locator("summary").click();
      await text.waitFor({ state: "hidden" });
    });
  },

  "an answer is copied, and saved as JSON": async () => {
    const permissions = ["clipboard-read", "clipboard-write"];
    await withSite(
      async (site) => {
        const { page } = site;
        const answer = await site.recognize(examples[0]);
        await page.bringToFront();
        await site.answer.getByRole("button", { name: "Copy", exact: true }).click();
        await site.waitForStatus(/^The answer is copied\.$/);
        const { name, record } = await save(site);
        await site.waitForStatus(/\.json is saved\.$/);
        assert.equal(await page.evaluate(() => navigator.clipboard.readText()), record.answer);

        assert.equal(name, `fine-r1-${examples[0].file.replace(/\.[^.]+$/, "")}.json`);
        assert.ok(answer.startsWith(record.answer), `${answer} is told, ${record.answer} is saved`);
        assert.equal(record.photo.name, examples[0].file);
        assert.ok(record.photo.bytes > 0);
        assert.deepEqual(record.candidates, examples[0].candidates);
        assert.ok(record.tokenIds.length === record.usage.newTokens && record.tokenIds.length > 0);
        assert.deepEqual([record.model.name, record.model.baseUrl], ["nano", modelUrl]);
      },
      { permissions },
    );
  },

  "figures, and the device with the reason of its fall-back": async () => {
    await withSite(
      async (site) => {
        const { page, answer } = site;
        await page.getByText("WebAssembly SIMD, one thread").first().waitFor();
        const reason = page.getByText(/^WebGPU is not used: /).first();
        assert.match(await reason.innerText(), /^WebGPU is not used: .*adapter.*\. .*cpu.*\.$/s);
        await askAbout(site, examples[0]);
        const { record } = await save(site);
        assert.equal(record.model.device.fallback.code, "noAdapter");
        const [terms, texts] = [answer.locator("dt"), answer.locator("dd")];
        const names = (await terms.allTextContents()).map((text) => text.trim());
        const values = (await texts.allTextContents()).map((text) => text.trim());
        const figures = Object.fromEntries(names.map((name, place) => [name, values[place]]));
        const { newTokens, promptTokens, timeToFirstTokenSecs, tokensPerSecond } = record.usage;
        assert.equal(figures["Tokens of the answer"], String(newTokens));
        assert.equal(figures["Tokens of the question"], String(promptTokens));
        assert.match(figures["Time to first token"], /^\d+(\.\d+)? s$/);
        for (const [name, expected, rounding] of /** @type {[string, number, number][]} */ ([
          ["Time to first token", timeToFirstTokenSecs, ROUNDING.secs],
          ["Tokens per second", tokensPerSecond, ROUNDING.rate],
        ])) {
          const shown = Number.parseFloat(figures[name]);
          assert.ok(Math.abs(shown - expected) <= rounding, `${name}: ${figures[name]}, is ${expected}`);
        }
      },
      { device: "auto" },
    );
  },

  "the answers of this visit come back with their photos": async () => {
    await withSite(async (site) => {
      const { page } = site;
      const [first, second] = examples;
      const answers = [await site.recognize(first), await site.recognize(second)];
      const visits = page.getByRole("list", { name: "History", exact: true }).getByRole("button");
      assert.equal(await visits.count(), 2);
      for (const [place, { file }] of [second, first].entries()) {
        assert.ok((await visits.nth(place).textContent())?.includes(file), `${file} is at place ${place}`);
        await visits.nth(place).scrollIntoViewIfNeeded();
        const thumbnail = visits.nth(place).locator("img");
        await until(`the thumbnail of ${file}`, () =>
          thumbnail.evaluate((/** @type {HTMLImageElement} */ image) => image.naturalWidth > 0),
        );
      }
      await visits.nth(1).click();
      await page.getByAltText(`The photo ${first.file}`, { exact: true }).waitFor();
      assert.equal(await page.getByLabel("Candidates", { exact: true }).inputValue(), first.candidates.join(", "));
      const { record } = await save(site);
      assert.deepEqual([record.photo.name, record.candidates], [first.file, first.candidates]);
      assert.ok(answers[0].startsWith(record.answer), `${answers[0]} was told, ${record.answer} comes back`);
      assert.equal(await visits.count(), 2, "looking back is no new visit");
    });
  },

  "light and dark, by hand and remembered": async () => {
    await withBrowser("plain", async (browser) => {
      const page = await browser.newPage({ colorScheme: "light", reducedMotion: "reduce" });
      await openSite(page);
      const button = page.getByRole("button", { name: "Dark", exact: true });
      const look = async () => ({
        pressed: await button.getAttribute("aria-pressed"),
        paper: await page.evaluate(() => getComputedStyle(document.body).backgroundColor),
      });
      const light = await look();
      assert.equal(light.pressed, "false");
      await button.click();
      await until("a dark page", async () => (await look()).paper !== light.paper);
      const dark = await look();
      assert.equal(dark.pressed, "true");
      await page.reload();
      await button.waitFor();
      assert.deepEqual(await look(), dark, "remembered");
      await button.click();
      await until("a light page", async () => (await look()).paper === light.paper);
      assert.deepEqual(await look(), light, "and light again");
    });
  },

  "stored models are listed with their sizes, and deleted": async () => {
    await withSite(async (site) => {
      const { page } = site;
      const stored = page.getByRole("region", { name: "Stored models", exact: true });
      const item = stored.getByRole("listitem").filter({ hasText: modelUrl });
      await item.waitFor();
      assert.match(await item.innerText(), /nano\s.*\d (kB|MB)/s);
      assert.equal((await storedFolders(page)).length, 1);

      await page.reload();
      await site.loadButton.waitFor();
      await item.waitFor();
      await page.getByText(/^Already on this device \(.*\d (kB|MB)\): nothing to download\.$/).waitFor();
      await stored.getByRole("button", { name: "Delete nano", exact: true }).click();
      await site.waitForStatus(/^Deleted\.$/);
      await stored.getByText("This browser holds no model.", { exact: true }).waitFor();
      await page.getByText(/^nano: .*\d (kB|MB) in \d+ files, downloaded once/).waitFor();
      assert.deepEqual(await storedFolders(page), []);
    });
  },

  "a model from the address of a folder": async () => {
    await withBrowser("plain", async (browser) => {
      const page = await browser.newPage();
      const site = await openSite(page);
      await page.getByLabel("Model", { exact: true }).selectOption("url");
      await site.loadButton.click();
      await site.waitForStatus(/^No model URL is given\. .+/);
      // Another address of the same folder; without a slash, and relative to the page.
      const address = "faults/no-gpu/models/nano";
      await fill(site, "Model URL", address);
      // Its size is looked up when the field is left.
      await page.keyboard.press("Tab");
      await page.getByText(/^nano: .*\d (kB|MB) in \d+ files/).waitFor();
      await page.getByLabel("Device", { exact: true }).selectOption("cpu");
      await site.loadButton.click();
      await site.waitForStatus(/^nano is ready on the CPU\.$/);
      await page.getByRole("listitem").filter({ hasText: `${url}${address}/` }).waitFor();
      assert.ok(await site.recognize());
      const { record } = await save(site);
      assert.equal(record.model.baseUrl, `${url}${address}/`);
    });
  },
};
