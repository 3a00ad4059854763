// @ts-check
// What xtask tells these scripts, and the npm packages that it installed for them outside the checkout.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** @param {string} name */
function told(name) {
  const value = process.env[name];
  if (value) return value;
  throw new Error(`${name} is not set: run these scripts with \`cargo xtask test --browser [NAME…]\``);
}

/** The served site, with a slash at its end. */
export const url = told("FINE_R1_URL");
/** The program Chromium. */
export const chrome = told("CHROME");
/** The program trainer-native; only tests have it. */
export const native = process.env.FINE_R1_NATIVE ?? "";
/** Whether the build for WebGPU was left out. */
export const isCpuOnly = process.env.FINE_R1_CPU_ONLY === "1";

export const folders = {
  /** The npm package. */
  package: told("FINE_R1_PACKAGE"),
  /** The site as files. */
  site: told("FINE_R1_SITE"),
  /** Where npm packages are. */
  node: told("FINE_R1_NODE"),
  /** What tests write. */
  out: told("FINE_R1_OUT"),
  /** The checkout. */
  root: dirname(dirname(dirname(fileURLToPath(import.meta.url)))),
};

const require = createRequire(join(folders.node, "package.json"));

/** @type {import("playwright-core").BrowserType} */
export const chromium = require("playwright-core").chromium;

/** The script of axe-core, for a page. */
export const axe = () => `${readFileSync(require.resolve("axe-core/axe.min.js"), "utf8")}; undefined`;

/** An installed package's folder. @param {string} name */
export const packageFolder = (name) => join(folders.node, "node_modules", name);

/**
 * The example photos of the page.
 *
 * @type {{ file: string, label: string, candidates: string[] }[]}
 */
export const examples = JSON.parse(readFileSync(join(folders.site, "examples/examples.json"), "utf8"));

/** A file of the site, for an input or the native program. @param {string} file */
export const photoFile = (file) => join(folders.site, "examples", file);

/** The same as an address. @param {string} file */
export const photoUrl = (file) => `${url}examples/${file}`;

/** The embedded model's folder. */
export const modelUrl = `${url}models/nano/`;
