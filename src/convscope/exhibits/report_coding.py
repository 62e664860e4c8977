"""Ways to write arrays so that they compress well, undone by the page."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def planes_coded(table: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Bytes of a table of 4-byte numbers: column by column, and in a column all lowest bytes first.

    Numbers of one column are alike in their first bytes and differ in their last.

    Examples
    --------
    >>> planes_coded(np.array([[1, 2], [258, 4]], np.int32)).tolist()
    [1, 2, 0, 1, 0, 0, 0, 0, 2, 4, 0, 0, 0, 0, 0, 0]
    """
    columns = table.shape[-1] if table.ndim == 2 else 1
    little = table.reshape(-1, columns).T.astype(table.dtype.newbyteorder("<"), copy=False)
    whole = np.ascontiguousarray(little).view(np.uint8).reshape(columns, -1, 4)
    return np.ascontiguousarray(whole.transpose(0, 2, 1)).reshape(-1)


def planes_decoded(coded: NDArray[np.uint8], dtype: str, shape: tuple[int, ...]) -> NDArray[np.generic]:
    """The table :func:`planes_coded` was given.

    Examples
    --------
    >>> table = np.array([[1.5, -2.0, 3.25]], np.float32)
    >>> planes_decoded(planes_coded(table), "float32", (1, 3)).tolist()
    [[1.5, -2.0, 3.25]]
    """
    columns = shape[-1] if len(shape) == 2 else 1
    whole = np.ascontiguousarray(coded.reshape(columns, 4, -1).transpose(0, 2, 1))
    return whole.view(np.dtype(dtype).newbyteorder("<"))[..., 0].T.reshape(shape)


def statistics_coded(stats: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Bits of ``stats/ID``, the scale less what it should be, a 127th of the largest ``|value|``.

    Examples
    --------
    >>> row = np.array([[-254, 127, 0, 1, 0, 0, 0, 2]], np.float32)
    >>> int(statistics_coded(row)[0, 7])
    0
    >>> bool((statistics_decoded(statistics_coded(row)) == row).all())
    True
    """
    bits = np.array(stats, np.float32).view(np.uint32)
    bits[:, 7] ^= _expected_scale(stats)
    return bits


def statistics_decoded(bits: NDArray[np.uint32]) -> NDArray[np.float32]:
    """The table :func:`statistics_coded` was given."""
    bits = bits.copy()
    bits[:, 7] ^= _expected_scale(bits.view(np.float32))
    return bits.view(np.float32)


def _expected_scale(stats: NDArray[np.float32]) -> NDArray[np.uint32]:
    low, high = stats[:, 0], stats[:, 1]
    # Comparing, not `maximum`, so that not-a-number has one outcome everywhere.
    return (np.where(high > -low, high, -low) / np.float32(127)).view(np.uint32)


def residuals(maps: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Each byte of ``[channels, rows, columns]`` less the mean of those left of it and above it.

    The mean is rounded down, 128 stands for neighbours outside the map, and differences are
    taken modulo 256, so that nothing is lost (PNG's `average` filter does nearly the same).

    Examples
    --------
    >>> residuals(np.array([[[130, 130], [130, 131]]], np.uint8)).tolist()
    [[[2, 1], [1, 1]]]
    """
    left, above = np.full_like(maps, 128), np.full_like(maps, 128)
    left[:, :, 1:] = maps[:, :, :-1]
    above[:, 1:] = maps[:, :-1]
    # The rounded-down mean of two bytes without leaving bytes.
    found: NDArray[np.uint8] = maps - ((left & above) + ((left ^ above) >> 1))
    return found


def from_residuals(differences: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The maps :func:`residuals` was given (cell by cell, as the page does it).

    Examples
    --------
    >>> from_residuals(np.array([[[2, 1], [1, 1]]], np.uint8)).tolist()
    [[[130, 130], [130, 131]]]
    """
    found = np.empty_like(differences)
    channels, rows, columns = differences.shape
    above = np.full((channels, columns), 128, np.uint8)
    for row in range(rows):
        left = np.full(channels, 128, np.uint8)
        for column in range(columns):
            up = above[:, column]
            left = differences[:, row, column] + ((left & up) + ((left ^ up) >> 1))
            found[:, row, column] = left
        above = found[:, row]
    return found


def coarse(maps: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """Map bytes in steps ``step`` times as large; 128 stays zero, 0 stays "not finite".

    Examples
    --------
    >>> coarse(np.array([0, 1, 126, 128, 130, 255], np.uint8), 2).tolist()
    [0, 64, 127, 128, 129, 192]
    """
    if step == 1:
        return maps
    table = 128 + np.rint((np.arange(256) - 128) / step).astype(np.int64)
    table[0] = 0
    return table.astype(np.uint8)[maps]


def finer(codes: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """Map bytes again from what :func:`coarse` gave, at most half a ``step`` off.

    Examples
    --------
    >>> finer(np.array([0, 64, 127, 128, 129, 192], np.uint8), 2).tolist()
    [0, 1, 126, 128, 130, 255]
    """
    if step == 1:
        return codes
    table = np.clip(128 + (np.arange(256) - 128) * step, 1, 255)
    table[0] = 0
    return table.astype(np.uint8)[codes]
