// @ts-check
// Turns whatever a page has of a photo into the bytes of an image file, which the engine decodes.

import { RecognizerError } from "./errors.js";
import { absoluteUrl } from "./options.js";

/**
 * The bytes of an image file.
 *
 * @param {any} source One of `ImageSource`.
 * @param {AbortSignal} [signal]
 * @returns {Promise<Uint8Array<ArrayBuffer>>} A copy, which can be given away.
 */
export async function imageBytes(source, signal) {
  if (ArrayBuffer.isView(source)) {
    return new Uint8Array(source.buffer, source.byteOffset, source.byteLength).slice();
  }
  switch (tagOf(source)) {
    case "ArrayBuffer":
      return new Uint8Array(source).slice();
    case "Blob":
    case "File":
      return blobBytes(source);
    case "String":
    case "URL":
      return fetchedBytes(absoluteUrl(source), signal);
    case "HTMLImageElement":
      await source.decode().catch((/** @type {unknown} */ cause) => {
        throw badImage("the image element has no picture", "give it a src that the browser can show", cause);
      });
      return drawnBytes(source, source.naturalWidth, source.naturalHeight);
    case "ImageBitmap":
    case "ImageData":
    case "HTMLCanvasElement":
    case "OffscreenCanvas":
      return drawnBytes(source, source.width, source.height);
    default:
      throw badImage(
        `an image cannot be made of a value of the type ${tagOf(source)}`,
        "give a File, Blob, URL, ImageBitmap, ImageData, image or canvas element, or an image file's bytes",
      );
  }
}

/**
 * What a value is; `instanceof` would miss objects of another frame.
 *
 * @param {unknown} value
 */
function tagOf(value) {
  return Object.prototype.toString.call(value).slice("[object ".length, -1);
}

/** @param {Blob} blob */
async function blobBytes(blob) {
  try {
    return new Uint8Array(await blob.arrayBuffer());
  } catch (cause) {
    throw badImage("the photo's file cannot be read", "choose the photo again", cause);
  }
}

/**
 * @param {string} url
 * @param {AbortSignal} [signal]
 */
async function fetchedBytes(url, signal) {
  try {
    const response = await fetch(url, { signal });
    if (response.ok) return new Uint8Array(await response.arrayBuffer());
    const message = `the server answered ${response.status} for the photo ${url}`;
    throw response.status < 500
      ? new RecognizerError({ code: "notFound", message, hint: "check the photo's address" })
      : new RecognizerError({ code: "network", message, hint: "try again later" });
  } catch (cause) {
    if (cause instanceof RecognizerError) throw cause;
    const message = `the photo ${url} cannot be fetched`;
    const hint = "check the connection, and that its server (CORS) and this page's connect-src (CSP) allow it";
    throw new RecognizerError({ code: "network", message, hint }, { cause });
  }
}

/**
 * Draws a picture and encodes it as PNG.
 *
 * @param {any} picture
 * @param {number} width
 * @param {number} height
 */
async function drawnBytes(picture, width, height) {
  if (!(width > 0 && height > 0)) {
    throw badImage("the picture is empty", "wait until it is loaded, and give it before it is closed");
  }
  try {
    const canvas = new OffscreenCanvas(width, height);
    const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d"));
    if (tagOf(picture) === "ImageData") context.putImageData(picture, 0, 0);
    else context.drawImage(picture, 0, 0);
    const blob = await canvas.convertToBlob({ type: "image/png" });
    return new Uint8Array(await blob.arrayBuffer());
  } catch (cause) {
    const hint = "give a smaller picture; one of another origin needs CORS (crossorigin) or goes by its URL";
    throw badImage("the browser does not give the picture's pixels away", hint, cause);
  }
}

/**
 * @param {string} message
 * @param {string} hint
 * @param {unknown} [cause]
 */
function badImage(message, hint, cause) {
  return new RecognizerError({ code: "badImage", message, hint }, { cause });
}
