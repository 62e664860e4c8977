"""Pictures of every kind come out with the right pixels: tested on values, not on shapes."""

from __future__ import annotations

import io
import os
import struct
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from convscope.data import Picture, load_image
from data_writers import II, MM, chunk, encoded, exif, gif, photo, png, tiff, with_scans

WHITE = [255, 255, 255]
OVER_WHITE = "transparent parts drawn over white"


def grey(picture: Picture) -> list[list[int]]:
    """Rows of a picture whose three channels are equal."""
    assert (picture.pixels == picture.pixels[..., :1]).all()
    return picture.pixels[..., 0].tolist()


# Grey of every depth: black is 0, white is 255, and the rest lies where it should between them.


@pytest.mark.parametrize(
    ("depth", "row", "expected"),
    [
        (1, b"\x40", [0, 255]),
        (2, b"\x10", [0, 85]),
        (4, b"\x1e", [17, 238]),
        (8, b"\x05\xfa", [5, 250]),
        (16, struct.pack(">2H", 0x0101, 0x8000), [1, 128]),
        (16, struct.pack(">2H", 300, 65535), [1, 255]),
    ],
)
def test_grey_png_of_every_depth_has_the_right_values(depth: int, row: bytes, expected: list[int]) -> None:
    picture = load_image(png((2, 1), [row], depth=depth, colour=0))
    assert grey(picture) == [expected]
    assert picture.notes == (("16-bit grey scaled to 8 bits",) if depth == 16 else ())


def test_16_bit_grey_is_scaled_where_pillow_cuts_it_off() -> None:
    ramp = np.linspace(0, 65535, 64 * 64).round().astype(np.uint16).reshape(64, 64)
    data = png((64, 64), [row.astype(">u2").tobytes() for row in ramp], depth=16, colour=0)
    ours = load_image(data).pixels
    plain = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert plain.mean() > 200, "Pillow has mended its conversion: simplify ours"
    assert abs(ours.mean() - 127.5) < 0.1
    np.testing.assert_array_equal(ours[..., 0], np.floor(ramp * (255 / 65535) + 0.5))


@pytest.mark.parametrize("order", [II, MM])
def test_16_bit_grey_tiff_of_either_byte_order(order: str) -> None:
    data = tiff((3, 1), struct.pack(f"{order}3H", 0, 0x8000, 65535), order=order, bits=[16])
    assert grey(load_image(data)) == [[0, 128, 255]]


def test_16_bit_grey_tiff_where_white_is_zero() -> None:
    data = tiff((3, 1), struct.pack("<3H", 0, 0x4000, 65535), bits=[16], photometric=0)
    assert grey(load_image(data)) == [[255, 191, 0]]


def test_8_bit_grey_tiff_where_white_is_zero() -> None:
    assert grey(load_image(tiff((2, 1), b"\x00\xc8", photometric=0))) == [[255, 55]]


def test_12_bit_grey_tiff_reaches_white() -> None:
    data = tiff((2, 1), b"\xff\xf8\x00", bits=[12])
    picture = load_image(data)
    assert grey(picture) == [[255, 128]]
    assert picture.notes == ("12-bit grey scaled to 8 bits",)


@pytest.mark.parametrize(("photometric", "expected"), [(1, [0, 128, 255]), (0, [255, 128, 0])])
def test_float_tiff_from_0_to_1_is_scaled(photometric: int, expected: list[int]) -> None:
    values = struct.pack("<3f", 0, 0.5, 1)
    picture = load_image(tiff((3, 1), values, bits=[32], sample_format=3, photometric=photometric))
    assert grey(picture) == [expected]
    assert picture.notes == ("floating point grey, 0 to 1, scaled to 8 bits",)


def test_16_bit_colour_keeps_its_high_byte() -> None:
    samples = [0, 0x80FF, 0xFFFF]
    from_png = load_image(png((1, 1), [struct.pack(">3H", *samples)], depth=16, colour=2))
    from_tiff = load_image(tiff((1, 1), struct.pack("<3H", *samples), bits=[16] * 3, photometric=2))
    assert from_png.pixels.tolist() == from_tiff.pixels.tolist() == [[[0, 128, 255]]]


# Colour models.


