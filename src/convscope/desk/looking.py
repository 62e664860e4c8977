"""Looks: what there is to see of a pass, sent piece by piece in the order in which a page needs it."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from math import inf, prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convscope.desk.glimpse import glimpse
from convscope.desk.line import Line
from convscope.desk.passes import PASS_ENDS, Passes, Seeing
from convscope.desk.pieces import pack_first
from convscope.desk.plain import plain_json
from convscope.errors import GivenUp

if TYPE_CHECKING:
    from convscope.scene import Scene

#: Share of a look at which there is something to see.
SIGHT_ENDS = 0.8
#: Bytes of maps a scene on the page may have: more than any model that runs in this memory makes.
PAGE_BUDGET = 1e9


def send_look(passes: Passes, spec: dict[str, Any], seeing: Seeing | None, line: Line) -> None:
    """Record a pass, unless it is there, and send its scene.

    Raises
    ------
    GivenUp
        If nobody wants it any more.
    PageError
        If the pass has to be recorded and ``seeing`` is ``None``.
    """
    from convscope.scene.make import first_sight, scene_in_steps

    found = passes.find(spec, seeing, line)
    line.emit({"stage": "drawing", "fraction": PASS_ENDS, "glimpse": glimpse(found)})
    if line.cancelled():
        raise GivenUp("this was given up")
    kernels = passes.kernels(spec["model"])
    sight = first_sight(found, kernels)
    index = index_of(sight, coming=True)
    if sum(prod(entry["shape"]) for entry in index if entry["name"].startswith("maps/")) > PAGE_BUDGET:
        # Which maps are left out is known only at the end.
        whole = scene_in_steps(found, kernels, lambda arrays: None, budget=PAGE_BUDGET)
        index = index_of(whole)
        send_sight(whole, index, line)
        send_arrays(whole.arrays, index, line)
    else:
        places = send_sight(sight, index, line)
        rest = {name: array for name, array in sight.arrays.items() if not name.startswith("stats/")}
        send_arrays(rest, index, line)
        whole = scene_in_steps(
            found,
            kernels,
            lambda arrays: send_arrays({n: a for n, a in arrays.items() if n not in rest}, index, line),
            budget=inf,
        )
        send_manifest(whole, index, places, line)
    passes.weigh(spec)


def index_of(scene: Scene, *, coming: bool = False) -> list[dict[str, Any]]:
    """Name, type and shape of every array; of maps too where there are none yet but they are ``coming``."""
    shapes = {
        f"maps/{node['id']}": [node["channels"], node["rows"], node["columns"]]
        for node in scene.manifest["nodes"]
        if coming and node["view"] != "none"
    }
    index = []
    for name, array in scene.arrays.items():
        kind, _, number = name.partition("/")
        maps = f"maps/{number}"
        if kind == "stats" and maps in shapes and maps not in scene.arrays:
            index.append({"name": maps, "dtype": "uint8", "shape": shapes[maps]})
        index.append({"name": name, "dtype": array.dtype.name, "shape": list(array.shape)})
    return index


def send_sight(scene: Scene, index: list[dict[str, Any]], line: Line) -> dict[str, Any]:
    """Send the parts ``scene`` and ``first``, both gzip: all that is needed until a layer is looked at.

    Gives the places of what is in ``first``.
    """
    places, first = pack_first(scene)
    send_manifest(scene, index, places, line)
    line.emit({"part": "first", "index": index, "stage": "first", "fraction": SIGHT_ENDS}, first)
    return places


def send_manifest(scene: Scene, index: list[dict[str, Any]], places: dict[str, Any], line: Line) -> None:
    """Send the part ``scene``: the manifest, the index of the arrays, and the places in ``first``."""
    text = plain_json({"manifest": scene.manifest, "index": index, "first": places})
    line.emit({"part": "scene"}, gzip.compress(text, 5, mtime=0))


def send_arrays(arrays: Mapping[str, NDArray[Any]], index: list[dict[str, Any]], line: Line) -> None:
    """Send parts ``array/NUMBER``: little-endian bytes, numbered by their place in the index."""
    numbers = {entry["name"]: number for number, entry in enumerate(index)}
    for name, array in arrays.items():
        if line.cancelled():
            raise GivenUp("this was given up")
        data = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        line.emit({"part": f"array/{numbers[name]}"}, data.reshape(-1).view(np.uint8).data)
