// @ts-check
// A site that a test lays out itself: the module, an empty page, and models of the test's own making.

import { createHash } from "node:crypto";
import { cp, mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { withBrowser } from "./browser.mjs";
import { withFolder } from "./folder-server.mjs";
import { folders } from "./settings.mjs";

/** @typedef {import("playwright-core").Page} Page */
/** @typedef {{ path: string, bytes: number, sha256: string }} ListedFile */

/**
 * @typedef {object} Stage
 * @property {Page} page An empty page of the site.
 * @property {string} module The module's address, for `load`.
 * @property {(name: string) => string} model The address of a model's folder.
 * @property {() => string[]} missed Paths that were asked for and are not there.
 */

const PACKAGE = "fine-r1";
const BLANK = '<!doctype html><html lang="en"><title>blank</title></html>';

/**
 * Serves such a site for as long as `use` runs.
 *
 * @template T
 * @param {string} name Of its folder among what tests write.
 * @param {object} wishes
 * @param {(models: string) => Promise<void>} wishes.fill Writes the models into a folder.
 * @param {string} [wishes.prelude] What the worker runs before anything else.
 * @param {(stage: Stage) => Promise<T>} use
 * @returns {Promise<T>}
 */
export async function withStage(name, { fill, prelude }, use) {
  const folder = join(folders.out, name);
  await rm(folder, { recursive: true, force: true });
  await mkdir(join(folder, "models"), { recursive: true });
  await writeFile(join(folder, "blank.html"), BLANK);
  await (prelude === undefined ? linkPackage(folder) : copyPackage(folder, prelude));
  await fill(join(folder, "models"));
  return withFolder(folder, "/", (served, missed) =>
    withBrowser("plain", async (browser) => {
      const page = await (await browser.newContext()).newPage();
      await page.goto(`${served}blank.html`);
      return use({
        page,
        module: `${served}${PACKAGE}/index.js`,
        model: (name) => `${served}models/${name}/`,
        missed: () => missed.filter((path) => !path.endsWith("/favicon.ico")),
      });
    }),
  );
}

/** @param {string} folder */
function linkPackage(folder) {
  return symlink(folders.package, join(folder, PACKAGE), "junction");
}

/** @param {string} folder @param {string} prelude */
async function copyPackage(folder, prelude) {
  const copy = join(folder, PACKAGE);
  await cp(folders.package, copy, { recursive: true, filter: (file) => !/[/\\]webgpu$/.test(file) });
  const worker = join(copy, "worker.js");
  await writeFile(worker, `${prelude}\n${await readFile(worker, "utf8")}`);
}

/**
 * Writes a model's folder with its manifest.
 *
 * @param {string} folder
 * @param {Record<string, string | Uint8Array>} files
 * @param {ListedFile[]} [absent] Listed in the manifest, and not there.
 */
export async function writeModel(folder, files, absent = []) {
  await mkdir(folder, { recursive: true });
  /** @type {ListedFile[]} */
  const listed = [];
  for (const [path, content] of Object.entries(files)) {
    const bytes = Buffer.from(content);
    await writeFile(join(folder, path), bytes);
    listed.push({ path, bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") });
  }
  await writeFile(join(folder, "manifest.json"), JSON.stringify({ name: "staged", files: [...listed, ...absent] }));
}
