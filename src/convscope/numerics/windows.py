"""Windows over maps: which cells one output looks at, and the values found there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


def window_rows(cell: int, size: int, stride: int, padding: int, dilation: int) -> tuple[int, ...]:
    """Rows that ``cell`` of a convolution or pooling looks at; outside the map they are padding.

    Examples
    --------
    >>> window_rows(0, size=3, stride=2, padding=1, dilation=1)
    (-1, 0, 1)
    """
    return tuple(cell * stride - padding + j * dilation for j in range(size))


def transposed_rows(cell: int, size: int, stride: int, padding: int, dilation: int) -> tuple[int, ...]:
    """For each kernel row the input row that reaches ``cell`` of a transposed convolution, -1 for none.

    Examples
    --------
    >>> transposed_rows(4, size=3, stride=2, padding=1, dilation=1)
    (-1, 2, -1)
    """
    places = [cell + padding - j * dilation for j in range(size)]
    return tuple(p // stride if p >= 0 and p % stride == 0 else -1 for p in places)


def adaptive_rows(cell: int, given: int, out: int) -> tuple[int, ...]:
    """Rows that ``cell`` of ``out`` looks at in adaptive pooling of ``given`` rows.

    Examples
    --------
    >>> adaptive_rows(1, given=7, out=3)
    (2, 3, 4)
    """
    return tuple(range(cell * given // out, -(-(cell + 1) * given // out)))


def gather(values: Tensor, places: Sequence[Sequence[int]]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Values of a map at the crossings of the given rows and columns.

    Parameters
    ----------
    values
        ``[channels, *sizes]``, of any type.
    places
        For each axis after the first the indices wanted; those outside the map are padding.

    Returns
    -------
    ``float64 [channels, *counts]`` with 0 where there is padding, and ``bool [*counts]``, true
    inside the map.

    Examples
    --------
    >>> import torch
    >>> found, inside = gather(torch.arange(4.0).reshape(1, 2, 2), [(-1, 0), (0, 1)])
    >>> found.tolist(), inside.tolist()
    ([[[0.0, 0.0], [0.0, 1.0]]], [[False, False], [True, True]])
    """
    import numpy as np

    inside = np.ones([len(p) for p in places], dtype=bool)
    crossings = []
    for axis, wanted in enumerate(places):
        size = values.shape[axis + 1]
        within = np.array([0 <= p < size for p in wanted], dtype=bool)
        shape = [1] * len(places)
        shape[axis] = len(wanted)
        inside &= within.reshape(shape)
        crossings.append(np.array([min(max(p, 0), size - 1) for p in wanted], dtype=np.int64))
    # Picked by numpy: torch would share even these few numbers out among threads, and wait for the slowest.
    starts = [int(at.min()) for at in crossings]
    ends = [int(at.max()) + 1 for at in crossings]
    part = values.detach()[(slice(None), *map(slice, starts, ends))]
    picked = _plain(part)[
        np.ix_(np.arange(len(part)), *(at - start for at, start in zip(crossings, starts, strict=True)))
    ]
    return np.where(inside, picked, 0.0), inside


def _plain(values: Tensor) -> NDArray[np.float64]:
    """The same numbers in float64; of types that numpy does not know, torch makes them."""
    import numpy as np

    try:
        return values.cpu().numpy().astype(np.float64)
    except TypeError:
        return values.double().cpu().numpy()
