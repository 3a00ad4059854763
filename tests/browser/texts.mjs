// @ts-check
// Texts are never HTML: neither what people type, nor names of files, nor what the model and its worker say.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { serverLog, withBrowser } from "./browser.mjs";
import { openSite } from "./site.mjs";
import { examples, photoFile, url } from "./settings.mjs";

/** @typedef {import("playwright-core").Page} Page */

const MARKUP = '<img src=x onerror="window.hacked=1"><b>bold</b><script>window.hacked=2</script>';
/** What no file, question or answer may become, here and in shadow trees. */
const INTRUDERS = 'img[src="x"], b, i, script:not([src])';
const PHOTO_NAME = "<img src=x onerror=window.hacked=3>.jpg";

/** What a worker says whose model was taught to attack. Each begins as sentences do, which the page sees to. */
const SAID = {
  model: `Model ${MARKUP}`,
  device: `Device ${MARKUP}`,
  reason: `Reason ${MARKUP}`,
  remedy: `Remedy ${MARKUP}`,
  stored: `Stored ${MARKUP}`,
  thinking: `Candidates: <b>A320</b>, <i>E-190</i>. ${MARKUP}`,
  answer: `Answer ${MARKUP}`,
  failure: `Failure ${MARKUP}`,
  hint: `Hint ${MARKUP}`,
};

/**
 * Takes the worker's place in a page: the second photo fails. Runs there.
 *
 * @param {typeof SAID} said
 */
function standIn(said) {
  const fallback = { code: "noAdapter", message: said.reason, hint: said.remedy };
  const device = { kind: "cpu", name: said.device, isSoftware: false, hasF16: false, maxBufferBytes: 0, fallback };
  const usage = { promptTokens: 7, newTokens: 2, timeToFirstTokenSecs: 0.1, tokensPerSecond: 10 };
  const { thinking, answer } = said;
  const outcome = { thinking, answer, wellFormed: true, tokenIds: [1, 2], stopReason: "endToken", usage };
  const error = { code: "badImage", message: said.failure, hint: said.hint };
  let photos = 0;
  /** @param {any} request @returns {any[]} */
  const events = ({ type, id, baseUrl }) => {
    switch (type) {
      case "load": {
        const size = { parameters: 1e6, bytes: 2, context: 1024 };
        const info = { name: said.model, baseUrl, architecture: "qwen2_5_vl", ...size, device };
        return [
          { type: "found", id, device },
          { type: "ready", id, info },
        ];
      }
      case "recognize":
        photos += 1;
        if (photos === 2) return [{ type: "failed", id, error }];
        return [
          { type: "started", id, promptTokens: usage.promptTokens },
          { type: "thinking", id, text: thinking },
          { type: "answering", id, text: answer },
          { type: "done", id, outcome },
        ];
      case "listStored":
        return [{ type: "stored", id, models: [{ name: said.stored, baseUrl: said.stored, bytes: 1, total: 2 }] }];
      default:
        return [];
    }
  };
  /** @type {any} */ (globalThis).Worker = class {
    /** @type {((event: MessageEvent) => void) | null} */
    onmessage = null;
    /** @param {any} request */
    postMessage(request) {
      for (const data of events(request)) setTimeout(() => this.onmessage?.(new MessageEvent("message", { data })));
    }
    terminate() {
      this.onmessage = null;
    }
  };
}

/**
 * Opens a page in which texts can do no harm, or the test fails.
 *
 * @param {(page: Page) => Promise<void>} use
 */
async function withWatchedPage(use) {
  await withBrowser("plain", async (browser) => {
    const before = (await serverLog()).reports.length;
    const page = await browser.newPage();
    await use(page);
    const harm = await page.evaluate((selector) => {
      /** @type {string[]} */
      const found = [];
      /** @param {Document | ShadowRoot} root */
      const search = (root) => {
        for (const element of root.querySelectorAll(selector)) found.push(element.outerHTML);
        for (const { shadowRoot } of root.querySelectorAll("*")) if (shadowRoot) search(shadowRoot);
      };
      search(document);
      return { found, hacked: /** @type {any} */ (globalThis).hacked ?? null };
    }, INTRUDERS);
    assert.deepEqual(harm, { found: [], hacked: null });
    assert.deepEqual((await serverLog()).reports.slice(before), [], "the policy had nothing to forbid");
  });
}

