// @ts-check
// Small checkpoints of the published layout, and how much memory a module needs to load one.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFile, cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { mustLoad, mustRecognize } from "./recognizer.mjs";
import { examples, folders, native, photoFile } from "./settings.mjs";
import { withStage } from "./stage.mjs";

const GOLDEN = join(folders.root, "tests/golden/checkpoints");
const TWO_SHARDS = "qwen2_5_vl-untied";
const CHECKPOINTS = [TWO_SHARDS, "qwen2_5_vl-tied-bf16", "qwen2_vl"];
const GREEDY = { temperature: 0, maxNewTokens: 24 };
const INDEX = "model.safetensors.index.json";

/** Layers and width of the larger copy: 14 million weights in 72 large tensors of one size. */
const LAYERS = 24;
const WIDTH = 6144;
const BYTES_PER_WEIGHT = 4;
/** As the copy's config says. */
const HIDDEN = 32;
/** A tensor on its way is there as the file has it and as the model takes it. */
const TENSORS_BESIDE = 2;
/** What an allocator loses between tensors, by the weights. */
const LOST_BETWEEN = 0.1;

/**
 * Runs in the worker before anything else: every word about progress tells how large the engine's memory is.
 * WebAssembly's memory never shrinks, so that is its peak.
 */
const WATCH_MEMORY = `{
  let memory;
  for (const name of ["instantiate", "instantiateStreaming"]) {
    const make = WebAssembly[name].bind(WebAssembly);
    WebAssembly[name] = async (...given) => {
      const made = await make(...given);
      memory = (made.instance ?? made).exports.memory;
      return made;
    };
  }
  const post = globalThis.postMessage.bind(globalThis);
  globalThis.postMessage = (event, ...more) => {
    if (event.type === "progress") event.progress.memory = memory.buffer.byteLength;
    post(event, ...more);
  };
}`;

/** Lists a checkpoint's files as their owner would. @param {string} folder */
function makeManifest(folder) {
  execFileSync(native, ["manifest", folder], { stdio: "pipe" });
}

/** @param {string} folder @param {string[]} files @returns {{ token_ids: number[], prompt_tokens: number }[]} */
function answersNatively(folder, files) {
  const typed = ["recognize", "--json", "--device", "flex", "--model", folder, "--temperature", "0"];
  typed.push("--max-new-tokens", String(GREEDY.maxNewTokens), ...files.map(photoFile));
  const lines = execFileSync(native, typed, { encoding: "utf8", stdio: "pipe" }).trim().split("\n");
  return lines.map((line) => JSON.parse(line));
}

/** The tensors that a safetensors file lists, with their shapes. @param {string} path */
async function shapesOf(path) {
  const bytes = await readFile(path);
  const header = JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE(0))).toString());
  delete header.__metadata__;
  return /** @type {[string, number[]][]} */ (Object.entries(header).map(([name, { shape }]) => [name, shape]));
}

/** @param {number[]} shape */
const bytesOf = (shape) => shape.reduce((product, side) => product * side, BYTES_PER_WEIGHT);

/** Writes tensors of zeros. @param {string} path @param {[string, number[]][]} tensors */
async function writeZeros(path, tensors) {
  /** @type {Record<string, object>} */
  const header = {};
  let end = 0;
  for (const [name, shape] of tensors) {
    header[name] = { dtype: "F32", shape, data_offsets: [end, end + bytesOf(shape)] };
    end += bytesOf(shape);
  }
  const text = JSON.stringify(header);
  const start = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(start.length));
  await writeFile(path, Buffer.concat([length, start, Buffer.alloc(end)]));
}

/**
 * Copies the checkpoint of two shards with more and wider layers, all zeros: two shards of half a model.
 *
 * @param {string} folder
 */
