"""How the rows (or columns) of a map reach back into the rows of the map before it.

A set of rows is a Python int, one bit a row (bit 0 is row 0): unions, shifts and clipping are
then single operations, whatever the size of the map. An :data:`Along` says, for one axis,
which input rows each output row looks at.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Window(NamedTuple):
    """Cell ``i`` looks at ``start + stride * i + dilation * j`` for ``j`` in ``0 .. size - 1``."""

    size: int = 1
    stride: int = 1
    start: int = 0
    dilation: int = 1


class Table(NamedTuple):
    """Cell ``i`` looks at the rows set in ``rows[i]``; ``shift`` is the closed form of its inner
    cells (stride 1), where it has one."""

    rows: tuple[int, ...]
    shift: int | None = None


class Everything(NamedTuple):
    """Each cell looks at the whole axis."""


Along = Window | Table | Everything

SAME = Window()
EVERYTHING = Everything()


def full(size: int) -> int:
    """The set of all rows of a map with ``size`` of them.

    Examples
    --------
    >>> bin(full(4))
    '0b1111'
    """
    return (1 << size) - 1


def rows_in(rows: int) -> list[int]:
    """The members of a set of rows, in order.

    Examples
    --------
    >>> rows_in(0b1010)
    [1, 3]
    """
    found = []
    while rows:
        lowest = rows & -rows
        found.append(lowest.bit_length() - 1)
        rows ^= lowest
    return found


def row_set(rows: Iterable[int]) -> int:
    """The set of the given rows; negative ones are left out.

    Examples
    --------
    >>> bin(row_set([-1, 0, 3]))
    '0b1001'
    """
    result = 0
    for row in rows:
        if row >= 0:
            result |= 1 << row
    return result


def looked_at(along: Along, rows: int, size: int) -> int:
    """Rows of the input, ``size`` of them, that the given output ``rows`` look at.

    Examples
    --------
    Row 0 of a 3-wide window with padding 1 sees rows 0 and 1; row -1 is padding.

    >>> rows_in(looked_at(Window(size=3, start=-1), row_set([0]), size=5))
    [0, 1]
    """
    if not rows:
        return 0
    if isinstance(along, Everything):
        return full(size)
    if isinstance(along, Table):
        result = 0
        for row in rows_in(rows):
            result |= along.rows[row]
        return result & full(size)
    count, stride, start, dilation = along
    if stride == 1:
        result = rows
        for j in range(1, count):
            result |= rows << (j * dilation)
        return (result << start if start >= 0 else result >> -start) & full(size)
    first = (rows & -rows).bit_length() - 1
    last = rows.bit_length() - 1
    if stride > 0 and dilation == 1 and count >= stride and rows == full(last + 1) - full(first):
        low = max(first * stride + start, 0)
        high = min(last * stride + start + count, size)
        return full(high) - full(low) if high > low else 0
    result = 0
    pattern = sum(1 << (j * dilation) for j in range(count))
    for row in rows_in(rows):
        shift = row * stride + start
        result |= pattern << shift if shift >= 0 else pattern >> -shift
    return result & full(size)


def compose(along: Along, size: int, stride: int, start: int) -> tuple[int, int, int] | None:
    """Closed form ``(size, stride, start)`` in pixels, given that of the map looked at.

    ``None`` where the cells do not all look at windows of one size at even steps.

    Examples
    --------
    A 3-wide window of stride 2 and padding 1 over a map whose cells see 7 pixels every 2:

    >>> compose(Window(3, 2, -1), 7, 2, -3)
    (11, 4, -5)
    """
    if isinstance(along, Table):
        along = Window(start=along.shift) if along.shift is not None else EVERYTHING
    if isinstance(along, Everything) or along.stride < 1:
        return None
    return (
        size + (along.size - 1) * along.dilation * stride,
        stride * along.stride,
        start + along.start * stride,
    )
