// @ts-check
// Checks what a caller gives before any work is done; a mistake is refused with the code `badOptions`.

import { refusal } from "./errors.js";

/** @typedef {import("./index.d.ts").DeviceChoice} DeviceChoice */
/** @typedef {import("./index.d.ts").RecognizeOptions} RecognizeOptions */

const DEVICES = ["auto", "webgpu", "cpu"];
const MAX_CANDIDATES = 50;
/** Largest number that the engine takes. */
const MAX_INTEGER = 2 ** 32 - 1;

/** @param {DeviceChoice} device */
export function checkedDevice(device) {
  if (DEVICES.includes(device)) return device;
  throw refusal(`device is ${shown(device)}`, `give one of ${DEVICES.join(", ")}`);
}

/**
 * Options as the worker takes them: what is absent is left out.
 *
 * @param {RecognizeOptions} options
 */
export function checkedOptions({ question, candidates, maxNewTokens, temperature, seed }) {
  /** @type {Omit<RecognizeOptions, "signal">} */
  const checked = {};
  if (question !== undefined) {
    if (typeof question !== "string") throw refusal(`question is ${shown(question)}`, "give a text");
    if (question.trim()) checked.question = question;
  }
  if (candidates !== undefined) checked.candidates = checkedCandidates(candidates);
  if (maxNewTokens !== undefined) checked.maxNewTokens = checkedInteger("maxNewTokens", maxNewTokens, 1);
  if (seed !== undefined) checked.seed = checkedInteger("seed", seed, 0);
  if (temperature !== undefined) {
    if (!(Number.isFinite(temperature) && temperature >= 0)) {
      throw refusal(`temperature is ${shown(temperature)}`, "give a number from 0 upwards");
    }
    checked.temperature = temperature;
  }
  return checked;
}

/** @param {readonly string[]} candidates */
function checkedCandidates(candidates) {
  if (!Array.isArray(candidates)) {
    throw refusal(`candidates is ${shown(candidates)}`, "give an array of names");
  }
  if (candidates.length > MAX_CANDIDATES) {
    throw refusal(`there are ${candidates.length} candidates`, `give at most ${MAX_CANDIDATES}`);
  }
  return candidates.map((name) => {
    if (typeof name !== "string" || !name.trim() || name.includes(",")) {
      throw refusal(`a candidate is ${shown(name)}`, "give names that are not empty and contain no comma");
    }
    return name.trim();
  });
}

/**
 * @param {string} name
 * @param {number} value
 * @param {number} least
 */
function checkedInteger(name, value, least) {
  if (Number.isInteger(value) && value >= least && value <= MAX_INTEGER) return value;
  throw refusal(`${name} is ${shown(value)}`, `give a whole number from ${least} to ${MAX_INTEGER}`);
}

/**
 * @param {string | URL} url Absolute, or relative to the page.
 * @returns {string}
 */
export function absoluteUrl(url) {
  const text = typeof url === "string" ? url.trim() : url?.href;
  const page = globalThis.document?.baseURI ?? globalThis.location?.href;
  try {
    if (text) return new URL(text, page).href;
  } catch {
    // Told below.
  }
  throw refusal(`${shown(url)} is no URL`, "give an address, absolute or relative to the page");
}

/**
 * @param {string | URL} url Of a folder, with or without a slash at its end.
 * @returns {string} With a slash, as the browser's storage knows it.
 */
export function folderUrl(url) {
  const folder = new URL(absoluteUrl(url));
  folder.search = "";
  folder.hash = "";
  if (!folder.pathname.endsWith("/")) folder.pathname += "/";
  return folder.href;
}

/** @param {unknown} value */
function shown(value) {
  return typeof value === "string" ? `"${value}"` : String(value);
}
