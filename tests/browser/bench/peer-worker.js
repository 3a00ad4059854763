// @ts-check
// A worker that decodes with onnxruntime-web, as this project's module decodes in its own worker.
//
// It is told {runtime, graph, asked, device} and answers {ready}; then it is told {newTokens} and answers
// {ids, tokensPerSecond}. Whatever fails is {failure}.

/** What `next_id` and the cache are read from: ids on the host, keys and values where they were made. */
const ON_DEVICE = "gpu-buffer";

/** @type {any} */
let ort;
/** @type {any} */
let session;
/** @type {any} */
let asked;

addEventListener("message", async ({ data }) => {
  try {
    postMessage(data.graph ? await load(data) : await answer(data.newTokens));
  } catch (error) {
    postMessage({ failure: String(/** @type {any} */ (error)?.message ?? error) });
  }
});

/** @param {{ runtime: string, graph: string, asked: any, device: "wasm" | "webgpu" }} told */
async function load(told) {
  asked = told.asked;
  ort = await import(`${told.runtime}ort.${told.device}.min.mjs`);
  // Without COOP and COEP, as this project's module runs, there are no threads.
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = told.runtime;
  ort.env.logLevel = "error";
  const response = await fetch(told.graph);
  if (!response.ok) throw new Error(`${told.graph}: ${response.status}`);
  /** @type {Record<string, string>} */
  const places = {};
  if (told.device === "webgpu") for (const name of cacheNames("present")) places[name] = ON_DEVICE;
  session = await ort.InferenceSession.create(new Uint8Array(await response.arrayBuffer()), {
    executionProviders: [told.device],
    graphOptimizationLevel: "all",
    preferredOutputLocation: places,
  });
  return { ready: true };
}

/** Decodes greedily; the pace is of the tokens after the first. @param {number} newTokens */
async function answer(newTokens) {
  let cache = emptyCache();
  let tokens = asked.promptIds;
  let length = 0;
  let first = NaN;
  const ids = [];
  while (ids.length < newTokens) {
    const results = await session.run({ ...inputs(tokens, length), ...cache });
    for (const tensor of Object.values(cache)) tensor.dispose();
    cache = Object.fromEntries(cacheNames("past").map((name) => [name, results[name.replace("past", "present")]]));
    length += tokens.length;
    const id = Number(results.next_id.data[0]);
    if (ids.length === 0) first = performance.now();
    ids.push(id);
    tokens = [id];
  }
  const secs = (performance.now() - first) / 1000;
  for (const tensor of Object.values(cache)) tensor.dispose();
  return { ids, tokensPerSecond: (newTokens - 1) / secs };
}

/**
 * What the graph wants besides its cache.
 *
 * @param {number[]} tokens New ones.
 * @param {number} past Number of those before.
 */
function inputs(tokens, past) {
  const total = past + tokens.length;
  const long = (/** @type {number[]} */ values) => BigInt64Array.from(values, BigInt);
  /** @type {Record<string, () => any>} */
  const made = {
    input_ids: () => new ort.Tensor("int64", long(tokens), [1, tokens.length]),
    position_ids: () => new ort.Tensor("int64", long(tokens.map((_, index) => past + index)), [tokens.length]),
    last_index: () => new ort.Tensor("int32", [total - 1], [1]),
    total_length: () => new ort.Tensor("int32", [total], [1]),
  };
  const wanted = session.inputNames.filter((/** @type {string} */ name) => name in made);
  return Object.fromEntries(wanted.map((/** @type {string} */ name) => [name, made[name]()]));
}

/** @returns {Record<string, any>} */
function emptyCache() {
  const empty = () => new ort.Tensor("float32", new Float32Array(0), [1, asked.kvHeads, 0, asked.headDim]);
  return Object.fromEntries(cacheNames("past").map((name) => [name, empty()]));
}

/** @param {"past" | "present"} when */
function cacheNames(when) {
  const layers = Array.from({ length: asked.layers }, (_, layer) => layer);
  return layers.flatMap((layer) => [`${when}.${layer}.key`, `${when}.${layer}.value`]);
}
