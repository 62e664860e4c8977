"""Receptive fields through ops that move, cut, join or fold axes: one small rule per kind."""

from __future__ import annotations

from math import prod
from typing import Any

from convscope.tracing.fields_call import ALL, Axes, Call, Looks, Reach, Rule, elementwise, only, unknown
from convscope.tracing.fields_windows import EVERYTHING, SAME, Along, Table, Window


def _main(call: Call) -> tuple[Axes | None, tuple[int, ...]]:
    main = call.main()
    return (call.axes[main], call.operands[main].shape) if main is not None else (None, ())


# -- axes moved or folded --------------------------------------------------------------------


def permute(call: Call) -> Reach:
    """Rows and columns go where the permutation sends them."""
    axes, given = _main(call)
    order = permutation(call, len(given))
    if axes is None or order is None:
        return only(call, None, ALL)
    return only(call, (order.index(axes[0]), order.index(axes[1])), (SAME, SAME))


def permutation(call: Call, rank: int) -> list[int] | None:
    """For each output axis the input axis it was, ``None`` where the arguments do not tell."""
    order = list(range(rank))
    values = [v % rank for v in call.values()] if rank else []
    if call.kind == "permute":
        return values if sorted(values) == order else None
    if call.kind in {"transpose", "mT", "T", "t", "mH", "H", "adjoint"}:
        if call.kind == "T":
            return order[::-1]
        a, b = values[:2] if call.kind == "transpose" and len(values) == 2 else (rank - 2, rank - 1)
        order[a], order[b] = order[b], order[a]
        return order
    half = len(values) // 2  # movedim: sources, then destinations
    moved = dict(zip(values[half:], values[:half], strict=True)) if len(values) == 2 * half else {}
    if not moved or len(moved) != half:
        return None
    rest = iter([a for a in order if a not in moved.values()])
    return [moved[i] if i in moved else next(rest) for i in range(rank)]


def reshape(call: Call) -> Reach:
    """A map stays one where rows and columns survive as axes of their own."""
    axes, given = _main(call)
    if axes is None:
        return only(call, None, ALL)
    new = [_survivor(given, axis, call.shape) for axis in axes]
    for first in new[0]:
        for second in new[1]:
            if first != second and (first < second) == (axes[0] < axes[1]):
                return only(call, (first, second), (SAME, SAME))
    return only(call, None, ALL)


def _survivor(given: tuple[int, ...], axis: int, shape: tuple[int, ...]) -> list[int]:
    before = prod(given[:axis])
    return [i for i, size in enumerate(shape) if size == given[axis] and prod(shape[:i]) == before]


# -- axes cut --------------------------------------------------------------------------------


def getitem(call: Call) -> Reach:
    """Basic indexing: slices cut, whole numbers take an axis away, ``None`` adds one."""
    axes, given = _main(call)
    key = call.attributes.get("key", call.attributes.get("indices"))
    if axes is None or any(not o.role.startswith("memory.") for o in call.operands[1:]):
        return only(call, None, ALL)
    steps = cuts(key, given)
    if steps is None:
        return only(call, None, ALL)
    new: list[int] = []
    along: list[Along] = []
    for axis in axes:
        found = next(((i, cut) for i, (source, cut) in enumerate(steps) if source == axis), None)
        if found is None:
            return only(call, None, ALL)
        new.append(found[0])
        along.append(Window(1, found[1][1], found[1][0]))
    return only(call, (new[0], new[1]), (along[0], along[1]))


def cuts(key: Any, given: tuple[int, ...]) -> list[tuple[int, tuple[int, int]]] | None:
    """For each axis left by basic indexing: the input axis (-1 for a new one), its first row and step.

    Examples
    --------
    >>> cuts((slice(None), 0, slice(1, None, 2)), (4, 3, 8))
    [(0, (0, 1)), (2, (1, 2))]
    """
    parts = list(key) if isinstance(key, tuple) else [key]
    if any(isinstance(p, (bool, tuple)) for p in parts):
        return None
    named = sum(isinstance(p, (int, slice)) for p in parts)
    if Ellipsis not in parts:
        parts.append(Ellipsis)
    left: list[tuple[int, tuple[int, int]]] = []
    axis = 0
    for part in parts:
        if part is Ellipsis:
            for _ in range(len(given) - named):
                left.append((axis, (0, 1)))
                axis += 1
        elif part is None:
            left.append((-1, (0, 1)))
        elif isinstance(part, slice):
            start, _, step = part.indices(given[axis])
            left.append((axis, (start, step)))
            axis += 1
        elif isinstance(part, int):
            axis += 1
        else:
            return None
    return left


