"""What is written down of the peaks' arithmetic: an entry of the manifest and arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from convscope.scene.peaks import Doubles, Peaks

# Differences and tolerances are shown with two digits: 8 bits of mantissa are enough, and compress.
_SHORT = np.uint32(1 << 15)


@dataclass(frozen=True, eq=False, kw_only=True)
class Proof:
    """How the peaks of one op come about.

    Parameters
    ----------
    rule
        ``sum`` of products, ``pick`` of one candidate, ``norm``, ``function`` of one number, ``cells``
        (few operands) or ``copy``.
    total, tolerance
        ``float64 [channels]``, as in :class:`convscope.tracing.arithmetic.Arithmetic`.
    said
        What is the same for all channels: ``formula``, ``reads``, ``operands``, ``quantities``, ...
    columns
        Further numbers of each channel by name.
    arrays
        ``terms``, ``inputs``, ``weights``, ``places``, ``patches`` of the terms kept.
    """

    rule: str
    total: Doubles
    tolerance: Doubles
    said: dict[str, Any]
    columns: dict[str, Doubles] = field(default_factory=dict)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)

    def written(self, peaks: Peaks) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Entry and arrays."""
        difference = self.total - peaks.values
        # Two infinities that are equal, or two not-a-numbers, agree.
        same = (self.total == peaks.values) | (np.isnan(self.total) & np.isnan(peaks.values))
        difference[same] = 0
        agrees = np.abs(difference) <= self.tolerance
        shortened = _shortened(difference), _shortened(self.tolerance, upward=True)
        told = np.abs(shortened[0]) <= shortened[1]
        # Rounding for the file must not turn a cross into a tick or a tick into a cross.
        difference = np.where(told == agrees, shortened[0], difference)
        tolerance = np.where(told == agrees, shortened[1], self.tolerance)
        columns = {"value": peaks.values, "difference": difference, "tolerance": tolerance, **self.columns}
        index = peaks.op.index
        arrays = {f"proof/{index}": np.stack(list(columns.values()), axis=1).astype(np.float32)}
        arrays |= {f"proof_{name}/{index}": array for name, array in self.arrays.items()}
        return {"rule": self.rule, **self.said, "columns": list(columns)}, arrays


def _shortened(numbers: Doubles, *, upward: bool = False) -> Doubles:
    """Rounded to 8 bits of mantissa, away from zero if ``upward``."""
    bits = numbers.astype(np.float32).view(np.uint32)
    more = (2 * _SHORT - 1) if upward else _SHORT
    kept = np.where(np.isfinite(numbers), (bits + more) & ~(2 * _SHORT - 1), bits).astype(np.uint32)
    found: Doubles = kept.view(np.float32).astype(np.float64)
    return found
