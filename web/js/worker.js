// @ts-check
// The worker that holds the model: takes Requests and posts Events, as index.d.ts describes them.
//
//   request -> queue (loads and recognitions, one at a time, in order) -> engine -> events
//            \ stop, listStored, deleteStored: at once
//
// There are two builds of the engine, `cpu` and `webgpu`, with the same interface; one is fetched when
// it is needed. An engine ends with its model, with a lost device, or when its WebAssembly breaks.

import { failure, onProcessor, probe } from "./device.js";

/** @typedef {import("./index.d.ts").DeviceReport} DeviceReport */
/** @typedef {import("./index.d.ts").Failure} Failure */
/** @typedef {import("./index.d.ts").WorkerEvent} WorkerEvent */
/** @typedef {import("./index.d.ts").WorkerRequest} WorkerRequest */
/** @typedef {Extract<WorkerRequest, { type: "load" }>} LoadRequest */
/** @typedef {Extract<WorkerRequest, { type: "recognize" }>} RecognizeRequest */
/** @typedef {"cpu" | "webgpu"} Kind */

// The addresses are spelled out, because bundlers look for exactly this form.
const SCRIPTS = {
  // @ts-ignore: made by the build
  cpu: () => import("./cpu/fine_r1_web.js"),
  // @ts-ignore: made by the build
  webgpu: () => import("./webgpu/fine_r1_web.js"),
};
const BINARIES = {
  cpu: () => new URL("./cpu/fine_r1_web_bg.wasm", import.meta.url),
  webgpu: () => new URL("./webgpu/fine_r1_web_bg.wasm", import.meta.url),
};

/** Codes of a failed load on WebGPU after which `auto` takes the processor. */
const FALLS_BACK = new Set(["noApi", "noAdapter", "limitTooSmall", "deviceLost", "internal"]);

const NOT_LOADED = failure("notLoaded", "no model is loaded", "load a model first");
const ABORTED = failure("aborted", "stopped by the caller", "ask again to begin anew");

/** @type {Map<Kind, Promise<any>>} Builds that were fetched, or are about to be. */
const builds = new Map();
/** @type {(LoadRequest | RecognizeRequest)[]} The queue. */
const waiting = [];
/** @type {{ id: number, interrupt: (reason: Failure) => void } | null} What is being worked on. */
let running = null;
/** @type {any} The engine with the model; null where there is none. */
let engine = null;
/** Why there is no engine. */
let absence = NOT_LOADED;

addEventListener("message", ({ data }) => receive(data));

// A panic inside WebAssembly leaves its promise pending for ever; it surfaces here.
addEventListener("error", (event) => {
  event.preventDefault();
  crash(event.error ?? event.message);
});
addEventListener("unhandledrejection", (event) => {
  if (event.reason instanceof WebAssembly.RuntimeError) crash(event.reason);
});

/** @param {WorkerRequest} request */
function receive(request) {
  switch (request.type) {
    case "load":
    case "recognize":
      waiting.push(request);
      work();
      break;
    case "stop":
      stop(request.id);
      break;
    case "listStored":
      askStorage(request.id, (storage) => storage.listStored());
      break;
    case "deleteStored":
      askStorage(request.id, (storage) => storage.deleteStored(request.baseUrl));
      break;
    default: {
      const { id, type } = /** @type {any} */ (request);
      fail(id, `a request of the unknown type ${type}`);
    }
  }
}

/** Works through the queue. */
async function work() {
  if (running) return;
  for (let request = waiting.shift(); request; request = waiting.shift()) {
    running = { id: request.id, interrupt: () => {} };
    try {
      await (request.type === "load" ? load(request) : recognize(request));
    } catch (error) {
      fail(request.id, error);
    }
    running = null;
  }
}

/** @param {LoadRequest} request */
async function load(request) {
  discard(NOT_LOADED);
  try {
    const { kind, report } = await guarded(probe(request.device));
    try {
      await open(kind, request, report);
    } catch (error) {
      const reason = toFailure(error);
      if (request.device !== "auto" || kind === "cpu" || !FALLS_BACK.has(reason.code)) throw reason;
      discard(NOT_LOADED);
      await open("cpu", request, onProcessor(reason).report);
    }
  } catch (error) {
    discard(NOT_LOADED);
    throw error;
  }
}

