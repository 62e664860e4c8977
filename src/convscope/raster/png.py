"""PNG files of palette pictures, written for speed.

A sheet's enlarged maps repeat whole rows and, within a row, single bytes. Stating the first by
PNG's "up" filter and the second by run lengths costs about half the time of Pillow's fastest setting, for
a file of the same size.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from convscope.errors import UsageError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_UP = 2


def palette_png(
    indices: NDArray[np.uint8], palette: NDArray[np.uint8], *, text: Mapping[str, str] | None = None
) -> bytes:
    """A palette picture as the bytes of a PNG file.

    Parameters
    ----------
    indices
        ``uint8`` array of shape ``(rows, columns)``, at least one pixel.
    palette
        ``uint8`` array of shape ``(256, 3)``, sRGB.
    text
        Entries of text chunks; keys are 1 to 79 Latin letters.

    Raises
    ------
    UsageError
        If the arrays are not of these shapes.

    References
    ----------
    W3C, "Portable Network Graphics (PNG) Specification", third edition.

    Examples
    --------
    >>> import numpy as np
    >>> palette_png(np.zeros((1, 1), np.uint8), np.zeros((256, 3), np.uint8))[1:4]
    b'PNG'
    """
    if indices.ndim != 2 or not indices.size or palette.shape != (256, 3):
        raise UsageError(
            f"a palette picture needs (rows, columns) and (256, 3); got {indices.shape} and {palette.shape}"
        )
    rows, columns = indices.shape
    lines = np.zeros((rows, columns + 1), np.uint8)
    lines[:, 1:] = indices
    repeated = np.flatnonzero((indices[1:] == indices[:-1]).all(axis=1)) + 1
    lines[repeated] = 0
    lines[repeated, 0] = _UP
    packer = zlib.compressobj(1, zlib.DEFLATED, 15, 9, zlib.Z_RLE)
    data = packer.compress(lines.data) + packer.flush()
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0)),
        (b"PLTE", palette.astype(np.uint8).tobytes()),
    ]
    for key, value in (text or {}).items():
        parts.append((b"iTXt", key.encode("latin-1") + b"\0\0\0\0\0" + value.encode("utf-8", "replace")))
    parts += [(b"IDAT", data), (b"IEND", b"")]
    return _SIGNATURE + b"".join(map(_chunk, *zip(*parts, strict=True)))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
