"""What a file is, told from its first bytes: the six formats that are read, and many that are not.

The name's ending is never believed. Only one decoder is ever tried, the one whose magic
number the file starts with, so a file cannot reach a decoder that convscope does not need.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple


class Format(NamedTuple):
    """A format that is read: its name in Pillow, and the Pillow module that reads it."""

    name: str
    module: str


JPEG = Format("JPEG", "PIL.JpegImagePlugin")
PNG = Format("PNG", "PIL.PngImagePlugin")
GIF = Format("GIF", "PIL.GifImagePlugin")
WEBP = Format("WEBP", "PIL.WebPImagePlugin")
TIFF = Format("TIFF", "PIL.TiffImagePlugin")
BMP = Format("BMP", "PIL.BmpImagePlugin")

READABLE = "JPEG, PNG, WebP, GIF, TIFF and BMP"

# What Pillow raises on bad data. Anything else is a mistake of ours and is not hidden.
BAD_DATA = (
    OSError,
    ValueError,
    SyntaxError,
    OverflowError,
    struct.error,
    KeyError,
    IndexError,
    TypeError,
    EOFError,
)
_STARTS: tuple[tuple[bytes, Format], ...] = (
    (rb"\xff\xd8\xff", JPEG),
    (rb"\x89PNG\r\n\x1a\n", PNG),
    (rb"GIF8[79]a", GIF),
    (rb"RIFF....WEBP", WEBP),
    (rb"II[*+]\x00|MM\x00[*+]", TIFF),
    (rb"BM", BMP),
)

_EXPORT = "Open it in an image program and save it as JPEG or PNG."
_OTHERS: tuple[tuple[bytes, str, str], ...] = (
    (
        rb"....ftyp(hei|hev|mif1|msf1)",
        "a HEIC photo",
        "On the phone choose `Most compatible`, or save it as JPEG.",
    ),
    (rb"....ftyp(avif|avis)", "an AVIF picture", _EXPORT),
    (rb"....ftyp", "a video", "Save one of its frames as PNG."),
    (rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*(<!DOCTYPE svg[^>]*>\s*)?<svg\b", "an SVG drawing", _EXPORT),
    (
        rb"\s*<(!doctype\s+html|html|head|body)\b",
        "a web page",
        "Save the picture itself, not the page it is on.",
    ),
    (rb"\s*<\?xml", "an XML file", ""),
    (
        rb"version https://git-lfs",
        "a Git LFS pointer, not the picture itself",
        "Fetch it with `git lfs pull`.",
    ),
    (rb"%!PS|\xc5\xd0\xd3\xc6", "a PostScript drawing (EPS)", _EXPORT),
    (rb"%PDF", "a PDF document", "Save one of its pages as PNG."),
    (rb"8BPS", "a Photoshop file", _EXPORT),
    (rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51", "a JPEG 2000 picture", _EXPORT),
    (rb"\xff\x0a|\x00\x00\x00\x0cJXL ", "a JPEG XL picture", _EXPORT),
    (rb"P[1-7fF]\s", "a Netpbm picture", _EXPORT),
    (rb"\x00\x00[\x01\x02]\x00", "an icon", _EXPORT),
    (rb"\x76\x2f\x31\x01|#\?RADIANCE", "a high dynamic range picture", _EXPORT),
    (rb"SIMPLE  =", "a FITS picture", _EXPORT),
    (rb"\x89HDF", "an HDF5 file", "Read the array and pass it from Python."),
    (rb"\x93NUMPY", "a NumPy array", "Load it with `numpy.load` and pass it from Python."),
    (rb"PK\x03\x04", "a ZIP archive", "Unpack it first."),
    (rb"\x1f\x8b", "a gzip archive", "Unpack it first."),
)


def format_of(data: bytes) -> Format | None:
    r"""Which of the six formats ``data`` starts like, ``None`` for anything else.

    Examples
    --------
    >>> format_of(b"GIF89a....").name
    'GIF'
    """
    for pattern, form in _STARTS:
        if re.match(pattern, data[:16], re.DOTALL):
            return form
    return None


def describe_other(data: bytes) -> tuple[str, str]:
    """What ``data`` is, if not one of the six formats, and a hint; both empty if unknown.

    Examples
    --------
    >>> describe_other(b"<svg xmlns='http://www.w3.org/2000/svg'/>")[0]
    'an SVG drawing'
    """
    for pattern, kind, hint in _OTHERS:
        if re.match(pattern, data[:1024], re.DOTALL | re.IGNORECASE):
            return kind, hint
    return "", ""
