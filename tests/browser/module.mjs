// @ts-check
// The module in the hands of strangers: in a plain page, as an element, behind a bundler, again and
// again.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cp, mkdir, readFile, readdir, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { blankPage, withBlankPage, withBrowser } from "./browser.mjs";
import { withFolder } from "./folder-server.mjs";
import { mustLoad, mustRecognize } from "./recognizer.mjs";
import { examples, folders, isCpuOnly, modelUrl, packageFolder, photoFile, photoUrl, url } from "./settings.mjs";

/** @typedef {import("playwright-core").Page} Page */

const NPM = process.platform === "win32" ? "npm.cmd" : "npm";
const PATIENCE_MS = 120_000;
/** Loads before the first measurement: caches and compiled code are filled by then. */
const WARM_ROUNDS = 4;
const ROUNDS = 20;
/** A worker that stays keeps at least the 1.38 million weights in f32, 5.5 MB: 16 of them would be twice this. */
const MOST_GROWTH_BYTES = 44e6;

export const limitSecs = 600;

/** What the module answers about a photo without any option. */
async function expectedAnswer() {
  return withBlankPage("plain", async (page) => {
    await mustLoad(page, { device: "auto" });
    const { answer } = await mustRecognize(page, photoUrl(examples[0].file));
    assert.ok(answer, "there is an answer to wait for");
    return answer;
  });
}

/**
 * Chooses a photo in an example page and waits for its answer.
 *
 * @param {Page} page
 * @param {string} expected
 */
async function assertAnswers(page, expected) {
  await page.locator('input[type="file"]').setInputFiles(photoFile(examples[0].file));
  const button = page.getByRole("button", { name: "Recognize", exact: true });
  if (await button.count()) await button.click();
  const answer = page.getByRole("region", { name: "Answer", exact: true });
  const end = Date.now() + PATIENCE_MS;
  for (let text = ""; !text.includes(expected); text = (await answer.innerText()).trim()) {
    if (Date.now() > end) {
      const status = await page.getByRole("status").first().innerText();
      throw new Error(`the answer stays "${text}", wanted "${expected}"; the status is "${status}"`);
    }
    await setTimeout(100);
  }
}

/** The examples as their pages expect them: package and model one folder up. */
async function layOutExamples() {
  const stage = join(folders.out, "examples");
  await rm(stage, { recursive: true, force: true });
  await cp(join(folders.root, "web/examples"), join(stage, "examples"), { recursive: true });
  await cp(folders.package, join(stage, "fine-r1"), { recursive: true });
  await cp(join(folders.site, "models"), join(stage, "models"), { recursive: true });
  return stage;
}

/** `npm pack` and unpack, as an installation would do it. @param {string} into */
async function installPackage(into) {
  const packs = join(folders.out, "pack");
  await rm(packs, { recursive: true, force: true });
  await mkdir(packs, { recursive: true });
  execFileSync(NPM, ["pack", folders.package, "--pack-destination", packs, "--silent"], { stdio: "pipe" });
  const [archive, ...others] = await readdir(packs);
  assert.deepEqual(others, [], "one archive");
  await mkdir(into, { recursive: true });
  execFileSync("tar", ["-xzf", join(packs, archive), "-C", into, "--strip-components=1"]);
}

/** @param {string} folder */
const readPackage = async (folder) => JSON.parse(await readFile(join(folder, "package.json"), "utf8"));

/** Builds the example with Vite and gives the folder of the result. */
async function buildWithVite() {
  const project = join(folders.out, "vite");
  await rm(project, { recursive: true, force: true });
  await cp(join(folders.root, "web/examples/vite"), project, {
    recursive: true,
    filter: (file) => !/[/\\](node_modules|dist|public|fine-r1-package)$/.test(file),
  });
  await installPackage(join(project, "node_modules/fine-r1"));
  await symlink(packageFolder("vite"), join(project, "node_modules/vite"), "junction");
  await cp(join(folders.site, "models"), join(project, "public/models"), { recursive: true });
  const [wanted, built] = await Promise.all([project, packageFolder("vite")].map(readPackage));
  assert.equal(wanted.devDependencies.vite, `^${built.version}`, "the example names the Vite that builds it here");
  const vite = join(packageFolder("vite"), "bin/vite.js");
  execFileSync(process.execPath, [vite, "build", "--logLevel", "warn"], { cwd: project, stdio: "pipe" });
  return join(project, "dist");
}

/** Memory of all renderers, workers included. @param {import("playwright-core").CDPSession} session */
async function renderersBytes(session) {
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  const ids = processInfo.filter(({ type }) => type === "renderer").map(({ id }) => id);
  const kilobytes = execFileSync("ps", ["-o", "rss=", "-p", ids.join(",")], { encoding: "utf8" });
  return kilobytes.split("\n").reduce((sum, line) => sum + Number(line) * 1024, 0);
}

