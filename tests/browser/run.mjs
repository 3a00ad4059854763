// @ts-check
// Runs the tests of all files, or of those that are named: `run.mjs stop failures`.

import { fileURLToPath } from "node:url";

/** In the order of what they need: what fails first makes the rest pointless. */
const TOPICS = [
  "same-ids",
  "shards",
  "limits",
  "stop",
  "failures",
  "module",
  "element",
  "tabs",
  "offline",
  "hosting",
  "page",
  "workbench",
  "texts",
  "webgpu",
];
/** For a test whose file names no limit of its own. */
const USUAL_LIMIT_SECS = 300;

const named = process.argv.slice(2).map((name) => name.replace(/\.mjs$/, ""));
const unknown = named.filter((name) => !TOPICS.includes(name));
if (unknown.length > 0) {
  console.error(`error: there is no test ${unknown.join(", ")}\nhint: name some of ${TOPICS.join(", ")}`);
  process.exit(2);
}

let passed = 0;
let failed = 0;
for (const topic of TOPICS.filter((name) => named.length === 0 || named.includes(name))) {
  if (topic === "webgpu" && process.env.FINE_R1_CPU_ONLY === "1") {
    console.log("     webgpu: left out; `cargo xtask test --browser --webgpu` builds its module and tests it");
    continue;
  }
  /** @type {{ tests: Record<string, () => Promise<void>>, limitSecs?: number }} */
  const { tests, limitSecs = USUAL_LIMIT_SECS } = await import(`./${topic}.mjs`);
  for (const [name, test] of Object.entries(tests)) {
    const begun = Date.now();
    const secs = () => `${((Date.now() - begun) / 1000).toFixed(1)} s`;
    try {
      await within(limitSecs, test());
      passed += 1;
      console.log(`ok   ${topic}: ${name} (${secs()})`);
    } catch (error) {
      failed += 1;
      console.log(`FAIL ${topic}: ${name} (${secs()})\n${indented(error)}`);
    }
  }
}
console.log(`${passed} passed; ${failed} failed`);
// Browsers of a test that took too long would keep this process alive.
process.exit(failed > 0 ? 1 : 0);

/**
 * @template T
 * @param {number} secs
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
function within(secs, promise) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`took more than ${secs} s`)), secs * 1000);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** The message, and where in these files it comes from. @param {any} error */
function indented(error) {
  const folder = fileURLToPath(new URL(".", import.meta.url));
  const places = String(error?.stack ?? "").split("\n").filter((line) => line.includes("tests/browser/"));
  const lines = [...String(error?.message ?? error).split("\n"), ...places.map((line) => line.replace(folder, "").trim())];
  return lines.map((line) => `     ${line}`).join("\n");
}