def cut(call: Call) -> Reach:
    """``chunk``, ``split``, ``narrow``: a stretch of one axis, which begins where the earlier outputs end."""
    axes, given = _main(call)
    dim = call.attributes.get("dim", 0)
    if axes is None or not isinstance(dim, int):
        return only(call, axes, ALL)
    dim %= len(given)
    if call.kind == "narrow":
        start = call.attributes.get("start")
        if not isinstance(start, int):
            return only(call, axes, ALL)
        start %= given[dim]
    else:
        start = sum(shape[dim] for shape in call.shapes[: call.output])
    pair = [Window(start=start) if axis == dim else SAME for axis in axes]
    return only(call, axes, (pair[0], pair[1]))


def drop_axis(call: Call) -> Reach:
    """``select`` and ``unbind`` take one axis away."""
    axes, given = _main(call)
    dim = call.attributes.get("dim", 0)
    if axes is None or not isinstance(dim, int) or dim % len(given) in axes:
        return only(call, None, ALL)
    dim %= len(given)
    return only(call, (axes[0] - (axes[0] > dim), axes[1] - (axes[1] > dim)), (SAME, SAME))


def squeeze(call: Call) -> Reach:
    """Axes of size 1 taken away or put in."""
    axes, given = _main(call)
    if axes is None:
        return only(call, None, ALL)
    if call.kind == "unsqueeze":
        dim = next(iter(call.values()), 0) % len(call.shape)
        return only(call, (axes[0] + (axes[0] >= dim), axes[1] + (axes[1] >= dim)), (SAME, SAME))
    asked = {v % len(given) for v in call.values()} or set(range(len(given)))
    gone = {d for d in asked if given[d] == 1}
    if gone & set(axes):
        return only(call, None, ALL)
    new = [axis - sum(d < axis for d in gone) for axis in axes]
    return only(call, (new[0], new[1]), (SAME, SAME))


def reduce(call: Call) -> Reach:
    """Sums, means and extremes: everything along the reduced axes, cell by cell along the others."""
    axes, given = _main(call)
    if axes is None or not given:
        return only(call, None, ALL)
    dims = call.attributes.get("dim", call.attributes.get("axis"))
    reduced = (
        {d % len(given) for d in (dims if isinstance(dims, tuple) else (dims,)) if isinstance(d, int)}
        if dims is not None
        else set(range(len(given)))
    )
    kept = len(call.shape) == len(given)
    expected = tuple(1 if i in reduced else n for i, n in enumerate(given) if kept or i not in reduced)
    if expected != call.shape or (not kept and reduced & set(axes)):
        return only(call, None, ALL)
    pair: list[Along] = [EVERYTHING if a in reduced and given[a] > 1 else SAME for a in axes]
    new = axes if kept else tuple(a - sum(d < a for d in reduced) for a in axes)
    return only(call, (new[0], new[1]), (pair[0], pair[1]))


def glu(call: Call) -> Reach:
    """Two halves of one axis multiplied."""
    axes, given = _main(call)
    dim = call.attributes.get("dim", -1)
    if axes is None or dim % len(given) in axes:
        return unknown(call)
    return only(call, axes, (SAME, SAME))


# -- rows moved, repeated, joined ------------------------------------------------------------


def roll(call: Call) -> Reach:
    """Rows go round."""
    axes, given = _main(call)
    shifts, dims = call.attributes.get("shifts"), call.attributes.get("dims")
    shifts, dims = (v if isinstance(v, tuple) else (v,) for v in (shifts, dims))
    if axes is None or len(shifts) != len(dims) or not all(isinstance(v, int) for v in (*shifts, *dims)):
        return only(call, axes, ALL)
    pair: list[Along] = []
    for axis in axes:
        n = given[axis]
        shift = sum(s for s, d in zip(shifts, dims, strict=True) if d % len(given) == axis)
        pair.append(Table(tuple(1 << ((i - shift) % n) for i in range(n))) if n and shift % n else SAME)
    return only(call, axes, (pair[0], pair[1]))


