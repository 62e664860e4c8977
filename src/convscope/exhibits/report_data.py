"""A scene as text blocks of an HTML page: the manifest as JSON, the arrays as compressed chunks.

Each chunk is the bytes of some arrays one after another (little-endian, each starting at a
multiple of 8), compressed by gzip and written in base64. The chunk ``first`` holds what the
page draws at once; every op has a chunk of its own, decoded when it is looked at.
"""

from __future__ import annotations

import base64
import json
import math
import os
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from convscope.scene import Scene

LEVEL = 1
_SCALE = 7


def escaped_json(value: Any) -> str:
    """JSON that cannot end the script element around it; numbers that are not finite become null.

    Examples
    --------
    >>> escaped_json({"name": "</script>", "mean": float("nan")})
    '{"name":"\\\\u003c/script>","mean":null}'
    """
    text = json.dumps(_finite(value), allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    return value


def plan_chunks(scene: Scene) -> dict[str, dict[str, NDArray[Any]]]:
    """Which arrays travel together, by the name of their chunk.

    ``first`` has the photo, the input, the logits, and of every op its strip with the scale of
    each strip's channel (``strip_scales/ID``); ``node/ID`` has all other arrays of that op.
    """
    first: dict[str, NDArray[Any]] = {}
    chunks: dict[str, dict[str, NDArray[Any]]] = {"first": first}
    for name, array in scene.arrays.items():
        _, slash, number = name.partition("/")
        if not slash or name.startswith("strip/"):
            first[name] = array
        else:
            chunks.setdefault(f"node/{number}", {})[name] = array
    for node in scene.manifest["nodes"]:
        stats = scene.arrays.get(f"stats/{node['id']}")
        if stats is not None and f"strip/{node['id']}" in scene.arrays:
            first[f"strip_scales/{node['id']}"] = stats[list(node["strongest"]), _SCALE].astype(np.float32)
    return chunks


def pack_chunk(arrays: Mapping[str, NDArray[Any]]) -> tuple[dict[str, Any], str]:
    """The index of one chunk (dtype, shape and offset in bytes by array name) and its text.

    Examples
    --------
    >>> index, text = pack_chunk({"logits": np.zeros(3, np.float32)})
    >>> index
    {'logits': {'dtype': 'float32', 'shape': [3], 'offset': 0}}
    >>> len(zlib.decompress(base64.b64decode(text), wbits=31))
    16
    """
    index: dict[str, Any] = {}
    parts: list[bytes] = []
    offset = 0
    for name, array in arrays.items():
        data = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        index[name] = {"dtype": array.dtype.name, "shape": list(array.shape), "offset": offset}
        padding = -data.nbytes % 8
        parts += [data.tobytes(), bytes(padding)]
        offset += data.nbytes + padding
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, 31)
    return index, base64.b64encode(packer.compress(b"".join(parts)) + packer.flush()).decode("ascii")


def pack_scene(scene: Scene) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Index and text of every chunk, compressed by as many threads as there are cores."""
    chunks = plan_chunks(scene)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        packed = dict(zip(chunks, pool.map(pack_chunk, chunks.values()), strict=True))
    return {name: index for name, (index, _) in packed.items()}, {
        name: text for name, (_, text) in packed.items()
    }
