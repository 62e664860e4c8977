"""Maps whose axes only their readers tell: what was cut into windows and put together again.

After attention in windows a network folds its tokens back into ``(N, C, H, W)`` by reshaping. Where rows
and columns are then cannot be seen in the reshape itself, but the convolution that reads it knows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convscope.tracing import Op

#: Kinds that take rows and columns at the last two axes.
_TELLING = frozenset(
    "conv2d conv_transpose2d batch_norm instance_norm group_norm max_pool2d avg_pool2d lp_pool2d "
    "adaptive_avg_pool2d adaptive_max_pool2d interpolate upsample pixel_shuffle pixel_unshuffle".split()
)


def with_axes(ops: Sequence[Op]) -> list[Op]:
    """The ops, those whose axes are told only by what reads them with ``spatial`` set.

    An op is taken for a map where an op of one of the kinds above reads it, or one of the same shape
    that is such a map itself.

    Examples
    --------
    >>> import convscope, torch
    >>> class Folded(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.norm = torch.nn.BatchNorm2d(8)
    ...     def forward(self, x):
    ...         return self.norm(x.reshape(1, 8, 3, 2, 4).permute(0, 1, 3, 2, 4).reshape(1, 8, 4, 6))
    >>> trace = convscope.trace(Folded(), torch.rand(1, 8, 6, 4))
    >>> [(op.spatial, shown.spatial) for op, shown in zip(trace.ops, with_axes(trace.ops))][3]
    (None, (2, 3))
    """
    found = list(ops)
    for op in reversed(found):
        for operand in op.operands:
            if operand.op is None or operand.output or len(operand.shape) != 4:
                continue
            source = found[operand.op]
            main = operand is op.operands[0]
            told = (op.kind in _TELLING and main) or (op.spatial == (2, 3) and op.shape == operand.shape)
            if source.spatial is None and told and source.shape == operand.shape:
                found[operand.op] = dataclasses.replace(source, spatial=(2, 3))
    return found
