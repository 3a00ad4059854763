// @ts-check
// <fine-r1-recognizer model="models/nano/">: choose, drop or paste a photo, watch the model think.
//
// Attributes: model, device, question, candidates (separated by commas). Events: fine-r1-thinking,
// fine-r1-answering, fine-r1-done, fine-r1-error. The model is loaded at the first use. Text of the
// model enters the page as text alone.

import { Recognizer, RecognizerError } from "./index.js";
import { style } from "./style.js";

/** @typedef {import("./index.d.ts").DeviceReport} DeviceReport */
/** @typedef {import("./index.d.ts").DoneEvent} DoneEvent */
/** @typedef {import("./index.d.ts").ImageSource} ImageSource */
/** @typedef {import("./index.d.ts").Progress} Progress */
/** @typedef {import("./index.d.ts").TextEvent} TextEvent */

/** After these a loaded model is of no more use. */
const BROKEN = new Set(["deviceLost", "internal", "notLoaded"]);
/** @type {Record<Progress["phase"], string>} */
const PHASES = {
  downloading: "Downloading the model",
  verifying: "Checking the model",
  loading: "Loading the model",
  warmingUp: "Warming up",
};

export class FineR1Recognizer extends HTMLElement {
  static observedAttributes = ["model", "device"];

  #view = view();
  /** @type {Recognizer | null} */
  #recognizer = null;
  /** @type {AbortController | null} Of the recognition under way. */
  #run = null;
  /** @type {ImageSource | null} */
  #photo = null;

  constructor() {
    super();
    const { frame, photo, preview, recognize, stop } = this.#view;
    const shadow = this.attachShadow({ mode: "open" });
    shadow.adoptedStyleSheets = [style];
    shadow.append(frame);
    photo.addEventListener("change", () => this.#take(photo.files));
    preview.addEventListener("error", () => (preview.hidden = true));
    recognize.addEventListener("click", () => this.recognize());
    stop.addEventListener("click", () => this.stop());
    this.addEventListener("dragover", (event) => {
      if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
    });
    this.addEventListener("drop", (event) => this.#receive(event, event.dataTransfer?.files));
    this.addEventListener("paste", (event) => this.#receive(event, event.clipboardData?.files));
  }

  disconnectedCallback() {
    // A node that is only moved is connected again by then.
    queueMicrotask(() => {
      if (!this.isConnected) this.#release();
    });
  }

  /**
   * @param {string} _name
   * @param {string | null} before
   * @param {string | null} after
   */
  attributeChangedCallback(_name, before, after) {
    if (before !== after) this.#release();
  }

  /**
   * Answers the question about a photo; about the chosen one where none is given.
   *
   * @param {ImageSource} [photo]
   * @returns {Promise<DoneEvent | null>} `null` where it failed or was stopped, which an event tells.
   */
  async recognize(photo) {
    if (photo !== undefined) this.#show(photo);
    if (this.#run) return null;
    if (this.#photo === null) {
      this.#say("Choose a photo first.");
      this.#view.photo.focus();
      return null;
    }
    const run = new AbortController();
    this.#run = run;
    this.#setBusy(true);
    try {
      return await this.#answer(this.#photo, run.signal);
    } catch (error) {
      this.#tell(error);
      return null;
    } finally {
      this.#run = null;
      this.#view.progress.hidden = true;
      this.#setBusy(false);
    }
  }

  /** Ends the recognition under way. */
  stop() {
    this.#run?.abort();
  }

  /**
   * @param {ImageSource} photo
   * @param {AbortSignal} signal
   */
  async #answer(photo, signal) {
    const { thinking, thought, answer } = this.#view;
    thought.textContent = "";
    answer.textContent = "";
    const recognizer = await this.#load(signal);
    this.#say("Looking at the photo…");
    for await (const event of recognizer.recognize(photo, { ...this.#options(), signal })) {
      if (event.type === "done") {
        thought.textContent = event.thinking;
        answer.textContent = event.answer;
        thinking.open = false;
        this.#say(summary(event));
        this.#dispatch("done", event);
        return event;
      }
      const isThought = event.type === "thinking";
      const text = isThought ? thought : answer;
      if (!text.textContent) {
        thinking.open = isThought;
        this.#say(isThought ? "Thinking…" : "Answering…");
      }
      text.textContent += event.text;
      this.#dispatch(event.type, event);
    }
    return null;
  }

  /** @param {AbortSignal} signal */
  async #load(signal) {
    if (this.#recognizer) return this.#recognizer;
    const model = this.getAttribute("model");
    if (!model) {
      const message = "the element does not say which model";
      const hint = 'write the address of a model folder into its attribute, such as model="models/nano/"';
      throw new RecognizerError({ code: "badOptions", message, hint });
    }
    this.#say("Loading the model…");
    const device = /** @type {any} */ (this.getAttribute("device") ?? "auto");
    const recognizer = await Recognizer.load(model, {
      device,
      signal,
      onDevice: (report) => (this.#view.device.textContent = deviceText(report)),
      onProgress: (progress) => this.#showProgress(progress),
    });
    this.#view.progress.hidden = true;
    // Stopped at the last moment: the recognition that follows says so.
    if (signal.aborted) recognizer.dispose();
    else this.#recognizer = recognizer;
    return recognizer;
  }

  #options() {
    const question = this.getAttribute("question") ?? undefined;
    const names = (this.getAttribute("candidates") ?? "").split(",").map((name) => name.trim());
    return { question, candidates: names.filter(Boolean) };
  }

  /** Ends what is under way and gives the model's memory back. */
  #release() {
    this.stop();
    this.#recognizer?.dispose();
    this.#recognizer = null;
    this.#view.device.textContent = "";
  }

  /**
   * @param {Event} event
   * @param {FileList | undefined} files
   */
  #receive(event, files) {
    if (!files?.length) return;
    event.preventDefault();
    if (this.#take(files)) this.#view.photo.files = files;
  }

  /** @param {FileList | null} files */
  #take(files) {
    const file = Array.from(files ?? []).find(({ type }) => type.startsWith("image/"));
    if (file) {
      this.#show(file);
      this.#say(`Photo: ${file.name}`);
    } else if (files?.length) {
      this.#say("That is no image. Choose a PNG, JPEG, WebP, BMP or GIF file.");
    }
    return Boolean(file);
  }

  /** @param {ImageSource} photo */
  #show(photo) {
    const { preview } = this.#view;
    URL.revokeObjectURL(preview.src);
    this.#photo = photo;
    const address = photo instanceof Blob ? URL.createObjectURL(photo) : photo;
    const isAddress = typeof address === "string" || address instanceof URL;
    preview.hidden = !isAddress;
    if (isAddress) preview.src = String(address);
  }

  /** @param {Progress} progress */
  #showProgress({ phase, bytes, total }) {
    const { progress } = this.#view;
    progress.hidden = false;
    progress.max = total || 1;
    progress.value = bytes;
    this.#say(`${PHASES[phase] ?? phase}…`);
  }

  /** @param {boolean} isBusy */
  #setBusy(isBusy) {
    const { recognize, stop } = this.#view;
    const [ends, begins] = isBusy ? [recognize, stop] : [stop, recognize];
    const hadFocus = this.shadowRoot?.activeElement === ends;
    begins.disabled = false;
    if (hadFocus) begins.focus();
    ends.disabled = true;
  }

