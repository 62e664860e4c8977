"""What the worker without torch does: photos in, plain pixels or a PNG out."""

from __future__ import annotations

import io
from importlib import import_module
from typing import Any

from convscope.data import Limits, load_image
from convscope.desk.answers import PageError
from convscope.desk.line import Line
from convscope.page.worker import Handler

#: Longest side of the PNG a photo is shown as.
SHOWN_SIDE = 2048


def make_handler(hello: dict[str, Any]) -> Handler:
    """The handler of this worker's jobs: ``decode`` and ``png``."""
    for name in ("numpy", "PIL.Image", "convscope.data.decode", "convscope.data.convert"):
        import_module(name)  # before memory is asked for by a stranger's picture
    limits = Limits(file_bytes=int(hello["upload_bytes"]))

    def handle(op: str, payload: dict[str, Any], blob: bytes, line: Line) -> tuple[dict[str, Any], bytes]:
        if op == "decode":
            return decode(blob, payload["name"], limits)
        if op == "png":
            return {}, shown(blob, payload["width"], payload["height"])
        raise PageError(400, "no_such_job", f"there is no job {op!r}")

    return handle


def decode(data: bytes, name: str, limits: Limits) -> tuple[dict[str, Any], bytes]:
    """A picture file as a description and its RGB bytes, row by row.

    Raises
    ------
    ImageError
        If it cannot be read; ``code`` says why.
    """
    picture = load_image(data, name=name, limits=limits)
    described = {
        "name": picture.name,
        "width": picture.width,
        "height": picture.height,
        "notes": list(picture.notes),
    }
    return described, picture.pixels.tobytes()


def shown(pixels: bytes, width: int, height: int) -> bytes:
    """RGB bytes as a PNG file without any metadata, made smaller where a side is above 2,048.

    Examples
    --------
    >>> shown(bytes(12), 2, 2)[:8]
    b'\\x89PNG\\r\\n\\x1a\\n'
    """
    from PIL import Image

    image = Image.frombuffer("RGB", (width, height), pixels, "raw", "RGB", 0, 1)
    if max(width, height) > SHOWN_SIDE:
        factor = SHOWN_SIDE / max(width, height)
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        image = image.resize(size, Image.Resampling.BOX, reducing_gap=2.0)
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=1)
    return out.getvalue()
