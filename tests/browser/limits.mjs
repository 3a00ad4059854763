// @ts-check
// What the module promises its callers: refusals before a download, codes, progress, options, and every
// kind of picture.

import assert from "node:assert/strict";
import { copyFile, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { withBlankPage } from "./browser.mjs";
import { assertFailure, load, mustLoad, mustRecognize, recognize, told } from "./recognizer.mjs";
import { examples, folders, modelUrl, photoUrl, url } from "./settings.mjs";
import { withStage, writeModel } from "./stage.mjs";

/** @typedef {import("./stage.mjs").ListedFile} ListedFile */

const [example] = examples;
const PHOTO = photoUrl(example.file);
const MODULE = `${url}fine-r1/index.js`;
const WEIGHTS = "model.safetensors";
const GOLDEN = join(folders.root, "tests/golden/checkpoints/qwen2_5_vl-untied");
/** With three matrices in each of two layers of 32 it makes 1.9 billion weights, more than a module can address. */
const HUGE = 10_000_000;
/** Weights in the manifest that nobody has to fetch to know that they do not fit. */
const ABSENT_WEIGHTS = { path: WEIGHTS, bytes: 1000, sha256: "0".repeat(64) };
/** Times are rounded, and measured in two places. */
const CLOCKS_SECS = 0.05;

/** A small checkpoint's files without weights. */
async function goldenFiles() {
  const names = ["config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"];
  const texts = await Promise.all(
    [...names, "chat_template.json"].map(async (name) => [name, await readFile(join(GOLDEN, name), "utf8")]),
  );
  return /** @type {Record<string, string>} */ (Object.fromEntries(texts));
}

/** @param {Record<string, string>} files @param {object} changes */
function withConfig(files, changes) {
  return { ...files, "config.json": JSON.stringify({ ...JSON.parse(files["config.json"]), ...changes }) };
}

/** Numbers that never fall. @param {number[]} numbers @param {string} what */
function assertRising(numbers, what) {
  const falls = numbers.findIndex((number, place) => place > 0 && number < numbers[place - 1]);
  assert.equal(falls, -1, `${what} falls: ${numbers.join(" ")}`);
}

/** @param {string} text */
const withoutSpace = (text) => text.replace(/\s/g, "");

export const tests = {
  "a model that the processor cannot hold is refused before its weights are fetched": async () => {
    /** @param {string} models */
    const fill = async (models) => {
      const files = withConfig(await goldenFiles(), { intermediate_size: HUGE });
      await writeModel(join(models, "huge"), files, [ABSENT_WEIGHTS]);
    };
    await withStage("limits-huge", { fill }, async ({ page, module, model, missed }) => {
      assertFailure(await load(page, { module, baseUrl: model("huge") }), "limitTooSmall", /weights|memory/);
      assert.deepEqual(missed(), [], "the weights are not asked for");
    });
  },

  "a model that the storage cannot hold is refused before it is fetched": async () => {
    /** @param {string} models */
    const fill = async (models) => {
      await mkdir(join(models, "nano"));
      await copyFile(join(folders.site, "models/nano/manifest.json"), join(models, "nano/manifest.json"));
    };
    const prelude = "StorageManager.prototype.estimate = async () => ({ quota: 1_000_000, usage: 900_000 });";
    await withStage("limits-quota", { fill, prelude }, async ({ page, module, model, missed }) => {
      const failed = await load(page, { module, baseUrl: model("nano") });
      assertFailure(failed, "storageFull", /needs \d+ MB more .* free/);
      assert.deepEqual(missed(), [], "none of its files is asked for");
    });
  },

  "models that make no sense": async () => {
    const golden = await goldenFiles();
    const { "config.json": _, ...withoutConfig } = golden;
    const half = await readFile(join(GOLDEN, "model-00001-of-00002.safetensors"));
    const other = { model_type: "llama", architectures: ["LlamaForCausalLM"] };
    const outside = { path: "../config.json", bytes: 3, sha256: "0".repeat(64) };
    /** @type {[string, Record<string, string | Uint8Array>, ListedFile[], RegExp][]} */
    const cases = [
      ["another architecture", withConfig(golden, other), [ABSENT_WEIGHTS], /llama/],
      ["a config that is no JSON", { ...golden, "config.json": "{ no JSON" }, [ABSENT_WEIGHTS], /config\.json/],
      ["no config", withoutConfig, [ABSENT_WEIGHTS], /config\.json/],
      ["a tokenizer that is none", { ...golden, "tokenizer.json": "{}" }, [ABSENT_WEIGHTS], /./],
      ["a file outside of its folder", golden, [outside], /manifest\.json.*config\.json/],
      ["weights that are none", { ...golden, [WEIGHTS]: "these are no weights" }, [], /model\.safetensors/],
      ["half of the weights", { ...golden, [WEIGHTS]: half }, [], /visual\./],
    ];
    /** @param {string} models */
    const fill = async (models) => {
      for (const [name, files, absent] of cases) await writeModel(join(models, name), files, absent);
    };
    await withStage("limits-models", { fill }, async ({ page, module, model, missed }) => {
      for (const [name, , , message] of cases) {
        const failed = await load(page, { module, baseUrl: model(name) });
        assert.ok(failed.failure, `${name} is refused`);
        assert.equal(failed.failure.code, "badModel", `${name}: ${told(failed.failure)}`);
        assert.match(failed.failure.message, message, name);
        assert.ok(failed.failure.hint, `${name} has a hint`);
      }
      assert.deepEqual(missed(), [], "no weights are asked for");
    });
  },

  "progress is told by file and in all, and ends at the total": async () => {
    await withBlankPage("plain", async (page) => {
      const { info, progress } = await mustLoad(page);
      const phases = [...new Set(progress.map(({ phase }) => phase))];
      assert.deepEqual(phases, ["downloading", "loading", "warmingUp"], "one after another");
      for (const phase of phases) {
        const steps = progress.filter((step) => step.phase === phase);
        assertRising(steps.map(({ bytes }) => bytes), `${phase}: all bytes`);
        assert.equal(steps.at(-1).bytes, info.bytes, `${phase} ends at the total`);
        assert.ok(steps.every(({ total }) => total === info.bytes), `${phase}: the total stays`);
      }
      const downloading = progress.filter(({ phase }) => phase === "downloading");
      let sum = 0;
      for (const file of new Set(downloading.map((step) => step.file))) {
        const steps = downloading.filter((step) => step.file === file);
        assertRising(steps.map(({ fileBytes }) => fileBytes), file);
        assert.equal(steps.at(-1).fileBytes, steps[0].fileTotal, `${file} is complete`);
        assert.ok(steps.every(({ fromStorage }) => !fromStorage), `${file} is fetched`);
        if (file === WEIGHTS) assert.ok(steps.length > 1, "the weights are told while they come");
        sum += steps[0].fileTotal;
      }
      assert.equal(sum, info.bytes, "all files together");
      const again = await mustLoad(page);
      const stored = again.progress.filter(({ phase }) => phase === "downloading");
      assert.ok(stored.every(({ fromStorage }) => fromStorage), "the second time nothing is fetched");
      assert.equal(stored.at(-1).bytes, info.bytes);
    });
  },

  "what is asked too early and too late": async () => {
    await withBlankPage("plain", async (page) => {
      const early = await page.evaluate(
        (worker) =>
          new Promise((resolve, reject) => {
            const connection = new Worker(worker, { type: "module" });
            /** @type {any[]} */
            const heard = [];
            connection.onerror = (event) => reject(new Error(event.message));
            connection.onmessage = ({ data }) => {
              heard[data.id] = data.error;
              if (!heard[1] || !heard[2]) return;
              connection.terminate();
              resolve(heard);
            };
            connection.postMessage({ type: "recognize", id: 1, image: new Uint8Array(8), options: {} });
            connection.postMessage({ type: "juggle", id: 2 });
          }),
        `${url}fine-r1/worker.js`,
      );
      assertFailure({ failure: early[1] }, "notLoaded", /no model/);
      assertFailure({ failure: early[2] }, "internal", /juggle/);

      await mustLoad(page);
      const late = await page.evaluate(async (photo) => {
        const { recognizer } = /** @type {any} */ (globalThis);
        const ask = async (/** @type {() => void} */ heard) => {
          try {
            for await (const _ of recognizer.recognize(photo)) heard();
            return "none";
          } catch (error) {
            return /** @type {any} */ (error).code;
          }
        };
        const dispose = () => recognizer.dispose();
        const codes = await Promise.all([ask(dispose), ask(() => {})]);
        dispose();
        return [...codes, await ask(() => {})];
      }, PHOTO);
      assert.deepEqual(late, ["aborted", "aborted", "notLoaded"]);
    });
  },

  "signals that come before, and for what waits": async () => {
    await withBlankPage("plain", async (page) => {
      const begun = await page.evaluate(
        async ({ module, modelUrl }) => {
          const { Recognizer } = await import(module);
          const codeOf = async (/** @type {Promise<any>} */ promise) =>
            promise.then(() => "none", (error) => error.code);
          const early = await codeOf(Recognizer.load(modelUrl, { device: "cpu", signal: AbortSignal.abort() }));
          const controller = new AbortController();
          const onProgress = (/** @type {any} */ { phase }) => phase === "loading" && controller.abort();
          const signal = controller.signal;
          const loading = await codeOf(Recognizer.load(modelUrl, { device: "cpu", signal, onProgress }));
          return [early, loading];
        },
        { module: MODULE, modelUrl },
      );
      assert.deepEqual(begun, ["aborted", "aborted"]);

      await mustLoad(page);
      const expected = await mustRecognize(page, PHOTO, { temperature: 0 });
      const asked = await page.evaluate(async (photo) => {
        const { recognizer } = /** @type {any} */ (globalThis);
        const ask = async (/** @type {object} */ options, heard = () => {}) => {
          try {
            for await (const event of recognizer.recognize(photo, { temperature: 0, ...options })) {
              if (event.type === "done") return event.tokenIds;
              heard();
            }
            return "none";
          } catch (error) {
            return /** @type {any} */ (error).code;
          }
        };
        const controller = new AbortController();
        const early = await ask({ signal: AbortSignal.abort() });
        const first = ask({}, () => controller.abort());
        const second = ask({ signal: controller.signal });
        return [early, await first, await second];
      }, PHOTO);
      assert.deepEqual(asked, ["aborted", expected.tokenIds, "aborted"]);
    });
  },

  "the question is part of the prompt": async () => {
    await withBlankPage("plain", async (page) => {
      await mustLoad(page);
      const options = { temperature: 0, maxNewTokens: 2 };
      /** @param {object} more */
      const promptTokens = async (more) =>
        (await mustRecognize(page, PHOTO, { ...options, ...more })).usage.promptTokens;
      const usual = await promptTokens({});
      assert.equal(await promptTokens({ question: "  " }), usual, "an empty question is the usual one");
      const question = "Look at the engines, count them, tell where they hang, and then name the aircraft variant.";
      const asked = await promptTokens({ question });
      assert.ok(asked > usual, `${asked} tokens, ${usual} with the usual question`);
      const offered = await promptTokens({ question, candidates: example.candidates });
      assert.ok(offered > asked, `${offered} tokens with candidates, ${asked} without`);
      for (const mark of ["<|image_pad|>", "<|video_pad|>"]) {
        const spelled = await recognize(page, PHOTO, { ...options, question: `What is ${mark}?` });
        assertFailure(spelled, "badOptions", /placeholder|stands for/);
      }
    });
  },

  "a seed makes sampling repeatable": async () => {
    await withBlankPage("plain", async (page) => {
      await mustLoad(page);
      /** @param {number} seed */
      const draw = async (seed) => {
        const { tokenIds } = await mustRecognize(page, PHOTO, { temperature: 2, seed, maxNewTokens: 32 });
        return tokenIds.join(" ");
      };
      const first = await draw(1);
      assert.equal(await draw(1), first, "the same seed, the same text");
      const others = [await draw(2), await draw(3), await draw(4294967295)];
      assert.ok(others.some((other) => other !== first), "other seeds, other texts");
    });
  },

  "the pieces that stream are the whole, and its figures fit": async () => {
    await withBlankPage("plain", async (page) => {
      const { info } = await mustLoad(page);
      const begun = Date.now();
      const { done, failure, thinking, answering } = await recognize(page, PHOTO, { temperature: 0 });
      const secs = (Date.now() - begun) / 1000;
      assert.equal(failure, undefined);
      assert.ok(done.thinking && done.answer, "nano thinks and answers");
      assert.equal(withoutSpace(thinking + answering), withoutSpace(done.thinking + done.answer));
      if (done.wellFormed) assert.deepEqual([thinking.trim(), answering.trim()], [done.thinking, done.answer]);

      const { promptTokens, newTokens, timeToFirstTokenSecs, tokensPerSecond } = done.usage;
      assert.equal(newTokens, done.tokenIds.length);
      assert.ok(promptTokens > 0 && promptTokens + newTokens <= info.context, `${promptTokens} + ${newTokens} tokens`);
      assert.ok(timeToFirstTokenSecs > 0 && tokensPerSecond > 0, JSON.stringify(done.usage));
      const told = timeToFirstTokenSecs + (newTokens - 1) / tokensPerSecond;
      assert.ok(told <= secs + CLOCKS_SECS, `${told} s are told, ${secs} s went by`);

      const cut = await mustRecognize(page, PHOTO, { temperature: 0, maxNewTokens: 5 });
      assert.deepEqual([cut.usage.newTokens, cut.stopReason], [5, "length"]);
      assert.deepEqual(cut.tokenIds, done.tokenIds.slice(0, 5), "the same beginning");
    });
  },

  "every kind of picture is the same picture": async () => {
    await withBlankPage("plain", async (page) => {
      await mustLoad(page);
      const found = await page.evaluate(async (photo) => {
        const drawn = await createImageBitmap(await (await fetch(photo)).blob());
        const { width, height } = drawn;
        const canvas = Object.assign(document.createElement("canvas"), { width, height });
        const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
        context.drawImage(drawn, 0, 0);
        // PNG keeps every pixel, whoever decodes it.
        const png = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
        const bytes = await png.arrayBuffer();
        const roomy = new Uint8Array(bytes.byteLength + 8);
        roomy.set(new Uint8Array(bytes), 3);
        const image = new Image();
        image.src = URL.createObjectURL(png);
        const offscreen = new OffscreenCanvas(width, height);
        offscreen.getContext("2d")?.drawImage(canvas, 0, 0);
        const sources = {
          File: new File([png], "photo.png", { type: png.type }),
          Blob: png,
          ArrayBuffer: bytes,
          ArrayBufferView: roomy.subarray(3, 3 + bytes.byteLength),
          string: image.src,
          URL: new URL(image.src),
          ImageBitmap: await createImageBitmap(png),
          ImageData: context.getImageData(0, 0, width, height),
          HTMLImageElement: image,
          HTMLCanvasElement: canvas,
          OffscreenCanvas: offscreen,
        };
        /** @type {Record<string, number[]>} */
        const found = {};
        for (const [kind, source] of Object.entries(sources)) {
          const { recognizer } = /** @type {any} */ (globalThis);
          for await (const event of recognizer.recognize(source, { temperature: 0, maxNewTokens: 48 })) {
            if (event.type === "done") found[kind] = [event.usage.promptTokens, ...event.tokenIds];
          }
        }
        return found;
      }, PHOTO);
      const { File: expected, ...others } = found;
      assert.ok(expected.length > 1, "there are tokens to compare");
      assert.equal(Object.keys(others).length, 10);
      for (const [kind, tokens] of Object.entries(others)) assert.deepEqual(tokens, expected, kind);
    });
  },

  "what is no picture": async () => {
    await withBlankPage("plain", async (page) => {
      await mustLoad(page);
      const failures = await page.evaluate(async () => {
        const closed = await createImageBitmap(new ImageData(8, 8));
        closed.close();
        const image = new Image();
        image.src = URL.createObjectURL(new Blob(["no picture"]));
        const sources = { closed, image, number: 7, nothing: null, empty: new Blob([]) };
        /** @type {Record<string, any>} */
        const failures = {};
        for (const [kind, source] of Object.entries(sources)) {
          try {
            for await (const _ of /** @type {any} */ (globalThis).recognizer.recognize(source)) break;
          } catch (error) {
            const { code, message, hint } = /** @type {any} */ (error);
            failures[kind] = { code, message, hint };
          }
        }
        return failures;
      });
      for (const kind of ["closed", "image", "number", "nothing", "empty"]) {
        assertFailure({ failure: failures[kind] }, "badImage", /./);
      }
      await mustRecognize(page, PHOTO, { maxNewTokens: 4 });
    });
  },
};
