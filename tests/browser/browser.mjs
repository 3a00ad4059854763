// @ts-check
// Chromium, with and without WebGPU.

import { chrome, chromium, url } from "./settings.mjs";

/** @typedef {import("playwright-core").Browser} Browser */
/** @typedef {import("playwright-core").BrowserContext} Context */
/** @typedef {import("playwright-core").Page} Page */

const QUIET = [
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-quic",
  "--disable-sync",
  "--no-first-run",
];

/** Flags by what a browser shall have. */
const FLAGS = {
  /** WebGPU's API and no adapter. */
  plain: [],
  /** WebGPU computed by SwiftShader; a crash of it does not lock the page out. */
  software: [
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
    "--disable-domain-blocking-for-3d-apis",
    "--disable-gpu-process-crash-limit",
  ],
  /** A camera that shows moving pictures, and that every page may use. */
  camera: ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"],
  /** A name that is neither https nor localhost leads here. */
  insecure: ["--host-resolver-rules=MAP plain.test 127.0.0.1"],
};

/**
 * Opens a browser for as long as `use` runs.
 *
 * @template T
 * @param {keyof typeof FLAGS} kind
 * @param {(browser: Browser) => Promise<T>} use
 * @returns {Promise<T>}
 */
export async function withBrowser(kind, use) {
  const browser = await chromium.launch({ executablePath: chrome, args: [...QUIET, ...FLAGS[kind]] });
  try {
    return await use(browser);
  } finally {
    await browser.close();
  }
}

/**
 * Opens a browser with an empty page of the site's origin, and storage that is empty.
 *
 * @template T
 * @param {keyof typeof FLAGS} kind
 * @param {(page: Page, browser: Browser) => Promise<T>} use
 * @returns {Promise<T>}
 */
export function withBlankPage(kind, use) {
  return withBrowser(kind, async (browser) => use(await blankPage(await browser.newContext()), browser));
}

/**
 * An empty page of the site's origin.
 *
 * @param {Context} context
 */
export async function blankPage(context) {
  const page = await context.newPage();
  await page.goto(`${url}faults/blank`);
  return page;
}

/**
 * What the server noted since it started.
 *
 * @returns {Promise<{ requests: { method: string, path: string, range: string | null, status: number }[], reports: object[] }>}
 */
export async function serverLog() {
  return (await fetch(`${url}faults/log`)).json();
}
