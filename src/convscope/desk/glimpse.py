"""The very first thing shown of a pass: its answers, and a picture of a few layers, as it takes no time."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

from convscope.errors import TraceError

if TYPE_CHECKING:
    from convscope.tracing import Op, Trace

ANSWERS = 3
LAYERS = 6
_SMALLEST = 4


def glimpse(trace: Trace) -> dict[str, Any]:
    """What a page can show while the rest is being made.

    Returns
    -------
    ``answers`` (``label`` and ``probability`` of the 3 most probable classes, none where the model names
    none) and ``maps``: of at most 6 convolutions, one for each size of map, the last of that size, the
    channel with the largest ``|value|`` at no more than 28 x 28: ``layer``, ``channel``, ``signed``,
    ``rows``, ``columns`` and ``bytes``, base64 of one byte a cell as in a scene's strips.

    Examples
    --------
    >>> import convscope, torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(144, 5))
    >>> seen = glimpse(convscope.trace(net, torch.rand(1, 3, 8, 8)))
    >>> [(found["layer"], found["rows"], found["columns"]) for found in seen["maps"]], len(seen["answers"])
    ([('0', 6, 6)], 3)
    """
    try:
        answers = [
            {"label": found.label, "probability": found.probability} for found in trace.predictions(ANSWERS)
        ]
    except TraceError:
        answers = []
    last: dict[tuple[int, int], Op] = {}
    for op in trace.ops:
        if op.kind == "conv2d" and op.spatial == (2, 3) and min(op.shape[2:]) >= _SMALLEST:
            last[op.shape[2], op.shape[3]] = op
    maps = (_map(op) for op in list(last.values())[:LAYERS])
    return {"answers": answers, "maps": [found for found in maps if found is not None]}


def _map(op: Op) -> dict[str, Any] | None:
    import torch

    from convscope.scene.nodes import add_sight, drawable

    node: dict[str, Any] = {"id": op.index}
    with torch.no_grad():
        view, values, _ = drawable(op)
        found = add_sight(node, values.float(), most=1) if view == "map" and values is not None else None
    if found is None:
        return None
    picture = found[f"strip/{op.index}"][0]
    return {
        "layer": op.name,
        "channel": node["strongest"][0],
        "signed": node["signed"],
        "rows": picture.shape[0],
        "columns": picture.shape[1],
        "bytes": b64encode(picture.tobytes()).decode("ascii"),
    }
