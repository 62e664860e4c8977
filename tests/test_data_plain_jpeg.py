"""The quick way to a JPEG's pixels gives what the careful way gives, or leaves it to that."""

from __future__ import annotations

import io
import random
import zipfile

import numpy as np
import pytest
from PIL import Image

from convscope.data import Limits
from convscope.data.decode import decode
from convscope.data.plain_jpeg import _plain_pixels, decode_quickly
from convscope.errors import ImageError


def _picture(mode: str = "RGB", size: tuple[int, int] = (37, 29)) -> Image.Image:
    random_numbers = np.random.default_rng(5)
    small = random_numbers.integers(0, 256, (8, 8, len(Image.new(mode, (1, 1)).getbands())), np.uint8)
    return Image.fromarray(small.squeeze(), mode).resize(size)


def _jpeg(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


PLAIN = {
    "ordinary": _jpeg(_picture()),
    "grey": _jpeg(_picture("L")),
    "progressive": _jpeg(_picture(), progressive=True),
    "full colour resolution": _jpeg(_picture(), subsampling=0),
    "quarter colour resolution": _jpeg(_picture(), subsampling=2, quality=40),
    "restart markers": _jpeg(_picture(), restart_marker_rows=1),
    "with a comment": _jpeg(_picture(), comment=b"a comment"),
    "one pixel": _jpeg(_picture(size=(1, 1))),
    "wide": _jpeg(_picture(size=(700, 3))),
}


def _exif(turn: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = turn
    return exif.tobytes()


OTHERS = {
    "CMYK": _jpeg(_picture("CMYK")),
    "stored as RGB": _jpeg(_picture(), keep_rgb=True),
    "turned by its camera": _jpeg(_picture(), exif=_exif(6)),
    "with a colour profile": _jpeg(_picture(), icc_profile=b"profile" * 10),
    "a PNG": (lambda file: (_picture().save(file, "PNG"), file.getvalue())[1])(io.BytesIO()),
}


@pytest.mark.parametrize("kind", PLAIN)
def test_a_plain_jpeg_is_decoded_quickly_to_the_same_pixels(kind):
    quick = _plain_pixels(PLAIN[kind], kind, Limits())
    careful, notes = decode(PLAIN[kind], kind, Limits())
    assert quick is not None
    assert notes == ()
    np.testing.assert_array_equal(quick, careful)
    assert quick.flags.writeable


@pytest.mark.parametrize("kind", OTHERS)
def test_any_other_file_goes_the_careful_way(kind):
    assert _plain_pixels(OTHERS[kind], kind, Limits()) is None
    pixels, notes = decode_quickly(OTHERS[kind], kind, Limits())
    careful, careful_notes = decode(OTHERS[kind], kind, Limits())
    np.testing.assert_array_equal(pixels, careful)
    assert notes == careful_notes


def test_a_jpeg_cut_anywhere_is_damaged():
    whole = PLAIN["ordinary"]
    for end in range(3, len(whole), 7):
        assert _plain_pixels(whole[:end], "cut", Limits()) is None
        with pytest.raises(ImageError, match=r"`cut` (is damaged|starts like|is not a picture)"):
            decode_quickly(whole[:end], "cut", Limits())


def test_limits_are_held_before_anything_is_decoded():
    claims = bytearray(PLAIN["ordinary"])
    at = claims.find(b"\xff\xc0") + 5
    claims[at : at + 4] = (60_000).to_bytes(2, "big") * 2
    with pytest.raises(ImageError, match="3,600 million, but at most 40 million are read") as caught:
        decode_quickly(bytes(claims), "large", Limits())
    assert caught.value.code == "too_many_pixels"
    with pytest.raises(ImageError, match="is 37 x 29 pixels, but a side may have at most 30"):
        decode_quickly(PLAIN["ordinary"], "wide", Limits(side=30))
    with pytest.raises(ImageError, match="million bytes"):
        decode_quickly(PLAIN["ordinary"], "long", Limits(file_bytes=100))
    scans = PLAIN["progressive"].count(b"\xff\xda")
    assert scans > 2
    with pytest.raises(ImageError, match=f"is drawn in {scans} scans"):
        decode_quickly(PLAIN["progressive"], "slow", Limits(pixel_scans=37 * 29 * 2))
    assert decode_quickly(PLAIN["ordinary"], "fits", Limits(pixel_scans=1))[0].shape == (29, 37, 3)


def _mutated(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 5))):
        place = chance.randrange(len(changed))
        what = chance.randrange(4)
        if what == 0:
            changed[place] = chance.randrange(256)
        elif what == 1:
            changed[place] ^= 1 << chance.randrange(8)
        elif what == 2:
            del changed[place : place + chance.randrange(1, 9)]
        else:
            changed[place:place] = chance.choice((b"\xff\xda", b"\xff\xee\x00\x04ab", b"\xff\xe1", b"\x00"))
    return bytes(changed)


def test_whatever_is_done_to_a_file_both_ways_agree():
    chance = random.Random(11)
    quickly = 0
    for number in range(3000):
        data = _mutated(chance.choice(list(PLAIN.values())), chance)
        quick = _plain_pixels(data, "file", Limits())
        if quick is None:
            continue
        quickly += 1
        careful, _ = decode(data, f"mutation {number}", Limits())
        np.testing.assert_array_equal(quick, careful, err_msg=f"mutation {number}")
    assert quickly > 500


def test_the_shared_jpegs_are_all_plain_and_come_out_the_same(shared):
    with zipfile.ZipFile(shared / "data" / "cifar10-jpeg.zip") as archive:
        names = [entry for entry in archive.infolist() if not entry.is_dir()][::101]
        assert len(names) == 595
        for name in names:
            data = archive.read(name)
            quick = _plain_pixels(data, name.filename, Limits())
            assert quick is not None
            np.testing.assert_array_equal(quick, decode(data, name.filename, Limits())[0])


def test_photos_come_out_the_same(shared):
    for path in sorted((shared / "data" / "imagenet-sample").glob("*.JPEG"))[::8]:
        data = path.read_bytes()
        np.testing.assert_array_equal(
            decode_quickly(data, path.name, Limits())[0], decode(data, path.name, Limits())[0]
        )
