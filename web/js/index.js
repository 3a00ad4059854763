// @ts-check
// Fine-R1 in the browser: a photo and a question in, a stream of thought and an answer out.
//
//   Recognizer -> Call (one request and its events) -> Connection (the worker) -> worker.js
//
// The types of everything public stand in index.d.ts. The model runs in a worker of its own, so the
// page never waits for it.

import { Connection } from "./connection.js";
import { aborted, disposed, refuseAborted } from "./errors.js";
import { imageBytes } from "./image.js";
import { checkedDevice, checkedOptions, folderUrl } from "./options.js";

/** @typedef {import("./index.d.ts").ImageSource} ImageSource */
/** @typedef {import("./index.d.ts").LoadOptions} LoadOptions */
/** @typedef {import("./index.d.ts").ModelInfo} ModelInfo */
/** @typedef {import("./index.d.ts").RecognitionEvent} RecognitionEvent */
/** @typedef {import("./index.d.ts").RecognizeOptions} RecognizeOptions */
/** @typedef {import("./index.d.ts").StoredModel} StoredModel */

export { RecognizerError } from "./errors.js";

/** How long a stopped load may take to put away what it has received. */
const STOP_PATIENCE_MS = 1000;

/** A loaded model. */
export class Recognizer {
  #connection;
  #info;

  /**
   * For `load` alone.
   *
   * @param {Connection} connection
   * @param {ModelInfo} info
   */
  constructor(connection, info) {
    this.#connection = connection;
    this.#info = info;
  }

  /**
   * Fetches a model folder, or finds it in the browser's storage, and opens it.
   *
   * @param {string | URL} baseUrl The folder, relative to the page.
   * @param {LoadOptions} [options]
   * @returns {Promise<Recognizer>}
   */
  static async load(baseUrl, { device = "auto", onProgress, onDevice, signal } = {}) {
    const request = { type: "load", baseUrl: folderUrl(baseUrl), device: checkedDevice(device) };
    refuseAborted(signal);
    const connection = new Connection();
    const call = connection.open(signal, STOP_PATIENCE_MS);
    try {
      call.send(request);
      for (;;) {
        const event = await call.next();
        if (event.type === "found") onDevice?.(event.device);
        if (event.type === "progress") onProgress?.(event.progress);
        if (event.type === "ready") return new Recognizer(connection, event.info);
      }
    } catch (error) {
      connection.close(disposed());
      throw error;
    } finally {
      call.close();
    }
  }

  /** What was loaded. */
  get info() {
    return this.#info;
  }

  /**
   * Answers a question about an image. Leaving the loop early stops the recognition.
   *
   * @param {ImageSource} source
   * @param {RecognizeOptions} [options]
   * @returns {AsyncGenerator<RecognitionEvent, void, undefined>}
   */
  async *recognize(source, options = {}) {
    const asked = checkedOptions(options);
    refuseAborted(options.signal);
    const call = this.#connection.open(options.signal);
    try {
      const image = await call.until(imageBytes(source, options.signal));
      call.send({ type: "recognize", image, options: asked }, [image.buffer]);
      for (;;) {
        const event = await call.next();
        if (event.type === "thinking" || event.type === "answering") {
          yield { type: event.type, text: event.text };
        } else if (event.type === "done") {
          yield { type: "done", ...event.outcome };
          return;
        }
      }
    } finally {
      call.close();
    }
  }

  /** Ends the worker and frees all its memory. Calls that still wait reject with the code `aborted`. */
  dispose() {
    this.#connection.close(disposed(), aborted("the recognizer was disposed of"));
  }
}

/**
 * The models in the browser's storage.
 *
 * @returns {Promise<StoredModel[]>}
 */
export function listStored() {
  return askStorage({ type: "listStored" });
}

/**
 * Deletes a model from the browser's storage.
 *
 * @param {string | URL} baseUrl As `listStored` gives it, or relative to the page.
 * @returns {Promise<StoredModel[]>} The models that are left.
 */
export async function deleteStored(baseUrl) {
  return askStorage({ type: "deleteStored", baseUrl: folderUrl(baseUrl) });
}

/**
 * @param {object} request
 * @returns {Promise<StoredModel[]>}
 */
async function askStorage(request) {
  const connection = new Connection();
  try {
    const call = connection.open();
    call.send(request);
    const event = await call.next();
    return event.type === "stored" ? event.models : [];
  } finally {
    connection.close(disposed());
  }
}
