"""Ops that only move values: where a value was before it was copied here.

Places are followed by doing the same move to a tensor that holds its own places.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, Any

from convscope.numerics import stored_tolerance, unit_roundoff
from convscope.tracing.arithmetic.reading import Draft, Reader
from convscope.tracing.arithmetic.result import Term
from convscope.tracing.fields_call import Call
from convscope.tracing.fields_shapes import permutation

if TYPE_CHECKING:
    from torch import Tensor

    from convscope.tracing.graph import Operand


def _flat(index: tuple[int, ...], shape: tuple[int, ...]) -> int:
    place = 0
    for i, n in zip(index, shape, strict=True):
        place = place * n + i
    return place


def _unflat(place: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    index = []
    for n in reversed(shape):
        index.append(place % n)
        place //= n
    return tuple(reversed(index))


def _copied(reader: Reader, operand: Operand, index: tuple[int, ...]) -> Draft:
    value, cell = reader.at(operand, index)
    formula = f"copied from {cell or reader.name(operand)}"
    tolerance = 0.0
    if reader.kind in CASTS:
        given = str(reader.tensor(operand).dtype).removeprefix("torch.")
        if given != reader.dtype:
            if not unit_roundoff(reader.dtype):
                raise reader.cannot(f"values of type {given} become {reader.dtype}")
            # A wider type holds the same number; a narrower one the nearest it has.
            if unit_roundoff(reader.dtype) > unit_roundoff(given):
                tolerance = unit_roundoff(reader.dtype) * abs(value) + stored_tolerance(value, reader.dtype)
    return Draft(
        value,
        [Term(reader.name(operand), value, cell, value)],
        formula,
        tolerance,
        more={"source": reader.name(operand)},
    )


def same_place(reader: Reader) -> Draft:
    """A copy, maybe of another type."""
    image = reader.main()
    return _copied(reader, image, reader.broadcast(image))


def reshaped(reader: Reader) -> Draft:
    """The same values in the same order under other axes."""
    image = reader.main()
    if prod(image.shape) != prod(reader.shape):
        raise reader.cannot("its values were reinterpreted as another type")
    return _copied(reader, image, _unflat(_flat(reader.index, reader.shape), image.shape))


def permuted(reader: Reader) -> Draft:
    """Axes in another order."""
    image = reader.main()
    call = Call(reader.kind, reader.op.operands, reader.attributes, reader.op.shapes, reader.output, ())
    order = permutation(call, len(image.shape))
    if order is None:
        raise reader.cannot("its arguments were not recorded")
    index = [0] * len(order)
    for axis, source in enumerate(order):
        index[source] = reader.index[axis]
    return _copied(reader, image, tuple(index))


def cut(reader: Reader) -> Draft:
    """A stretch of one axis (``chunk``, ``split``, ``narrow``), or one place of it (``select``)."""
    image = reader.main()
    rank = len(image.shape)
    dim = int(reader.attributes.get("dim", 0)) % rank
    index = list(reader.index)
    if reader.kind in {"select", "unbind"}:
        place = int(reader.attributes["index"]) if reader.kind == "select" else reader.output
        index.insert(dim, place % image.shape[dim])
    elif reader.kind == "narrow":
        start = reader.attributes.get("start")
        if not isinstance(start, int):
            raise reader.cannot("where it begins was not recorded")
        index[dim] += start % image.shape[dim]
    else:
        index[dim] += sum(shape[dim] for shape in reader.op.shapes[: reader.output])
    return _copied(reader, image, tuple(index))


def moved_places(reader: Reader) -> Tensor:
    """For every cell of the output the flat index of the cell of the main operand it is a copy of.

    Raises
    ------
    TraceError
        If the op is no such copy, or its arguments were not recorded.
    """
    import torch

    image = reader.main()
    places = torch.arange(prod(image.shape)).reshape(image.shape)
    if reader.kind in SAME_PLACE:
        return places.broadcast_to(reader.shape)
    if reader.kind in RESHAPES and prod(image.shape) == prod(reader.shape):
        return places.reshape(reader.shape)
    if reader.kind in PERMUTES:
        call = Call(reader.kind, reader.op.operands, reader.attributes, reader.op.shapes, reader.output, ())
        order = permutation(call, len(image.shape))
        if order is not None:
            return places.permute(*order)
    if reader.kind in {"chunk", "split", "split_with_sizes", "tensor_split"}:
        dim = int(reader.attributes.get("dim", 0)) % len(image.shape)
        start = sum(shape[dim] for shape in reader.op.shapes[: reader.output])
        return places.narrow(dim, start, reader.shape[dim])
    if reader.kind in TRACED:
        return _moved(reader, places.double()).long()
    raise reader.cannot("it is no plain copy of one tensor")


def joined(reader: Reader) -> Draft:
    """``cat``: one of several tensors, behind one another along an axis."""
    dim = int(reader.attributes.get("dim", reader.attributes.get("axis", 0))) % len(reader.shape)
    place = reader.index[dim]
    for operand in reader.op.operands:
        if operand.role.startswith("memory.") or len(operand.shape) != len(reader.shape):
            continue
        if place < operand.shape[dim]:
            return _copied(reader, operand, (*reader.index[:dim], place, *reader.index[dim + 1 :]))
        place -= operand.shape[dim]
    raise reader.cannot("the tensors joined were not recorded")


def stacked(reader: Reader) -> Draft:
    """``stack``: one of several tensors, side by side along a new axis."""
    dim = int(reader.attributes.get("dim", 0)) % len(reader.shape)
    operands = [o for o in reader.op.operands if not o.role.startswith("memory.")]
    if len(operands) != reader.shape[dim]:
        raise reader.cannot("the tensors joined were not recorded")
    return _copied(reader, operands[reader.index[dim]], (*reader.index[:dim], *reader.index[dim + 1 :]))


def traced(reader: Reader) -> Draft:
    """Any other move: done once more to a tensor of places."""
    import torch

    image = reader.main()
    places = torch.arange(prod(image.shape), dtype=torch.float64).reshape(image.shape)
    place = int(_moved(reader, places)[reader.index])
    if place < 0:
        value = float(reader.attributes.get("value", 0) or 0)
        return Draft(value, [Term("padding", value)], f"padding, filled with {value:g}")
    return _copied(reader, image, _unflat(place, image.shape))


def _moved(reader: Reader, places: Tensor) -> Tensor:
    try:
        moved: Tensor = _MOVES[reader.kind](reader, places)
    except (RuntimeError, IndexError, TypeError, KeyError, ValueError):
        raise reader.cannot("its arguments were not recorded in full") from None
    if moved.shape != reader.shape:
        raise reader.cannot("its arguments were not recorded in full")
    return moved


def _padded(reader: Reader, places: Tensor) -> Tensor:
    from torch.nn import functional

    mode = reader.attributes.get("mode", "constant")
    amounts = list(reader.attributes["pad"])
    if mode == "constant":
        return functional.pad(places, amounts, value=-1.0)
    return functional.pad(places, amounts, mode=mode)


def _taken(reader: Reader, places: Tensor) -> Tensor:
    others = [o for o in reader.op.operands[1:] if not o.role.startswith("memory.")]
    if others:
        if len(others) > 1 or others[0].role not in {"key", "indices"}:
            raise KeyError
        return places[reader.tensor(others[0])]
    key = reader.attributes.get("key", reader.attributes.get("indices"))
    found = places[_key(key)]
    # A list and a tuple of whole numbers are recorded alike; the shape tells which it was.
    return places[list(key)] if found.shape != reader.shape and isinstance(key, tuple) else found


def _key(key: Any) -> Any:
    return tuple(list(k) if isinstance(k, tuple) else k for k in key) if isinstance(key, tuple) else key


def _values(reader: Reader) -> list[int]:
    call = Call(reader.kind, reader.op.operands, reader.attributes, reader.op.shapes, reader.output, ())
    return call.values()


def _selected(reader: Reader, places: Tensor) -> Tensor:
    index = reader.numbers("index")
    if index is None:
        raise KeyError
    return places.index_select(reader.attributes["dim"], index)


def _rolled(reader: Reader, places: Tensor) -> Tensor:
    dims = reader.attributes.get("dims")
    return (
        places.roll(reader.attributes["shifts"], dims)
        if dims is not None
        else places.roll(reader.attributes["shifts"])
    )


def _shuffled(name: str) -> Callable[[Reader, Tensor], Tensor]:
    def move(reader: Reader, places: Tensor) -> Tensor:
        from torch.nn import functional

        moved: Tensor = getattr(functional, name)(places, _values(reader)[0])
        return moved

    return move


_MOVES: dict[str, Callable[[Reader, Any], Any]] = {
    "pad": _padded,
    "getitem": _taken,
    "index_select": _selected,
    "roll": _rolled,
    "flip": lambda reader, places: places.flip(_values(reader)),
    "expand": lambda reader, places: places.expand(reader.shape),
    "expand_as": lambda reader, places: places.expand(reader.shape),
    "broadcast_to": lambda reader, places: places.expand(reader.shape),
    "repeat": lambda reader, places: places.repeat(_values(reader)),
    "tile": lambda reader, places: places.tile(_values(reader)),
    "pixel_shuffle": _shuffled("pixel_shuffle"),
    "pixel_unshuffle": _shuffled("pixel_unshuffle"),
    "channel_shuffle": _shuffled("channel_shuffle"),
}


def written(reader: Reader) -> Draft:
    """``tensor[key] = value``: what was there, or what came."""
    import torch

    image = reader.main()
    if any(o.role.startswith("key") for o in reader.op.operands):
        raise reader.cannot("its key is a tensor")
    value = reader.operand("value")
    marks = torch.zeros(reader.shape, dtype=torch.float64)
    count = prod(value.shape) if value is not None else 1
    source = torch.arange(1.0, count + 1, dtype=torch.float64).reshape(
        value.shape if value is not None else ()
    )
    marks[_key(reader.attributes.get("key"))] = source
    place = int(marks[reader.index])
    if place == 0:
        return _copied(reader, image, reader.index)
    if value is not None:
        return _copied(reader, value, _unflat(place - 1, value.shape))
    number = float(reader.attributes["value"])
    return Draft(number, [Term("value", number)], f"set to {number:g}")


CASTS = frozenset("to float double half bfloat16 type type_as".split())
SAME_PLACE = CASTS | frozenset("clone contiguous detach alias cpu identity lift_fresh data".split())
RESHAPES = frozenset("reshape view flatten unflatten squeeze unsqueeze view_as reshape_as ravel".split())
PERMUTES = frozenset("permute transpose movedim moveaxis mT T t mH H adjoint".split())
CUTS = frozenset("chunk split split_with_sizes tensor_split narrow select unbind".split())
TRACED = frozenset(_MOVES)
