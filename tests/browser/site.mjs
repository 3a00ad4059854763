// @ts-check
// The page as people use it: by the names of its controls.

import { setTimeout } from "node:timers/promises";
import { examples, photoFile, url } from "./settings.mjs";

/** @typedef {import("playwright-core").Page} Page */

/** Loading or answering may take so long on a busy machine. */
const PATIENCE_MS = 120_000;
const POLL_MS = 25;

/**
 * Opens the page.
 *
 * @param {Page} page
 * @param {string} [address]
 * @param {number} [patienceMs]
 */
export async function openSite(page, address = url, patienceMs = PATIENCE_MS) {
  await page.goto(address);
  const site = new Site(page, patienceMs);
  await site.loadButton.waitFor();
  return site;
}

export class Site {
  /** @param {Page} page @param {number} patienceMs */
  constructor(page, patienceMs) {
    this.page = page;
    this.patienceMs = patienceMs;
    this.loadButton = page.getByRole("button", { name: "Load model", exact: true });
    this.recognizeButton = page.getByRole("button", { name: "Recognize", exact: true });
    this.stopButton = page.getByRole("button", { name: "Stop", exact: true });
    this.photo = page.getByLabel("Photo", { exact: true }).and(page.locator('input[type="file"]'));
    this.status = page.getByRole("status", { name: "Status", exact: true });
    this.answer = page.getByRole("region", { name: "Answer", exact: true });
    this.thinking = page.getByRole("region", { name: "Thinking", exact: true });
  }

  /**
   * Loads the model beside the page.
   *
   * @param {"auto" | "cpu" | "webgpu"} device
   */
  async load(device) {
    await this.page.getByLabel("Device", { exact: true }).selectOption(device);
    await this.loadButton.click();
    await this.waitForStatus(/ is ready on /);
  }

  /**
   * Chooses a model at a URL for the processor.
   *
   * @param {string} baseUrl
   */
  async chooseModel(baseUrl) {
    await this.page.getByLabel("Model", { exact: true }).selectOption("url");
    await this.page.getByLabel("Model URL", { exact: true }).fill(baseUrl);
    await this.page.getByLabel("Device", { exact: true }).selectOption("cpu");
  }

  /**
   * Asks for a model at a URL, whatever comes of it.
   *
   * @param {string} baseUrl
   */
  async loadFrom(baseUrl) {
    await this.chooseModel(baseUrl);
    await this.loadButton.click();
  }

  /** Opens the page anew and asks for a model that is not there. */
  async loadWrongly() {
    await this.page.reload();
    await this.loadFrom(new URL("models/absent/", this.page.url()).href);
    await this.waitForStatus(/^The model is not loaded: /);
  }

  /** @param {string} file An example's file. */
  async choosePhoto(file) {
    await this.photo.setInputFiles(photoFile(file));
    await this.waitForStatus(/ is chosen/);
  }

  async pressRecognize() {
    await this.recognizeButton.click();
  }

  /**
   * Recognises an example photo and gives what the status line tells of the answer.
   *
   * @param {{ file: string, candidates: string[] }} [example]
   */
  async recognize({ file, candidates } = examples[0]) {
    await this.choosePhoto(file);
    await this.page.getByLabel("Candidates", { exact: true }).fill(candidates.join(", "));
    await this.pressRecognize();
    return this.waitForAnswer();
  }

  /** The answer that the status line tells once it is complete; an end without one is a failure. */
  async waitForAnswer() {
    const ends = /^(Answer: |The model ended |No answer|Stopped|The model is not loaded|Loading stopped)/;
    const status = await this.waitForStatus(ends);
    if (!status.startsWith("Answer: ")) throw new Error(status);
    return status.replace("Answer: ", "");
  }

  /** The answer itself, without what stands around it. */
  async answerText() {
    return (await this.answer.locator(".answer-text").innerText()).trim();
  }

  /**
   * Waits until the status line says something, and gives it.
   *
   * @param {RegExp} wanted
   */
  async waitForStatus(wanted) {
    const end = Date.now() + this.patienceMs;
    for (;;) {
      // Asked from here: the page's policy would forbid a watcher inside it.
      const status = ((await this.status.textContent()) ?? "").trim();
      if (wanted.test(status)) return status;
      if (Date.now() > end) throw new Error(`the status stays "${status}", wanted ${wanted}`);
      await setTimeout(POLL_MS);
    }
  }
}
