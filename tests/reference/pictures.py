"""Small synthetic pictures in every format that the project reads, and the decoding rule that it follows.

The rule, done here with Pillow step by step: the first frame; EXIF orientation applied; 16 bits a channel
reduced to the high byte; transparency laid over white; grey, palette and CMYK to RGB.
"""

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from jpegs import make_jpegs

ORIENTATION_TAG = 0x0112


def scene(width: int, height: int, seed: int, noise: int = 12) -> Image.Image:
    """A gradient with three shapes and some noise: nothing in it is symmetric."""
    rng = np.random.default_rng(seed)
    column, row = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    base = np.stack([255 * column, 255 * row, 255 * (1 - column) * (0.3 + 0.7 * row)], axis=-1)
    image = Image.fromarray(base.astype(np.uint8), "RGB")
    draw = ImageDraw.Draw(image)
    colours = [tuple(int(value) for value in rng.integers(0, 256, 3)) for _ in range(3)]
    draw.ellipse([width * 0.1, height * 0.15, width * 0.45, height * 0.6], fill=colours[0])
    draw.rectangle([width * 0.55, height * 0.5, width * 0.9, height * 0.8], fill=colours[1])
    draw.polygon([(width * 0.5, 0), (width * 0.95, height * 0.1), (width * 0.6, height * 0.45)], fill=colours[2])
    pixels = np.asarray(image, dtype=np.int16)
    pixels = pixels + rng.integers(-noise, noise + 1, pixels.shape) if noise else pixels
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8), "RGB")


def alpha_ramp(width: int, height: int) -> Image.Image:
    """Opaque at the left, clear at the right, every value between."""
    ramp = np.tile(np.linspace(255, 0, width).round().astype(np.uint8), (height, 1))
    return Image.fromarray(ramp, "L")


def write_png_rgb16(path: Path, samples: np.ndarray) -> None:
    """A PNG of 16-bit RGB samples [height, width, 3], which Pillow reads but cannot write."""
    height, width, _ = samples.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    )


def make_pictures(folder: Path) -> None:
    """Writes every picture."""
    folder.mkdir(parents=True, exist_ok=True)
    make_png(folder)
    make_jpeg(folder)
    make_jpegs(folder, scene)
    make_other_formats(folder)


def make_png(folder: Path) -> None:
    scene(97, 61, 1).save(folder / "rgb.png")
    scene(30, 200, 2).save(folder / "tall.png")
    scene(280, 140, 3, noise=3).save(folder / "wide.png")
    scene(12, 9, 4).save(folder / "tiny.png")
    scene(140, 140, 5, noise=4).save(folder / "square.png")

    transparent = scene(64, 48, 6)
    transparent.putalpha(alpha_ramp(64, 48))
    transparent.save(folder / "rgba.png")
    grey_alpha = scene(31, 29, 7).convert("L")
    grey_alpha.putalpha(alpha_ramp(31, 29))
    grey_alpha.save(folder / "grey_alpha.png")

    scene(45, 33, 8).convert("L").save(folder / "grey.png")
    rng = np.random.default_rng(9)
    high = np.asarray(scene(50, 40, 9).convert("L"), dtype=np.uint16) << 8
    low = rng.integers(0, 256, high.shape, dtype=np.uint16)
    Image.fromarray(high | low).save(folder / "grey16.png")
    high = np.asarray(scene(26, 22, 10), dtype=np.uint16) << 8
    low = rng.integers(0, 256, high.shape, dtype=np.uint16)
    write_png_rgb16(folder / "rgb16.png", high | low)

    palette = scene(60, 44, 11, noise=0).quantize(32, dither=Image.Dither.NONE)
    palette.save(folder / "palette.png")
    palette.save(folder / "palette_transparent.png", transparency=bytes([0, 64, 128, 200]) + bytes([255] * 28))


def make_jpeg(folder: Path) -> None:
    """The JPEGs that other cases ask about; `jpegs.py` makes the strange ones."""
    whole = {"quality": 90, "subsampling": 0}
    scene(80, 56, 20, noise=6).save(folder / "baseline.jpg", **whole)
    scene(80, 56, 21, noise=0).save(folder / "subsampled.jpg", quality=90, subsampling=2)
    scene(75, 51, 22, noise=6).save(folder / "progressive.jpg", progressive=True, **whole)
    scene(40, 36, 23, noise=6).convert("L").save(folder / "grey.jpg", quality=90)
    scene(48, 40, 24, noise=0).convert("CMYK").save(folder / "cmyk.jpg", **whole)
    for orientation in (2, 3, 6, 8):
        exif = Image.Exif()
        exif[ORIENTATION_TAG] = orientation
        scene(61, 40, 25, noise=6).save(folder / f"orientation_{orientation}.jpg", exif=exif, **whole)


def make_other_formats(folder: Path) -> None:
    scene(57, 43, 30).save(folder / "lossless.webp", lossless=True)
    scene(57, 43, 31, noise=4).save(folder / "lossy.webp", quality=85)
    transparent = scene(37, 23, 32)
    transparent.putalpha(alpha_ramp(37, 23))
    transparent.save(folder / "alpha.webp", lossless=True)
    scene(33, 27, 33).save(folder / "picture.bmp")
    first = scene(40, 30, 34, noise=0).quantize(64, dither=Image.Dither.NONE)
    second = scene(40, 30, 35, noise=0).quantize(64, dither=Image.Dither.NONE)
    first.save(folder / "two_frames.gif", save_all=True, append_images=[second], duration=100, loop=0)


def decode(path: Path) -> Image.Image:
    """The picture as RGB by this project's rule."""
    with Image.open(path) as image:
        image.seek(0)
        image.load()
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I"):
            image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8), "L")
        if image.has_transparency_data:
            image = image.convert("RGBA")
            white = Image.new("RGBA", image.size, (255, 255, 255, 255))
            image = Image.alpha_composite(white, image)
        return image.convert("RGB")
