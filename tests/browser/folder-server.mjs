// @ts-check
// A file server that knows nothing of this project, as a stranger would use one.

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

/** @type {Record<string, string>} */
const KINDS = {
  ".css": "text/css",
  ".html": "text/html",
  ".jpg": "image/jpeg",
  ".js": "text/javascript",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};

/**
 * Serves a folder below a path for as long as `use` runs.
 *
 * @template T
 * @param {string} folder
 * @param {string} path Begins and ends with a slash.
 * @param {(url: string, missed: string[]) => Promise<T>} use `missed` lists what was asked for and is not there.
 * @returns {Promise<T>}
 */
export async function withFolder(folder, path, use) {
  /** @type {string[]} */
  const missed = [];
  const server = createServer(async (request, response) => {
    const asked = decodeURIComponent(new URL(request.url ?? "/", "http://host").pathname);
    const inside = asked.startsWith(path) ? normalize(asked.slice(path.length) || "index.html") : "..";
    const file = join(folder, inside.endsWith("/") ? `${inside}index.html` : inside);
    const facts = inside.startsWith("..") ? null : await stat(file).catch(() => null);
    if (!facts?.isFile()) {
      missed.push(asked);
      response.writeHead(404).end();
      return;
    }
    const kind = KINDS[extname(file)] ?? "application/octet-stream";
    response.writeHead(200, { "Content-Type": kind, "Content-Length": facts.size });
    createReadStream(file).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const address = /** @type {import("node:net").AddressInfo} */ (server.address());
  try {
    return await use(`http://127.0.0.1:${address.port}${path}`, missed);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}
