"""Questions about a pass, asked in plain JSON by whichever host, and their answers as bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from convscope.desk.answers import PageError
from convscope.desk.plain import plain_json

if TYPE_CHECKING:
    from convscope.tracing import Trace

Answer = tuple[dict[str, Any], bytes]


def value(trace: Trace, asked: Mapping[str, Any]) -> Answer:
    """Where one value comes from, as JSON: see :func:`convscope.desk.values.explain`."""
    from convscope.desk.values import explain

    cell = (asked["row"], asked["column"]) if asked["row"] is not None else None
    return {}, plain_json(explain(trace, asked["node"], asked["channel"], cell, steps=asked.get("steps", 1)))


def channel(trace: Trace, asked: Mapping[str, Any]) -> Answer:
    """One channel of an op as the network computed it: little-endian float32, row by row.

    Raises
    ------
    PageError
        404 if there is no such op, or it has no rows and columns; 422 if it has no such channel.
    """
    from convscope.scene.nodes import drawable
    from convscope.scene.readers import with_axes

    node, number = asked["node"], asked["channel"]
    if not 0 <= node < len(trace.ops):
        raise PageError(404, "no_such_node", f"there is no node {node}: the pass has {len(trace.ops)}")
    op = with_axes(trace.ops)[node]
    view, values, _ = drawable(op)
    if view != "map" or values is None:
        raise PageError(404, "no_map", f"{op.name} has no rows and columns")
    if not 0 <= number < len(values):
        raise PageError(
            422, "no_such_channel", f"{op.name} has channels 0 to {len(values) - 1}; got {number}"
        )
    return {}, values[number].float().contiguous().numpy().astype("<f4").tobytes()


def box(trace: Trace, asked: Mapping[str, Any]) -> Answer:
    """Which channels look at a box, as JSON."""
    from convscope import explain

    sides = {side: asked[side] for side in ("top", "left", "bottom", "right", "count")}
    return {}, plain_json([vars(hit) for hit in explain.channels_in_box(trace, **sides)])


def attribution(trace: Trace, asked: Mapping[str, Any]) -> Answer:
    """How much each cell of a layer speaks for a class, as JSON."""
    from convscope.explain import grad_cam

    return {}, plain_json(vars(grad_cam(trace, target=asked["target"], node=asked["node"])))


def export(trace: Trace, asked: Mapping[str, Any]) -> Answer:
    """A file to keep, and its ``name``."""
    from convscope.desk.files import make_file

    name, data = make_file(trace, asked["what"], asked["node"])
    return {"name": name}, data


#: Everything that can be asked about a pass.
QUESTIONS: Mapping[str, Callable[[Trace, Mapping[str, Any]], Answer]] = {
    "value": value,
    "channel": channel,
    "box": box,
    "attribution": attribution,
    "export": export,
}
