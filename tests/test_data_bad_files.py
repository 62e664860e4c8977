"""Every kind of bad picture file is refused with its code and one sentence, soon and cheaply."""

from __future__ import annotations

import io
import struct
import time
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageFile

from convscope.data import Limits, load_image
from convscope.data.kinds import WEBP
from convscope.data.outline import outline
from convscope.errors import ImageError
from data_writers import (
    bmp,
    chunk,
    encoded,
    gif,
    photo,
    png,
    png_bomb,
    tiff,
    with_scans,
    with_size,
)


def cut(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)]


def flipped_png() -> bytes:
    data = bytearray(encoded("PNG"))
    data[data.index(b"IDAT") + 40] ^= 0xFF
    return bytes(data)


def floats(bad: float) -> bytes:
    values = np.full((4, 4), 0.5, "<f4")
    values[1, 2] = bad
    return tiff((4, 4), values.tobytes(), bits=[32], sample_format=3)


def bomb(kind: bytes, head: bytes) -> bytes:
    body = head + zlib.compress(bytes(20_000_000), 9)
    return png((1, 1), [b"\1\2\3"], before=chunk(kind, body))


def many_strips(count: int) -> bytes:
    """Grey TIFF of 8 x 2000 pixels, all strips of one row at the same place."""
    place = struct.pack("<I", 8) * count
    tags = [(256, 1, 8), (257, 1, 2000), (258, 1, 8), (259, 1, 1), (262, 1, 1), (273, count, 8)]
    tags += [(277, 1, 1), (278, 1, 1), (279, 1, 8)]
    entries = b"".join(struct.pack("<HHII", tag, 4, number, value) for tag, number, value in tags)
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(place)) + place + directory


SVG = b"<?xml version='1.0'?>\n<!-- drawn by hand -->\n<svg xmlns='http://www.w3.org/2000/svg'/>"
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64)

