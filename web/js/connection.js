// @ts-check
// The worker as calls see it: every call has a number, and gets the events of that number alone.

import { RecognizerError, aborted } from "./errors.js";

/** @typedef {import("./index.d.ts").WorkerEvent} WorkerEvent */

/** Events after which nothing more follows for a request. */
const LAST_EVENTS = new Set(["ready", "done", "stored", "failed"]);

/** The worker, and the calls that wait for it. */
export class Connection {
  #worker;
  #lastId = 0;
  /** @type {Map<number, Call>} */
  #calls = new Map();
  /** @type {RecognizerError | null} Why calls are refused. */
  #refusal = null;
  #heard = false;

  constructor() {
    try {
      // Bundlers look for exactly this form.
      this.#worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    } catch (error) {
      throw workerMissing(error);
    }
    this.#worker.onmessage = ({ data }) => {
      this.#heard = true;
      this.#calls.get(data.id)?.receive(data);
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.close(this.#heard ? workerBroken(event.message) : workerMissing(event.message));
    };
    this.#worker.onmessageerror = () => this.close(workerBroken("a message of the worker cannot be read"));
  }

  /**
   * Begins a call.
   *
   * @param {AbortSignal} [signal]
   * @param {number} [patienceMs] How long the worker may take to end the call once it is stopped.
   */
  open(signal, patienceMs = 0) {
    if (this.#refusal) throw this.#refusal;
    const id = ++this.#lastId;
    const call = new Call(this, id, signal, patienceMs);
    this.#calls.set(id, call);
    return call;
  }

  /**
   * @param {object} message
   * @param {Transferable[]} [transfer]
   */
  post(message, transfer = []) {
    this.#worker.postMessage(message, transfer);
  }

  /** @param {number} id Of a call that is over. */
  forget(id) {
    this.#calls.delete(id);
  }

  /**
   * Ends the worker.
   *
   * @param {RecognizerError} refusal What later calls throw.
   * @param {RecognizerError} [reason] What waiting calls throw.
   */
  close(refusal, reason = refusal) {
    this.#refusal = refusal;
    this.#worker.terminate();
    for (const call of this.#calls.values()) call.fail(reason);
    this.#calls.clear();
  }
}

/** One request to the worker: its events, in order, until it ends. */
class Call {
  #connection;
  #id;
  #signal;
  #patienceMs;
  /** @type {WorkerEvent[]} Arrived, but not yet taken. */
  #events = [];
  /** @type {RecognizerError | null} */
  #error = null;
  #isRunning = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} Runs while a stopped call is waited for. */
  #patience;
  #wake = () => {};
  #reject = (/** @type {RecognizerError} */ _error) => {};

  /**
   * @param {Connection} connection
   * @param {number} id
   * @param {AbortSignal | undefined} signal
   * @param {number} patienceMs
   */
  constructor(connection, id, signal, patienceMs) {
    this.#connection = connection;
    this.#id = id;
    this.#signal = signal;
    this.#patienceMs = patienceMs;
    signal?.addEventListener("abort", this.#abort);
  }

  /**
   * @param {object} request
   * @param {Transferable[]} [transfer]
   */
  send(request, transfer) {
    this.#connection.post({ ...request, id: this.#id }, transfer);
    this.#isRunning = true;
  }

  /** @param {WorkerEvent} event */
  receive(event) {
    const isLast = LAST_EVENTS.has(event.type);
    if (isLast) this.#isRunning = false;
    if (this.#patience === undefined) {
      this.#events.push(event);
      this.#wake();
    } else if (isLast) {
      this.fail(aborted(this.#signal?.reason));
    }
  }

  /** The next event. Throws when the call has failed. */
  async next() {
    if (this.#events.length === 0) {
      await this.until(new Promise((resolve) => (this.#wake = () => resolve(undefined))));
    }
    if (this.#error) throw this.#error;
    const event = /** @type {WorkerEvent} */ (this.#events.shift());
    if (event.type === "failed") throw new RecognizerError(event.error);
    return event;
  }

  /**
   * Waits for a promise, unless the call fails first.
   *
   * @template T
   * @param {Promise<T>} promise
   * @returns {Promise<T>}
   */
  until(promise) {
    return new Promise((resolve, reject) => {
      this.#reject = reject;
      promise.then(resolve, reject);
      if (this.#error) reject(this.#error);
    });
  }

  /** @param {RecognizerError} error */
  fail(error) {
    this.#error ??= error;
    this.#events = [];
    this.#reject(this.#error);
  }

  /** Ends the call; the worker is told to stop if it is still at work. */
  close() {
    clearTimeout(this.#patience);
    this.#signal?.removeEventListener("abort", this.#abort);
    this.#connection.forget(this.#id);
    if (this.#isRunning) this.#stop();
  }

  #stop() {
    this.#isRunning = false;
    this.#connection.post({ type: "stop", id: this.#id });
  }

  #abort = () => {
    if (this.#isRunning && this.#patienceMs > 0) {
      this.#stop();
      this.#patience = setTimeout(() => this.fail(aborted(this.#signal?.reason)), this.#patienceMs);
    } else {
      this.fail(aborted(this.#signal?.reason));
    }
  };
}

/** @param {unknown} cause */
function workerMissing(cause) {
  const hint =
    "check that worker.js and device.js lie beside index.js on the page's own origin, are served as " +
    "text/javascript, and that the Content-Security-Policy allows them (worker-src 'self')";
  return new RecognizerError({ code: "internal", message: "the worker cannot be started", hint }, { cause });
}

/** @param {string} cause */
function workerBroken(cause) {
  const hint = "load the model again; if it happens again, report it";
  return new RecognizerError({ code: "internal", message: `the worker broke: ${cause}`, hint }, { cause });
}