  /** @param {unknown} error */
  #tell(error) {
    const failure =
      error instanceof RecognizerError
        ? { code: error.code, message: error.message, hint: error.hint }
        : { code: "internal", message: String(error), hint: "reload the page; if it happens again, report it" };
    if (BROKEN.has(failure.code)) this.#release();
    this.#say(failure.code === "aborted" ? "Stopped." : `Error: ${failure.message}. Remedy: ${failure.hint}.`);
    this.#dispatch("error", failure);
  }

  /** @param {string} text */
  #say(text) {
    const { status } = this.#view;
    // A live region speaks at every change, also to the same words.
    if (status.textContent !== text) status.textContent = text;
  }

  /**
   * @param {string} name
   * @param {object} detail
   */
  #dispatch(name, detail) {
    this.dispatchEvent(new CustomEvent(`fine-r1-${name}`, { detail, bubbles: true, composed: true }));
  }
}

/** The nodes of one element. */
function view() {
  const photo = make("input", { type: "file", accept: "image/*" });
  const preview = make("img", { alt: "The chosen photo", hidden: true });
  const recognize = make("button", { type: "button", textContent: "Recognize" });
  const stop = make("button", { type: "button", textContent: "Stop", disabled: true });
  const progress = make("progress", { hidden: true, ariaLabel: "Loading" });
  const status = make("p", { role: "status", ariaLabel: "Status" });
  const device = make("p", {});
  const thought = make("p", {});
  const thinking = make("details", {}, make("summary", { textContent: "Thinking" }), thought);
  const answer = make("p", {});
  /** @type {Record<string, HTMLElement>} */
  const parts = { photo, preview, recognize, stop, progress, status, device, thinking, thought, answer };
  for (const [name, node] of Object.entries(parts)) node.setAttribute("part", name);
  // Can take the focus by a click, so that a paste arrives here.
  const frame = make(
    "div",
    { tabIndex: -1 },
    make("label", { textContent: "Photo" }, photo),
    preview,
    make("div", { className: "buttons" }, recognize, stop),
    progress,
    status,
    device,
    make("section", { ariaLabel: "Thinking" }, thinking),
    make("section", { ariaLabel: "Answer" }, answer),
  );
  frame.setAttribute("part", "frame");
  return { frame, photo, preview, recognize, stop, progress, status, device, thinking, thought, answer };
}

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Partial<HTMLElementTagNameMap[Tag]>} properties
 * @param {Node[]} children
 */
function make(tag, properties, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

/** @param {DeviceReport} device */
function deviceText({ kind, name, isSoftware, fallback }) {
  const what = kind === "webgpu" ? "WebGPU" : "Processor";
  const text = `${what}: ${name}${isSoftware ? ", a program" : ""}`;
  return fallback ? `${text}. WebGPU is not used: ${fallback.message}. Remedy: ${fallback.hint}.` : text;
}

/** @param {DoneEvent} done */
function summary({ answer, usage }) {
  const speed = `${usage.newTokens} tokens, ${usage.tokensPerSecond.toFixed(1)} tokens per second`;
  return answer ? `Answer: ${answer} (${speed})` : `The model ended without an answer (${speed})`;
}

if (!customElements.get("fine-r1-recognizer")) customElements.define("fine-r1-recognizer", FineR1Recognizer);
