// @ts-check
// The page for everybody: names, keyboard, contrast, no stutter, nothing from elsewhere; and pictures
// of it to look at.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { violations } from "./accessibility.mjs";
import { serverLog, withBrowser } from "./browser.mjs";
import { openSite } from "./site.mjs";
import { examples, folders, url } from "./settings.mjs";

/** @typedef {import("playwright-core").Page} Page */

const SCHEMES = /** @type {const} */ (["light", "dark"]);
const SIZES = [
  { width: 1280, height: 900 },
  { width: 390, height: 844 },
];
/** A task on the page's main thread may take so long. */
const LONGEST_TASK_MS = 50;
/** One that must be seen. */
const FORCED_TASK_MS = 80;
/** Within this the observer hears of a task that is over. */
const OBSERVER_MS = 200;
/** Controls between the top of the page and any other. */
const MOST_TABS = 40;

export const limitSecs = 600;

/** Presses Tab until a control has the keyboard. @param {Page} page @param {import("playwright-core").Locator} control */
async function tabTo(page, control) {
  for (let pressed = 0; pressed < MOST_TABS; pressed += 1) {
    if (await control.evaluate((element) => element === document.activeElement)) return;
    await page.keyboard.press("Tab");
  }
  throw new Error(`${control} is not reached with ${MOST_TABS} presses of Tab`);
}

/**
 * Tasks since a moment that kept the main thread too long.
 *
 * @param {Page} page
 * @param {number} since
 * @returns {Promise<{ startTime: number, duration: number }[]>}
 */
async function longTasks(page, since) {
  await setTimeout(OBSERVER_MS);
  const tasks = await page.evaluate(() => /** @type {any} */ (globalThis).longTasks);
  return tasks.filter((/** @type {any} */ task) => task.startTime >= since && task.duration > LONGEST_TASK_MS);
}

/** Keeps the main thread busy, and tells since when. @param {Page} page */
function forceTask(page) {
  return page.evaluate(
    (millis) =>
      new Promise((resolve) => {
        const begun = performance.now();
        // A task of the page's own, which a script from outside is not.
        globalThis.setTimeout(() => {
          const end = performance.now() + millis;
          while (performance.now() < end);
          resolve(begun);
        });
      }),
    FORCED_TASK_MS,
  );
}

/** A model whose first download falls silent. @param {number} bytes After so many, a number of the test's own. */
const stalling = (bytes) => `${url}faults/stall/${bytes}/models/nano/`;

/** Waits until the server has been asked for a model's weights. @param {string} baseUrl */
async function waitForWeights(baseUrl) {
  const path = new URL("model.safetensors", baseUrl).pathname;
  while (!(await serverLog()).requests.some((request) => request.path === path)) await setTimeout(25);
}

