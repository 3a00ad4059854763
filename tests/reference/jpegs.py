"""Small JPEGs of every kind that the decoder reads, written with Pillow and then changed segment by segment.

Pillow writes baseline and progressive files in 4:4:4, 4:2:2 and 4:2:0. Other samplings come of other factors
in the frame's header over the same number of blocks: the picture is scrambled, which no decoder minds.
"""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

SOF, DHT, EOI, SOS, DQT, APP0, APP14 = 0xC0, 0xC4, 0xD9, 0xDA, 0xDB, 0xE0, 0xEE


def segments(data: bytes) -> list[tuple[int, bytes]]:
    """Markers with their bodies; that of a scan takes its coded bytes along."""
    found, at = [], 2
    while data[at + 1] != EOI:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] == SOS:
            while data[end] != 0xFF or data[end + 1] == 0 or 0xD0 <= data[end + 1] <= 0xD7:
                end += 1
        found.append((data[at + 1], data[at + 4 : end]))
        at = end
    return found


def join(parts: list[tuple[int, bytes]]) -> bytes:
    """The file again."""
    pieces = [b"\xff\xd8"]
    for marker, body in parts:
        length = 2 + (2 * body[0] + 4 if marker == SOS else len(body))
        pieces.append(bytes([0xFF, marker]) + length.to_bytes(2, "big") + body)
    return b"".join(pieces) + b"\xff\xd9"


def change(data: bytes, marker: int, edit: Callable[[bytearray], bytes | bytearray]) -> bytes:
    """Edits the body of every segment of a kind."""
    return join([(kind, bytes(edit(bytearray(body))) if kind == marker else body) for kind, body in segments(data)])


def without(data: bytes, marker: int) -> bytes:
    """Leaves out every segment of a kind."""
    return join([part for part in segments(data) if part[0] != marker])


def with_frame(data: bytes, width: int, height: int, factors: list[int]) -> bytes:
    """Another size and other sampling factors, one byte a component."""

    def edit(body: bytearray) -> bytearray:
        body[1:5] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
        for component, factor in enumerate(factors):
            body[7 + 3 * component] = factor
        return body

    return change(data, SOF, edit)


def with_sixteen_bit_steps(body: bytearray) -> bytes:
    """A quantisation table in two bytes a step."""
    return bytes([body[0] | 0x10]) + b"".join(bytes([0, step]) for step in body[1:])


def with_transform(transform: int) -> Callable[[bytearray], bytearray]:
    """Adobe's segment with another transform of colours."""

    def edit(body: bytearray) -> bytearray:
        body[11] = transform
        return body

    return edit


def make_jpegs(folder: Path, scene: Callable[..., Image.Image]) -> None:
    """Writes `jpeg_*.jpg`; a scene is made of width, height, seed and noise."""

    def encode(image: Image.Image, **options: object) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", **{"quality": 85, **options})
        return buffer.getvalue()

    def save(name: str, data: bytes) -> None:
        (folder / f"jpeg_{name}.jpg").write_bytes(data)

    odd, inks = scene(37, 27, 40), scene(29, 23, 41).convert("CMYK")
    inks = Image.fromarray(np.dstack([np.asarray(inks)[..., :3], np.asarray(scene(29, 23, 42).convert("L"))]), "CMYK")
    save("444_odd", encode(odd, subsampling=0, quality=100))
    save("422_odd", encode(odd, subsampling=1))
    save("420_odd", encode(odd, subsampling=2))
    save("420_coarse", encode(odd, subsampling=2, quality=4))
    save("420_of_one_pixel", encode(scene(1, 1, 43), subsampling=2))
    save("420_of_four_columns", encode(scene(4, 19, 44), subsampling=2))
    save("420_of_five_columns", encode(scene(5, 19, 44), subsampling=2))
    save("422_of_three_columns", encode(scene(3, 18, 45), subsampling=1))
    save("440", with_frame(encode(scene(40, 30, 46), subsampling=1), 30, 40, [0x12, 0x11, 0x11]))
    save("411", with_frame(encode(scene(45, 45, 47), subsampling=2), 93, 21, [0x41, 0x11, 0x11]))
    save("quarter_down", with_frame(encode(scene(45, 45, 47), subsampling=2), 23, 91, [0x14, 0x11, 0x11]))
    save("grey_with_factors", with_frame(encode(scene(40, 30, 48).convert("L")), 40, 30, [0x22]))
    save("progressive_420", encode(odd, subsampling=2, progressive=True))
    save("progressive_422_restarts", encode(odd, subsampling=1, progressive=True, restart_marker_blocks=2))
    save("restarts", encode(odd, subsampling=2, restart_marker_blocks=1))
    save("restarts_of_rows", encode(scene(50, 40, 49), subsampling=0, restart_marker_rows=2))
    save("optimised", encode(odd, subsampling=2, optimize=True))

    # Without its last scans a progressive file is coarse, and what is missing is guessed.
    parts = segments(encode(scene(61, 45, 50, noise=3), subsampling=2, progressive=True))
    scans = [at for at, (marker, _) in enumerate(parts) if marker == SOS]
    save("progressive_first_scan", join(parts[: scans[0] + 1]))
    save("progressive_three_scans", join(parts[: scans[2] + 1]))
    save("progressive_without_last_scan", join(parts[: scans[-1]]))
    # The last scan breaks off: above that line it counts, below it does not.
    marker, body = parts[scans[-1]]
    save("progressive_broken_off", join([*parts[: scans[-1]], (marker, body[: len(body) // 2])]))

    baseline = encode(odd, subsampling=2)
    save("without_huffman_tables", without(baseline, DHT))
    save("steps_of_sixteen_bits", change(baseline, DQT, with_sixteen_bit_steps))
    save("without_jfif", without(baseline, APP0))
    save("extra_bytes", baseline + b"and more")
    save("garbage_between_segments", baseline[:20] + b"\x00\x01garbage" + baseline[20:])
    # Half of its rows, then an end: the rest is grey.
    scan = baseline.index(b"\xff\xda")
    save("cut_and_ended", baseline[: (scan + len(baseline)) // 2] + b"\xff\xd9")
    rgb = encode(odd, keep_rgb=True)
    save("rgb_by_adobe", rgb)
    save("rgb_by_names", without(rgb, APP14))
    save("cmyk_420", encode(inks, subsampling=2))
    save("cmyk_without_adobe", without(encode(inks, subsampling=0), APP14))
    save("ycck", change(encode(inks, subsampling=0), APP14, with_transform(2)))
    save("ycck_420_progressive", change(encode(inks, subsampling=2, progressive=True), APP14, with_transform(2)))
