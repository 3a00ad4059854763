// @ts-check
// The module on the processor gives the same greedy token ids as the native program.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { withBlankPage } from "./browser.mjs";
import { mustLoad, mustRecognize } from "./recognizer.mjs";
import { examples, native, photoFile, photoUrl } from "./settings.mjs";

/** Long enough for every answer of nano. */
const MAX_NEW_TOKENS = 512;

/**
 * What the native program answers, a record a photo.
 *
 * @param {string[]} files
 * @param {string[]} [more]
 * @returns {{ token_ids: number[], prompt_tokens: number, thinking: string, answer: string }[]}
 */
function answersNatively(files, more = []) {
  const typed = ["recognize", "--json", "--device", "flex", "--temperature", "0"];
  typed.push("--max-new-tokens", String(MAX_NEW_TOKENS), ...more, ...files.map(photoFile));
  const lines = execFileSync(native, typed, { encoding: "utf8", maxBuffer: 1 << 26 }).trim().split("\n");
  return lines.map((line) => JSON.parse(line));
}

/** @param {any} done @param {any} expected @param {string} file */
function assertSame(done, expected, file) {
  assert.equal(done.usage.promptTokens, expected.prompt_tokens, `${file}: tokens of the prompt`);
  assert.deepEqual(done.tokenIds, expected.token_ids, `${file}: token ids`);
  assert.equal(done.thinking, expected.thinking, `${file}: thought`);
  assert.equal(done.answer, expected.answer, `${file}: answer`);
}

const GREEDY = { temperature: 0, maxNewTokens: MAX_NEW_TOKENS };

export const tests = {
  "five photos with the usual question": async () => {
    const expected = answersNatively(examples.map(({ file }) => file));
    await withBlankPage("plain", async (page) => {
      await mustLoad(page);
      for (const [index, { file }] of examples.entries()) {
        assertSame(await mustRecognize(page, photoUrl(file), GREEDY), expected[index], file);
      }
    });
  },

  "five photos with candidates": async () => {
    await withBlankPage("plain", async (page) => {
      await mustLoad(page);
      for (const { file, candidates } of examples) {
        const [expected] = answersNatively([file], ["--candidates", candidates.join(",")]);
        assertSame(await mustRecognize(page, photoUrl(file), { ...GREEDY, candidates }), expected, file);
      }
    });
  },
};