def test_cmyk_tiff_becomes_rgb() -> None:
    inks = [[0, 0, 0, 0], [255, 0, 0, 0], [0, 255, 0, 0], [0, 0, 255, 0], [0, 0, 0, 255], [100, 50, 0, 60]]
    picture = load_image(
        tiff((6, 1), bytes(value for ink in inks for value in ink), bits=[8] * 4, photometric=5)
    )
    expected = [[(255 - ink) * (255 - k) / 255 for ink in cmy] for *cmy, k in inks]
    np.testing.assert_allclose(picture.pixels[0], expected, atol=1)
    assert picture.notes == ("CMYK converted to RGB",)


def test_cmyk_jpeg_keeps_its_colours() -> None:
    colours = photo()
    buffer = io.BytesIO()
    Image.fromarray(colours).convert("CMYK").save(buffer, "JPEG", quality=98)
    picture = load_image(buffer.getvalue())
    assert np.abs(picture.pixels.astype(int) - colours).mean() < 3
    assert picture.notes == ("CMYK converted to RGB",)


@pytest.mark.parametrize(
    ("lightness", "a", "b", "expected"),
    # CIE L*a*b* to sRGB by the CIE 1976 and IEC 61966-2-1 formulas, white D50 adapted to D65;
    # red of sRGB is (54.29, 80.81, 69.89) there.
    [(0, 0, 0, [0, 0, 0]), (255, 0, 0, WHITE), (136, 0, 0, [126, 126, 126]), (138, 81, 70, [255, 0, 0])],
)
def test_lab_tiff_becomes_rgb(lightness: int, a: int, b: int, expected: list[int]) -> None:
    data = tiff((1, 1), struct.pack("<Bbb", lightness, a, b), bits=[8] * 3, photometric=8)
    picture = load_image(data)
    np.testing.assert_allclose(picture.pixels[0, 0], expected, atol=6)
    assert picture.notes == ("LAB converted to RGB",)


def test_palette_gives_colours_not_indices() -> None:
    palette = chunk(b"PLTE", bytes([9, 8, 7, 200, 100, 50]))
    picture = load_image(png((2, 1), [b"\1\0"], colour=3, before=palette))
    assert picture.pixels.tolist() == [[[200, 100, 50], [9, 8, 7]]]


# Transparency, over white.


def test_hidden_colours_under_full_transparency_are_not_shown() -> None:
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[..., 0] = 200
    picture = load_image(encoded("PNG", rgba))
    assert (picture.pixels == 255).all()
    assert picture.notes == (OVER_WHITE,)


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
def test_half_transparency_is_mixed_with_white(form: str) -> None:
    rng = np.random.default_rng(2)
    rgba = rng.integers(0, 256, (16, 16, 4)).astype(np.uint8)
    rgba[..., 3] |= 1  # WebP forgets the colours under no opacity at all
    data = encoded(form, rgba, **({"lossless": True, "exact": True} if form == "WEBP" else {}))
    alpha = rgba[..., 3:] / 255
    expected = rgba[..., :3] * alpha + 255 * (1 - alpha)
    np.testing.assert_allclose(load_image(data).pixels, expected, atol=1)


def test_opaque_alpha_leaves_no_note() -> None:
    rgba = np.dstack([photo(), np.full((48, 64), 255, np.uint8)])
    picture = load_image(encoded("PNG", rgba))
    np.testing.assert_array_equal(picture.pixels, photo())
    assert picture.notes == ()


def test_grey_with_alpha() -> None:
    assert grey(load_image(png((2, 1), [b"\x50\xff\x50\x00"], colour=4))) == [[80, 255]]
    deep = struct.pack(">4H", 0x8000, 0xFFFF, 0x8000, 0)
    assert grey(load_image(png((2, 1), [deep], depth=16, colour=4))) == [[128, 255]]


def test_premultiplied_alpha_of_a_tiff() -> None:
    data = tiff((1, 1), bytes([100, 0, 0, 128]), bits=[8] * 4, photometric=2, more=[(338, [1])])
    np.testing.assert_allclose(load_image(data).pixels[0, 0], [100 + 127, 127, 127], atol=2)


