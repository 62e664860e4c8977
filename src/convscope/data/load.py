"""One door for pictures: a path, a sample, bytes, a Pillow image or an array becomes a Picture."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, TypeAlias

from convscope.data.limits import Limits
from convscope.data.names import printable
from convscope.data.picture import Picture
from convscope.data.reading import read_file
from convscope.data.sample_files import PREFIX, sample_path
from convscope.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    Source: TypeAlias = (
        str | os.PathLike[str] | bytes | bytearray | memoryview | Image.Image | NDArray[Any] | Picture
    )


def load_image(source: Source, *, name: str | None = None, limits: Limits | None = None) -> Picture:
    """Read a picture, turn it upright and convert it to RGB, or say in one sentence why not.

    JPEG, PNG, WebP, GIF, TIFF and BMP are read; the first bytes decide which, never the name.
    EXIF rotation is applied, transparent parts are drawn over white, 16-bit samples are scaled
    to 8 bits, CMYK and palettes are converted, and of several frames the first is taken; each
    of these leaves a note. Colour profiles are not applied. One picture at a time is decoded
    in a process; other threads wait.

    Parameters
    ----------
    source
        Path of a file; ``sample:cat`` for a sample picture (see :func:`samples`); the bytes of a
        file; a Pillow image; a numpy array ``(height, width)``, ``(height, width, 3)`` or
        ``(height, width, 4)``, ``uint8`` 0 to 255, ``uint16`` 0 to 65535, ``bool`` or floats
        0 to 1. A Picture is returned as it is.
    name
        What to call it; by default the file's or the sample's name.
    limits
        The largest picture that is read; by default 40 million pixels, 30,000 a side, 32 MiB.

    Returns
    -------
    Picture with ``uint8`` pixels of shape ``(height, width, 3)``, sRGB as stored, never sharing
    memory with ``source``.

    Raises
    ------
    ImageError
        For anything that cannot be used; ``code`` says why.
    MissingExtraError
        If a sample is asked for and scikit-image is not installed.
    UsageError
        If ``source`` is none of these things.

    Examples
    --------
    >>> picture = load_image("sample:cat")
    >>> picture.name, picture.width, picture.height
    ('cat', 451, 300)
    """
    limits = limits or Limits()
    if isinstance(source, Picture):
        return source
    if isinstance(source, str) and source.startswith(PREFIX):
        sample = source.removeprefix(PREFIX)
        return _from_bytes(
            read_file(sample_path(printable(sample)), limits), name or sample, "sample", limits
        )
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _from_bytes(bytes(source), name or "image", "bytes", limits)
    if isinstance(source, (str, os.PathLike)):
        path = os.fspath(source)
        data = read_file(path, limits)
        return _from_bytes(data, name or os.path.basename(path), "file", limits, shown=printable(path))
    return _from_memory(source, name, limits)


def _from_bytes(data: bytes, name: str, origin: str, limits: Limits, shown: str = "") -> Picture:
    from convscope.data.decode import decode

    called = printable(name)
    pixels, notes = decode(data, shown or called, limits)
    return Picture(pixels, called, origin, notes)


def _from_memory(source: Any, name: str | None, limits: Limits) -> Picture:
    # Whoever holds a Pillow image or an array has imported its library already.
    pillow, numpy = sys.modules.get("PIL.Image"), sys.modules.get("numpy")
    if pillow is not None and isinstance(source, pillow.Image):
        return _from_pillow(source, name, limits)
    if numpy is not None and isinstance(source, numpy.ndarray):
        from convscope.data.arrays import array_to_rgb

        called = printable(name or "array")
        pixels, notes = array_to_rgb(source, name=called, limits=limits)
        return Picture(pixels, called, "array", notes)
    raise UsageError(
        "`source` must be a path, `sample:NAME`, the bytes of a file, a Pillow image or a numpy array, "
        f"not {type(source).__name__}",
        hint="A tensor with values from 0 to 1 goes as tensor.permute(1, 2, 0).numpy()."
        if type(source).__name__ == "Tensor"
        else "",
    )


def _from_pillow(image: Image.Image, name: str | None, limits: Limits) -> Picture:
    from convscope.data.convert import to_rgb
    from convscope.data.decode import decoding
    from convscope.errors import ImageError

    called = printable(name or os.path.basename(getattr(image, "filename", "") or "") or "image")
    if 0 in image.size:
        raise ImageError(f"`{called}` is empty: it is {image.width} x {image.height} pixels", code="empty")
    limits.check(*image.size, called)
    with decoding(called, limits.pixels):
        pixels, notes = to_rgb(image, name=called)
    return Picture(pixels, called, "pillow", notes)
