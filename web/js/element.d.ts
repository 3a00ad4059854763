// <fine-r1-recognizer model="models/nano/">: importing this module defines the element.

import type { DoneEvent, Failure, ImageSource, TextEvent } from "./index.js";

/**
 * Attributes: `model` (URL of the model folder), `device` (`auto`, `webgpu`, `cpu`), `question`,
 * `candidates` (names separated by commas).
 */
export class FineR1Recognizer extends HTMLElement {
  /**
   * Answers the question about a photo; about the chosen one where none is given. Gives `null` where it
   * failed or was stopped, which `fine-r1-error` tells, and where a recognition is under way already.
   */
  recognize(photo?: ImageSource): Promise<DoneEvent | null>;

  /** Ends the recognition under way. */
  stop(): void;
}

declare global {
  interface HTMLElementTagNameMap {
    "fine-r1-recognizer": FineR1Recognizer;
  }
  /** The element's events; they bubble, also out of shadow trees. */
  interface HTMLElementEventMap {
    "fine-r1-thinking": CustomEvent<TextEvent>;
    "fine-r1-answering": CustomEvent<TextEvent>;
    "fine-r1-done": CustomEvent<DoneEvent>;
    "fine-r1-error": CustomEvent<Failure>;
  }
}
