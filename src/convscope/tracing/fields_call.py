"""The form in which a rule of receptive fields is asked, and answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from convscope.tracing.fields_windows import EVERYTHING, SAME, Along, Window
from convscope.tracing.graph import Operand

Axes = tuple[int, int]
Looks = tuple[Along, Along]
ALL: Looks = (EVERYTHING, EVERYTHING)


@dataclass(frozen=True)
class Call:
    """The op a rule is asked about; ``axes`` are those of each operand, ``None`` for no map."""

    kind: str
    operands: Sequence[Operand]
    attributes: Mapping[str, Any]
    shapes: Sequence[tuple[int, ...]]
    output: int
    axes: Sequence[Axes | None]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the output asked about."""
        return self.shapes[self.output]

    def main(self) -> int | None:
        """Place of the operand the op works on: the one called ``input``, else the first."""
        for i, operand in enumerate(self.operands):
            if operand.role in {"input", "instance", "self"}:
                return i
        return 0 if self.operands else None

    def values(self) -> list[int]:
        """Whole numbers among the arguments, in order, whether given one by one or as a tuple."""
        found: list[int] = []
        for key, value in self.attributes.items():
            if key in {"out", "dtype", "device"}:
                continue
            for item in value if isinstance(value, (tuple, list)) else (value,):
                if isinstance(item, int) and not isinstance(item, bool):
                    found.append(item)
        return found


@dataclass(frozen=True)
class Reach:
    """Where the map is in the output, and what each operand gives to one cell of it.

    ``looks`` has one entry an operand: the rule along the rows and along the columns, or
    ``None`` where the operand's values do not reach the output (only its shape counts).
    """

    axes: Axes | None
    looks: tuple[Looks | None, ...]


Rule = Callable[[Call], Reach]


def only(call: Call, axes: Axes | None, looks: Looks) -> Reach:
    """The main operand is looked at by ``looks``, every other one (weights) as a whole."""
    main = call.main()
    return Reach(axes, tuple(looks if i == main else ALL for i in range(len(call.operands))))


def unknown(call: Call) -> Reach:
    """An op without a rule: everything is looked at; axes are kept where the shape is."""
    axes = next(
        (a for a, o in zip(call.axes, call.operands, strict=True) if a and o.shape == call.shape), None
    )
    return Reach(axes, tuple(ALL for _ in call.operands))


def elementwise(call: Call) -> Reach:
    """Each value from the values at the same place, axes of size 1 stretched (broadcasting)."""
    rank = len(call.shape)
    axes: Axes | None = None
    for exact in (True, False):
        for operand, own in zip(call.operands, call.axes, strict=True):
            if own is None or axes is not None or operand.role.startswith("memory."):
                continue
            moved = (own[0] + rank - len(operand.shape), own[1] + rank - len(operand.shape))
            sizes = [(operand.shape[o], call.shape[m]) for o, m in zip(own, moved, strict=True)]
            if all(a == b or (a == 1 and not exact) for a, b in sizes):
                axes = moved
    looks = []
    for operand, own in zip(call.operands, call.axes, strict=True):
        lag = rank - len(operand.shape)
        if axes is None or own is None or (own[0] + lag, own[1] + lag) != axes:
            looks.append(ALL)
        else:
            pair = [
                SAME if operand.shape[o] == call.shape[a] else Window(1, 0, 0)
                for o, a in zip(own, axes, strict=True)
            ]
            looks.append((pair[0], pair[1]))
    return Reach(axes, tuple(looks))