CASES: dict[str, tuple[Callable[[], bytes], str, str]] = {
    **{
        f"{form} cut at {share:.0%}": (
            lambda f=form, s=share: cut(encoded(f), s),
            "damaged",
            "damaged or incomplete",
        )
        for form in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")
        for share in (0.5, 0.9)
    },
    "JPEG cut in its header": (lambda: encoded("JPEG")[:100], "damaged", "Truncated File Read"),
    "large JPEG cut at 10%": (lambda: cut(encoded("JPEG", photo(600, 400)), 0.1), "damaged", "incomplete"),
    "JPEG without its last 2 bytes": (lambda: encoded("JPEG")[:-2], "damaged", "incomplete"),
    "PNG with one byte flipped": (flipped_png, "damaged", "damaged or incomplete"),
    "no bytes": (lambda: b"", "empty", "0 bytes"),
    "one byte": (lambda: b"\xff", "not_an_image", "JPEG, PNG, WebP"),
    "random bytes": (lambda: np.random.default_rng(1).bytes(2000), "not_an_image", "JPEG, PNG, WebP"),
    "a web page": (lambda: b"\n<!DOCTYPE html><html><body>404</body></html>", "not_an_image", "a web page"),
    "PNG bomb 50000 x 50000": (lambda: png_bomb(50_000, 50_000), "too_many_pixels", "2,500 million"),
    "PNG header 50000 x 50000": (
        lambda: png((50_000, 50_000), b"", colour=0)[:69],
        "too_many_pixels",
        "2,500 million",
    ),
    "PNG 13000 x 13000": (lambda: png((13_000, 13_000), b""), "too_many_pixels", "169 million"),
    "PNG 9400 x 9400": (lambda: png((9400, 9400), b""), "too_many_pixels", "9400 x 9400 pixels"),
    "TIFF 9400 x 9400, deflated": (
        lambda: tiff((9400, 9400), zlib.compress(bytes(1000)), bits=[8] * 3, photometric=2, compression=8),
        "too_many_pixels",
        "9400 x 9400 pixels",
    ),
    "JPEG claiming 9000 x 9000": (
        lambda: with_size(encoded("JPEG", photo(8, 8)), 9000, 9000),
        "too_many_pixels",
        "9000 x 9000",
    ),
    "GIF canvas 9000 x 9000": (lambda: gif((9000, 9000)), "too_many_pixels", "9000 x 9000"),
    "JPEG of 1000 scans, 8000 x 8000": (
        lambda: with_scans(8000, 8000, 1000),
        "too_many_pixels",
        "8000 x 8000 pixels, 64 million",
    ),
    "JPEG of 1000 scans, 1000 x 1000": (
        lambda: with_scans(1000, 1000, 1000),
        "too_many_scans",
        r"1010 scans of 1000 x 1000 pixels, but at most 800 are read",
    ),
    "zTXt bomb": (lambda: bomb(b"zTXt", b"Comment\0\0"), "damaged", "Decompressed data too large"),
    "iCCP bomb": (lambda: bomb(b"iCCP", b"icc\0\0"), "damaged", "Decompressed data too large"),
    "PNG of 100,001 chunks": (
        lambda: png((1, 1), [b"\1\2\3"], before=chunk(b"tEXt", b"a\0b") * 100_001),
        "damaged",
        "so many small pieces",
    ),
    "JPEG of a million comments": (
        lambda: b"\xff\xd8" + b"\xff\xfe\0\2" * 1_000_000 + encoded("JPEG")[2:],
        "damaged",
        "so many small pieces",
    ),
    "TIFF of a million strips, no comments": (
        lambda: many_strips(1_000_000),
        "damaged",
        "so many small pieces",
    ),
    "JPEG of many EXIF comments": (
        lambda: b"\xff\xd8" + b"\xff\xe1\0\x0cExif\0\0hey!" * 1000 + encoded("JPEG")[2:],
        "damaged",
        "so many small pieces",
    ),
    "JPEG with comments of 0xff": (
        lambda: b"\xff\xd8" + b"\xff" * 1_000_000 + encoded("JPEG")[2:],
        "damaged",
        "so many small pieces",
    ),
    "JPEG with comments of restarts": (
        lambda: b"\xff\xd8" + b"\xff\xd0" * 500_000 + encoded("JPEG")[2:],
        "damaged",
        "so many small pieces",
    ),
    "GIF of a million empty comments": (
        lambda: gif((1, 1))[:19] + b"!\xfe\0" * 1_000_000 + gif((1, 1))[19:],
        "damaged",
        "so many small pieces",
    ),
    "GIF with a million bytes between comments": (
        lambda: gif((1, 1))[:19] + bytes(1_000_000) + gif((1, 1))[19:],
        "damaged",
        "so many small pieces",
    ),
    "GIF of a million comments": (
        lambda: gif((1, 1))[:19] + b"!\xfe" + b"\1a" * 1_000_000 + b"\0" + gif((1, 1))[19:],
        "damaged",
        "so many small pieces",
    ),
    "PNG 1 x 1000000": (lambda: png((1, 1_000_000), b""), "too_many_pixels", "at most 30000"),
    "PNG of zero width": (lambda: png((0, 5), b""), "not_an_image", "its header makes no sense"),
    "PNG of 2^31 - 1 squared": (
        lambda: png((2**31 - 1, 2**31 - 1), b""),
        "too_many_pixels",
        "million, but at most",
    ),
    "PNG of 2^32 - 1 squared": (
        lambda: png((2**32 - 1, 2**32 - 1), b""),
        "too_many_pixels",
        "18,446,744,065,120 million",
    ),
    "BMP of negative width": (lambda: bmp(-5000, 5000), "too_many_pixels", "4294962296 x 5000"),
    "TIFF of 32-bit integers": (
        lambda: tiff((2, 2), struct.pack("<4I", 0, 1, 2, 2**31), bits=[32]),
        "unsupported_depth",
        "32-bit integers",
    ),
    "TIFF of signed 16 bits": (
        lambda: tiff((2, 2), struct.pack("<4h", 0, -1, 2, 3), bits=[16], sample_format=2),
        "unsupported_depth",
        "signed integers",
    ),
    "TIFF of signed 8 bits": (
        lambda: tiff((2, 2), b"\0\1\2\xff", bits=[8], sample_format=2),
        "unsupported_depth",
        "signed integers",
    ),
    "float TIFF with NaN": (lambda: floats(np.nan), "not_finite", "1 values that are not finite"),
    "float TIFF with infinity": (lambda: floats(np.inf), "not_finite", "1 values that are not finite"),
    "float TIFF to 255": (lambda: floats(255.0), "unsupported_depth", "from 0.5 to 255, expected 0 to 1"),
    "float RGB TIFF": (
        lambda: tiff((1, 1), bytes(12), bits=[32] * 3, sample_format=3, photometric=2),
        "not_an_image",
        "convert to 8-bit",
    ),
    "float64 TIFF": (
        lambda: tiff((1, 1), bytes(8), bits=[64], sample_format=3),
        "not_an_image",
        "convert to 8-bit",
    ),
    "TIFF of 7 channels": (
        lambda: tiff((1, 1), bytes(7), bits=[8] * 7, photometric=2, more=[(338, [0] * 4)]),
        "not_an_image",
        "convert to 8-bit",
    ),
    "SVG": (lambda: SVG, "not_an_image", "is an SVG drawing"),
    "HEIC": (lambda: HEIC, "not_an_image", "is a HEIC photo(.|\n)*Most compatible"),
    "AVIF": (lambda: HEIC.replace(b"heic", b"avif"), "not_an_image", "is an AVIF picture"),
    "ICO": (lambda: encoded("ICO"), "not_an_image", "is an icon"),
    "PPM": (lambda: encoded("PPM"), "not_an_image", "is a Netpbm picture"),
    "PGM with a letter": (lambda: b"P2\n2 2\n255\n1 2 x 4\n", "not_an_image", "is a Netpbm picture"),
    "JPEG 2000": (lambda: encoded("JPEG2000"), "not_an_image", "is a JPEG 2000 picture"),
    "PSD": (lambda: b"8BPS\0\1" + bytes(100), "not_an_image", "is a Photoshop file"),
    "FITS": (lambda: b"SIMPLE  =                    T".ljust(2880), "not_an_image", "is a FITS picture"),
    "EPS": (lambda: encoded("EPS"), "not_an_image", r"is a PostScript drawing \(EPS\)"),
    "HDF5": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(100), "not_an_image", "is an HDF5 file"),
    "Git LFS pointer": (
        lambda: b"version https://git-lfs.github.com/spec/v1\n",
        "not_an_image",
        "Git LFS pointer",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_file_is_refused_with_its_code(case: str) -> None:
    make, code, message = CASES[case]
    data = make()
    with pytest.raises(ImageError, match=message) as caught:
        load_image(data, name="holiday.jpg")
    assert caught.value.code == code
    assert caught.value.message.startswith("`holiday.jpg` ")
    assert "\n" not in caught.value.message
    assert "0x" not in caught.value.message


@pytest.mark.parametrize(
    "case", [name for name in CASES if any(word in name for word in ("bomb", "scans", "chunks", "comments"))]
)
def test_refusing_a_hostile_file_takes_no_time(case: str) -> None:
    data = CASES[case][0]()
    start = time.process_time()
    with pytest.raises(ImageError, match="holiday"):
        load_image(data, name="holiday.jpg")
    assert time.process_time() - start < 0.5


def test_scans_at_the_limit_are_still_read_in_time() -> None:
    data = with_scans(2000, 2000, 180)
    start = time.process_time()
    assert load_image(data).pixels[0, 0].tolist() == [90, 90, 90]
    assert time.process_time() - start < 10  # 1 s when nothing else runs


def test_as_many_strips_as_rows_are_still_read() -> None:
    picture = load_image(many_strips(2000))
    assert picture.pixels[:, :4, 0].tolist() == [[8, 0, 0, 0]] * 2000


def test_scans_of_jpeg_data_inside_a_tiff_are_counted_too() -> None:
    jpeg = with_scans(400, 400, 10)
    data = tiff((400, 400), jpeg, bits=[8] * 3, photometric=6, compression=7)
    with pytest.raises(ImageError, match="drawn in 20 scans") as caught:
        load_image(data, limits=Limits(pixel_scans=400 * 400 * 15))
    assert caught.value.code == "too_many_scans"


def test_too_many_bytes_are_refused_before_they_are_looked_at() -> None:
    with pytest.raises(ImageError, match="million bytes, but at most") as caught:
        load_image(bytes(32 * 2**20 + 1), name="big")
    assert caught.value.code == "too_many_bytes"


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "BMP", "WEBP"])
def test_every_cut_of_a_file_is_refused_or_still_whole(form: str) -> None:
    data = encoded(form, photo(20, 12))
    whole = load_image(data).pixels
    codes = set()
    for end in range(len(data) - 1, 0, -3):
        try:
            picture = load_image(data[:end])
        except ImageError as error:
            codes.add(error.code)
        else:
            np.testing.assert_array_equal(picture.pixels, whole, err_msg=f"cut at {end}")
    assert "damaged" in codes
    assert codes <= {"damaged", "not_an_image"}


