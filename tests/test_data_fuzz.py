"""Whatever is done to a picture file, it loads or it is an ImageError: nothing else, ever."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from convscope.data import Limits, load_image
from convscope.errors import ImageError
from data_writers import chunk, encoded, exif, gif, photo, png, tiff

SMALL = photo(24, 16)


def animated(form: str) -> bytes:
    frames = [Image.fromarray(np.roll(SMALL, n, axis=0)) for n in range(3)]
    buffer = io.BytesIO()
    frames[0].save(buffer, form, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def cmyk_jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(SMALL).convert("CMYK").save(buffer, "JPEG")
    return buffer.getvalue()


SEEDS = {
    "JPEG": encoded("JPEG", SMALL, exif=b"Exif\0\0" + exif(6)),
    "progressive JPEG": encoded("JPEG", SMALL, progressive=True),
    "CMYK JPEG": cmyk_jpeg(),
    "PNG": encoded("PNG", SMALL, exif=b"Exif\0\0" + exif(3)),
    "palette PNG": png(
        (8, 2),
        [bytes(range(8))] * 2,
        colour=3,
        before=chunk(b"PLTE", bytes(range(24))) + chunk(b"tRNS", bytes(range(0, 80, 10))),
    ),
    "16-bit PNG": png((4, 2), [bytes(range(8))] * 2, depth=16, colour=0, before=chunk(b"tRNS", b"\0\1")),
    "4-bit PNG": png((4, 2), [b"\x12\x34"] * 2, depth=4, colour=0, before=chunk(b"tRNS", b"\0\1")),
    "animated PNG": animated("PNG"),
    "GIF": gif((5, 5), frames=2),
    "animated GIF": animated("GIF"),
    "WebP": encoded("WEBP", SMALL),
    "lossless WebP": encoded("WEBP", np.dstack([SMALL, SMALL[..., :1]]), lossless=True),
    "animated WebP": animated("WEBP"),
    "BMP": encoded("BMP", SMALL),
    "TIFF": encoded("TIFF", SMALL),
    "LZW TIFF": encoded("TIFF", SMALL, compression="tiff_lzw"),
    "deflated TIFF": encoded("TIFF", SMALL, compression="tiff_adobe_deflate"),
    "JPEG TIFF": encoded("TIFF", SMALL, compression="jpeg"),
    "fax TIFF": encoded("TIFF", SMALL[..., 0] > 90, compression="group4"),
    "16-bit TIFF": tiff((4, 4), bytes(range(32)), bits=[16], pages=2),
    "float TIFF": tiff((2, 2), np.linspace(0, 1, 4, dtype="<f4").tobytes(), bits=[32], sample_format=3),
    "LAB TIFF": tiff((2, 2), bytes(range(12)), bits=[8] * 3, photometric=8),
    "CMYK TIFF": tiff((2, 2), bytes(range(16)), bits=[8] * 4, photometric=5, more=[(0x0112, [6])]),
}

CODES = {
    "damaged",
    "empty",
    "not_an_image",
    "not_finite",
    "too_many_bytes",
    "too_many_pixels",
    "too_many_scans",
    "unsupported_depth",
}
LIMITS = Limits(pixels=1_000_000, file_bytes=100_000)

changes = st.lists(
    st.tuples(
        st.sampled_from(["flip", "set", "cut", "remove", "insert", "double"]),
        st.floats(0, 1, exclude_max=True),
        st.integers(0, 255),
        st.binary(max_size=6),
    ),
    min_size=1,
    max_size=6,
)


def changed(data: bytes, steps: list[tuple[str, float, int, bytes]]) -> bytes:
    out = bytearray(data)
    for kind, where, number, insertion in steps:
        if not out:
            break
        # Most of what a file says about itself stands near its beginning or its end.
        place = int(where**2 * len(out)) if number % 3 else len(out) - 1 - int(where**2 * len(out))
        if kind == "flip":
            out[place] ^= 1 << number % 8
        elif kind == "set":
            out[place] = number
        elif kind == "cut":
            del out[max(place, 12) :]
        elif kind == "remove":
            del out[place : place + 1 + number % 16]
        elif kind == "insert":
            out[place:place] = insertion
        else:
            out[place:place] = out[place : place + number]
    return bytes(out)


def loads_or_is_refused(data: bytes) -> None:
    try:
        picture = load_image(data, name="mutant", limits=LIMITS)
    except ImageError as error:
        refusal = error
    else:
        assert picture.pixels.dtype == np.uint8
        assert picture.pixels.shape == (picture.height, picture.width, 3)
        assert picture.pixels.size > 0
        return
    assert refusal.code in CODES
    assert refusal.message.startswith("`mutant` ")
    assert refusal.message.isprintable()


@pytest.mark.parametrize("seed", SEEDS)
def test_seed_itself_loads(seed: str) -> None:
    assert load_image(SEEDS[seed], limits=LIMITS).pixels.ndim == 3


@pytest.mark.parametrize("seed", SEEDS)
@settings(max_examples=60, deadline=None, database=None)
@given(steps=changes)
def test_changed_file_loads_or_is_refused(seed: str, steps: list[tuple[str, float, int, bytes]]) -> None:
    loads_or_is_refused(changed(SEEDS[seed], steps))


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_thousands_of_changed_files_load_or_are_refused(seed: str) -> None:
    rng = np.random.default_rng(len(seed))
    kinds = ["flip", "set", "cut", "remove", "insert", "double"]
    for _ in range(1500):
        steps = [
            (kinds[rng.integers(6)], float(rng.random()), int(rng.integers(256)), rng.bytes(4))
            for _ in range(rng.integers(1, 7))
        ]
        loads_or_is_refused(changed(SEEDS[seed], steps))


@settings(max_examples=200, deadline=None, database=None)
@given(
    st.sampled_from(
        [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0", b"MM\0+", b"BM", b"RIFF"]
    ),
    st.binary(max_size=200),
)
def test_any_bytes_load_or_are_refused(start: bytes, rest: bytes) -> None:
    loads_or_is_refused(start + rest)
