// @ts-check
// <fine-r1-recognizer> in a page without a build step.

import assert from "node:assert/strict";
import { violations } from "./accessibility.mjs";
import { blankPage, withBrowser } from "./browser.mjs";
import { until } from "./patience.mjs";
import { mustLoad, mustRecognize } from "./recognizer.mjs";
import { examples, modelUrl, photoFile, photoUrl, url } from "./settings.mjs";

/** @typedef {import("playwright-core").Page} Page */
/** @typedef {{ type: string, detail: any }} Heard */

const [example] = examples;
const PHOTO = photoUrl(example.file);
const OPTIONS = { question: "Which aircraft is this?", candidates: example.candidates };
const ATTRIBUTES = { model: modelUrl, device: "cpu" };

/** The element in a page. */
class Embedded {
  /** @param {Page} page */
  constructor(page) {
    this.page = page;
    this.host = page.locator("fine-r1-recognizer");
    this.photo = this.host.locator('input[type="file"]');
    this.preview = this.host.getByAltText("The chosen photo", { exact: true });
    this.recognizeButton = this.host.getByRole("button", { name: "Recognize", exact: true });
    this.stopButton = this.host.getByRole("button", { name: "Stop", exact: true });
    this.status = this.host.getByRole("status", { name: "Status", exact: true });
    this.device = this.host.locator('[part="device"]');
    this.answer = this.host.getByRole("region", { name: "Answer", exact: true });
    this.thinking = this.host.getByRole("region", { name: "Thinking", exact: true });
  }

  /** Events that have reached the document. @returns {Promise<Heard[]>} */
  heard() {
    return this.page.evaluate(() => /** @type {any} */ (globalThis).heard);
  }

  /** Calls recognize() and gives what it gives. @param {string} [photo] @returns {Promise<any>} */
  recognize(photo) {
    return this.host.evaluate((/** @type {any} */ element, photo) => element.recognize(photo), photo);
  }

  /** @param {RegExp} wanted */
  waitForStatus(wanted) {
    return until(`the status ${wanted}`, async () => {
      const text = ((await this.status.textContent()) ?? "").trim();
      return wanted.test(text) && text;
    });
  }

  /** @param {number} count */
  waitForWorkers(count) {
    return until(`${count} workers`, () => this.page.workers().length === count);
  }
}

/**
 * A page with the element, for as long as `use` runs.
 *
 * @param {Record<string, string>} attributes
 * @param {(element: Embedded) => Promise<void>} use
 * @param {"light" | "dark"} [colorScheme]
 */
function withElement(attributes, use, colorScheme = "light") {
  return withBrowser("plain", async (browser) => {
    const page = await blankPage(await browser.newContext({ colorScheme, reducedMotion: "reduce" }));
    await page.evaluate(
      async ({ script, attributes }) => {
        await import(script);
        const heard = /** @type {any[]} */ ([]);
        /** @type {any} */ (globalThis).heard = heard;
        for (const type of ["fine-r1-thinking", "fine-r1-answering", "fine-r1-done", "fine-r1-error"]) {
          document.addEventListener(type, (event) => {
            heard.push({ type, detail: /** @type {CustomEvent} */ (event).detail });
          });
        }
        document.documentElement.style.colorScheme = "light dark";
        const [main, title] = [document.createElement("main"), document.createElement("h1")];
        title.textContent = "What is in this photo?";
        const element = document.createElement("fine-r1-recognizer");
        for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
        main.append(title, element);
        document.body.append(main);
      },
      { script: `${url}fine-r1/element.js`, attributes },
    );
    await use(new Embedded(page));
  });
}

/** What the module answers. @param {object} options */
async function expectedTokens(options) {
  return withBrowser("plain", async (browser) => {
    const page = await blankPage(await browser.newContext());
    await mustLoad(page);
    return (await mustRecognize(page, PHOTO, options)).tokenIds;
  });
}

/** Types of events, neighbours of one type told once. @param {Heard[]} heard */
function course(heard) {
  return heard.map(({ type }) => type).filter((type, place, all) => type !== all[place - 1]);
}

