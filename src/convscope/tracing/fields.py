"""Receptive fields: which pixels of the input each cell of a map can see.

Two answers come from the same rules (:mod:`convscope.tracing.fields_rules`): the closed form
of a whole map (size, stride and start, as in Araujo, Norris and Sim, "Computing Receptive
Fields of Convolutional Neural Networks", Distill 2019), and the exact box of one cell, found
by following the graph backwards and clipping at every map on the way, so that padding and
uneven windows are told as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from convscope.errors import UsageError
from convscope.tracing.fields_call import ALL, Looks, Reach
from convscope.tracing.fields_rules import SHAPE_ONLY, reach
from convscope.tracing.fields_windows import SAME, compose, full, looked_at
from convscope.tracing.graph import Field, Op, Operand

# Ops are compared by identity, so what is worked out for one may be kept as long as it lives.
_reaches: WeakKeyDictionary[Op, dict[int, Reach]] = WeakKeyDictionary()
_free: WeakKeyDictionary[Op, bool] = WeakKeyDictionary()

_PIXEL = Field((1, 1), (1, 1), (0, 0))


class Box(NamedTuple):
    """Pixels ``top <= row < bottom``, ``left <= column < right`` of the input; ``bottom == top``: none."""

    top: int
    left: int
    bottom: int
    right: int


def spatial_and_field(
    kind: str,
    operands: Sequence[Operand],
    attributes: Mapping[str, Any],
    shapes: Sequence[tuple[int, ...]],
    ops: Sequence[Op],
) -> tuple[tuple[int, int] | None, Field | None]:
    """Axes of (rows, columns) in an op's first output, and its receptive field in closed form.

    Parameters
    ----------
    kind, operands, attributes, shapes
        Of the op asked about, as in :class:`~convscope.tracing.Op`.
    ops
        At least the ops before it, by index.

    Returns
    -------
    The axes, or ``None`` if the output is not a map; and the field, or ``None`` where the op
    sees everything, has uneven windows, or depends on a second image. Fields are in pixels of
    the first input that is an image.
    """
    if kind == "input":
        return _input(shapes[0] if shapes else (), ops)
    found = reach(kind, operands, attributes, shapes, 0, _axes_of(operands, ops))
    return found.axes, _closed_form(found, operands, ops)


def field_box(
    ops: Sequence[Op], index: int, row: int | None = None, column: int | None = None, output: int = 0
) -> Box | None:
    """The box of input pixels that one cell of one op's output depends on.

    Parameters
    ----------
    ops
        Every op of the pass, by index.
    index, output
        The op, and which of its outputs.
    row, column
        The cell, counted from 0; ``None`` asks for the whole output (and is the only choice
        where the output is not a map).

    Returns
    -------
    The smallest box with every pixel the cell depends on, clipped to the input. It is the
    whole input where everything is seen (after global pooling, or where an op of unknown kind
    mixed the cells). ``None`` if no input of the model is an image.

    Raises
    ------
    UsageError
        If the cell lies outside the map.
    """
    image = next((op for op in ops if op.kind == "input" and op.field is not None), None)
    if image is None or image.spatial is None:
        return None
    wanted: dict[int, dict[int, tuple[int, int]]] = {}
    mixed: set[int] = set()
    op = ops[index]
    if row is None or column is None:
        _want_all(op, output, wanted, ops)
    else:
        _want(op, output, _one_cell(op, output, row, column, ops), wanted)
    for place in range(index, -1, -1):
        if place not in wanted and place not in mixed:
            continue
        op = ops[place]
        if op is image:
            break
        if place in mixed:
            _follow_mixed(op, ops, wanted, mixed)
            continue
        for number, cells in wanted[place].items():
            _follow(op, number, cells, ops, wanted, mixed)
    shape = image.shape
    size = (shape[image.spatial[0]], shape[image.spatial[1]])
    if image.index in mixed:
        return Box(0, 0, *size)
    rows, columns = wanted.get(image.index, {}).get(0, (0, 0))
    if not rows or not columns:
        return Box(0, 0, 0, 0)
    return Box(_lowest(rows), _lowest(columns), rows.bit_length(), columns.bit_length())


def spatial_axes(ops: Sequence[Op], index: int, output: int = 0) -> tuple[int, int] | None:
    """Axes of (rows, columns) in any output of an op; ``None`` where it is not a map."""
    op = ops[index]
    if output == 0 or op.kind == "input":
        return op.spatial
    return _reach_of(op, output, ops).axes


def looks_of(ops: Sequence[Op], index: int, output: int = 0) -> tuple[Looks | None, ...]:
    """For each operand of an op, which of its rows and columns one cell of the output looks at.

    ``None`` where only the operand's shape counts; operands that are not maps are looked at as
    a whole.
    """
    op = ops[index]
    looks = _reach_of(op, output, ops).looks
    axes = _axes_of(op.operands, ops)
    return tuple(
        ALL if look is not None and own is None else look for look, own in zip(looks, axes, strict=True)
    )


# -- closed form -----------------------------------------------------------------------------


def _input(shape: tuple[int, ...], ops: Sequence[Op]) -> tuple[tuple[int, int] | None, Field | None]:
    if len(shape) == 4:
        axes = (2, 3)
    elif len(shape) == 3 and shape[0] in {3, 4}:
        axes = (1, 2)
    else:
        return None, None
    first = all(op.field is None for op in ops if op.kind == "input")
    return axes, (_PIXEL if first else None)


def _closed_form(found: Reach, operands: Sequence[Operand], ops: Sequence[Op]) -> Field | None:
    if found.axes is None:
        return None
    fields = []
    for operand, alongs in zip(operands, found.looks, strict=True):
        if operand.op is None or alongs is None or is_free(operand.op, ops):
            continue
        source = _field_of(operand, ops)
        if source is None:
            return None
        parts = [compose(alongs[i], source.size[i], source.stride[i], source.start[i]) for i in (0, 1)]
        if parts[0] is None or parts[1] is None:
            return None
        fields.append((parts[0], parts[1]))
    if not fields or any(f[i][1] != fields[0][i][1] for f in fields for i in (0, 1)):
        return None
    start = [min(f[i][2] for f in fields) for i in (0, 1)]
    stop = [max(f[i][2] + f[i][0] for f in fields) for i in (0, 1)]
    return Field(
        (stop[0] - start[0], stop[1] - start[1]), (fields[0][0][1], fields[0][1][1]), (start[0], start[1])
    )


def _field_of(operand: Operand, ops: Sequence[Op]) -> Field | None:
    assert operand.op is not None
    source = ops[operand.op]
    if not _reads_output(operand, source):
        return None
    if operand.output == 0:
        return source.field
    return _closed_form(_reach_of(source, operand.output, ops), source.operands, ops)


def is_free(index: int, ops: Sequence[Op]) -> bool:
    """Whether an op depends on no input of the model (made from parameters and constants alone)."""
    waiting = [index]
    while waiting:
        op = ops[waiting[-1]]
        own = op.kind == "input" or op.kind in SHAPE_ONLY
        sources = [] if own else [ops[o.op] for o in op.operands if o.op is not None]
        unknown = [source.index for source in sources if source not in _free]
        if op not in _free and unknown:
            waiting.append(unknown[0])
            continue
        _free[op] = op.kind != "input" and all(_free[source] for source in sources)
        waiting.pop()
    return _free[ops[index]]


# -- one cell --------------------------------------------------------------------------------


def _reach_of(op: Op, output: int, ops: Sequence[Op]) -> Reach:
    known = _reaches.setdefault(op, {})
    if output not in known:
        axes = _axes_of(op.operands, ops)
        found = reach(op.kind, op.operands, op.attributes, op.shapes, output, axes)
        known[output] = _through_view(op, output, found, ops)
    return known[output]


def _through_view(op: Op, output: int, found: Reach, ops: Sequence[Op]) -> Reach:
    """Sharper reach of memory written through a view of the same rows and columns."""
    memory = [o for o in op.operands if o.role.startswith("memory.")]
    place = output - (len(op.shapes) - len(memory))
    written = next((o for o in op.operands if o.role == "input"), None)
    if not memory or place < 0 or written is None or not _same_rows(written, memory[place], ops):
        return found
    looks = _reach_of(op, 0, ops).looks
    return Reach(
        found.axes,
        tuple(
            own if own is None or own == (SAME, SAME) else look
            for own, look in zip(found.looks, looks, strict=True)
        ),
    )


def _same_rows(one: Operand, other: Operand, ops: Sequence[Op]) -> bool:
    """Whether one of two tensors is a view of the other, with the same rows and columns."""
    for view, base in ((one, other), (other, one)):
        if view.op is None or base.op is None:
            continue
        source = ops[view.op]
        memory = [o for o in source.operands if o.role.startswith("memory.")]
        place = view.output - (len(source.shapes) - len(memory))
        if view.op == base.op and base.output == 0 and memory and place >= 0:
            written = next((o for o in source.operands if o.role == "input"), None)
            return written is not None and _same_rows(written, memory[place], ops)
        found = _reach_of(source, view.output, ops)
        for operand, look in zip(source.operands, found.looks, strict=True):
            if (operand.op, operand.output) == (base.op, base.output) and look == (SAME, SAME):
                return True
    return False


def _axes_of(operands: Sequence[Operand], ops: Sequence[Op]) -> list[tuple[int, int] | None]:
    return [_axes_of_operand(operand, ops) for operand in operands]


def _axes_of_operand(operand: Operand, ops: Sequence[Op]) -> tuple[int, int] | None:
    if operand.op is None:
        return None
    source = ops[operand.op]
    if not _reads_output(operand, source):
        return None
    return source.spatial if operand.output == 0 else _reach_of(source, operand.output, ops).axes


def _reads_output(operand: Operand, source: Op) -> bool:
    # A tensor whose memory an op wrote through a view counts as made by that op, in its own shape.
    return operand.output < len(source.shapes) and source.shapes[operand.output] == operand.shape


def _one_cell(op: Op, output: int, row: int, column: int, ops: Sequence[Op]) -> tuple[int, int]:
    axes = op.spatial if output == 0 else _reach_of(op, output, ops).axes
    if axes is None:
        raise UsageError(
            f"`{op.name}` is not a map, so it has no cell ({row}, {column})",
            hint="Leave `row` and `column` out to ask about all of it.",
        )
    rows, columns = (op.shapes[output][axis] for axis in axes)
    if not (0 <= row < rows and 0 <= column < columns):
        raise UsageError(
            f"`{op.name}` has rows 0 to {rows - 1} and columns 0 to {columns - 1}; got ({row}, {column})"
        )
    return 1 << row, 1 << column


def _want(op: Op, output: int, cells: tuple[int, int], wanted: dict[int, dict[int, tuple[int, int]]]) -> None:
    if not cells[0] or not cells[1]:
        return
    known = wanted.setdefault(op.index, {})
    before = known.get(output, (0, 0))
    known[output] = (before[0] | cells[0], before[1] | cells[1])


def _want_all(op: Op, output: int, wanted: dict[int, dict[int, tuple[int, int]]], ops: Sequence[Op]) -> None:
    axes = op.spatial if output == 0 or op.kind == "input" else _reach_of(op, output, ops).axes
    if axes is None:
        cells = (1, 1)
    else:
        shape = op.shapes[output]
        cells = (full(shape[axes[0]]), full(shape[axes[1]]))
    _want(op, output, cells, wanted)


def _follow(
    op: Op,
    output: int,
    cells: tuple[int, int],
    ops: Sequence[Op],
    wanted: dict[int, dict[int, tuple[int, int]]],
    mixed: set[int],
) -> None:
    found = _reach_of(op, output, ops)
    for operand, alongs in zip(op.operands, found.looks, strict=True):
        if operand.op is None or alongs is None:
            continue
        source = ops[operand.op]
        if not _reads_output(operand, source):
            mixed.add(source.index)
            continue
        axes = _axes_of_operand(operand, ops)
        if axes is None or found.axes is None:
            _want_all(source, operand.output, wanted, ops)
            continue
        seen = tuple(looked_at(alongs[i], cells[i], operand.shape[axes[i]]) for i in (0, 1))
        _want(source, operand.output, (seen[0], seen[1]), wanted)


def _follow_mixed(
    op: Op, ops: Sequence[Op], wanted: dict[int, dict[int, tuple[int, int]]], mixed: set[int]
) -> None:
    for operand in op.operands:
        if operand.op is None:
            continue
        if _reads_output(operand, ops[operand.op]):
            _want_all(ops[operand.op], operand.output, wanted, ops)
        else:
            mixed.add(operand.op)


def _lowest(rows: int) -> int:
    return (rows & -rows).bit_length() - 1
