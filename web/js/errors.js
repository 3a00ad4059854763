// @ts-check
// The one kind of error that callers meet, and the ones that more than one file throws.

/** @typedef {import("./index.d.ts").Failure} Failure */

/** What every call here throws: a stable `code`, a message, and a hint with the remedy. */
export class RecognizerError extends Error {
  /**
   * @param {Failure} failure
   * @param {ErrorOptions} [options]
   */
  constructor({ code, message, hint }, options) {
    super(message, options);
    this.name = "RecognizerError";
    this.code = code;
    this.hint = hint;
  }
}

/** @param {AbortSignal} [signal] */
export function refuseAborted(signal) {
  if (signal?.aborted) throw aborted(signal.reason);
}

/** @param {unknown} cause */
export function aborted(cause) {
  const message = "stopped by the caller";
  return new RecognizerError({ code: "aborted", message, hint: "ask again to begin anew" }, { cause });
}

export function disposed() {
  const message = "the recognizer was disposed of";
  return new RecognizerError({ code: "notLoaded", message, hint: "load the model again" });
}

/**
 * @param {string} message
 * @param {string} hint
 */
export function refusal(message, hint) {
  return new RecognizerError({ code: "badOptions", message, hint });
}