async function enlarge(folder) {
  const source = join(GOLDEN, TWO_SHARDS);
  await mkdir(folder, { recursive: true });
  for (const file of ["preprocessor_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.json"]) {
    await copyFile(join(source, file), join(folder, file));
  }
  const config = JSON.parse(await readFile(join(source, "config.json"), "utf8"));
  const larger = { ...config, num_hidden_layers: LAYERS, max_window_layers: LAYERS, intermediate_size: WIDTH };
  await writeFile(join(folder, "config.json"), JSON.stringify(larger));

  const files = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
  const small = (await Promise.all(files.map((file) => shapesOf(join(source, file))))).flat();
  /** @type {[string, number[]][][]} */
  const shards = [[], []];
  for (const [name, shape] of small) {
    const [, layer, part] = /^model\.layers\.(\d+)\.(.+)$/.exec(name) ?? [];
    if (layer === undefined) shards[0].push([name, shape]);
    if (layer !== "0") continue;
    const wide = shape.map((side) => (part.startsWith("mlp.") && side === config.intermediate_size ? WIDTH : side));
    for (let place = 0; place < LAYERS; place += 1) {
      shards[place < LAYERS / 2 ? 0 : 1].push([`model.layers.${place}.${part}`, wide]);
    }
  }
  /** @type {Record<string, string>} */
  const weightMap = {};
  let total = 0;
  for (const [place, tensors] of shards.entries()) {
    await writeZeros(join(folder, files[place]), tensors);
    for (const [name, shape] of tensors) {
      weightMap[name] = files[place];
      total += bytesOf(shape);
    }
  }
  await writeFile(join(folder, INDEX), JSON.stringify({ metadata: { total_size: total }, weight_map: weightMap }));
}

/** @param {number} bytes */
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

export const tests = {
  "published layouts give the same token ids as the native program": async () => {
    /** @param {string} models */
    const fill = async (models) => {
      await cp(join(folders.site, "examples"), join(models, "photos"), { recursive: true });
      for (const name of CHECKPOINTS) {
        await cp(join(GOLDEN, name), join(models, name), { recursive: true });
        makeManifest(join(models, name));
      }
    };
    const files = examples.slice(0, 2).map(({ file }) => file);
    await withStage("shards", { fill }, async ({ page, module, model, missed }) => {
      for (const name of CHECKPOINTS) {
        const expected = answersNatively(join(folders.out, "shards/models", name), files);
        const { info, progress } = await mustLoad(page, { module, baseUrl: model(name) });
        assert.equal(info.architecture, name.split("-")[0]);
        const shards = new Set(progress.filter(({ phase }) => phase === "loading").map(({ file }) => file));
        assert.equal(shards.size, name === TWO_SHARDS ? 2 : 1, `${name}: files of weights`);
        for (const [place, file] of files.entries()) {
          const { tokenIds, usage } = await mustRecognize(page, `${model("photos")}${file}`, GREEDY);
          assert.equal(usage.promptTokens, expected[place].prompt_tokens, `${name}, ${file}: tokens of the prompt`);
          assert.deepEqual(tokenIds, expected[place].token_ids, `${name}, ${file}: token ids`);
        }
      }
      assert.deepEqual(missed(), []);
    });
  },

  "loading needs room for what the model keeps and one tensor": async () => {
    /** @param {string} models */
    const fill = async (models) => {
      await enlarge(join(models, "large"));
      makeManifest(join(models, "large"));
    };
    await withStage("shards-memory", { fill, prelude: WATCH_MEMORY }, async ({ page, module, model }) => {
      const { info, progress } = await mustLoad(page, { module, baseUrl: model("large") });
      const memoryAt = (/** @type {string} */ phase) =>
        Math.max(...progress.filter((step) => step.phase === phase).map(({ memory }) => memory));
      const before = memoryAt("downloading");
      const grown = memoryAt("loading") - before;
      const kept = info.parameters * BYTES_PER_WEIGHT;
      const most = kept * (1 + LOST_BETWEEN) + TENSORS_BESIDE * WIDTH * HIDDEN * BYTES_PER_WEIGHT;
      console.log(`     memory: ${megabytes(before)} before, ${megabytes(grown)} for ${megabytes(kept)} of weights`);
      assert.ok(grown > 0, "the memory is measured");
      assert.ok(grown <= most, `loading took ${megabytes(grown)}, the weights and one tensor need ${megabytes(most)}`);
      assert.ok(most < kept * 1.25, "a whole shard would not go unnoticed");
    });
  },
};
