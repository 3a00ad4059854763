// @ts-check
// The page for everybody: names, keyboard, contrast, no stutter, nothing from elsewhere; and pictures
// of it to look at.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { serverLog, withBrowser } from "./browser.mjs";
import { openSite } from "./site.mjs";
import { axe, examples, folders, url } from "./settings.mjs";

/** @typedef {import("playwright-core").Page} Page */

const SCHEMES = /** @type {const} */ (["light", "dark"]);
const SIZES = [
  { width: 1280, height: 900 },
  { width: 390, height: 844 },
];
/** A task on the page's main thread may take so long. */
const LONGEST_TASK_MS = 50;
/** Controls between the top of the page and any other. */
const MOST_TABS = 40;

export const limitSecs = 600;

/**
 * What axe-core finds wrong.
 *
 * @param {Page} page
 * @returns {Promise<string[]>}
 */
async function violations(page) {
  await page.evaluate(axe());
  return page.evaluate(async () => {
    const { violations } = await /** @type {any} */ (globalThis).axe.run(document, { resultTypes: ["violations"] });
    return violations.map((/** @type {any} */ { id, help, nodes }) => {
      const places = nodes.map((/** @type {any} */ { target }) => target.join(" ")).join(", ");
      return `${id}: ${help} at ${places}`;
    });
  });
}

/** Presses Tab until a control has the keyboard. @param {Page} page @param {import("playwright-core").Locator} control */
async function tabTo(page, control) {
  for (let pressed = 0; pressed < MOST_TABS; pressed += 1) {
    if (await control.evaluate((element) => element === document.activeElement)) return;
    await page.keyboard.press("Tab");
  }
  throw new Error(`${control} is not reached with ${MOST_TABS} presses of Tab`);
}

export const tests = {
  "controls and regions have their names": async () => {
    await withBrowser("plain", async (browser) => {
      const site = await openSite(await browser.newPage());
      await site.load("cpu");
      const controls = [site.photo, site.recognizeButton, site.stopButton, site.status, site.answer, site.thinking];
      for (const control of controls) assert.equal(await control.count(), 1, `${control} is there once`);
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
      const tasks = await page.evaluate(() => /** @type {any} */ (globalThis).longTasks);
      const long = tasks.filter((/** @type {any} */ task) => task.startTime >= begun && task.duration > LONGEST_TASK_MS);
      assert.deepEqual(long, [], "milliseconds since the page was opened");
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
