"""Looks: what there is to see of a pass, sent piece by piece in the order in which a page needs it."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import numpy as np

from convscope.desk.line import Line
from convscope.desk.passes import PASS_ENDS, GivenUp, Passes, Seeing
from convscope.desk.pieces import pack_first
from convscope.desk.plain import plain_json

if TYPE_CHECKING:
    from convscope.scene import Scene

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
    from convscope.scene import make_scene

    found = passes.find(spec, seeing, line)
    line.emit({"stage": "drawing", "fraction": PASS_ENDS})
    if line.cancelled():
        raise GivenUp("this was given up")
    send_scene(make_scene(found, budget=PAGE_BUDGET, proofs=False), line)
    passes.weigh(spec)


def send_scene(scene: Scene, line: Line) -> None:
    """Send the parts ``scene`` and ``first`` (both gzip), then ``array/NUMBER`` (little-endian bytes)."""
    places, first = pack_first(scene)
    index = [
        {"name": name, "dtype": array.dtype.name, "shape": list(array.shape)}
        for name, array in scene.arrays.items()
    ]
    text = plain_json({"manifest": scene.manifest, "index": index, "first": places})
    line.emit({"part": "scene"}, gzip.compress(text, 5, mtime=0))
    line.emit({"part": "first", "index": index, "stage": "first", "fraction": 0.9}, first)
    for number, array in enumerate(scene.arrays.values()):
        if line.cancelled():
            raise GivenUp("this was given up")
        data = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        line.emit({"part": f"array/{number}"}, data.reshape(-1).view(np.uint8).data)
