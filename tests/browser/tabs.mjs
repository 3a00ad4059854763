// @ts-check
// Two tabs at once: they share the storage and nothing else.

import assert from "node:assert/strict";
import { blankPage, withBrowser } from "./browser.mjs";
import { mustLoad, mustRecognize } from "./recognizer.mjs";
import { openSite } from "./site.mjs";
import { examples, photoUrl } from "./settings.mjs";

export const tests = {
  "both load the same model for the first time, and answer": async () => {
    await withBrowser("plain", async (browser) => {
      const context = await browser.newContext();
      const pages = [await blankPage(context), await blankPage(context)];
      await Promise.all(pages.map((page) => mustLoad(page)));
      const photo = photoUrl(examples[0].file);
      const answers = await Promise.all(pages.map((page) => mustRecognize(page, photo, { temperature: 0 })));
      assert.deepEqual(answers[0].tokenIds, answers[1].tokenIds);
      assert.equal(answers[0].answer, answers[1].answer);
    });
  },

  "two pages of people": async () => {
    await withBrowser("plain", async (browser) => {
      const context = await browser.newContext();
      const sites = [await openSite(await context.newPage()), await openSite(await context.newPage())];
      await Promise.all(sites.map((site) => site.load("cpu")));
      const answers = await Promise.all(sites.map((site, index) => site.recognize(examples[index])));
      assert.ok(answers.every(Boolean), answers.join(", "));
    });
  },

  "two questions at once in one page are answered in order": async () => {
    await withBrowser("plain", async (browser) => {
      const page = await blankPage(await browser.newContext());
      await mustLoad(page);
      const photos = examples.slice(0, 2).map(({ file }) => photoUrl(file));
      const alone = [];
      for (const photo of photos) alone.push(await mustRecognize(page, photo, { temperature: 0 }));
      const together = await Promise.all(photos.map((photo) => mustRecognize(page, photo, { temperature: 0 })));
      assert.deepEqual(
        together.map(({ tokenIds }) => tokenIds),
        alone.map(({ tokenIds }) => tokenIds),
      );
    });
  },
};
