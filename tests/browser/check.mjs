// @ts-check
// What `cargo xtask demo --check` shows: page and module answer on the processor and on WebGPU, and all say the
// same.

import { withBlankPage, withBrowser } from "./browser.mjs";
import { mustLoad, mustRecognize } from "./recognizer.mjs";
import { openSite } from "./site.mjs";
import { examples, isCpuOnly, photoUrl, url } from "./settings.mjs";

/** @typedef {"cpu" | "webgpu"} Device */
/** @typedef {{ answer: string, told: string }} Checked */

const [example] = examples;
/** WebGPU is computed by a program here. */
const PATIENCE_MS = { cpu: 120_000, webgpu: 1_800_000 };

/** @param {Device} device */
const browserFor = (device) => (device === "webgpu" ? "software" : "plain");

/** The page; where it has the choice it finds the processor. @param {Device} device @returns {Promise<Checked>} */
async function checkPage(device) {
  return withBrowser(browserFor(device), async (browser) => {
    const site = await openSite(await browser.newPage(), url, PATIENCE_MS[device]);
    const begun = Date.now();
    await site.load(device === "cpu" ? "auto" : device);
    const loaded = Date.now();
    await site.recognize(example);
    const told = `loaded in ${secs(loaded - begun)}, answered in ${secs(Date.now() - loaded)}`;
    return { answer: await site.answerText(), told };
  });
}

/** The module. @param {Device} device @returns {Promise<Checked>} */
async function checkModule(device) {
  return withBlankPage(browserFor(device), async (page) => {
    const loaded = await mustLoad(page, { device });
    if (loaded.info.device.kind !== device) throw new Error(`it runs on ${loaded.info.device.kind}`);
    const options = { temperature: 0, candidates: example.candidates };
    const { answer, usage } = await mustRecognize(page, photoUrl(example.file), options);
    const first = `first token after ${secs(usage.timeToFirstTokenSecs * 1000)}`;
    const pace = `${usage.newTokens} tokens, ${usage.tokensPerSecond.toFixed(1)} a second`;
    const told = `loaded in ${loaded.secs.toFixed(1)} s, ${first}, ${pace} (${loaded.info.device.name})`;
    return { answer: answer.trim(), told };
  });
}

/** @param {number} millis */
const secs = (millis) => `${(millis / 1000).toFixed(1)} s`;

/** @type {[string, () => Promise<Checked>][]} */
const checks = [
  ["page, cpu", () => checkPage("cpu")],
  ["cpu", () => checkModule("cpu")],
];
if (isCpuOnly) {
  console.log("webgpu        left out, as --cpu-only asks");
} else {
  console.error("webgpu is computed by a program here, which takes minutes");
  checks.push(["webgpu", () => checkModule("webgpu")], ["page, webgpu", () => checkPage("webgpu")]);
}

let failed = 0;
/** @type {string | undefined} What the first of them answered. */
let expected;
for (const [name, check] of checks) {
  try {
    const { answer, told } = await check();
    if (!answer) throw new Error("the model ended without an answer");
    expected ??= answer;
    if (answer !== expected) throw new Error(`"${answer}", where the first of these checks answered "${expected}"`);
    console.log(`${name.padEnd(13)} "${answer}" for a photo of ${example.label}, ${told}`);
  } catch (error) {
    failed += 1;
    console.log(`${name.padEnd(13)} FAILED: ${/** @type {Error} */ (error).message}`);
  }
}
process.exit(failed > 0 ? 1 : 0);
