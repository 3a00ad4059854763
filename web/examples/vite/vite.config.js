import { defineConfig } from "vite";

export default defineConfig({
  // The built page works under any path.
  base: "./",
  // The worker fetches one of two engines when it knows the device: a split that only modules can have.
  worker: { format: "es" },
  // Pre-bundling would tear the package apart from its worker and its .wasm files.
  optimizeDeps: { exclude: ["fine-r1"] },
});