export const tests = {
  "controls and regions have their names, with a model and without": async () => {
    await withBrowser("plain", async (browser) => {
      const site = await openSite(await browser.newPage());
      const controls = [site.photo, site.recognizeButton, site.stopButton, site.status, site.answer, site.thinking];
      const assertNamed = async (/** @type {string} */ stage) => {
        for (const control of controls) assert.equal(await control.count(), 1, `${control} is there once, ${stage}`);
      };
      await assertNamed("before a download");
      const baseUrl = stalling(130_000);
      await site.loadFrom(baseUrl);
      await waitForWeights(baseUrl);
      await assertNamed("during the download");
      await site.stopButton.click();
      await site.waitForStatus(/^Loading stopped/);
      await assertNamed("after a stop");
      await site.loadButton.click();
      await site.waitForStatus(/ is ready on /);
      await assertNamed("with a model");
    });
  },

  "who asks without a model has it loaded first": async () => {
    await withBrowser("plain", async (browser) => {
      const asked = await openSite(await browser.newPage());
      assert.ok(await asked.recognize());
      assert.equal(await asked.loadButton.count(), 0, "the landing card is gone");
      const tried = await openSite(await browser.newPage());
      await tried.page.getByRole("button", { name: examples[0].label, exact: true }).click();
      assert.ok(await tried.waitForAnswer());
    });
  },

  "Stop ends the load of who has asked, and the next question loads again": async () => {
    await withBrowser("plain", async (browser) => {
      const site = await openSite(await browser.newPage());
      const baseUrl = stalling(140_000);
      await site.chooseModel(baseUrl);
      await site.choosePhoto(examples[0].file);
      await site.pressRecognize();
      await waitForWeights(baseUrl);
      await site.stopButton.click();
      await site.waitForStatus(/^Loading stopped/);
      await site.pressRecognize();
      assert.ok(await site.waitForAnswer());
    });
  },

  "candidates that are no choice are refused before anything is loaded": async () => {
    await withBrowser("plain", async (browser) => {
      const site = await openSite(await browser.newPage());
      await site.choosePhoto(examples[0].file);
      const candidates = site.page.getByLabel("Candidates", { exact: true });
      const many = Array.from({ length: 51 }, (_, number) => `A${number}`).join(", ");
      for (const [typed, told] of /** @type {[string, RegExp][]} */ ([
        ["A320", /one candidate.*two or more/i],
        [many, /51 candidates.*at most 50/i],
      ])) {
        await candidates.fill(typed);
        await candidates.press("Enter");
        await site.waitForStatus(told);
      }
      assert.equal(await site.loadButton.count(), 1, "nothing is loaded");
    });
  },

  "who runs on the processor never fetches the engine for WebGPU": async () => {
    await withBrowser("plain", async (browser) => {
      const before = (await serverLog()).requests.length;
      const site = await openSite(await browser.newPage());
      await site.load("auto");
      await site.page.getByText("works without a connection").waitFor();
      const paths = (await serverLog()).requests.slice(before).map(({ path }) => path);
      assert.ok(paths.some((path) => path.startsWith("/fine-r1/cpu/")), paths.join(" "));
      assert.deepEqual(paths.filter((path) => path.startsWith("/fine-r1/webgpu/")), []);
    });
  },

  "axe-core finds nothing, light and dark": async () => {
    await withBrowser("plain", async (browser) => {
      for (const colorScheme of SCHEMES) {
        const page = await browser.newPage({ colorScheme, reducedMotion: "reduce" });
        const site = await openSite(page);
        assert.deepEqual(await violations(page), [], `${colorScheme}, before a download`);
        await site.load("cpu");
        assert.deepEqual(await violations(page), [], `${colorScheme}, with a model`);
        await site.recognize();
        assert.deepEqual(await violations(page), [], `${colorScheme}, with an answer`);
        await site.loadWrongly();
        assert.deepEqual(await violations(page), [], `${colorScheme}, with a failure`);
      }
    });
  },

  "the keyboard alone is enough": async () => {
    await withBrowser("plain", async (browser) => {
      const page = await browser.newPage();
      const site = await openSite(page);
      await tabTo(page, site.loadButton);
      await page.keyboard.press("Enter");
      await site.waitForStatus(/ is ready on /);
      await tabTo(page, page.getByRole("button", { name: examples[0].label, exact: true }));
      await page.keyboard.press("Enter");
      assert.ok(await site.waitForAnswer());
    });
  },

  "the main thread is free while the model thinks": async () => {
    await withBrowser("plain", async (browser) => {
      const page = await browser.newPage();
      await page.addInitScript(() => {
        const tasks = /** @type {any[]} */ ([]);
        /** @type {any} */ (globalThis).longTasks = tasks;
        new PerformanceObserver((list) => {
          for (const { startTime, duration } of list.getEntries()) tasks.push({ startTime, duration });
        }).observe({ type: "longtask", buffered: true });
      });
      const site = await openSite(page);
      await site.load("cpu");
      await site.choosePhoto(examples[0].file);
      const begun = await page.evaluate(() => performance.now());
      await site.pressRecognize();
      await site.waitForAnswer();
      assert.deepEqual(await longTasks(page, begun), [], "milliseconds since the page was opened");
      const forced = /** @type {number} */ (await forceTask(page));
      assert.ok((await longTasks(page, forced)).length > 0, "a task that is long is seen");
    });
  },

  "nothing comes from elsewhere, and the policy forbids nothing that is needed": async () => {
    await withBrowser("software", async (browser) => {
      const context = await browser.newContext();
      const page = await context.newPage();
      /** @type {string[]} */
      const foreign = [];
      /** @type {string[]} */
      const complaints = [];
      const origin = new URL(url).origin;
      context.on("request", (request) => {
        const address = request.url();
        if (!/^(blob|data):/.test(address) && new URL(address).origin !== origin) foreign.push(address);
      });
      context.on("weberror", (error) => complaints.push(String(error.error())));
      context.on("console", (message) => {
        if (message.type() === "error") complaints.push(message.text());
      });
      const before = (await serverLog()).reports.length;
      const site = await openSite(page);
      await site.load("auto");
      await site.recognize();
      assert.deepEqual(foreign, []);
      assert.deepEqual(complaints, []);
      assert.deepEqual((await serverLog()).reports.slice(before), []);
    });
  },

  "pictures at two widths, light and dark": async () => {
    const pictures = join(folders.out, "screenshots");
    await mkdir(pictures, { recursive: true });
    await withBrowser("plain", async (browser) => {
      for (const colorScheme of SCHEMES) {
        for (const viewport of SIZES) {
          const page = await browser.newPage({ colorScheme, viewport, reducedMotion: "reduce" });
          /** @param {string} stage */
          const take = async (stage) => {
            const path = join(pictures, `${stage}-${viewport.width}-${colorScheme}.png`);
            await page.screenshot({ path, fullPage: true });
            const width = await page.evaluate(() => document.documentElement.scrollWidth);
            assert.ok(width <= viewport.width, `${stage} is ${width} wide at ${viewport.width}, ${colorScheme}`);
          };
          const site = await openSite(page);
          await take("1-landing");
          await site.load("auto");
          await take("2-ready");
          await site.choosePhoto(examples[0].file);
          await site.pressRecognize();
          await site.waitForStatus(/^(Thinking|Answering|Answer: )/);
          await take("3-thinking");
          await site.waitForAnswer();
          await take("4-answer");
          await site.loadWrongly();
          await take("5-failure");
          await page.close();
        }
      }
    });
    console.log(`     pictures: ${pictures}`);
  },
};