/** A photo under a name that attacks. */
async function photo() {
  return { name: PHOTO_NAME, mimeType: "image/jpeg", buffer: await readFile(photoFile(examples[0].file)) };
}

/** Asserts that texts are there as they were given. @param {string | null} shown @param {string[]} texts */
function assertShows(shown, texts) {
  for (const text of texts) assert.ok(shown?.includes(text), `${text} is not shown as it is: ${shown}`);
}

export const tests = {
  "what people give the page": async () => {
    await withWatchedPage(async (page) => {
      const site = await openSite(page);
      await site.load("cpu");
      await site.photo.setInputFiles(await photo());
      const status = await site.waitForStatus(/ is chosen/);
      assertShows(status, [PHOTO_NAME]);
      const candidates = ["<b>A320</b>", MARKUP];
      await page.getByLabel("Question", { exact: true }).fill(MARKUP);
      await page.getByLabel("Candidates", { exact: true }).fill(candidates.join(", "));
      await site.pressRecognize();
      // Of such a question nano never learnt anything.
      await site.waitForStatus(/^(Answer: |The model ended )/);
      assertShows(await site.answer.textContent(), [PHOTO_NAME, MARKUP, ...candidates]);
      assertShows(await page.getByRole("list", { name: "History", exact: true }).textContent(), [PHOTO_NAME]);
      await page.getByAltText(`The photo ${PHOTO_NAME}`, { exact: true }).waitFor();

      const button = site.answer.getByRole("button", { name: "Save as JSON", exact: true });
      const [download] = await Promise.all([page.waitForEvent("download"), button.click()]);
      assert.match(download.suggestedFilename(), /^fine-r1-[\w-]+\.json$/);
      const record = JSON.parse(await readFile(await download.path(), "utf8"));
      assert.deepEqual([record.photo.name, record.question, record.candidates], [PHOTO_NAME, MARKUP, candidates]);
    });
  },

  "what the model and its worker tell the page": async () => {
    await withWatchedPage(async (page) => {
      await page.addInitScript(standIn, SAID);
      const site = await openSite(page);
      await site.load("cpu");
      await site.photo.setInputFiles(await photo());
      await site.waitForStatus(/ is chosen/);
      await site.pressRecognize();
      await site.waitForAnswer();
      assertShows(await site.thinking.textContent(), [SAID.thinking]);
      assertShows(await site.answer.textContent(), [SAID.answer]);
      const considered = page.getByRole("list", { name: "Candidates considered", exact: true });
      assert.deepEqual(await considered.getByRole("listitem").allTextContents(), ["<b>A320</b>", "<i>E-190</i>"]);
      const { model, device, reason, remedy, stored } = SAID;
      assertShows(await page.locator("main").textContent(), [model, device, reason, remedy, stored]);

      await site.pressRecognize();
      const status = await site.waitForStatus(/^No answer: /);
      assertShows(status, [SAID.failure, SAID.hint]);
      assertShows(await site.answer.textContent(), [SAID.failure, SAID.hint]);
    });
  },

  "what the model and its worker tell the element": async () => {
    await withWatchedPage(async (page) => {
      await page.addInitScript(standIn, SAID);
      await page.goto(`${url}faults/blank`);
      await page.evaluate(async (script) => {
        await import(script);
        const element = document.createElement("fine-r1-recognizer");
        element.setAttribute("model", "models/nano/");
        document.body.append(element);
      }, `${url}fine-r1/element.js`);
      const element = page.locator("fine-r1-recognizer");
      const status = element.getByRole("status");
      const recognize = () => element.evaluate((/** @type {any} */ element) => element.recognize());
      await element.locator('input[type="file"]').setInputFiles(await photo());
      assertShows(await status.textContent(), [PHOTO_NAME]);
      assert.ok(await recognize(), "there is an answer");
      assertShows(await element.getByRole("region", { name: "Thinking" }).textContent(), [SAID.thinking]);
      assertShows(await element.getByRole("region", { name: "Answer" }).textContent(), [SAID.answer]);
      const { device, reason, remedy } = SAID;
      assertShows(await element.locator('[part~="device"]').textContent(), [device, reason, remedy]);
      assert.equal(await recognize(), null, "the second photo fails");
      assertShows(await status.textContent(), [SAID.failure, SAID.hint]);
    });
  },
};
