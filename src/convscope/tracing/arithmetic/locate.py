"""Which axis of a tensor is the batch, which are the channels, and which the place on the map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from convscope.errors import UsageError
from convscope.tracing.arithmetic.result import Cell
from convscope.tracing.arithmetic.terms import Cells

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Layout:
    """Axes of a tensor: ``batch`` (or none), ``channels`` (counted together, in order), ``at``."""

    shape: tuple[int, ...]
    batch: int | None
    channels: tuple[int, ...]
    at: tuple[int, ...]

    @property
    def channel_count(self) -> int:
        """Number of channels (features, for a vector)."""
        return prod(self.shape[a] for a in self.channels)


def layout(shape: tuple[int, ...], spatial: tuple[int, int] | None) -> Layout:
    """The layout of a tensor whose rows and columns are at ``spatial``.

    A vector ``(N, features)`` has features for channels; a tensor that is no map has axis 1 for
    channels and the axes after it for the place.

    Examples
    --------
    >>> layout((1, 64, 7, 7), (2, 3)).channels, layout((1, 7, 7, 64), (1, 2)).channels
    ((1,), (3,))
    """
    rank = len(shape)
    if rank == 0:
        return Layout(shape, None, (), ())
    if spatial is not None:
        others = [a for a in range(rank) if a not in spatial]
        batch = others.pop(0) if len(others) > 1 else None
        return Layout(shape, batch, tuple(others), spatial)
    if rank == 1:
        return Layout(shape, None, (0,), ())
    return Layout(shape, 0, (1,), tuple(range(2, rank)))


def index_of(
    where: Layout, name: str, batch: int, channel: int, at: tuple[int, ...] | None
) -> tuple[int, ...]:
    """Index into the tensor.

    Raises
    ------
    UsageError
        If the channel, the place or the batch entry does not exist, naming what does.
    """
    count = where.channel_count
    if not 0 <= channel < count:
        raise UsageError(f"`{name}` has channels 0 to {count - 1}; got {channel}")
    batches = where.shape[where.batch] if where.batch is not None else 1
    if not 0 <= batch < batches:
        raise UsageError(f"`{name}` has batch entries 0 to {batches - 1}; got {batch}")
    sizes = [where.shape[a] for a in where.at]
    if at is None and prod(sizes) == 1:
        at = (0,) * len(sizes)
    words = ["rows", "columns"] if len(sizes) == 2 else [f"places on axis {a}" for a in where.at]
    ranges = " and ".join(f"{w} 0 to {n - 1}" for w, n in zip(words, sizes, strict=True))
    if at is None:
        raise UsageError(
            f"`{name}` has {ranges}: say which cell", hint="For example `--at 0,0` (`at=(0, 0)`)."
        )
    if not sizes and at in {(), (0, 0)}:
        at = ()
    if len(at) != len(sizes):
        has = ranges or "no rows and columns, only channels"
        raise UsageError(f"`{name}` has {has}; got `at` = ({', '.join(map(str, at))})")
    if any(not 0 <= p < n for p, n in zip(at, sizes, strict=True)):
        raise UsageError(f"`{name}` has {ranges}; got ({', '.join(map(str, at))})")
    index = [0] * len(where.shape)
    if where.batch is not None:
        index[where.batch] = batch
    for axis in reversed(where.channels):
        index[axis] = channel % where.shape[axis]
        channel //= where.shape[axis]
    for axis, place in zip(where.at, at, strict=True):
        index[axis] = place
    return tuple(index)


def cell_of(where: Layout, name: str, index: tuple[int, ...], output: int = 0) -> Cell:
    """The cell at an index; the inverse of :func:`index_of`."""
    channel = 0
    for axis in where.channels:
        channel = channel * where.shape[axis] + index[axis]
    at = tuple(index[a] for a in where.at) if where.at else None
    return Cell(name, channel, at, index[where.batch] if where.batch is not None else 0, output)


def cells_of(
    where: Layout, name: str, index: Sequence[Any], known: NDArray[np.bool_], output: int = 0
) -> Cells:
    """The cells at many indices: for each axis one number for all, or an array ``[count]``."""
    import numpy as np

    columns = [np.broadcast_to(np.asarray(i, dtype=np.int64), known.shape) for i in index]
    channels = np.zeros(known.shape, dtype=np.int64)
    for axis in where.channels:
        channels = channels * where.shape[axis] + columns[axis]
    at = np.stack([columns[a] for a in where.at], axis=1) if where.at else None
    batches = columns[where.batch] if where.batch is not None else np.zeros(known.shape, dtype=np.int64)
    return Cells(name, output, batches, channels, at, known)