export const tests = {
  "the package has what npm needs": async () => {
    const installed = join(folders.out, "installed");
    await rm(installed, { recursive: true, force: true });
    await installPackage(installed);
    const files = await readdir(installed);
    for (const file of ["LICENSE", "README.md", "package.json", "index.js", "index.d.ts", "element.js", "worker.js"]) {
      assert.ok(files.includes(file), `${file} is in the package`);
    }
    for (const kind of isCpuOnly ? ["cpu"] : ["cpu", "webgpu"]) {
      const built = await readdir(join(installed, kind));
      assert.ok(built.includes("fine_r1_web.js") && built.includes("fine_r1_web_bg.wasm"), kind);
    }
  },

  "the module and the element in plain pages": async () => {
    const expected = await expectedAnswer();
    await withFolder(await layOutExamples(), "/", (served, missed) =>
      withBrowser("plain", async (browser) => {
        for (const example of ["module.html", "element.html"]) {
          const page = await browser.newPage();
          await page.goto(`${served}examples/${example}`);
          await assertAnswers(page, expected);
          await page.close();
        }
        assert.deepEqual(missed.filter((path) => !path.endsWith("/favicon.ico")), []);
      }),
    );
  },

  "the module behind Vite, below a path": async () => {
    const expected = await expectedAnswer();
    await withFolder(await buildWithVite(), "/below/", (served, missed) =>
      withBrowser("plain", async (browser) => {
        const page = await browser.newPage();
        await page.goto(served);
        await assertAnswers(page, expected);
        assert.deepEqual(missed.filter((path) => !path.endsWith("/favicon.ico")), []);
      }),
    );
  },

  "a photo as bytes, blob, bitmap and address": async () => {
    await withBlankPage("plain", async (page) => {
      await mustLoad(page);
      const answers = await page.evaluate(async (photo) => {
        const blob = await (await fetch(photo)).blob();
        const sources = [photo, new URL(photo), blob, await blob.arrayBuffer(), await createImageBitmap(blob)];
        const found = [];
        for (const source of sources) {
          const { recognizer } = /** @type {any} */ (globalThis);
          for await (const event of recognizer.recognize(source, { temperature: 0 })) {
            if (event.type === "done") found.push(event.usage.promptTokens > 0 && event.answer);
          }
        }
        return found;
      }, photoUrl(examples[0].file));
      assert.equal(answers.length, 5);
      // The bitmap went through the browser's own decoder: its pixels may differ a little.
      assert.ok(answers.slice(1, 4).every((answer) => answer === answers[0]), answers.join(", "));
    });
  },

  "stored models are listed and deleted": async () => {
    await withBlankPage("plain", async (page) => {
      const { info } = await mustLoad(page);
      const [listed, left] = await page.evaluate(
        async ({ module, modelUrl }) => {
          const { listStored, deleteStored } = await import(module);
          /** @type {any} */ (globalThis).recognizer.dispose();
          return [await listStored(), await deleteStored(modelUrl)];
        },
        { module: `${url}fine-r1/index.js`, modelUrl },
      );
      assert.equal(listed.length, 1);
      assert.deepEqual(
        [listed[0].name, listed[0].baseUrl, listed[0].bytes, listed[0].total],
        [info.name, modelUrl, info.bytes, info.bytes],
      );
      assert.deepEqual(left, []);
    });
  },

  [`${ROUNDS} times load and dispose leak nothing`]: async () => {
    await withBrowser("plain", async (browser) => {
      const page = await blankPage(await browser.newContext());
      const [session, tab] = [await browser.newBrowserCDPSession(), await page.context().newCDPSession(page)];
      const bytes = [];
      for (let round = 1; round <= ROUNDS; round += 1) {
        await mustLoad(page);
        await mustRecognize(page, photoUrl(examples[0].file), { maxNewTokens: 8 });
        await page.evaluate(() => /** @type {any} */ (globalThis).recognizer.dispose());
        await tab.send("HeapProfiler.collectGarbage");
        await setTimeout(500);
        bytes.push(await renderersBytes(session));
      }
      assert.equal(page.workers().length, 0, "workers that are left");
      const growth = bytes[ROUNDS - 1] - bytes[WARM_ROUNDS - 1];
      console.log(`     memory in MB: ${bytes.map((count) => Math.round(count / 1e6)).join(" ")}`);
      assert.ok(growth <= MOST_GROWTH_BYTES, `${Math.round(growth / 1e6)} MB more after ${ROUNDS} rounds`);
    });
  },
};
