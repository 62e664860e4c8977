"""The cell of each channel's largest ``|value|``, and what an op was given there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convscope.scene.nodes import arranged, drawable
from convscope.scene.quantize import PEAK_COLUMN, PEAK_ROW

if TYPE_CHECKING:
    from convscope.tracing import Op, Trace
    from convscope.tracing.graph import Operand

Doubles = NDArray[np.float64]


class NotCoveredError(Exception):
    """Why the terms of an op's peaks are not stored, for :func:`convscope.scene.proofs.prove` alone."""


@dataclass(frozen=True, eq=False)
class Peaks:
    """One op and its peaks.

    Parameters
    ----------
    rows, columns
        ``int64 [channels]``; 0 where a channel has no finite value, and for a vector.
    values
        ``float64 [channels]``: the network's own.
    """

    trace: Trace
    op: Op
    view: str
    rows: Tensor
    columns: Tensor
    values: Doubles

    @property
    def channels(self) -> int:
        """How many there are."""
        return len(self.values)

    @property
    def dtype(self) -> str:
        """Type of the op's numbers."""
        return self.op.dtype

    def operand(self, *roles: str) -> Operand | None:
        """The operand with the first of these roles that there is."""
        found = (o for role in roles for o in self.op.operands if o.role == role)
        return next(found, None)

    def main(self) -> Operand:
        """The operand the op works on."""
        found = self.operand("input", "instance", "self", "x") or next(iter(self.op.operands), None)
        if found is None:
            raise NotCoveredError("it was given no tensor")
        return found

    def tensor(self, operand: Operand) -> Tensor:
        """What went in, as it was then.

        Raises
        ------
        NotCoveredError
            If it was not kept, or lies in a tensor of another shape.
        """
        if operand.parameter is not None:
            found: Tensor | None = self.trace.parameter(operand.parameter)
        elif operand.op is None:
            found = operand.constant
        else:
            source = self.trace.ops[operand.op]
            whole = operand.output < len(source.shapes) and source.shapes[operand.output] == operand.shape
            found = source.values[operand.output] if whole and operand.output < len(source.values) else None
        if found is None or not found.dtype.is_floating_point or found.layout is not torch.strided:
            raise NotCoveredError("an operand was not kept, or holds no plain numbers")
        return found.detach().cpu()

    def numbers(self, role: str) -> Doubles | None:
        """A learned list of one number a channel; ``None`` where the op was given none."""
        operand = self.operand(role)
        if operand is None:
            return None
        found: Doubles = self.tensor(operand).double().numpy()
        if found.shape != (self.channels,):
            raise NotCoveredError(f"its {role} is not one number a channel")
        return found

    def at(self, operand: Operand) -> Doubles:
        """An operand's value at each peak, spread over the op's shape as torch would."""
        try:
            spread = torch.broadcast_to(self.tensor(operand), self.op.shape)
        except RuntimeError as error:
            raise NotCoveredError("an operand does not spread over its shape") from error
        values = arranged(self.op, spread)[1]
        return self.picked(values)

    def picked(self, values: Tensor | None) -> Doubles:
        """``[channels, rows, columns]`` or ``[channels]`` at the peaks, as float64."""
        if values is None:
            raise NotCoveredError("it cannot be drawn")
        channels = torch.arange(self.channels)
        found = values[channels] if values.ndim == 1 else values[channels, self.rows, self.columns]
        doubles: Doubles = found.double().numpy()
        return doubles

    def described(self, operand: Operand) -> dict[str, Any]:
        """Name and op of an operand whose value at a peak stands at the peak's own cell."""
        if operand.op is None:
            return {"label": operand.parameter or operand.role, "node": None}
        source = self.trace.ops[operand.op]
        same = len(operand.shape) == len(self.op.shape) and not operand.output
        return {"label": source.name, "node": operand.op if same else None}


def peaks_of(trace: Trace, op: Op, stats: NDArray[np.float32]) -> Peaks:
    """Where the peaks of an op are, by its ``stats/ID``."""
    view, values, _ = drawable(op)
    rows = torch.from_numpy(stats[:, PEAK_ROW].astype(np.int64)).clamp_min(0)
    columns = torch.from_numpy(stats[:, PEAK_COLUMN].astype(np.int64)).clamp_min(0)
    found = Peaks(trace, op, view, rows, columns, np.zeros(len(stats)))
    return Peaks(trace, op, view, rows, columns, found.picked(values))
