"""What a page shows first, in few bytes."""

from __future__ import annotations

import io
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convscope.exhibits.report_coding import coarse, residuals
from convscope.exhibits.report_data import plan_chunks

if TYPE_CHECKING:
    from convscope.scene import Scene

#: Strips are thumbnails: 63 steps are more than an eye tells apart there.
STRIP_STEP = 4
PHOTO_QUALITY = 92


def pack_first(scene: Scene) -> tuple[dict[str, Any], bytes]:
    """Photo, input, logits and strips in one piece, as gzip, and the place of each in it, unpacked.

    A place has ``dtype``, ``shape``, ``offset``, ``bytes`` and, unless the bytes are simply the array,
    ``coding``: ``residuals`` (of strips, in steps of ``step``) and ``pixels`` as in a report; ``jpeg`` for
    the photo, which is there to be looked at (the model's input is exact).
    """
    index: dict[str, Any] = {}
    parts: list[bytes] = []
    offset = 0
    for name, array in plan_chunks(scene, {})["first"].items():
        data, coding = _coded(name, array)
        place = {"dtype": array.dtype.name, "shape": list(array.shape), "offset": offset, "bytes": len(data)}
        index[name] = {**place, **coding}
        padding = -len(data) % 8
        parts += [data, bytes(padding)]
        offset += len(data) + padding
    packer = zlib.compressobj(1, zlib.DEFLATED, 31, 8, zlib.Z_RLE)
    return index, packer.compress(b"".join(parts)) + packer.flush()


def _coded(name: str, array: NDArray[Any]) -> tuple[bytes, dict[str, Any]]:
    if name == "photo":
        out = io.BytesIO()
        Image.fromarray(array).save(out, "JPEG", quality=PHOTO_QUALITY, subsampling=0)
        return out.getvalue(), {"coding": "jpeg"}
    if name == "input":
        return residuals(np.moveaxis(array, 2, 0)).tobytes(), {"coding": "pixels"}
    if name.startswith("strip/"):
        return residuals(coarse(array, STRIP_STEP)).tobytes(), {"coding": "residuals", "step": STRIP_STEP}
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes(), {}
