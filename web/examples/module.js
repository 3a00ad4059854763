// @ts-check
// The module in a plain page: load once, then ask about photos.
// Expects the package at ../fine-r1/ and a model folder at ../models/nano/, relative to this file.

import { Recognizer } from "../fine-r1/index.js";

const model = new URL("../models/nano/", import.meta.url);
const [photo, recognize, stop, status, thinking, answer] = /** @type {any[]} */ (
  ["photo", "recognize", "stop", "status", "thinking", "answer"].map((id) => document.getElementById(id))
);

/** @type {Recognizer | undefined} */
let recognizer;
let run = new AbortController();

recognize.addEventListener("click", async () => {
  const [file] = photo.files;
  if (!file) {
    status.textContent = "Choose a photo first.";
    return;
  }
  run = new AbortController();
  const { signal } = run;
  thinking.textContent = answer.textContent = "";
  recognize.disabled = true;
  stop.disabled = false;
  try {
    recognizer ??= await Recognizer.load(model, { signal, onProgress: showProgress });
    status.textContent = `Thinking on ${recognizer.info.device.name}…`;
    for await (const event of recognizer.recognize(file, { signal })) {
      if (event.type === "thinking") thinking.textContent += event.text;
      if (event.type === "answering") answer.textContent += event.text;
      if (event.type === "done") {
        thinking.textContent = event.thinking;
        answer.textContent = event.answer;
        status.textContent = `Done, ${event.usage.tokensPerSecond.toFixed(1)} tokens per second.`;
      }
    }
  } catch (error) {
    const { code, message, hint } = /** @type {any} */ (error);
    status.textContent = `${message} (${code}). ${hint ?? ""}`;
    // A lost device or a broken engine: load anew at the next click.
    if (code === "deviceLost" || code === "internal") {
      recognizer?.dispose();
      recognizer = undefined;
    }
  } finally {
    recognize.disabled = false;
    stop.disabled = true;
  }
});

stop.addEventListener("click", () => run.abort());

/** @param {import("../fine-r1/index.js").Progress} progress */
function showProgress({ phase, bytes, total }) {
  status.textContent = `${phase}: ${Math.round((100 * bytes) / (total || 1))} %`;
}
