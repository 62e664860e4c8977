"""From the bytes of a file to an RGB array, with every failure of the decoder in one form."""

from __future__ import annotations

import os
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING

from convscope.data.kinds import (
    BAD_DATA,
    GIF,
    JPEG,
    PNG,
    READABLE,
    TIFF,
    WEBP,
    Format,
    describe_other,
    format_of,
)
from convscope.data.limits import Limits
from convscope.data.outline import Outline, outline
from convscope.errors import ImageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

_TIFF_COMPRESSION, _TIFF_STRIPS, _TIFF_TILES = 259, 273, 324
_one_at_a_time = threading.RLock()


def decode(data: bytes, name: str, limits: Limits) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Pixels of the picture file ``data`` and a note for each conversion.

    Parameters
    ----------
    data
        A whole file; its format is told from its first bytes.
    name
        Printable name, for messages.
    limits
        Held before anything is decoded.

    Returns
    -------
    ``uint8`` array of shape ``(height, width, 3)``, upright, and the notes.

    Raises
    ------
    ImageError
        ``empty``, ``not_an_image``, ``too_many_bytes``, ``too_many_pixels``,
        ``too_many_scans``, ``damaged``, ``unsupported_depth`` or ``not_finite``.
    """
    limits.check_bytes(len(data), name)
    if not data:
        raise ImageError(f"`{name}` is empty: there are 0 bytes", code="empty")
    form = format_of(data)
    if form is None:
        raise _not_an_image(data, name)
    structure = outline(data, form)
    if structure.overlong:
        raise ImageError(
            f"`{name}` is made of so many small pieces that it is not decoded",
            code="damaged",
            hint="Save it again in an image program.",
        )
    if structure.size is not None:
        limits.check(*structure.size, name)
    # Opening a GIF or WebP may already fill a canvas; the others are checked here, with their size.
    at_open = limits.pixels if structure.size is not None else None
    with decoding(name, at_open), _quiet_libtiff(form):
        from convscope.data.convert import to_rgb

        with _open(data, form, name) as image:
            limits.check(*image.size, name, scans=_scans(image, form, data, structure))
            depth = data[24] if form is PNG else 8
            pixels, notes = to_rgb(image, name=name, depth=depth)
            return pixels, notes + _frames_note(image, form, structure)


@contextmanager
def decoding(name: str, most_pixels: int | None) -> Iterator[None]:
    """Everything Pillow raises on bad data leaves as one ImageError; its switches are set to strict.

    Pillow's settings belong to the whole process, and notebooks are known to change them
    (``LOAD_TRUNCATED_IMAGES``); they are set for one picture at a time and put back.
    """
    from PIL import Image, ImageFile

    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = most_pixels, False
        try:
            yield
        except Image.DecompressionBombError as error:
            raise ImageError(
                f"`{name}` holds a frame of more than {2 * (most_pixels or 0) / 1e6:g} million pixels",
                code="too_many_pixels",
                hint="Make it smaller first; in Python, `limits=Limits(...)` allows more.",
            ) from error
        except MemoryError as error:
            raise ImageError(
                f"`{name}` needs more memory than there is",
                code="too_many_pixels",
                hint="Make it smaller first.",
            ) from error
        except BAD_DATA as error:
            raise ImageError(
                f"`{name}` is damaged or incomplete: {_reason(error)}",
                code="damaged",
                hint="Get the file again, or open it in an image program and save it anew.",
            ) from error
        finally:
            Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = before


def _open(data: bytes, form: Format, name: str) -> Image.Image:
    from PIL import Image, UnidentifiedImageError

    import_module(form.module)  # else Pillow would load all its forty formats to find this one
    try:
        return Image.open(BytesIO(data), formats=(form.name,))
    except UnidentifiedImageError as error:
        if form is TIFF:
            message = f"`{name}` is a TIFF file whose pixels are of a kind that is not read"
            hint = "Expected 8 or 16 bits and 1 to 4 channels: convert to 8-bit and save it again."
        else:
            message = f"`{name}` starts like a {form.name} file, but its header makes no sense"
            hint = "Get the file again, or open it in an image program and save it anew."
        raise ImageError(message, code="not_an_image", hint=hint) from error


def _scans(image: Image.Image, form: Format, data: bytes, structure: Outline) -> int:
    if form is JPEG:
        return structure.scans
    tags = getattr(image, "tag_v2", {})
    if form is TIFF and tags.get(_TIFF_COMPRESSION) in (6, 7):  # JPEG data inside the TIFF
        strips = tags.get(_TIFF_STRIPS) or tags.get(_TIFF_TILES) or (0,)
        return -(-data.count(b"\xff\xda") // len(strips)) or 1
    return 1


def _frames_note(image: Image.Image, form: Format, structure: Outline) -> tuple[str, ...]:
    if form in (PNG, WEBP):
        frames = int(getattr(image, "n_frames", 1))  # stands in the header
    elif form in (GIF, TIFF):
        frames = structure.frames
    else:
        return ()
    if frames < 2:
        return ()
    thing = "pages" if form is TIFF else "frames"
    return (f"{'at least ' if structure.more_frames else ''}{frames} {thing}, the first is used",)


def _not_an_image(data: bytes, name: str) -> ImageError:
    kind, hint = describe_other(data)
    if kind:
        return ImageError(f"`{name}` is {kind}; {READABLE} are read", code="not_an_image", hint=hint)
    return ImageError(
        f"`{name}` is not a picture in a format that is read ({READABLE})",
        code="not_an_image",
        hint="If it is a picture, save it as JPEG or PNG.",
    )


def _reason(error: Exception) -> str:
    """One printable line, without the addresses of objects that Pillow puts into some messages."""
    text = "".join(c if c.isprintable() else " " for c in str(error)) or type(error).__name__
    return re.sub(r"<[^>]* at 0x[0-9a-fA-F]+>", "the file", text)[:200]


@contextmanager
def _quiet_libtiff(form: Format) -> Iterator[None]:
    """Keep what libtiff prints from the screen: it writes to descriptor 2, past ``sys.stderr``."""
    if form is not TIFF:
        yield
        return
    try:
        kept = os.dup(2)
    except OSError:  # no standard error, as under pythonw: nothing to keep quiet
        yield
        return
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
