// Keeps the files of the page, so that it opens without a connection. Models are not kept here: the module
// keeps them itself, in the browser's private file system.
//
// sw-files.json, written by the build, says what belongs to the page: {"version": "…", "files": ["index.html", …]}.
// The page's own files are kept at once; the module's, which are larger, once a model is loaded, and of its two
// engines the one that runs it.

const scope = self.registration.scope;
const version = new URL(self.location.href).searchParams.get("version");
const family = `fine-r1-page ${scope} `;
const cacheName = family + version;

const moduleFolder = "fine-r1/";
const engines = ["cpu", "webgpu"];
const modelFolder = "models/";
const listFile = "sw-files.json";

// The listed files, once they are known; until then every request may be for one of them.
let known = null;

const at = (path) => new URL(path, scope).href;

// The list of this version; it is fetched once and then kept with the files.
async function list() {
  const cache = await caches.open(cacheName);
  const kept = await cache.match(at(listFile));
  if (kept) return remembered((await kept.json()).files);
  const response = await fetch(at(listFile), { cache: "no-store" });
  if (!response.ok) throw new Error(`${listFile}: the server answers ${response.status}`);
  const copy = response.clone();
  const found = await response.json();
  if (found.version !== version) throw new Error(`${listFile} is of version ${found.version}, not ${version}`);
  await cache.put(at(listFile), copy);
  return remembered(found.files);
}

function remembered(files) {
  known = new Set(files);
  return files;
}

async function keep(wanted) {
  const cache = await caches.open(cacheName);
  const files = (await list()).filter((file) => !file.startsWith(modelFolder) && wanted(file));
  for (const file of files) {
    if (await cache.match(at(file))) continue;
    const response = await fetch(at(file), { cache: "no-cache" });
    if (!response.ok) throw new Error(`${file}: the server answers ${response.status}`);
    await cache.put(at(file), plain(response));
  }
}

// Browsers refuse to open a page from an answer that was redirected.
function plain(response) {
  return response.redirected ? new Response(response.body, { headers: response.headers }) : response;
}

async function forgetOlderVersions() {
  for (const name of await caches.keys()) {
    if (name.startsWith(family) && name !== cacheName) await caches.delete(name);
  }
}

async function answer(event, path) {
  const { request } = event;
  const cache = await caches.open(cacheName);
  const isPage = request.mode === "navigate";
  const kept = await cache.match(isPage ? at("index.html") : at(path));
  if (kept) return kept;
  // Past the browser's own cache, which may still hold files of an earlier version.
  const response = await fetch(isPage ? request : new Request(request, { cache: "no-cache" }));
  const files = await list().catch(() => []);
  if (response.status === 200 && !isPage && files.includes(path)) {
    // The page does not wait until it is kept.
    event.waitUntil(cache.put(at(path), plain(response.clone())));
  }
  return response;
}

self.addEventListener("install", (event) => {
  self.skipWaiting();
  event.waitUntil(keep((file) => !file.startsWith(moduleFolder)));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(forgetOlderVersions().then(() => self.clients.claim()));
});

self.addEventListener("message", (event) => {
  if (event.data?.type !== "keep") return;
  // A page that names no engine wants both.
  const { engine } = event.data;
  const others = engines.includes(engine) ? engines.filter((other) => other !== engine) : [];
  const isOther = (file) => others.some((other) => file.startsWith(`${moduleFolder}${other}/`));
  const told = keep((file) => !isOther(file)).then(() => event.source?.postMessage({ type: "kept" }));
  event.waitUntil(told.catch(() => {}));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || !request.url.startsWith(scope)) return;
  const path = request.url.slice(scope.length).split(/[?#]/)[0];
  const isPage = path === "" || path === "index.html";
  if (request.mode === "navigate" ? !isPage : known && !known.has(path)) return;
  if (path.startsWith(modelFolder) || path === listFile || path === "sw.js") return;
  event.respondWith(answer(event, path));
});
