// @ts-check
// What `cargo xtask demo --check` shows: the page answers on the processor, the module on WebGPU.

import { withBlankPage, withBrowser } from "./browser.mjs";
import { mustLoad, mustRecognize } from "./recognizer.mjs";
import { openSite } from "./site.mjs";
import { examples, isCpuOnly, photoUrl } from "./settings.mjs";

const [example] = examples;

/** The page, with the device that it finds itself. */
async function checkPage() {
  return withBrowser("plain", async (browser) => {
    const site = await openSite(await browser.newPage());
    const begun = Date.now();
    await site.load("auto");
    const loaded = Date.now();
    const answer = await site.recognize(example);
    return `${quoted(answer)}, loaded in ${secs(loaded - begun)}, answered in ${secs(Date.now() - loaded)}`;
  });
}

/** The module on a device. @param {"cpu" | "webgpu"} device */
async function checkModule(device) {
  if (device === "webgpu") console.error("webgpu is computed by a program here, which takes minutes");
  return withBlankPage(device === "webgpu" ? "software" : "plain", async (page) => {
    const loaded = await mustLoad(page, { device });
    if (loaded.info.device.kind !== device) throw new Error(`it runs on ${loaded.info.device.kind}`);
    const options = { temperature: 0, candidates: example.candidates };
    const { answer, usage } = await mustRecognize(page, photoUrl(example.file), options);
    const first = `first token after ${secs(usage.timeToFirstTokenSecs * 1000)}`;
    const pace = `${usage.newTokens} tokens, ${usage.tokensPerSecond.toFixed(1)} a second`;
    return `${quoted(answer)}, loaded in ${loaded.secs.toFixed(1)} s, ${first}, ${pace} (${loaded.info.device.name})`;
  });
}

/** @param {string} answer */
const quoted = (answer) => `"${answer}" for a photo of ${example.label}`;
/** @param {number} millis */
const secs = (millis) => `${(millis / 1000).toFixed(1)} s`;

/** @type {[string, () => Promise<string>][]} */
const checks = [
  ["page", checkPage],
  ["cpu", () => checkModule("cpu")],
];
if (isCpuOnly) console.log("webgpu  left out, as --cpu-only asks");
else checks.push(["webgpu", () => checkModule("webgpu")]);

let failed = 0;
for (const [name, check] of checks) {
  try {
    console.log(`${name.padEnd(7)} ${await check()}`);
  } catch (error) {
    failed += 1;
    console.log(`${name.padEnd(7)} FAILED: ${/** @type {Error} */ (error).message}`);
  }
}
process.exit(failed > 0 ? 1 : 0);