/**
 * @param {Kind} kind
 * @param {LoadRequest} request
 * @param {DeviceReport} report
 */
async function open(kind, request, report) {
  const build = await guarded(fetchBuild(kind));
  const opened = new build.Engine((/** @type {WorkerEvent} */ event) => {
    if (engine === opened) postMessage(event);
  });
  engine = opened;
  await guarded(opened.load(request, report));
}

/** @param {RecognizeRequest} request */
async function recognize(request) {
  if (!engine) throw absence;
  try {
    await guarded(engine.recognize(request));
  } catch (error) {
    const reason = toFailure(error);
    if (reason.code === "deviceLost" || error instanceof WebAssembly.RuntimeError) discard(reason);
    throw reason;
  }
}

/** @param {number} id */
function stop(id) {
  const place = waiting.findIndex((request) => request.id === id);
  if (place >= 0) {
    waiting.splice(place, 1);
    fail(id, ABORTED);
  } else if (running?.id === id) {
    if (engine) engine.stop(id);
    else running.interrupt(ABORTED);
  }
}

/**
 * Asks the browser's storage through an engine of its own, which disturbs no recognition.
 *
 * @param {number} id
 * @param {(storage: any) => Promise<any[]>} ask
 */
async function askStorage(id, ask) {
  let storage;
  try {
    const build = await anyBuild();
    storage = new build.Engine(() => {});
    postMessage({ type: "stored", id, models: await ask(storage) });
  } catch (error) {
    fail(id, error);
  } finally {
    free(storage);
  }
}

/**
 * A build for the storage alone: the one that is there, else the smaller one. Without a connection perhaps only
 * the other can be had.
 *
 * @returns {Promise<any>}
 */
async function anyBuild() {
  if (builds.has("webgpu") && !builds.has("cpu")) return fetchBuild("webgpu");
  try {
    return await fetchBuild("cpu");
  } catch (error) {
    return fetchBuild("webgpu").catch(() => {
      throw error;
    });
  }
}

/**
 * A build, ready for use; fetched once.
 *
 * @param {Kind} kind
 * @returns {Promise<any>}
 */
function fetchBuild(kind) {
  let build = builds.get(kind);
  if (!build) {
    build = startBuild(kind);
    build.catch(() => builds.delete(kind));
    builds.set(kind, build);
  }
  return build;
}

/** @param {Kind} kind */
async function startBuild(kind) {
  try {
    const build = await SCRIPTS[kind]();
    await build.default({ module_or_path: BINARIES[kind]() });
    return build;
  } catch (error) {
    // A folder that was built without this engine says so itself.
    if (typeof (/** @type {any} */ (error)?.code) === "string") throw error;
    throw failure(
      "internal",
      `the ${kind} engine cannot be started: ${error instanceof Error ? error.message : error}`,
      `check that the folder ${kind} lies beside worker.js, that .wasm is served as application/wasm, that ` +
        "the Content-Security-Policy has 'wasm-unsafe-eval', and that the browser knows WebAssembly SIMD",
    );
  }
}

/**
 * Waits for a promise, unless what is being worked on is interrupted first.
 *
 * @template T
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
function guarded(promise) {
  return new Promise((resolve, reject) => {
    if (running) running.interrupt = reject;
    promise.then(resolve, reject);
  });
}

/** @param {unknown} error What broke the engine. */
function crash(error) {
  console.error(error);
  const reason = toFailure(error);
  discard(reason);
  running?.interrupt(reason);
}

/** @param {Failure} reason Why there is no engine from now on. */
function discard(reason) {
  const discarded = engine;
  engine = null;
  absence = reason;
  free(discarded);
}

/** @param {any} object An engine, or none. */
function free(object) {
  try {
    object?.free();
  } catch (error) {
    // A broken engine can fail even in this; its memory goes with the worker.
    console.warn(error);
  }
}

/**
 * @param {number} id
 * @param {unknown} error
 */
function fail(id, error) {
  postMessage({ type: "failed", id, error: toFailure(error) });
}

/**
 * @param {any} error
 * @returns {Failure}
 */
function toFailure(error) {
  if (typeof error?.code === "string" && typeof error.message === "string") {
    return failure(error.code, error.message, String(error.hint ?? ""));
  }
  return failure("internal", String(error), "reload the page; if it happens again, report it");
}