def flip(call: Call) -> Reach:
    """Rows the other way round."""
    axes, given = _main(call)
    dims = {v % len(given) for v in call.values()} if given else set()
    if axes is None:
        return only(call, None, ALL)
    pair = [
        Table(tuple(1 << (given[a] - 1 - i) for i in range(given[a]))) if a in dims else SAME for a in axes
    ]
    return only(call, axes, (pair[0], pair[1]))


def repeat(call: Call) -> Reach:
    """The map again and again (``repeat``, ``tile``); new axes come in front."""
    axes, given = _main(call)
    lag = len(call.shape) - len(given)
    if axes is None or lag < 0:
        return only(call, None, ALL)
    new = (axes[0] + lag, axes[1] + lag)
    pair: list[Along] = []
    for old, axis in zip(axes, new, strict=True):
        n, out = given[old], call.shape[axis]
        pair.append(SAME if n == out else Table(tuple(1 << (i % n) for i in range(out))))
    return only(call, new, (pair[0], pair[1]))


def cat(call: Call) -> Reach:
    """Maps behind one another; along the rows or columns each gives its own stretch."""
    places = [i for i, o in enumerate(call.operands) if not o.role.startswith("memory.")]
    rank = len(call.shape)
    known = [call.axes[i] for i in places if call.axes[i] is not None]
    axes = known[0] if known else None
    dim = call.attributes.get("dim", call.attributes.get("axis", 0))
    if axes is None or not isinstance(dim, int):
        return only(call, axes, ALL)
    dim %= rank
    looks: list[Looks | None] = [ALL] * len(call.operands)
    before = 0
    for i in places:
        size = call.operands[i].shape[dim] if len(call.operands[i].shape) == rank else 0
        stretch = Table(
            tuple(1 << (r - before) if before <= r < before + size else 0 for r in range(call.shape[dim]))
        )
        if call.axes[i] == axes:
            pair = [stretch if axis == dim and len(places) > 1 else SAME for axis in axes]
            looks[i] = (pair[0], pair[1])
        elif size == 0:
            looks[i] = None
        before += size
    return Reach(axes, tuple(looks))


def stack(call: Call) -> Reach:
    """Maps side by side along a new axis."""
    known = [a for a in call.axes if a is not None]
    dim = call.attributes.get("dim", 0)
    if not known or not isinstance(dim, int):
        return only(call, None, ALL)
    dim %= len(call.shape)
    new = (known[0][0] + (known[0][0] >= dim), known[0][1] + (known[0][1] >= dim))
    return Reach(new, tuple((SAME, SAME) if a == known[0] else ALL for a in call.axes))


def setitem(call: Call) -> Reach:
    """Values written into part of a map: union of what was there and what came."""
    axes, given = _main(call)
    if axes is None:
        return unknown(call)
    steps = cuts(call.attributes.get("key"), given) or []
    places = [next((i for i, step in enumerate(steps) if step == (axis, (0, 1))), None) for axis in axes]
    looks: list[Looks | None] = []
    for operand, own in zip(call.operands, call.axes, strict=True):
        lag = len(steps) - len(operand.shape)
        fits = own is not None and all(
            place == o + lag and operand.shape[o] == given[axis]
            for place, o, axis in zip(places, own, axes, strict=True)
        )
        looks.append((SAME, SAME) if operand.role == "input" or fits else ALL)
    return Reach(axes, tuple(looks))


SHAPE_RULES: dict[str, Rule] = {
    **dict.fromkeys(
        ("permute", "transpose", "movedim", "moveaxis", "mT", "T", "t", "mH", "H", "adjoint"), permute
    ),
    **dict.fromkeys(("reshape", "view", "flatten", "unflatten", "view_as", "reshape_as", "ravel"), reshape),
    "channel_shuffle": elementwise,
    "expand": elementwise,
    "expand_as": elementwise,
    "broadcast_to": elementwise,
    "getitem": getitem,
    **dict.fromkeys(("chunk", "split", "split_with_sizes", "tensor_split", "narrow"), cut),
    **dict.fromkeys(("select", "unbind"), drop_axis),
    **dict.fromkeys(("squeeze", "unsqueeze"), squeeze),
    **dict.fromkeys(
        """mean sum prod amax amin max min argmax argmin norm var std logsumexp all any median nansum nanmean
        count_nonzero""".split(),
        reduce,
    ),
    "glu": glu,
    "roll": roll,
    "flip": flip,
    **dict.fromkeys(("repeat", "tile"), repeat),
    "cat": cat,
    **dict.fromkeys(("stack",), stack),
    "setitem": setitem,
}
