// @ts-check
// Waiting for what comes in its own time.

import { setTimeout } from "node:timers/promises";

const PATIENCE_MS = 60_000;
const POLL_MS = 25;

/**
 * Asks until the answer is one to go on with, and gives it.
 *
 * @template T
 * @param {string} what Is waited for, in words.
 * @param {() => Promise<T> | T} ask
 * @returns {Promise<T>}
 */
export async function until(what, ask) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    // Asked from here: a page's policy would forbid a watcher inside it.
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await setTimeout(POLL_MS);
  }
}