def test_settings_that_others_changed_in_pillow_make_nothing_laxer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(ImageError, match="damaged or incomplete"):
        load_image(cut(encoded("JPEG"), 0.5))
    with pytest.raises(ImageError, match="million"):
        load_image(png((50_000, 50_000), b""))
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True
    assert Image.MAX_IMAGE_PIXELS is None


def test_limits_can_be_raised_past_pillow_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert load_image(encoded("PNG")).width == 64
    with pytest.raises(ImageError, match="is 64 x 48 pixels"):
        load_image(encoded("PNG"), limits=Limits(pixels=1000))


@pytest.mark.parametrize("coding", ["lossy", "lossless", "animated"])
def test_size_of_a_webp_is_known_before_its_canvas_is_made(coding: str) -> None:
    frame = Image.fromarray(photo(70, 50))
    options = (
        {"save_all": True, "append_images": [Image.new("RGB", (70, 50))]} if coding == "animated" else {}
    )
    data = encoded("WEBP", photo(70, 50), lossless=coding == "lossless", **options)
    assert frame.size == outline(data, WEBP).size == load_image(data).pixels.shape[1::-1]
    wide = bytearray(data)
    if coding == "animated":
        wide[24:30] = b"\xff\xff\xff" * 2
        with pytest.raises(ImageError, match="16777216 x 16777216 pixels"):
            load_image(bytes(wide))


def test_lack_of_memory_is_an_image_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    with pytest.raises(ImageError, match="more memory than there is"):
        load_image(encoded("BMP"))


def test_mistakes_of_ours_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    with pytest.raises(ZeroDivisionError, match="ours"):
        load_image(encoded("BMP"))


def test_no_warning_of_pillow_reaches_the_user() -> None:
    palette = Image.fromarray(photo()).convert("P")
    buffer = io.BytesIO()
    palette.save(buffer, "PNG", transparency=bytes(range(256)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_image(buffer.getvalue())


def test_threads_read_side_by_side_and_leave_pillow_as_it_was() -> None:
    whole, half = encoded("JPEG"), cut(encoded("JPEG"), 0.5)
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters)

    def read(number: int) -> str:
        try:
            return str(load_image(half if number % 2 else whole).width)
        except ImageError as error:
            return error.code

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, range(200))) == ["64", "damaged"] * 100
    assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters)) == before
