// @ts-check
// The module in an empty page: loads, asks, and gives results or failures as plain objects.

import assert from "node:assert/strict";
import { modelUrl, url } from "./settings.mjs";

/** @typedef {import("playwright-core").Page} Page */
/** @typedef {{ code: string, message: string, hint: string }} Failure */

const MODULE = "fine-r1/index.js";

/**
 * Loads a model into the page's global `recognizer`.
 *
 * @param {Page} page
 * @param {{ baseUrl?: string, device?: string, module?: string }} [options]
 * @returns {Promise<{ info?: any, failure?: Failure, devices: any[], progress: any[], secs: number }>}
 */
export function load(page, { baseUrl = modelUrl, device = "cpu", module = MODULE } = {}) {
  return page.evaluate(
    async ({ baseUrl, device, module }) => {
      const { Recognizer } = await import(module);
      const devices = /** @type {any[]} */ ([]);
      const progress = /** @type {any[]} */ ([]);
      const begun = performance.now();
      const secs = () => (performance.now() - begun) / 1000;
      const page = /** @type {any} */ (globalThis);
      try {
        page.recognizer = await Recognizer.load(baseUrl, {
          device,
          onDevice: (/** @type {any} */ report) => devices.push(report),
          onProgress: (/** @type {any} */ step) => progress.push(step),
        });
        return { info: page.recognizer.info, devices, progress, secs: secs() };
      } catch (error) {
        const { code, message, hint } = /** @type {any} */ (error);
        return { failure: { code, message, hint }, devices, progress, secs: secs() };
      }
    },
    { baseUrl, device, module: new URL(module, url).href },
  );
}

/**
 * Asks the page's global `recognizer`.
 *
 * @param {Page} page
 * @param {string} photo Its address.
 * @param {object} [options]
 * @returns {Promise<{ done?: any, failure?: Failure, thinking: string, answering: string }>}
 */
export function recognize(page, photo, options = {}) {
  return page.evaluate(
    async ({ photo, options }) => {
      const heard = /** @type {Record<string, string>} */ ({ thinking: "", answering: "" });
      const texts = () => ({ thinking: heard.thinking, answering: heard.answering });
      try {
        for await (const event of /** @type {any} */ (globalThis).recognizer.recognize(photo, options)) {
          if (event.type === "done") return { done: event, ...texts() };
          heard[event.type] += event.text;
        }
        return { failure: { code: "none", message: "the events ended without done", hint: "" }, ...texts() };
      } catch (error) {
        const { code, message, hint } = /** @type {any} */ (error);
        return { failure: { code, message, hint }, ...texts() };
      }
    },
    { photo, options },
  );
}

/**
 * Loads, or fails the test with the module's own words.
 *
 * @param {Page} page
 * @param {Parameters<typeof load>[1]} [options]
 */
export async function mustLoad(page, options) {
  const loaded = await load(page, options);
  if (loaded.failure) throw new Error(`loading failed: ${told(loaded.failure)}`);
  return loaded;
}

/**
 * Asks, or fails the test with the module's own words.
 *
 * @param {Page} page
 * @param {string} photo
 * @param {object} [options]
 */
export async function mustRecognize(page, photo, options) {
  const answered = await recognize(page, photo, options);
  if (answered.failure) throw new Error(`recognizing failed: ${told(answered.failure)}`);
  return answered.done;
}

/** @param {Failure} failure */
export function told({ code, message, hint }) {
  return `${message} (${code}); hint: ${hint}`;
}

/**
 * @param {{ failure?: Failure }} result
 * @param {string} code
 * @param {RegExp} message
 */
export function assertFailure({ failure }, code, message) {
  assert.ok(failure, `expected ${code}, and nothing failed`);
  assert.equal(failure.code, code, `${failure.message}; hint: ${failure.hint}`);
  assert.match(failure.message, message);
  assert.ok(failure.hint.trim(), `${code} has a hint`);
}
