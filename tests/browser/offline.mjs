// @ts-check
// After the first load the page works without a network: the browser reaches the site through a cable that is cut.
//
// Chromium's own switch for this leaves the network to what it asks for itself, such as a newer service worker.

import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import { withBrowser } from "./browser.mjs";
import { openSite } from "./site.mjs";
import { url } from "./settings.mjs";

/**
 * The site at another address, until the cable is cut.
 *
 * @param {(address: string, cut: () => Promise<void>) => Promise<void>} use
 */
async function withCable(use) {
  const { hostname, port, pathname } = new URL(url);
  /** @type {Set<import("node:net").Socket>} */
  const ends = new Set();
  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    for (const [end, other] of [[near, far], [far, near]]) {
      ends.add(end);
      end.on("error", () => other.destroy());
      end.on("close", () => {
        ends.delete(end);
        other.destroy();
      });
      end.pipe(other);
    }
  });
  const cut = async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const end of ends) end.destroy();
    await closed;
  };
  await new Promise((resolve) => server.listen(0, hostname, () => resolve(undefined)));
  const address = /** @type {import("node:net").AddressInfo} */ (server.address());
  try {
    await use(`http://${hostname}:${address.port}${pathname}`, cut);
  } finally {
    if (server.listening) await cut();
  }
}

export const tests = {
  "reloaded offline, it still answers": async () => {
    await withCable(async (address, cut) => {
      await withBrowser("plain", async (browser) => {
        const page = await browser.newPage();
        let site = await openSite(page, address);
        await site.load("cpu");
        const expected = await site.recognize();
        await page.getByText("works without a connection").waitFor();
        await cut();
        await page.reload();
        site = await openSite(page, address);
        await site.load("cpu");
        assert.equal(await site.recognize(), expected);
      });
    });
  },

  "a page that was closed opens offline, too": async () => {
    await withCable(async (address, cut) => {
      await withBrowser("plain", async (browser) => {
        const context = await browser.newContext();
        const first = await context.newPage();
        const site = await openSite(first, address);
        await site.load("cpu");
        await first.getByText("works without a connection").waitFor();
        await first.close();
        await cut();
        const again = await openSite(await context.newPage(), address);
        await again.load("cpu");
        assert.ok(await again.recognize());
      });
    });
  },

  "what was never kept is missed offline": async () => {
    await withCable(async (address, cut) => {
      await withBrowser("plain", async (browser) => {
        await cut();
        await assert.rejects((await browser.newPage()).goto(address), /ERR_CONNECTION_REFUSED/);
      });
    });
  },
};
