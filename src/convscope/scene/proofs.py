"""The exact terms of every channel's peak, a whole layer at once.

What :meth:`convscope.Trace.value_of` says of one value is worked out here for the peaks of all channels of
an op, by the same formulas in float64, and written down in columns of float32. Of long sums only the
largest terms are kept; the rest is what is missing to the total.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convscope.scene.peaks import NotCoveredError, Peaks, peaks_of
from convscope.scene.proof_cells import CELLS
from convscope.scene.proof_parts import Proof
from convscope.scene.proof_sums import SUMS

if TYPE_CHECKING:
    from convscope.tracing import Op, Trace

#: Terms of sums that are kept, all channels of all ops together.
TERMS = 100_000
#: Terms of one sum that are kept at most.
MOST = 64
#: Numbers of patches and kernels that are kept, for the first convolutions.
PATCH_NUMBERS = 24_000

PROVERS: dict[str, Callable[[Peaks, int, bool], Proof]] = {**SUMS, **CELLS}


def plan(ops: Iterable[Op]) -> tuple[int, frozenset[int]]:
    """How many terms each sum keeps, and which ops keep the patches of theirs.

    As many terms for all as :data:`TERMS` allows, at least 1. Patches go to the first convolutions in
    the order of the network, where a person who walks upstream arrives.
    """
    sums = [(op, *sizes) for op in ops if (sizes := _sizes(op)) is not None]
    most = 1
    while most < MOST and sum(c * min(n, most + 1) for _, c, n, _ in sums) <= TERMS:
        most += 1
    patched: set[int] = set()
    left = PATCH_NUMBERS
    for op, channels, count, area in sums:
        size = 2 * channels * min(count, most) * area
        if area > 1 and size <= left:
            patched.add(op.index)
            left -= size
    return most, frozenset(patched)


def _sizes(op: Op) -> tuple[int, int, int] | None:
    """Sums of an op, terms of each, and cells of a kernel; ``None`` where it is no sum."""
    weight = next((o.shape for o in op.operands if o.role == "weight"), None)
    if op.kind == "conv2d" and weight is not None and len(weight) == 4:
        return weight[0], weight[1], prod(weight[2:])
    if op.kind == "linear" and weight is not None and len(weight) == 2:
        return weight[0], weight[1], 1
    if op.kind in SUMS and op.spatial is None and len(op.shape) in (2, 4) and op.operands:
        return op.shape[1], prod(op.operands[0].shape[2:]), 1
    if op.kind in SUMS and len(op.shape) == 4:
        return op.shape[1], 9, 1
    return None


def prove(
    trace: Trace, op: Op, stats: NDArray[np.float32], most: int, patched: bool
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]] | None:
    """The manifest's ``proof`` of an op and its arrays; ``None`` where its kind is not covered.

    Parameters
    ----------
    most, patched
        From :func:`plan`: terms kept of each sum, and whether their patches and kernels are.
    """
    prover = PROVERS.get(op.kind)
    if prover is None or not stats.size:
        return None
    try:
        peaks = peaks_of(trace, op, stats)
        with np.errstate(all="ignore"):
            return prover(peaks, most, patched).written(peaks)
    except NotCoveredError:
        return None
