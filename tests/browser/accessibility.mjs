// @ts-check
// What axe-core finds wrong with a page.

import { axe } from "./settings.mjs";

/**
 * The violations, each in a line.
 *
 * @param {import("playwright-core").Page} page
 * @returns {Promise<string[]>}
 */
export async function violations(page) {
  await page.evaluate(axe());
  return page.evaluate(async () => {
    const { violations } = await /** @type {any} */ (globalThis).axe.run(document, { resultTypes: ["violations"] });
    return violations.map((/** @type {any} */ { id, help, nodes }) => {
      const places = nodes.map((/** @type {any} */ { target }) => target.flat().join(" ")).join(", ");
      return `${id}: ${help} at ${places}`;
    });
  });
}
