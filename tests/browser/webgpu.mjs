// @ts-check
// The module on WebGPU gives the same answer text as on the processor. SwiftShader computes it here,
// which is slow: one photo.

import assert from "node:assert/strict";
import { withBlankPage } from "./browser.mjs";
import { assertFailure, mustLoad, mustRecognize, recognize } from "./recognizer.mjs";
import { examples, photoUrl } from "./settings.mjs";

export const limitSecs = 1800;

const LOST = /^the graphics device went away while it computed$/;

export const tests = {
  "the same answer as on the processor": async () => {
    const [{ file, candidates }] = examples;
    const options = { temperature: 0, candidates };
    await withBlankPage("software", async (page) => {
      await mustLoad(page, { device: "cpu" });
      const expected = await mustRecognize(page, photoUrl(file), options);
      const { info } = await mustLoad(page, { device: "webgpu" });
      assert.equal(info.device.kind, "webgpu");
      assert.equal(info.device.isSoftware, true, `${info.device.name} is a program`);
      const done = await mustRecognize(page, photoUrl(file), options);
      assert.equal(done.answer, expected.answer);
      assert.equal(done.wellFormed, expected.wellFormed);
    });
  },

  "a device that goes away": async () => {
    await withBlankPage("software", async (page, browser) => {
      await mustLoad(page, { device: "webgpu" });
      const photo = photoUrl(examples[0].file);
      const asked = recognize(page, photo);
      const session = await browser.newBrowserCDPSession();
      // The GPU process takes the session's answer with it.
      session.send("Browser.crashGpuProcess").catch(() => {});
      for (const failed of [await asked, await recognize(page, photo)]) {
        assertFailure(failed, "deviceLost", LOST);
        assert.match(failed.failure?.hint ?? "", /load the model again/);
      }
      await mustLoad(page, { device: "cpu" });
      await mustRecognize(page, photo, { maxNewTokens: 4 });
    });
  },
};
