// Fine-R1 in the browser: the types of index.js, and of what a page and worker.js say to each other.

/** Where the model shall run. `auto`: WebGPU on real hardware where there is one, else the processor. */
export type DeviceChoice = "auto" | "webgpu" | "cpu";

/** The stable codes of failures; README.md says what each means. */
export type FailureCode =
  | "aborted"
  | "notLoaded"
  | "badImage"
  | "badOptions"
  | "notFound"
  | "network"
  | "wrongSize"
  | "wrongHash"
  | "badModel"
  | "storageFull"
  | "noApi"
  | "noAdapter"
  | "softwareAdapter"
  | "limitTooSmall"
  | "deviceLost"
  | "internal";

/** What went wrong. `code` is stable; `message` and `hint` are for people. */
export interface Failure {
  code: FailureCode | (string & {});
  /** What happened, lower case. */
  message: string;
  /** What can be done about it. */
  hint: string;
}

/** What every call here throws. */
export class RecognizerError extends Error implements Failure {
  constructor(failure: Failure, options?: { cause?: unknown });
  readonly name: "RecognizerError";
  readonly code: Failure["code"];
  readonly hint: string;
}

/** What runs the model. */
export interface DeviceReport {
  kind: "webgpu" | "cpu";
  /** The adapter's own description, or `WebAssembly SIMD, one thread`. */
  name: string;
  /** Whether a WebGPU adapter is a program and not hardware. */
  isSoftware: boolean;
  /** Whether the adapter computes in 16 bits. */
  hasF16: boolean;
  /** Largest buffer that one tensor can take; 0 where there is no such limit. */
  maxBufferBytes: number;
  /** Why the processor is used although the choice was `auto`. */
  fallback?: Failure;
}

/** How far loading is. Sizes are in bytes. */
export interface Progress {
  phase: "downloading" | "verifying" | "loading" | "warmingUp";
  /** The file that is being worked on. */
  file: string;
  fileBytes: number;
  fileTotal: number;
  /** Of all files. */
  bytes: number;
  total: number;
  /** Whether the bytes come out of the browser's storage. */
  fromStorage: boolean;
}

/** A loaded model. */
export interface ModelInfo {
  /** From the manifest. */
  name: string;
  baseUrl: string;
  /** `qwen2_5_vl` or `qwen2_vl`. */
  architecture: string;
  /** Number of weights. */
  parameters: number;
  /** Size of all files. */
  bytes: number;
  /** Tokens of its context. */
  context: number;
  device: DeviceReport;
}

/** A model in the browser's storage. */
export interface StoredModel {
  name: string;
  baseUrl: string;
  /** Bytes that are stored. */
  bytes: number;
  /** Size of all its files. */
  total: number;
}

/** What a photo can be given as. */
export type ImageSource =
  | Blob // and File
  | string // a URL, absolute or relative to the page
  | URL
  | ImageBitmap
  | ImageData
  | HTMLImageElement
  | HTMLCanvasElement
  | OffscreenCanvas
  | ArrayBuffer // the bytes of an image file
  | ArrayBufferView;

export interface LoadOptions {
  /** `auto` where absent. */
  device?: DeviceChoice;
  onProgress?: (progress: Progress) => void;
  /**
   * Called before anything is downloaded, and once more when a load on WebGPU fails and the processor
   * takes its place.
   */
  onDevice?: (device: DeviceReport) => void;
  /** Ends the load. */
  signal?: AbortSignal;
}

/** How a question is answered; what is absent follows the model's generation config. */
export interface RecognizeOptions {
  /** A general one where absent. */
  question?: string;
  /** Names to choose among: at most 50, none with a comma. */
  candidates?: readonly string[];
  /** Most tokens of an answer. */
  maxNewTokens?: number;
  /** 0 is greedy. */
  temperature?: number;
  /**
   * Makes sampling repeatable: a whole number from 0 to 4294967295. Where it is absent and the temperature is
   * above 0, every recognition draws another one.
   */
  seed?: number;
  /** Ends the recognition. */
  signal?: AbortSignal;
}

/** Counts and times of an answer. */
export interface Usage {
  /** Tokens of the prompt, image included. */
  promptTokens: number;
  newTokens: number;
  /** From the request's arrival in the worker. */
  timeToFirstTokenSecs: number;
  /** After the first token. */
  tokensPerSecond: number;
}

/** A complete answer. */
export interface Outcome {
  /** The whole thought. */
  thinking: string;
  /** The whole answer. */
  answer: string;
  /** Whether thought and answer stood in their tags. */
  wellFormed: boolean;
  /** All tokens, the end token included. */
  tokenIds: number[];
  stopReason: "endToken" | "stopString" | "length" | "contextFull";
  usage: Usage;
}

/** Text to append. */
export type TextEvent = { type: "thinking" | "answering"; text: string };
export type DoneEvent = { type: "done" } & Outcome;
export type RecognitionEvent = TextEvent | DoneEvent;

/** A loaded model, in a worker of its own. */
export class Recognizer {
  private constructor();

  /**
   * Fetches a model folder, or finds it in the browser's storage, and opens it.
   *
   * @param baseUrl The folder that contains manifest.json; relative to the page.
   */
  static load(baseUrl: string | URL, options?: LoadOptions): Promise<Recognizer>;

  /** What was loaded, and what runs it. */
  readonly info: ModelInfo;

  /**
   * Answers a question about a photo: pieces of the thought, pieces of the answer, then `done`. Begins
   * with the first turn of the loop. Leaving the loop early stops it. Calls at the same time are answered
   * one after another.
   */
  recognize(source: ImageSource, options?: RecognizeOptions): AsyncGenerator<RecognitionEvent, void, undefined>;

  /**
   * Ends the worker and frees all its memory. Calls that still wait reject with the code `aborted`,
   * later ones with `notLoaded`. May be called again.
   */
  dispose(): void;
}

/** The models in the browser's storage. */
export function listStored(): Promise<StoredModel[]>;

/**
 * Deletes a model from the browser's storage; gives the models that are left.
 *
 * @param baseUrl As `listStored` gives it, or relative to the page.
 */
export function deleteStored(baseUrl: string | URL): Promise<StoredModel[]>;

/** Page to worker, for those who talk to worker.js themselves. Addresses are absolute. */
export type WorkerRequest =
  | { type: "load"; id: number; baseUrl: string; device: DeviceChoice }
  | { type: "recognize"; id: number; image: Uint8Array; options?: Omit<RecognizeOptions, "signal"> }
  | { type: "stop"; id: number }
  | { type: "listStored"; id: number }
  | { type: "deleteStored"; id: number; baseUrl: string };

/** Worker to page. `ready`, `done`, `stored` and `failed` are the last of their request. */
export type WorkerEvent =
  | { type: "found"; id: number; device: DeviceReport }
  | { type: "progress"; id: number; progress: Progress }
  | { type: "ready"; id: number; info: ModelInfo }
  | { type: "started"; id: number; promptTokens: number }
  | { type: "thinking"; id: number; text: string }
  | { type: "answering"; id: number; text: string }
  | { type: "done"; id: number; outcome: Outcome }
  | { type: "stored"; id: number; models: StoredModel[] }
  | { type: "failed"; id: number; error: Failure };