export const tests = {
  "attributes reach the model, and its events the document": async () => {
    const attributes = { ...ATTRIBUTES, question: OPTIONS.question, candidates: OPTIONS.candidates.join(" , ") };
    const expected = await expectedTokens(OPTIONS);
    await withElement(attributes, async (element) => {
      await element.photo.setInputFiles(photoFile(example.file));
      await element.waitForStatus(new RegExp(`^Photo: ${example.file}$`));
      await element.recognizeButton.click();
      await until("an answer", async () => (await element.heard()).some(({ type }) => type === "fine-r1-done"));
      const heard = await element.heard();
      const { detail: done } = /** @type {Heard} */ (heard.at(-1));
      assert.deepEqual(done.tokenIds, expected);
      assert.ok(done.wellFormed, "nano keeps to its form");
      assert.deepEqual(course(heard), ["fine-r1-thinking", "fine-r1-answering", "fine-r1-done"]);
      for (const [type, whole] of [["fine-r1-thinking", done.thinking], ["fine-r1-answering", done.answer]]) {
        const pieces = heard.filter((event) => event.type === type).map(({ detail }) => detail.text);
        assert.equal(pieces.join("").trim(), whole, type);
      }
      assert.equal((await element.answer.textContent())?.trim(), done.answer);
      assert.ok((await element.thinking.textContent())?.includes(done.thinking), "the thought is there");
      const isOpen = await element.thinking.locator("details").evaluate((/** @type {any} */ details) => details.open);
      assert.equal(isOpen, false, "the thought is folded");
      await element.waitForStatus(/^Answer: .+ \(\d+ tokens, [\d.]+ tokens per second\)$/);
      assert.equal(await element.device.textContent(), "Processor: WebAssembly SIMD, one thread");
      await until("a button to ask again", () => element.recognizeButton.isEnabled());
      assert.equal(await element.stopButton.isEnabled(), false, "there is nothing to stop");
    });
  },

  "recognize() gives the answer, and refuses a second call meanwhile": async () => {
    await withElement(ATTRIBUTES, async (element) => {
      assert.equal(await element.recognize(), null, "there is no photo");
      await element.waitForStatus(/^Choose a photo first\.$/);
      const [first, second] = await element.host.evaluate(
        (/** @type {any} */ element, photo) => Promise.all([element.recognize(photo), element.recognize()]),
        PHOTO,
      );
      assert.equal(second, null);
      assert.equal(first.type, "done");
      assert.equal((await element.answer.textContent())?.trim(), first.answer);
      const again = await element.recognize();
      assert.deepEqual(again.tokenIds, first.tokenIds, "the photo stays chosen");
      assert.equal(element.page.workers().length, 1, "the model is loaded once");
    });
  },

  "stop() and the button end a thought": async () => {
    await withElement(ATTRIBUTES, async (element) => {
      const stopped = await element.host.evaluate((/** @type {any} */ element, photo) => {
        element.addEventListener("fine-r1-thinking", () => element.stop(), { once: true });
        return element.recognize(photo);
      }, PHOTO);
      assert.equal(stopped, null);
      assert.equal((await element.heard()).at(-1)?.detail.code, "aborted");
      await element.waitForStatus(/^Stopped\.$/);

      const pressed = await element.host.evaluate((/** @type {any} */ element) => {
        const stop = element.shadowRoot.querySelector('[part~="stop"]');
        element.addEventListener("fine-r1-thinking", () => stop.click(), { once: true });
        return element.recognize();
      });
      assert.equal(pressed, null);
      assert.equal((await element.heard()).at(-1)?.detail.code, "aborted");
      assert.ok((await element.recognize()).answer, "the next answer is whole");
    });
  },

  "a photo by drop and by paste": async () => {
    await withElement(ATTRIBUTES, async (element) => {
      for (const how of ["drop", "paste"]) {
        const name = `${how}.jpg`;
        const taken = await element.host.evaluate(
          async (element, { photo, name, how }) => {
            const blob = await (await fetch(photo)).blob();
            const data = new DataTransfer();
            data.items.add(new File([blob], name, { type: blob.type }));
            const common = { bubbles: true, cancelable: true, composed: true };
            const event =
              how === "drop"
                ? new DragEvent("drop", { ...common, dataTransfer: data })
                : new ClipboardEvent("paste", { ...common, clipboardData: data });
            return !element.dispatchEvent(event);
          },
          { photo: PHOTO, name, how },
        );
        assert.ok(taken, `the element takes the ${how}`);
        await element.waitForStatus(new RegExp(`^Photo: ${name}$`));
        await until("a preview", () =>
          element.preview.evaluate((/** @type {HTMLImageElement} */ image) => !image.hidden && image.naturalWidth > 0),
        );
        const chosen = await element.photo.evaluate((/** @type {HTMLInputElement} */ input) => input.files?.[0]?.name);
        assert.equal(chosen, name, "the input knows it, too");
      }
      assert.ok((await element.recognize()).tokenIds.length > 0);
      await element.photo.setInputFiles({ name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("no photo") });
      await element.waitForStatus(/^That is no image\. .+/);
    });
  },

  "failures are told and dispatched": async () => {
    await withElement({ device: "cpu" }, async (element) => {
      /** @type {[Record<string, string>, string][]} */
      const cases = [
        [{}, "badOptions"],
        [{ model: new URL("models/absent/", url).href }, "notFound"],
        [{ model: modelUrl, device: "abacus" }, "badOptions"],
        [{ device: "webgpu" }, "noAdapter"],
      ];
      for (const [attributes, code] of cases) {
        await element.host.evaluate((element, attributes) => {
          for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
        }, attributes);
        assert.equal(await element.recognize(PHOTO), null);
        const last = /** @type {Heard} */ ((await element.heard()).at(-1));
        assert.deepEqual([last.type, last.detail.code], ["fine-r1-error", code]);
        assert.ok(last.detail.message && last.detail.hint);
        const status = await element.waitForStatus(/^Error: .+\. Remedy: .+\.$/);
        assert.ok(status.includes(last.detail.message), status);
      }
    });
  },

  "taken out it frees its model, put back it loads it anew": async () => {
    await withElement(ATTRIBUTES, async (element) => {
      const { page, host } = element;
      const { tokenIds } = await element.recognize(PHOTO);
      const [worker] = page.workers();
      await host.evaluate((element) => document.querySelector("main")?.append(element));
      assert.deepEqual((await element.recognize()).tokenIds, tokenIds);
      assert.ok(page.workers().length === 1 && page.workers()[0] === worker, "moved, it keeps its model");

      await host.evaluate((element) => {
        /** @type {any} */ (globalThis).taken = element;
        element.remove();
      });
      await element.waitForWorkers(0);
      await page.evaluate(() => document.querySelector("main")?.append(/** @type {any} */ (globalThis).taken));
      assert.deepEqual((await element.recognize()).tokenIds, tokenIds);
      assert.equal(page.workers().length, 1);

      // The same folder, spelled in another way.
      await host.evaluate((element, model) => element.setAttribute("model", model), modelUrl.slice(0, -1));
      await element.waitForWorkers(0);

      const cut = await host.evaluate((/** @type {any} */ element) => {
        element.addEventListener("fine-r1-thinking", () => element.remove(), { once: true });
        return element.recognize();
      });
      assert.equal(cut, null, "taken out in mid-thought");
      assert.equal(await page.evaluate(() => document.querySelector("fine-r1-recognizer")), null);
      await element.waitForWorkers(0);
    });
  },

  "axe-core finds nothing, light and dark": async () => {
    for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
      await withElement(
        ATTRIBUTES,
        async (element) => {
          assert.deepEqual(await violations(element.page), [], `${colorScheme}, untouched`);
          await element.photo.setInputFiles(photoFile(example.file));
          assert.ok(await element.recognize());
          assert.deepEqual(await violations(element.page), [], `${colorScheme}, with an answer`);
          await element.host.evaluate((element) => element.setAttribute("model", "models/absent/"));
          assert.equal(await element.recognize(), null);
          assert.deepEqual(await violations(element.page), [], `${colorScheme}, with a failure`);
        },
        colorScheme,
      );
    }
  },

  "the keyboard alone is enough": async () => {
    await withElement(ATTRIBUTES, async (element) => {
      const { page } = element;
      const focused = () =>
        page.evaluate(() => document.activeElement?.shadowRoot?.activeElement?.getAttribute("part") ?? null);
      await page.keyboard.press("Tab");
      assert.equal(await focused(), "photo");
      await element.photo.setInputFiles(photoFile(example.file));
      await page.keyboard.press("Tab");
      assert.equal(await focused(), "recognize");
      await page.keyboard.press("Enter");
      await until("an answer", async () => (await element.heard()).some(({ type }) => type === "fine-r1-done"));
      await until("the keyboard to come back from Stop", async () => (await focused()) === "recognize");
    });
  },
};
