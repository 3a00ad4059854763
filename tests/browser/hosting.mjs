// @ts-check
// The site works from any file server, below any path, with no header of its own.

import assert from "node:assert/strict";
import { blankPage, withBrowser } from "./browser.mjs";
import { withFolder } from "./folder-server.mjs";
import { openSite } from "./site.mjs";
import { folders } from "./settings.mjs";

/** Browsers ask for it unasked. */
const ICON = /\/favicon\.ico$/;

export const tests = {
  "below a path of a plain file server": async () => {
    await withFolder(folders.site, "/somebody/pages/", (url, missed) =>
      withBrowser("plain", async (browser) => {
        const site = await openSite(await blankPage(await browser.newContext()), url);
        await site.load("cpu");
        assert.ok(await site.recognize());
        assert.deepEqual(missed.filter((path) => !ICON.test(path)), []);
      }),
    );
  },
};
