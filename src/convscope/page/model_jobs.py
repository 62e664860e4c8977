"""What the worker with torch does: record passes, make scenes of them, answer questions about them."""

from __future__ import annotations

import gzip
import json
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from convscope.page.answers import PageError
from convscope.page.passes import PASS_ENDS, GivenUp, Passes
from convscope.page.plain import plain_json
from convscope.page.worker import Handler, Line, limit_memory

if TYPE_CHECKING:
    from convscope.scene import Scene

#: Bytes of maps a scene on the page may have: more than any model that runs in this memory makes.
PAGE_BUDGET = 1e9


def make_handler(hello: dict[str, Any]) -> Handler:
    """The handler of this worker's jobs; torch is loaded here, so that no one waits for it later."""
    for name in ("scene", "tracing", "page.pieces", "page.values"):
        import_module(f"convscope.{name}")
    taken = address_space()
    if taken:
        limit_memory(taken + int(hello["model_memory"]))
    passes = Passes(int(hello["trace_bytes"]))
    doors = {
        "warm": warm,
        "look": look,
        "value": value,
        "box": box,
        "attribution": attribution,
        "export": export,
        "names": names,
    }

    def handle(
        op: str, payload: dict[str, Any], blob: bytes, line: Line
    ) -> tuple[dict[str, Any], bytes | memoryview]:
        if op not in doors:
            raise PageError(400, "no_such_job", f"there is no job {op!r}")
        return doors[op](passes, payload, blob, line)

    return handle


def address_space() -> int:
    """Bytes of address space this process has taken; 0 where the system does not tell."""
    try:
        import resource

        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except (ImportError, OSError):
        return 0


def warm(passes: Passes, payload: dict[str, Any], blob: bytes, line: Line) -> tuple[dict[str, Any], bytes]:
    """Load a model before anyone asks for it."""
    passes.model(payload["model"])
    return {}, b""


def names(passes: Passes, payload: dict[str, Any], blob: bytes, line: Line) -> tuple[dict[str, Any], bytes]:
    """Names of timm's models that have trained weights: to know, torch has to be loaded."""
    from convscope.models import list_models

    trained = [entry.name for entry in list_models("timm:*") if entry.weights]
    return {}, json.dumps(trained).encode()


def look(passes: Passes, payload: dict[str, Any], blob: bytes, line: Line) -> tuple[dict[str, Any], bytes]:
    """Record a pass and send its scene: manifest, what is seen first, then array by array."""
    from convscope.scene import make_scene

    found = passes.find(payload["spec"], payload["photo"], blob, line)
    line.emit({"stage": "drawing", "fraction": PASS_ENDS})
    if line.cancelled():
        raise GivenUp("this was given up")
    send_scene(make_scene(found, budget=PAGE_BUDGET), line)
    passes.weigh(payload["spec"])
    return {}, b""


def send_scene(scene: Scene, line: Line) -> None:
    """Send a scene in pieces, in the order in which a page needs them."""
    from convscope.page.pieces import pack_first

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


def value(passes: Passes, payload: dict[str, Any], blob: bytes, line: Line) -> tuple[dict[str, Any], bytes]:
    """Where one value comes from, as JSON."""
    from convscope.page.values import explain

    found = passes.find(payload["spec"], payload["photo"], blob, line)
    cell = (payload["row"], payload["column"]) if payload["row"] is not None else None
    return {}, plain_json(explain(found, payload["node"], payload["channel"], cell))


def box(passes: Passes, payload: dict[str, Any], blob: bytes, line: Line) -> tuple[dict[str, Any], bytes]:
    """Which channels look at a box, as JSON."""
    from convscope import explain

    found = passes.find(payload["spec"], payload["photo"], blob, line)
    sides = {side: payload[side] for side in ("top", "left", "bottom", "right", "count")}
    return {}, plain_json([vars(hit) for hit in explain.box(found, **sides)])


def export(passes: Passes, payload: dict[str, Any], blob: bytes, line: Line) -> tuple[dict[str, Any], bytes]:
    """A file to keep."""
    from convscope.page.files import make_file

    found = passes.find(payload["spec"], payload["photo"], blob, line)
    name, data = make_file(found, payload["what"], payload["node"])
    return {"name": name}, data


def attribution(
    passes: Passes, payload: dict[str, Any], blob: bytes, line: Line
) -> tuple[dict[str, Any], bytes]:
    """How much each cell of a layer speaks for a class, as JSON."""
    from convscope.explain import grad_cam

    found = passes.find(payload["spec"], payload["photo"], blob, line)
    return {}, plain_json(vars(grad_cam(found, target=payload["target"], node=payload["node"])))
