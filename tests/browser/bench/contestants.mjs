// @ts-check
// Who is measured: this project's module, onnxruntime-web, and the native program on one thread.

import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { mustLoad, mustRecognize } from "../recognizer.mjs";
import { folders, native, url } from "../settings.mjs";

/** @typedef {import("playwright-core").BrowserContext} Context */
/** @typedef {import("playwright-core").Page} Page */
/** @typedef {{ question: string, promptIds: number[], answerIds: number[], parameters: number, layers: number, kvHeads: number, headDim: number }} Asked */
/** @typedef {{ name: string, asked: Asked }} Decoder */
/** @typedef {{ ids: number[], tokensPerSecond: number }} Answer */
/**
 * @typedef {object} Contestant
 * @property {string} name
 * @property {number} newTokens Of each answer.
 * @property {string} [rival] The contestant that is compared with this one.
 * @property {number} [goal] What the rival's pace shall be, in paces of this one.
 * @property {(newTokens: number) => Promise<Answer[]>} answer
 */

/** Answers of the native program a call; the first warms up and does not count. */
const NATIVE_ANSWERS = 4;

/** This project's module. @param {Page} page @param {Decoder} decoder @param {"cpu" | "webgpu"} device */
export async function ours(page, decoder, device) {
  const { info } = await mustLoad(page, { baseUrl: `${place(decoder)}checkpoint/`, device });
  if (info.device.kind !== device) throw new Error(`the module runs on ${info.device.kind}`);
  if (info.device.hasF16) {
    // The rival's graph is f32.
    throw new Error(`${info.device.name} computes in 16 bits, which the comparison does not`);
  }
  return async (/** @type {number} */ newTokens) => {
    const options = { question: decoder.asked.question, temperature: 0, maxNewTokens: newTokens };
    const { tokenIds, usage } = await mustRecognize(page, `${place(decoder)}photo.png`, options);
    if (usage.promptTokens !== decoder.asked.promptIds.length) {
      throw new Error(`the prompt has ${usage.promptTokens} tokens, the graph's ${decoder.asked.promptIds.length}`);
    }
    return [{ ids: tokenIds, tokensPerSecond: usage.tokensPerSecond }];
  };
}

/**
 * onnxruntime-web in a worker of its own.
 *
 * @param {Page} page
 * @param {Decoder} decoder
 * @param {"wasm" | "webgpu"} device
 * @param {"plain" | "fused"} graph
 */
export async function theirs(page, decoder, device, graph) {
  const told = { runtime: `${url}onnxruntime/`, graph: `${place(decoder)}${graph}.onnx`, asked: decoder.asked, device };
  const name = `${device}-${graph}`;
  await tell(page, name, told);
  return async (/** @type {number} */ newTokens) => [await tell(page, name, { newTokens })];
}

/** The native program on one thread of the processor. @param {Decoder} decoder */
export function onOneThread(decoder) {
  const folder = join(folders.site, "decoders", decoder.name);
  const photos = Array(NATIVE_ANSWERS).fill(join(folder, "photo.png"));
  const typed = ["recognize", "--json", "--device", "flex", "--temperature", "0", "--model", join(folder, "checkpoint")];
  typed.push("--question", decoder.asked.question);
  return async (/** @type {number} */ newTokens) => {
    const lines = execFileSync(native, [...typed, "--max-new-tokens", String(newTokens), ...photos], {
      encoding: "utf8",
      env: { ...process.env, RAYON_NUM_THREADS: "1" },
      maxBuffer: 1 << 26,
    });
    const records = lines.trim().split("\n").map((line) => JSON.parse(line));
    return records.slice(1).map((record) => ({ ids: record.token_ids, tokensPerSecond: record.tokens_per_sec }));
  };
}

/** @param {Decoder} decoder */
const place = ({ name }) => `${url}decoders/${name}/`;

/**
 * Tells a worker of the page something and waits for its answer; the worker is made when it is first told.
 *
 * @param {Page} page
 * @param {string} name
 * @param {object} message
 */
async function tell(page, name, message) {
  const heard = await page.evaluate(
    ({ script, name, message }) =>
      new Promise((resolve, reject) => {
        const workers = (/** @type {any} */ (globalThis).peers ??= {});
        const worker = (workers[name] ??= new Worker(script, { type: "module" }));
        worker.onmessage = (/** @type {MessageEvent} */ { data }) => resolve(data);
        worker.onerror = (/** @type {ErrorEvent} */ event) => reject(new Error(event.message));
        worker.postMessage(message);
      }),
    { script: `${url}bench/peer-worker.js`, name, message },
  );
  const { failure } = /** @type {any} */ (heard);
  if (failure) throw new Error(`onnxruntime-web, ${name}: ${failure}`);
  return /** @type {any} */ (heard);
}
