// @ts-check
// After the first load the page works without a network.

import assert from "node:assert/strict";
import { serverLog, withBrowser } from "./browser.mjs";
import { openSite } from "./site.mjs";

/** Requests that reached the server so far, but for the question itself. */
const reached = async () =>
  (await serverLog()).requests.map(({ path }) => path).filter((path) => path !== "/faults/log");

export const tests = {
  "reloaded offline, it still answers": async () => {
    await withBrowser("plain", async (browser) => {
      const context = await browser.newContext();
      const page = await context.newPage();
      let site = await openSite(page);
      await site.load("cpu");
      const expected = await site.recognize();
      await page.getByText("works without a connection").waitFor();
      await context.setOffline(true);
      const before = (await reached()).length;
      await page.reload();
      site = await openSite(page);
      await site.load("cpu");
      assert.equal(await site.recognize(), expected);
      assert.deepEqual((await reached()).slice(before), [], "nothing reached the server");
    });
  },

  "a page that was closed opens offline, too": async () => {
    await withBrowser("plain", async (browser) => {
      const context = await browser.newContext();
      const first = await context.newPage();
      const site = await openSite(first);
      await site.load("cpu");
      await first.getByText("works without a connection").waitFor();
      await first.close();
      await context.setOffline(true);
      const again = await openSite(await context.newPage());
      await again.load("cpu");
      assert.ok(await again.recognize());
    });
  },
};
