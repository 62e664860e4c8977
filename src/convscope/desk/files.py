"""Files a person takes away from the page."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from convscope.desk.answers import PageError

if TYPE_CHECKING:
    from convscope.tracing import Op, Trace

#: Rows of a table above which it is refused: it would be no use to anybody.
MOST_ROWS = 2_000_000


def make_file(trace: Trace, what: str, node: int | None) -> tuple[str, bytes]:
    """Name and bytes of a file: ``report``, ``scene``, or the exact ``values`` of an op (or as ``csv``).

    Raises
    ------
    PageError
        404 if there is no such op.
    NotKeptError
        If its value was not kept.
    """
    stem = f"{trace.picture.name if trace.picture is not None else 'input'}-{trace.card.name}"
    if what in ("values", "csv"):
        if node is None or not 0 <= node < len(trace.ops):
            raise PageError(404, "no_such_node", f"there is no node {node}: the pass has {len(trace.ops)}")
        op = trace.ops[node]
        return (
            (f"{stem}-{op.name}.npz", _values(op))
            if what == "values"
            else (f"{stem}-{op.name}.csv", _csv(op))
        )
    from convscope.exhibits.report import report_bytes
    from convscope.scene import make_scene

    scene = make_scene(trace)
    if what == "report":
        return f"{stem}.html", report_bytes(scene)
    with tempfile.TemporaryDirectory() as folder:
        return f"{stem}.scene", scene.save(Path(folder) / "scene").read_bytes()


def _values(op: Op) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, value=op.value.detach().cpu().numpy())
    return out.getvalue()


def _csv(op: Op) -> bytes:
    """One row a value: its place along every axis, then the value, in all its digits."""
    values = op.value.detach().cpu().double().numpy()
    if values.size > MOST_ROWS:
        raise PageError(
            422,
            "too_many_rows",
            f"`{op.name}` has {values.size:,} values, too many for a table",
            hint="Take them as .npz.",
        )
    names = ["channel", "row", "column"] if op.spatial == (2, 3) and values.shape[0] == 1 else None
    values = values[0] if names else values
    names = names or [f"axis_{number}" for number in range(values.ndim)]
    places = np.indices(values.shape).reshape(values.ndim, -1).T.tolist()
    lines = [",".join([*names, "value"])]
    lines += [
        ",".join([*map(str, place), repr(value)])
        for place, value in zip(places, values.ravel().tolist(), strict=True)
    ]
    return "\n".join(lines).encode() + b"\n"
