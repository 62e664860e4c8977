"""A scene as text blocks of an HTML page: the manifest as JSON, the arrays as compressed chunks.

Each chunk is the bytes of some arrays one after another (little-endian, each starting at a
multiple of 8), compressed by gzip and written as text (``report_text``). Maps go as differences between
neighbours and tables of numbers byte by byte (``coding`` in the index), which makes them a fifth
smaller; maps that follow from others are left out (``report_derive``). The chunk ``first`` holds
what the page draws at once; every op has a chunk of its own, decoded when it is looked at.
"""

from __future__ import annotations

import io
import json
import math
import os
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convscope.exhibits.report_coding import coarse, planes_coded, residuals, statistics_coded
from convscope.exhibits.report_derive import derivable
from convscope.exhibits.report_proofs import proof_coded
from convscope.exhibits.report_text import to_text

if TYPE_CHECKING:
    from convscope.scene import Scene

#: Cells of maps above which a report keeps them in 7 bits rather than 8.
MANY_CELLS = 10_000_000
#: Characters of all chunks above which sums keep fewer terms, if that brings the report below it.
MANY_CHARACTERS = 14_500_000
#: Of the photo, a picture to find one's way by; the model's input is kept exactly.
PHOTO_QUALITY = 92
_SCALE = 7
_TABLES = ("filter_inputs", "filter_scales")


