"""The quick way to the pixels of an ordinary small JPEG, with the checks of the careful way.

Training sets hold tens of thousands of tiny JPEGs, and for those most of the careful way's time goes
into Python's side of opening a file. A plain JPEG (8 bits, grey or YCbCr, no camera data, no Adobe
segment) can be handed to the same decoder directly: its size is read from its header, the limits are held
first, and whatever is not plain or does not decode goes the careful way, whose verdict counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convscope.data.decode import decode
from convscope.data.kinds import JPEG, format_of
from convscope.data.limits import Limits
from convscope.data.outline import outline

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What may stand before the first scan of a plain file: JFIF, tables, a restart interval, a comment.
_PLAIN = frozenset((0xE0, 0xDB, 0xC4, 0xDD, 0xFE))
_FRAMES = frozenset((0xC0, 0xC1, 0xC2))  # baseline, extended and progressive, all coded by Huffman
_SCAN = 0xDA
_MOST_SEGMENTS = 64


def decode_quickly(data: bytes, name: str, limits: Limits) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """As :func:`convscope.data.decode.decode`, and the very same pixels, several times as fast.

    Unlike the careful way, plain JPEGs are decoded by several threads at a time.

    Examples
    --------
    >>> from io import BytesIO
    >>> from PIL import Image
    >>> file = BytesIO()
    >>> Image.new("RGB", (4, 3), (200, 0, 0)).save(file, "JPEG")
    >>> pixels, notes = decode_quickly(file.getvalue(), "red", Limits())
    >>> pixels.shape, notes
    ((3, 4, 3), ())
    """
    pixels = _plain_pixels(data, name, limits)
    return decode(data, name, limits) if pixels is None else (pixels, ())


def _plain_pixels(data: bytes, name: str, limits: Limits) -> NDArray[np.uint8] | None:
    if len(data) > limits.file_bytes or format_of(data) is not JPEG:
        return None
    frame = _frame(data)
    if frame is None:
        return None
    width, height, mode = frame
    if width * height == 0 or width * height > limits.pixels or max(width, height) > limits.side:
        return None
    structure = outline(data, JPEG)
    if structure.overlong or width * height * structure.scans > max(limits.pixel_scans, width * height):
        return None
    from PIL import Image

    try:
        image = Image.frombytes(mode, (width, height), data, "jpeg", mode, "")
    except (ValueError, OSError, MemoryError):
        return None
    grey = np.asarray(image)
    return np.array(grey) if mode == "RGB" else np.repeat(grey[..., np.newaxis], 3, axis=2)


def _frame(data: bytes) -> tuple[int, int, str] | None:
    """Width, height and Pillow's mode of a plain JPEG, ``None`` for any other."""
    position, body = 2, b""
    for _ in range(_MOST_SEGMENTS):
        head = data[position : position + 4]
        if len(head) < 4 or head[0] != 0xFF:
            return None
        kind, length = head[1], int.from_bytes(head[2:], "big")
        if kind == _SCAN:
            break
        if kind in _FRAMES and not body:
            body = data[position + 4 : position + 10]
        elif kind not in _PLAIN or length < 2:
            return None
        position += 2 + length
    else:
        return None
    mode = {1: "L", 3: "RGB"}.get(body[5]) if len(body) == 6 and body[0] == 8 else None
    if mode is None:
        return None
    return int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big"), mode