def test_premultiplied_grey_alpha_of_a_tiff() -> None:
    data = tiff((1, 1), bytes([100, 128]), bits=[8] * 2, photometric=1, more=[(338, [1])])
    np.testing.assert_allclose(load_image(data).pixels[0, 0], [227] * 3, atol=2)


def test_palette_with_alpha_is_drawn_over_white() -> None:
    before = chunk(b"PLTE", bytes([9, 8, 7, 200, 100, 50])) + chunk(b"tRNS", b"\0\x80")
    picture = load_image(png((2, 1), [b"\1\0"], colour=3, before=before))
    expected = [[v * 128 / 255 + 255 * 127 / 255 for v in (200, 100, 50)], WHITE]
    np.testing.assert_allclose(picture.pixels[0], expected, atol=1)


@pytest.mark.parametrize(
    ("depth", "row", "hidden", "expected"),
    [
        (1, b"\x40", 0, [255, 255]),
        (2, b"\x18", 1, [0, 255, 170]),
        (4, b"\x1e\x20", 14, [17, 255, 34]),
        (8, b"\x05\xfa", 250, [5, 255]),
        (16, struct.pack(">2H", 0x8001, 0x8000), 0x8001, [255, 128]),
    ],
)
def test_transparent_grey_of_every_depth(depth: int, row: bytes, hidden: int, expected: list[int]) -> None:
    before = chunk(b"tRNS", struct.pack(">H", hidden))
    picture = load_image(png((len(expected), 1), [row], depth=depth, colour=0, before=before))
    assert grey(picture) == [expected]
    assert OVER_WHITE in picture.notes


@pytest.mark.parametrize(("depth", "code"), [(8, ">3B"), (16, ">3H")])
def test_transparent_colour(depth: int, code: str) -> None:
    high = 1 if depth == 8 else 0x0101
    red, blue = [200 * high, 0, 0], [0, 0, 200 * high]
    before = chunk(b"tRNS", struct.pack(">3H", *red))
    row = struct.pack(code, *red) + struct.pack(code, *blue)
    picture = load_image(png((2, 1), [row], depth=depth, colour=2, before=before))
    assert picture.pixels.tolist() == [[WHITE, [0, 0, 200]]]


# Which way is up. The stored rows are written down by hand for each orientation (EXIF 2.32).

UPRIGHT = [[10, 60, 110], [160, 210, 250]]
STORED = {
    1: UPRIGHT,
    2: [[110, 60, 10], [250, 210, 160]],
    3: [[250, 210, 160], [110, 60, 10]],
    4: [[160, 210, 250], [10, 60, 110]],
    5: [[10, 160], [60, 210], [110, 250]],
    6: [[110, 250], [60, 210], [10, 160]],
    7: [[250, 110], [210, 60], [160, 10]],
    8: [[160, 10], [210, 60], [250, 110]],
    99: UPRIGHT,
}


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", STORED)
def test_picture_is_turned_upright(form: str, orientation: int) -> None:
    cells = np.array(STORED[orientation], np.uint8)
    stored = np.repeat(np.repeat(cells, 16, axis=0), 16, axis=1)
    if form == "TIFF":
        data = tiff(stored.shape[::-1], stored.tobytes(), more=[(0x0112, [orientation])])
    else:
        options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95}}.get(form, {})
        data = encoded(form, stored, exif=b"Exif\0\0" + exif(orientation), **options)
    picture = load_image(data)
    assert picture.pixels.shape == (32, 48, 3)
    np.testing.assert_allclose(picture.pixels[8::16, 8::16, 0], UPRIGHT, atol=2)
    turned = orientation in range(2, 9)
    assert picture.notes == ((f"turned upright (EXIF orientation {orientation})",) if turned else ())
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    np.testing.assert_array_equal(picture.pixels, expected)


def test_pillow_image_is_turned_too_and_left_as_it_was() -> None:
    data = encoded("PNG", np.array(STORED[6], np.uint8), exif=b"Exif\0\0" + exif(6))
    image = Image.open(io.BytesIO(data))
    picture = load_image(image)
    assert grey(picture) == UPRIGHT
    assert picture.origin == "pillow"
    assert image.size == (2, 3)
    assert image.getexif()[0x0112] == 6


