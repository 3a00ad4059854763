// @ts-check
// How the element looks. A constructed style sheet, because a strict Content-Security-Policy refuses
// inline styles. Colours are the system's and follow the page's `color-scheme`, light or dark.

export const style = new CSSStyleSheet();

style.replaceSync(`
  :host {
    display: block;
    max-inline-size: 40rem;
    background: var(--fine-r1-background, Canvas);
    color: var(--fine-r1-text, CanvasText);
    border: 1px solid var(--fine-r1-border, color-mix(in srgb, CanvasText 30%, Canvas));
    border-radius: var(--fine-r1-radius, 0.75rem);
    font: var(--fine-r1-font, 1rem/1.5 system-ui, sans-serif);
  }
  :host([hidden]), [hidden] { display: none; }
  [part~="frame"] {
    display: grid;
    gap: var(--fine-r1-gap, 0.75rem);
    padding: var(--fine-r1-gap, 0.75rem);
    min-inline-size: 0;
  }
  [part~="frame"]:focus { outline: none; }
  label { display: grid; gap: 0.25rem; font-weight: 600; }
  input, button { font: inherit; max-inline-size: 100%; }
  button { padding: 0.4em 1em; }
  [part~="recognize"]:enabled {
    background: var(--fine-r1-accent, ButtonFace);
    color: var(--fine-r1-accent-text, ButtonText);
  }
  img { max-inline-size: 100%; max-block-size: 20rem; object-fit: contain; justify-self: start; }
  progress { inline-size: 100%; }
  p { margin: 0; overflow-wrap: anywhere; }
  .buttons { display: flex; flex-wrap: wrap; gap: 0.5rem; }
  [part~="thought"] { white-space: pre-wrap; }
  [part~="answer"] { font-size: 1.5em; font-weight: 600; }
  [part~="device"] { font-size: 0.875em; }
`);
