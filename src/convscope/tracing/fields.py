"""Receptive fields in closed form: which input pixels each cell of a map can see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from convscope.tracing.graph import Field, Op, Operand


def spatial_and_field(
    kind: str,
    operands: Sequence[Operand],
    attributes: Mapping[str, Any],
    shapes: Sequence[tuple[int, ...]],
    ops: Sequence[Op],
) -> tuple[tuple[int, int] | None, Field | None]:
    """Axes of (rows, columns) in the first output, and its receptive field, from those of the inputs."""
    shape = shapes[0] if shapes else ()
    if kind == "input":
        return ((2, 3), Field((1, 1), (1, 1), (0, 0))) if len(shape) == 4 else (None, None)
    sources = [ops[o.op] for o in operands if o.op is not None]
    if not sources or len(shape) != 4:
        return None, None
    source = sources[0]
    if source.field is None or source.spatial != (2, 3):
        return ((2, 3) if len(shape) == 4 else None), None
    if kind in {"conv2d", "max_pool2d", "avg_pool2d"}:
        k, s, p, d = (attributes[n] for n in ("kernel_size", "stride", "padding", "dilation"))
        f = source.field
        size = tuple(f.size[i] + (k[i] - 1) * d[i] * f.stride[i] for i in (0, 1))
        stride = tuple(f.stride[i] * s[i] for i in (0, 1))
        start = tuple(f.start[i] - p[i] * f.stride[i] for i in (0, 1))
        return (2, 3), Field(size, stride, start)  # type: ignore[arg-type]
    if source.shape[2:] == shape[2:]:
        fields = [o.field for o in sources if o.field is not None]
        if len(fields) == len(sources) and all(g.stride == fields[0].stride for g in fields):
            start = tuple(min(g.start[i] for g in fields) for i in (0, 1))
            stop = tuple(max(g.start[i] + g.size[i] for g in fields) for i in (0, 1))
            size = tuple(stop[i] - start[i] for i in (0, 1))
            return (2, 3), Field(size, fields[0].stride, start)  # type: ignore[arg-type]
    return (2, 3), None
