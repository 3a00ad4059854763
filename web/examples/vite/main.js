// @ts-check
// The module with a bundler: recognises every photo that is chosen.
// Expects the package in fine-r1-package/ and a model folder at models/nano/ beside the built page (put
// it into public/models/nano/).

import { Recognizer } from "fine-r1";

const [photo, status, thinking, answer] = /** @type {any[]} */ (
  ["photo", "status", "thinking", "answer"].map((id) => document.getElementById(id))
);

/** @type {Promise<Recognizer> | undefined} */
let loading;

photo.addEventListener("change", async () => {
  const [file] = photo.files;
  if (!file) return;
  thinking.textContent = answer.textContent = "";
  status.textContent = "Loading…";
  try {
    loading ??= Recognizer.load("models/nano/");
    const recognizer = await loading;
    status.textContent = "Thinking…";
    for await (const event of recognizer.recognize(file)) {
      if (event.type === "thinking") thinking.textContent += event.text;
      if (event.type === "answering") answer.textContent += event.text;
      if (event.type === "done") {
        thinking.textContent = event.thinking;
        answer.textContent = event.answer;
        status.textContent = "Done.";
      }
    }
  } catch (error) {
    const { code, message, hint } = /** @type {any} */ (error);
    status.textContent = `${message} (${code}). ${hint ?? ""}`;
    loading?.then((recognizer) => recognizer.dispose(), () => {});
    loading = undefined;
  }
});