def test_broken_camera_data_does_not_cost_the_picture() -> None:
    picture = load_image(encoded("PNG", exif=b"Exif\0\0" + b"neither II nor MM"))
    np.testing.assert_array_equal(picture.pixels, photo())
    assert picture.notes == ("its EXIF data cannot be read; taken to be upright",)


# Several frames: the first.


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP"])
def test_first_frame_of_an_animation_is_used(form: str) -> None:
    frames = [Image.new("RGB", (8, 6), (20 * n, 0, 255 - 20 * n)) for n in range(12)]
    buffer = io.BytesIO()
    options = {"lossless": True} if form == "WEBP" else {}
    frames[0].save(buffer, form, save_all=True, append_images=frames[1:], **options)
    picture = load_image(buffer.getvalue())
    assert picture.pixels.shape == (6, 8, 3)
    assert (picture.pixels == [0, 0, 255]).all()
    assert picture.notes == ("12 frames, the first is used",)


def test_first_page_of_a_tiff_is_used() -> None:
    picture = load_image(tiff((2, 1), b"\1\2", pages=3))
    assert grey(picture) == [[1, 2]]
    assert picture.notes == ("3 pages, the first is used",)


def test_a_hundred_thousand_frames_are_not_counted_to_the_end() -> None:
    data = gif((4, 4), frames=100_000)
    start = time.process_time()
    picture = load_image(data)
    assert time.process_time() - start < 0.5
    assert picture.notes[-1] == "at least 1000 frames, the first is used"


def test_circle_of_tiff_pages_ends() -> None:
    data = bytearray(tiff((2, 1), b"\1\2"))
    data[-4:] = data[4:8]
    assert load_image(bytes(data)).width == 2


# Odd, but good.


def test_smallest_picture() -> None:
    assert load_image(png((1, 1), [b"\1\2\3"])).pixels.tolist() == [[[1, 2, 3]]]


def test_longest_side() -> None:
    assert load_image(png((30_000, 1), [bytes(30_000)], colour=0)).width == 30_000


def test_fifty_thousand_text_chunks_are_no_harm() -> None:
    data = png((1, 1), [b"\1\2\3"], before=chunk(b"tEXt", b"a\0<script>alert(1)</script>") * 50_000)
    assert load_image(data).pixels.tolist() == [[[1, 2, 3]]]


def test_more_than_one_scan_changes_nothing() -> None:
    assert (load_image(with_scans(64, 64, 20)).pixels == 90).all()


def test_files_that_are_two_things_at_once_are_read_as_pictures() -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("run.js", "alert(1)")
    whole = encoded("JPEG")
    np.testing.assert_array_equal(load_image(whole + archive.getvalue()).pixels, load_image(whole).pixels)
    np.testing.assert_array_equal(load_image(encoded("PNG") + b"<html><script>").pixels, photo())


def test_gif_that_is_javascript_too_is_read_as_its_header_says() -> None:
    data = b"GIF89a" + struct.pack("<HH", 0x2A2F, 4) + gif((4, 4))[10:] + b"*/=1;alert(1)"
    assert load_image(data).width == 0x2A2F  # "/*"


# Real photos, against a conversion written without convscope.


def test_real_photos_have_the_pixels_of_a_plain_conversion(shared: Path) -> None:
    files = sorted((shared / "data" / "imagenet-sample").glob("*.JPEG"))
    assert len(files) == 100
    for file in files:
        with Image.open(file) as image:
            upright = ImageOps.exif_transpose(image)
            mode, expected = image.mode, np.asarray(upright.convert("RGB"))
        picture = load_image(file)
        assert picture.name == file.name
        assert (picture.width, picture.height) == upright.size
        np.testing.assert_array_equal(picture.pixels, expected, err_msg=file.name)
        assert picture.notes == (("CMYK converted to RGB",) if mode == "CMYK" else ())


def test_loading_a_small_photo_takes_milliseconds(tmp_path: Path) -> None:
    file = tmp_path / "cat.png"
    file.write_bytes(encoded("PNG", photo(451, 300)))
    load_image(file)
    times = []
    for _ in range(20):
        start = time.process_time()
        load_image(os.fspath(file))
        times.append(time.process_time() - start)
    with Image.open(file) as image:
        start = time.process_time()
        np.array(image.convert("RGB"))
        plain = time.process_time() - start
    assert min(times) < 3 * plain + 0.01
