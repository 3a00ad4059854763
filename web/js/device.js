// @ts-check
// Looks for a place where the model can run, before anything is downloaded.
//
// Every way in which WebGPU can be absent has its own code and its own remedy:
// `noApi`, `noAdapter`, `softwareAdapter`. Runs in the worker.

/** @typedef {import("./index.d.ts").DeviceChoice} DeviceChoice */
/** @typedef {import("./index.d.ts").DeviceReport} DeviceReport */
/** @typedef {import("./index.d.ts").Failure} Failure */
/** @typedef {{ kind: "cpu" | "webgpu", report: DeviceReport }} Found */

/** Names of adapters that are programs. */
const SOFTWARE = /swiftshader|llvmpipe|lavapipe|basic render/i;

/**
 * Finds the device that a choice leads to.
 *
 * @param {DeviceChoice} choice
 * @returns {Promise<Found>}
 * @throws {Failure} with the choice `webgpu`, where there is none.
 */
export async function probe(choice) {
  if (choice === "cpu") return onProcessor();
  if (choice === "webgpu") return onAdapter();
  try {
    const found = await onAdapter();
    return found.report.isSoftware ? onProcessor(softwareAdapter(found.report.name)) : found;
  } catch (reason) {
    return onProcessor(/** @type {Failure} */ (reason));
  }
}

/**
 * The processor, which every browser has.
 *
 * @param {Failure} [fallback] Why it is used where WebGPU was wanted.
 * @returns {Found}
 */
export function onProcessor(fallback) {
  /** @type {DeviceReport} */
  const report = {
    kind: "cpu",
    name: "WebAssembly SIMD, one thread",
    isSoftware: false,
    hasF16: false,
    maxBufferBytes: 0,
  };
  if (fallback) report.fallback = fallback;
  return { kind: "cpu", report };
}

/**
 * @param {string} code
 * @param {string} message
 * @param {string} hint
 * @returns {Failure}
 */
export function failure(code, message, hint) {
  return { code, message, hint };
}

/** @returns {Promise<Found>} */
async function onAdapter() {
  const gpu = /** @type {any} */ (navigator).gpu;
  if (!gpu) throw apiMissing();
  const adapter = await requestAdapter(gpu);
  const info = adapter.info ?? (await adapter.requestAdapterInfo?.()) ?? {};
  const words = [info.vendor, info.architecture, info.device, info.description].filter(Boolean).join(" ");
  return {
    kind: "webgpu",
    report: {
      kind: "webgpu",
      name: info.description || words || "unnamed adapter",
      isSoftware: Boolean(info.isFallbackAdapter || adapter.isFallbackAdapter || SOFTWARE.test(words)),
      hasF16: adapter.features.has("shader-f16"),
      maxBufferBytes: adapter.limits.maxStorageBufferBindingSize,
    },
  };
}

/** @param {any} gpu */
async function requestAdapter(gpu) {
  let cause = "";
  try {
    const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
    if (adapter) return adapter;
  } catch (error) {
    cause = `: ${error instanceof Error ? error.message : error}`;
  }
  throw failure(
    "noAdapter",
    `the browser has WebGPU, but found no graphics adapter for it${cause}`,
    "turn on hardware acceleration in the browser and update the graphics driver, or choose the device cpu",
  );
}

/** @returns {Failure} */
function apiMissing() {
  if (globalThis.isSecureContext === false) {
    return failure(
      "noApi",
      "the page is not in a secure context, where browsers hide WebGPU",
      "serve the page over https or from localhost",
    );
  }
  return failure(
    "noApi",
    "this browser has no WebGPU",
    "use a current Chrome, Edge, Firefox or Safari, or choose the device cpu",
  );
}

/**
 * @param {string} name
 * @returns {Failure}
 */
function softwareAdapter(name) {
  return failure(
    "softwareAdapter",
    `the only WebGPU adapter is a program (${name}), which is slower than the processor itself`,
    "turn on hardware acceleration in the browser's settings; the device webgpu uses this adapter all the same",
  );
}
