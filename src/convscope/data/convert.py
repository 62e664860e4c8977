"""From any Pillow image to upright RGB, where Pillow's own conversion would be silently wrong.

``Image.convert("RGB")`` cuts 16-bit grey off at 255, shows the colours hidden under
transparency, and turns not-a-number into numbers; EXIF rotation it leaves to the caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from convscope.data.arrays import grey_to_rgb, scale_floats, scale_integers
from convscope.data.kinds import BAD_DATA
from convscope.errors import ImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

_ORIENTATION = 0x0112
_TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_SAMPLE_FORMAT = 258, 262, 339
_WHITE_IS_ZERO, _SIGNED = 0, 2
# EXIF 2.32, tag 0x0112: where row 0 and column 0 of the stored picture lie on the upright one.
_TURNS = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a[:, ::-1].swapaxes(0, 1),
}


def to_rgb(image: Image.Image, *, name: str, depth: int = 8) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Pixels of ``image`` as ``uint8 (height, width, 3)``, upright, and a note for each conversion.

    Parameters
    ----------
    image
        Any Pillow image, loaded or not; left as it is.
    name
        Printable name, for messages.
    depth
        Bits a sample in the PNG file it came from, where the transparent colour is written
        in that depth; 8 for anything else.

    Raises
    ------
    ImageError
        ``unsupported_depth`` for 32-bit integers, signed samples and floats outside 0 to 1;
        ``not_finite`` for floats with a not-a-number or an infinity.
    """
    tags = getattr(image, "tag_v2", {})
    turned_by_pillow = tags.get(_ORIENTATION, 1)  # loading a TIFF turns it and drops the tag
    image.load()
    notes: list[str] = []
    if _SIGNED in np.atleast_1d(tags.get(_TIFF_SAMPLE_FORMAT, 1)):
        raise _unsupported(name, "signed integers")
    if image.mode in ("I;16", "I;16L", "I;16B", "I;16N"):
        pixels = _from_grey16(image, tags, notes)
    elif image.mode == "F":
        values = np.asarray(image)
        pixels = scale_floats(1 - values if _white_is_zero(tags) else values, name)
        notes.append("floating point grey, 0 to 1, scaled to 8 bits")
        pixels = grey_to_rgb(pixels)
    elif image.mode == "I":
        raise _unsupported(name, "32-bit integers")
    else:
        pixels = _from_8_bits(image, depth, notes)
    if turned_by_pillow in _TURNS:
        notes.append(_turned_note(turned_by_pillow))
    return _upright(pixels, image, notes), tuple(notes)


def _from_grey16(image: Image.Image, tags: Any, notes: list[str]) -> NDArray[np.uint8]:
    values = np.asarray(image).astype(np.uint16)
    bits = int(np.atleast_1d(tags.get(_TIFF_BITS, 16))[0])
    pixels = scale_integers(values, bits)
    if _white_is_zero(tags):
        pixels = 255 - pixels
    notes.append(f"{bits}-bit grey scaled to 8 bits")
    rgb = grey_to_rgb(pixels)
    hidden = image.info.get("transparency")
    if isinstance(hidden, int) and (values == hidden).any():
        rgb[values == hidden] = 255
        notes.append("transparent parts drawn over white")
    return rgb


def _from_8_bits(image: Image.Image, depth: int, notes: list[str]) -> NDArray[np.uint8]:
    from PIL import Image as pillow

    if image.mode in ("CMYK", "LAB"):
        notes.append(f"{image.mode} converted to RGB")
    if not image.has_transparency_data:
        return np.array(image.convert("RGB"))
    alpha = image if image.mode == "RGBA" else _with_alpha(image, depth)
    mask = alpha.getchannel("A")
    if mask.getextrema() == (255, 255):
        return np.array(alpha.convert("RGB"))
    notes.append("transparent parts drawn over white")
    white = pillow.new("RGB", alpha.size, (255, 255, 255))
    white.paste(alpha.convert("RGB"), mask=mask)
    return np.array(white)


def _with_alpha(image: Image.Image, depth: int) -> Image.Image:
    hidden = image.info.get("transparency")
    if depth == 8 or image.mode not in ("L", "RGB") or hidden is None:
        return image.convert("LA" if image.mode == "La" else "RGBA").convert("RGBA")
    # Pillow scales the samples of 2, 4 and 16 bits to 8, but not the transparent colour.
    image = image.copy()
    scale = {2: lambda v: v * 85, 4: lambda v: v * 17, 16: lambda v: v >> 8}[depth]
    image.info["transparency"] = (
        scale(hidden) if isinstance(hidden, int) else tuple(scale(value) for value in hidden)
    )
    return image.convert("RGBA")


def _upright(pixels: NDArray[np.uint8], image: Image.Image, notes: list[str]) -> NDArray[np.uint8]:
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except BAD_DATA:  # broken camera data must not cost the picture
        notes.append("its EXIF data cannot be read; taken to be upright")
        return pixels
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    if turn is None:
        return pixels
    notes.append(_turned_note(orientation))
    return np.ascontiguousarray(turn(pixels))


def _turned_note(orientation: int) -> str:
    return f"turned upright (EXIF orientation {orientation})"


def _white_is_zero(tags: Any) -> bool:
    return bool(tags.get(_TIFF_PHOTOMETRIC, 1) == _WHITE_IS_ZERO)


def _unsupported(name: str, what: str) -> ImageError:
    return ImageError(
        f"`{name}` holds {what}, whose black and white are not known",
        code="unsupported_depth",
        hint="Scale it to 8 or 16 bits and save it again, or pass an array of floats from 0 to 1.",
    )
