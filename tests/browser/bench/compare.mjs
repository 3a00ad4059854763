// @ts-check
// How fast this project's module decodes beside onnxruntime-web and the native program: the same weights, the same
// prompt, the same browser, in turns. `compare.mjs [--webgpu]`, started by `cargo xtask compare`.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { withBlankPage } from "../browser.mjs";
import { folders, isCpuOnly } from "../settings.mjs";
import { onOneThread, ours, theirs } from "./contestants.mjs";
import { table } from "./table.mjs";

/** @typedef {import("./contestants.mjs").Contestant} Contestant */
/** @typedef {import("./contestants.mjs").Decoder} Decoder */
/** @typedef {import("playwright-core").Page} Page */

/** Turns of each contestant after the first, which warms up and does not count. */
const TURNS = 7;
/** Short answers are repeated until a turn is so long. */
const TURN_SECS = 1;
const NEW_TOKENS = 64;
/** SwiftShader takes seconds for a token of the smallest decoder, which is the only one that it gets. */
const NEW_TOKENS_IN_SOFTWARE = 6;
const TURNS_IN_SOFTWARE = 3;

const ON_CPU = "this module, CPU";
const ON_WEBGPU = "this module, WebGPU";

const decodersFolder = join(folders.site, "decoders");
/** @type {Decoder[]} */
const decoders = readdirSync(decodersFolder).map((name) => ({
  name,
  asked: JSON.parse(readFileSync(join(decodersFolder, name, "asked.json"), "utf8")),
}));
decoders.sort((left, right) => left.asked.parameters - right.asked.parameters);

/** @type {import("./table.mjs").Measured[]} */
const measured = [];
for (const decoder of decoders) {
  measured.push(...(await withBlankPage("plain", (page) => measure(decoder, onProcessor(page, decoder), TURNS))));
}
if (!isCpuOnly) {
  const [smallest] = decoders;
  const measureOnWebGpu = (/** @type {Page} */ page) => measure(smallest, onWebGpu(page, smallest), TURNS_IN_SOFTWARE);
  measured.push(...(await withBlankPage("software", measureOnWebGpu)));
}
console.log(table(measured.map((one) => ({ ...one, decoder: title(one.decoder) }))));
process.exit(0);

/** One is ready before the next is loaded. @param {Page} page @param {Decoder} decoder @returns {Promise<Contestant[]>} */
async function onProcessor(page, decoder) {
  const rival = { newTokens: NEW_TOKENS, rival: ON_CPU };
  return [
    { name: ON_CPU, newTokens: NEW_TOKENS, answer: await ours(page, decoder, "cpu") },
    { name: "onnxruntime-web WASM, plain graph", ...rival, goal: 10, answer: await theirs(page, decoder, "wasm", "plain") },
    { name: "onnxruntime-web WASM, fused graph", ...rival, goal: 10, answer: await theirs(page, decoder, "wasm", "fused") },
    { name: "native flex, one thread", ...rival, goal: 0.5, answer: onOneThread(decoder) },
  ];
}

/**
 * Without the fused graph: `GroupQueryAttention` of onnxruntime-web 1.30 answers other ids on SwiftShader.
 *
 * @param {Page} page
 * @param {Decoder} decoder
 * @returns {Promise<Contestant[]>}
 */
async function onWebGpu(page, decoder) {
  const rival = { newTokens: NEW_TOKENS_IN_SOFTWARE, rival: ON_WEBGPU, goal: 1.5 };
  return [
    { name: ON_WEBGPU, newTokens: NEW_TOKENS_IN_SOFTWARE, answer: await ours(page, decoder, "webgpu") },
    { name: "onnxruntime-web WebGPU, plain graph", ...rival, answer: await theirs(page, decoder, "webgpu", "plain") },
  ];
}

/**
 * Lets the contestants answer in turns. Every answer must have the ids that transformers answers.
 *
 * @param {Decoder} decoder
 * @param {Promise<Contestant[]>} entered
 * @param {number} turns
 */
async function measure(decoder, entered, turns) {
  const results = (await entered).map((contestant) => ({ decoder: decoder.name, contestant, paces: /** @type {number[]} */ ([]) }));
  for (let turn = 0; turn <= turns; turn += 1) {
    for (const { contestant, paces } of results) {
      const { name, newTokens, answer } = contestant;
      const begun = performance.now();
      do {
        for (const { ids, tokensPerSecond } of await answer(newTokens)) {
          const expected = decoder.asked.answerIds.slice(0, newTokens);
          assert.deepEqual(ids, expected, `${decoder.name}, ${name}: other ids than transformers: the comparison is void`);
          if (turn > 0) paces.push(tokensPerSecond);
        }
      } while (turn > 0 && performance.now() - begun < TURN_SECS * 1000);
    }
    console.error(`${decoder.name}: turn ${turn} of ${turns} done`);
  }
  return results;
}

/** @param {string} name */
function title(name) {
  const found = decoders.find((decoder) => decoder.name === name);
  return `${name}, ${((found?.asked.parameters ?? 0) / 1e6).toFixed(1)} M`;
}