def escaped_json(value: Any) -> str:
    """JSON that cannot end the script element around it; numbers that are not finite become null.

    Examples
    --------
    >>> escaped_json({"name": "</script>", "mean": float("nan")})
    '{"name":"\\\\u003c/script>","mean":null}'
    """
    text = json.dumps(finite(value), allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def finite(value: Any) -> Any:
    """``value`` as JSON can say it: numbers that are not finite as ``None``, numpy's as plain ones."""
    if isinstance(value, Mapping):
        return {str(key): finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    return value


def plan_chunks(scene: Scene, rules: Mapping[int, Mapping[str, Any]]) -> dict[str, dict[str, NDArray[Any]]]:
    """Which arrays travel together, by the name of their chunk.

    ``first`` has the photo, the input, the logits, and of every op its strip with the scale of
    each strip's channel (``strip_scales/ID``); ``proof/ID`` has the terms of an op's peaks, ``node/ID``
    all its other arrays. Where there is a rule to derive the maps, ``own/ID`` has those of the channels kept.
    """
    first: dict[str, NDArray[Any]] = {}
    chunks: dict[str, dict[str, NDArray[Any]]] = {"first": first}
    for name, array in scene.arrays.items():
        kind, slash, number = name.partition("/")
        if not slash or kind == "strip":
            first[name] = array
            continue
        if kind.startswith("proof"):
            chunk = chunks.setdefault(f"proof/{number}", {})
            if kind == "proof":
                entry = scene.manifest["nodes"][int(number)]["proof"]
                array = proof_coded(array, entry, scene.arrays[f"stats/{number}"])
            chunk[name] = array
            continue
        chunk = chunks.setdefault(f"node/{number}", {})
        if kind != "maps" or int(number) not in rules:
            chunk[name] = array
        elif rules[int(number)]["own"]:
            chunk[f"own/{number}"] = array[rules[int(number)]["own"]]
    for node in scene.manifest["nodes"]:
        stats = scene.arrays.get(f"stats/{node['id']}")
        if stats is not None and f"strip/{node['id']}" in scene.arrays:
            first[f"strip_scales/{node['id']}"] = stats[list(node["strongest"]), _SCALE].astype(np.float32)
    return chunks


def pack_chunk(arrays: Mapping[str, NDArray[Any]], step: int = 1) -> tuple[dict[str, Any], str]:
    """The index of one chunk (dtype, shape, offset in bytes and coding by array name) and its text.

    Parameters
    ----------
    step
        How many steps of the scene's maps make one of the report's.

    Examples
    --------
    >>> index, text = pack_chunk({"logits": np.zeros(3, np.float32)})
    >>> index
    {'logits': {'dtype': 'float32', 'shape': [3], 'offset': 0}}
    >>> from convscope.exhibits.report_text import from_text
    >>> len(zlib.decompress(from_text(text), wbits=31))
    16
    """
    index: dict[str, Any] = {}
    parts: list[bytes] = []
    offset = 0
    for name, array in arrays.items():
        place: dict[str, Any] = {"dtype": array.dtype.name, "shape": list(array.shape), "offset": offset}
        data: NDArray[Any] = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        kind = name.partition("/")[0]
        if kind in ("maps", "own") and data.shape[-1] > 1:
            data = residuals(coarse(data, step))
            place |= {"coding": "residuals"} | ({"step": step} if step > 1 else {})
        elif kind == "strip":
            data = residuals(data)
            place["coding"] = "residuals"
        elif kind == "photo":
            data = _jpeg(data)
            place |= {"coding": "jpeg", "bytes": data.nbytes}
        elif kind == "input":
            data = residuals(np.moveaxis(data, 2, 0))
            place["coding"] = "pixels"
        elif kind == "stats":
            data = planes_coded(statistics_coded(data))
            place["coding"] = "statistics"
        elif kind in _TABLES or kind.startswith("proof"):
            data = planes_coded(data)
            place["coding"] = "planes"
        index[name] = place
        padding = -data.nbytes % 8
        parts += [data.tobytes(), bytes(padding)]
        offset += data.nbytes + padding
    # Differences have few repeats worth a search; coding each byte well is quicker and as small.
    noisy = any(place.get("coding") == "residuals" for place in index.values())
    packer = zlib.compressobj(1, zlib.DEFLATED, 31, 8, zlib.Z_RLE if noisy else zlib.Z_DEFAULT_STRATEGY)
    return index, to_text(packer.compress(b"".join(parts)) + packer.flush())


def pack_scene(scene: Scene) -> tuple[dict[str, Any], dict[str, str]]:
    """Index and texts of all chunks, made by as many threads as there are cores.

    Returns
    -------
    ``{"chunks": index by chunk, "derived": rules by op, "step": of the maps, "proofs": rules of the
    peaks' terms by op}``, and the texts by chunk.
    """
    step = 1
    rules = derivable(scene)
    if _cells(scene, rules) > MANY_CELLS:
        step = 2
        rules = derivable(scene, step)
    chunks = plan_chunks(scene, rules)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        made = pool.map(lambda arrays: pack_chunk(arrays, step), chunks.values())
        packed = dict(zip(chunks, made, strict=True))
    packed |= _fewer_terms(chunks, packed)
    index = {
        "chunks": {name: places for name, (places, _) in packed.items()},
        "derived": {str(number): rule for number, rule in rules.items()},
        "step": step,
        "proofs": {str(node["id"]): node["proof"] for node in scene.manifest["nodes"] if "proof" in node},
    }
    return index, {name: text for name, (_, text) in packed.items()}


def pack_json(value: Any) -> str:
    """JSON as the text of a compressed chunk."""
    data = json.dumps(finite(value), separators=(",", ":")).encode()
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return to_text(packer.compress(data) + packer.flush())


def _fewer_terms(
    chunks: Mapping[str, Mapping[str, NDArray[Any]]], packed: Mapping[str, tuple[dict[str, Any], str]]
) -> dict[str, tuple[dict[str, Any], str]]:
    """Chunks of terms packed again with as many terms a sum as the report has room for.

    None where all have room, or where leaving terms out would not make room enough.
    """
    rest = sum(len(text) for name, (_, text) in packed.items() if not name.startswith("proof/"))
    proofs = {name: arrays for name, arrays in chunks.items() if name.startswith("proof/")}
    if rest + sum(len(packed[name][1]) for name in proofs) <= MANY_CHARACTERS:
        return {}
    for most in (8, 4, 2, 1):
        fewer = {
            name: pack_chunk({key: _first_terms(key, array, most) for key, array in arrays.items()})
            for name, arrays in proofs.items()
        }
        if rest + sum(len(text) for _, text in fewer.values()) <= MANY_CHARACTERS:
            return fewer
    return {}


def _first_terms(name: str, array: NDArray[Any], most: int) -> NDArray[Any]:
    return array if name.startswith("proof/") else np.ascontiguousarray(array[:, :most])


def _jpeg(photo: NDArray[Any]) -> NDArray[np.uint8]:
    out = io.BytesIO()
    Image.fromarray(photo).save(out, "JPEG", quality=PHOTO_QUALITY, subsampling=0)
    return np.frombuffer(out.getvalue(), np.uint8)


def _cells(scene: Scene, rules: Mapping[int, Mapping[str, Any]]) -> int:
    """How many cells of maps the report has to hold."""
    count = 0
    for name, array in scene.arrays.items():
        if name.startswith("maps/"):
            rule = rules.get(int(name.removeprefix("maps/")))
            count += array.size if rule is None else array[0].size * len(rule["own"])
    return count
