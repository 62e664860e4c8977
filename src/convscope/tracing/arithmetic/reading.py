"""Reads what an op was given, as recorded, for the explanation of one of its values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from convscope.errors import NotKeptError, TraceError
from convscope.tracing.arithmetic.locate import cell_of, cells_of, layout
from convscope.tracing.arithmetic.result import Cell, Term
from convscope.tracing.arithmetic.terms import Cells
from convscope.tracing.fields import spatial_axes
from convscope.tracing.graph import Op, Operand

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from convscope.tracing.trace import Trace


@dataclass
class Draft:
    """What an explainer found; :func:`explain_value` adds the recorded value and the verdict."""

    total: float
    terms: Sequence[Term]
    formula: str
    tolerance: float = 0.0
    bias: float | None = None
    quantities: dict[str, float] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class Reader:
    """One value of one op: ``op``, ``output``, ``index`` into that output, and what went in."""

    def __init__(self, trace: Trace, op: Op, output: int, index: tuple[int, ...]) -> None:
        self.trace = trace
        self.op = op
        self.output = output
        self.index = index
        self.kind = op.kind

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Arguments of the op that are not tensors."""
        return self.op.attributes

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the output."""
        return self.op.shapes[self.output]

    @property
    def dtype(self) -> str:
        """Type of the recorded output (``"float32"``)."""
        value = self.op.values[self.output] if self.output < len(self.op.values) else None
        return str(value.dtype).removeprefix("torch.") if value is not None else self.op.dtype

    def operand(self, *roles: str) -> Operand | None:
        """The operand with the first of these roles that there is."""
        for role in roles:
            for operand in self.op.operands:
                if operand.role == role:
                    return operand
        return None

    def main(self) -> Operand:
        """The operand the op works on.

        Raises
        ------
        TraceError
            If there is none.
        """
        found = self.operand("input", "instance", "self", "x")
        if found is None and self.op.operands:
            found = self.op.operands[0]
        if found is None:
            raise self.cannot("it was given no tensor")
        return found

    def tensor(self, operand: Operand) -> Tensor:
        """The tensor that went in, as it was then.

        Raises
        ------
        NotKeptError
            If the op that made it did not keep it.
        """
        if operand.op is not None:
            source = self.trace.ops[operand.op]
            if operand.output >= len(source.shapes) or source.shapes[operand.output] != operand.shape:
                raise self.cannot(f"its input lies where `{source.name}` wrote through another view")
            value = source.values[operand.output] if operand.output < len(source.values) else None
            if value is None:
                raise NotKeptError(
                    f"`{self.op.name}` is computed from `{source.name}`, whose value was not kept",
                    hint=f"Trace again with keep=[{self.op.name!r}, {source.name!r}], or without `keep`.",
                )
            return value
        if operand.parameter is not None:
            return self.trace.parameter(operand.parameter)
        if operand.constant is None:
            raise self.cannot(f"its operand `{operand.role}` was not recorded")
        return operand.constant

    def numbers(self, role: str) -> Tensor | None:
        """The operand with this role as a tensor, ``None`` where the op was given none."""
        operand = self.operand(role)
        return self.tensor(operand) if operand is not None else None

    def cell(self, operand: Operand, index: tuple[int, ...]) -> Cell | None:
        """The cell of an operand at an index; ``None`` for parameters and constants."""
        if operand.op is None:
            return None
        source = self.trace.ops[operand.op]
        axes = spatial_axes(self.trace.ops, operand.op, operand.output)
        return cell_of(layout(operand.shape, axes), source.name, index, operand.output)

    def cells(self, operand: Operand, index: Sequence[Any], known: NDArray[np.bool_]) -> Cells | None:
        """The cells of an operand at many indices: on each axis one number for all, or ``[count]``."""
        if operand.op is None:
            return None
        source = self.trace.ops[operand.op]
        axes = spatial_axes(self.trace.ops, operand.op, operand.output)
        return cells_of(layout(operand.shape, axes), source.name, index, known, operand.output)

    def name(self, operand: Operand) -> str:
        """What to call an operand: its op, its parameter, or its role."""
        if operand.op is not None:
            return self.trace.ops[operand.op].name
        return operand.parameter or operand.role

    def at(self, operand: Operand, index: tuple[int, ...]) -> tuple[float, Cell | None]:
        """A value of an operand, and its cell."""
        return float(self.tensor(operand)[index]), self.cell(operand, index)

    def broadcast(self, operand: Operand) -> tuple[int, ...]:
        """Index into an operand that is stretched to the output's shape."""
        lag = len(self.shape) - len(operand.shape)
        return tuple(0 if n == 1 else self.index[i + lag] for i, n in enumerate(operand.shape))

    def stored(self, number: float) -> float:
        """A number as the output's type holds it."""
        import torch

        return float(torch.tensor(number, dtype=getattr(torch, self.dtype)))

    def cannot(self, why: str) -> TraceError:
        """The error that says this value is not explained, and why."""
        return TraceError(f"the arithmetic of `{self.op.name}` ({self.kind}) cannot be shown: {why}")
