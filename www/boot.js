// Starts the page: the theme before anything is drawn, then the page's module, then what is needed to open
// it without a connection.

const root = document.documentElement;

function rememberedTheme() {
  try {
    return localStorage.getItem("fine-r1-theme");
  } catch {
    return null; // The browser keeps nothing.
  }
}

const theme = rememberedTheme();
if (theme === "dark" || theme === "light") {
  root.dataset.theme = theme;
}

async function start() {
  const page = await import("./fine_r1_www.js");
  await page.default({ module_or_path: new URL("./fine_r1_www_bg.wasm", import.meta.url) });
}

// The service worker's address carries the version, so that a new version is a new worker. An old page that
// nobody has touched yet makes way for the new one.
async function keepForOffline() {
  if (!("serviceWorker" in navigator)) return;
  const response = await fetch("./sw-files.json", { cache: "no-store" });
  if (!response.ok) return;
  const { version } = await response.json();
  const workers = navigator.serviceWorker;
  if (workers.controller) {
    workers.addEventListener("controllerchange", () => {
      const isUntouched = navigator.userActivation && !navigator.userActivation.hasBeenActive;
      if (isUntouched) location.reload();
    });
  }
  await workers.register(`./sw.js?version=${encodeURIComponent(version)}`, { updateViaCache: "none" });
}

start()
  .then(() => keepForOffline().catch(() => {}))
  .catch((error) => {
    console.error(error);
    document.getElementById("broken").hidden = false;
  });
