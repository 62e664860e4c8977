"""From values to bytes: which range is drawn, and where zero lies in it.

Signed values always have symmetric limits, so that zero is the neutral colour; values that are
never below zero start at zero. A map that is the same everywhere has no range of its own: drawn
by itself it is neutral, and it is reported as constant.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convscope.errors import UsageError
from convscope.raster.colormaps import NOT_FINITE, SCENE_LEVELS, ZERO

#: Which values share one range.
RANGES = ("channel", "layer", "symmetric", "minmax", "minmax-channel")


@dataclass(frozen=True)
class Limits:
    """The range each of ``maps`` maps is drawn in, and what was found on the way.

    Parameters
    ----------
    low, high
        ``float64`` arrays of shape ``(maps,)``: the values at the two ends of the colours.
    range
        One of ``RANGES``.
    colours
        Table that fits: ``"diverging"`` if zero lies in the middle, ``"sequential"`` if it is the
        lower end, ``"grey"`` if zero has no place of its own.
    smallest, largest
        ``float64`` arrays of shape ``(maps,)``: of the finite values; 0 where there are none.
    constant
        ``bool`` array of shape ``(maps,)``: all finite values are equal, or there are none.
    not_finite
        ``int64`` array of shape ``(maps,)``: how many values are not a number or infinite.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    range: str
    colours: str
    smallest: NDArray[np.float64]
    largest: NDArray[np.float64]
    constant: NDArray[np.bool_]
    not_finite: NDArray[np.int64]

    @property
    def silent(self) -> NDArray[np.bool_]:
        """``bool`` array of shape ``(maps,)``: every value is exactly zero."""
        return (self.smallest == 0) & (self.largest == 0) & (self.not_finite == 0)

    @property
    def strength(self) -> NDArray[np.float64]:
        """``float64`` array of shape ``(maps,)``: largest |value|; infinity where a value is not finite."""
        size = np.maximum(np.abs(self.smallest), np.abs(self.largest))
        return np.where(self.not_finite > 0, np.inf, size)

    def take(self, which: ArrayLike) -> Limits:
        """The limits of some of the maps, by index, in that order."""
        index = np.asarray(which, dtype=np.intp)
        return Limits(
            self.low[index],
            self.high[index],
            self.range,
            self.colours,
            self.smallest[index],
            self.largest[index],
            self.constant[index],
            self.not_finite[index],
        )


def as_floats(values: ArrayLike) -> NDArray[np.floating]:
    """``values`` as float32 (float64 stays), without a copy where possible.

    Raises
    ------
    UsageError
        If they are complex or not numbers.

    Examples
    --------
    >>> as_floats([[1, 2]]).dtype
    dtype('float32')
    """
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise UsageError(f"`values` must be real numbers; got an array of {array.dtype}")
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)


def limits(values: ArrayLike, range: str = "channel") -> Limits:
    """The range each map is drawn in.

    Parameters
    ----------
    values
        Array of shape ``(maps, ...)``, at least one value a map.
    range
        ``"channel"``: each map by its own largest |value|. ``"layer"``: all by the largest of
        all. Both are symmetric about zero if any value is below zero, else they start at zero.
        ``"symmetric"``: as ``"layer"``, but symmetric about zero even where nothing is below
        it, so that layers can be set side by side. ``"minmax"``: from the smallest to the largest of all
        values, ``"minmax-channel"``: of each map; zero then has no colour of its own.

    Raises
    ------
    UsageError
        If ``range`` is unknown, or ``values`` is empty or not real.

    Examples
    --------
    >>> found = limits([[-1.0, 2.0], [0.0, 0.5], [0.0, 0.0]])
    >>> found.low.tolist(), found.high.tolist(), found.colours
    ([-2.0, -0.5, -0.0], [2.0, 0.5, 0.0], 'diverging')
    >>> found.constant.tolist()
    [False, False, True]
    """
    if range not in RANGES:
        raise UsageError(f"`range` must be one of {', '.join(RANGES)}; got {range!r}")
    array = as_floats(values)
    if array.ndim < 2 or array.size == 0:
        raise UsageError(f"`values` must be (maps, ...) with at least one value; got shape {array.shape}")
    smallest, largest, not_finite = _extremes(array.reshape(array.shape[0], -1))
    low, high = smallest, largest
    if range in ("layer", "symmetric", "minmax"):
        some = not_finite < array[0].size
        low = np.full_like(smallest, smallest[some].min() if some.any() else 0.0)
        high = np.full_like(largest, largest[some].max() if some.any() else 0.0)
    colours = "grey"
    if not range.startswith("minmax"):
        colours = "diverging" if range == "symmetric" or smallest.min() < 0 else "sequential"
        high = np.maximum(np.abs(low), np.abs(high))
        low = -high if colours == "diverging" else np.zeros_like(high)
    return Limits(low, high, range, colours, smallest, largest, smallest == largest, not_finite)


def _extremes(
    rows: NDArray[np.floating],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    smallest, largest = rows.min(axis=1), rows.max(axis=1)
    not_finite = np.zeros(len(rows), np.int64)
    # Not-a-number and infinity both reach the extremes, so most layers need no second look.
    for index in np.flatnonzero(~(np.isfinite(smallest) & np.isfinite(largest))):
        finite = rows[index][np.isfinite(rows[index])]
        not_finite[index] = rows.shape[1] - finite.size
        smallest[index], largest[index] = (finite.min(), finite.max()) if finite.size else (0, 0)
    return smallest.astype(np.float64), largest.astype(np.float64), not_finite


def to_bytes(values: ArrayLike, within: Limits, *, levels: int = SCENE_LEVELS) -> NDArray[np.uint8]:
    """Each value as a byte of a colour table.

    Parameters
    ----------
    values
        Array of shape ``(maps, ...)``; values beyond their limits get the colour of the end.
    within
        The maps' limits.
    levels
        How many bytes carry values, odd, at most 255; they lie around 128.

    Returns
    -------
    ``uint8`` array of the shape of ``values``. With diverging colours 128 is zero; with the
    others the first byte, ``128 - levels // 2``, is the lower limit. Not finite: 0. A map
    without a range of its own is neutral throughout: 128, or the first byte in sequential colours.

    Examples
    --------
    >>> values = [[-1.0, 0.0, 0.5, float("nan")]]
    >>> to_bytes(values, limits(values)).tolist()
    [[1, 128, 192, 0]]
    """
    array = as_floats(values)
    half = levels // 2
    shape = (-1,) + (1,) * (array.ndim - 1)
    low, high = within.low.reshape(shape), within.high.reshape(shape)
    own = within.range in ("channel", "minmax-channel")
    flat = (within.constant if own else within.low == within.high).reshape(shape) | (high <= low)
    # Dividing in double keeps the ends exact where float32 would overflow; big arrays stay in float32.
    if within.high.max(initial=0.0) > 1e37 or within.strength.min(initial=1.0) < 1e-37:
        array = array.astype(np.float64)
    low, high = low.astype(array.dtype), high.astype(array.dtype)
    width = np.where(flat, 1, high / 2 - low / 2).astype(array.dtype)
    signed = within.colours == "diverging"
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = array / width if signed else (array / 2 - low / 2) / width * 2 - 1
        scaled *= half
        np.rint(scaled, out=scaled)
    clean = not within.not_finite.any()
    finite = None if clean else np.isfinite(array)
    if finite is not None:
        scaled[~finite] = 0
    np.clip(scaled, -half, half, out=scaled)
    if flat.any():
        neutral = -half if within.colours == "sequential" else 0
        np.copyto(scaled, neutral, where=flat)
    scaled += ZERO
    result = scaled.astype(np.uint8)
    if finite is not None:
        result[~finite] = NOT_FINITE
    return result


def rescale(values: ArrayLike, *, together: bool = True) -> NDArray[np.floating]:
    """Values moved to 0..1: the smallest is 0, the largest 1.

    Parameters
    ----------
    values
        Array of shape ``(kernels, ...)``.
    together
        One range for all kernels, so that they can be compared; otherwise each has its own.

    Returns
    -------
    Float array of the same shape, a copy. Equal values become 0.5; values that are not finite
    become not-a-number.

    Examples
    --------
    >>> rescale([[0, 1], [2, 4]]).tolist()
    [[0.0, 0.25], [0.5, 1.0]]
    >>> rescale([[0, 1], [2, 4]], together=False).tolist()
    [[0.0, 1.0], [0.0, 1.0]]
    """
    array = as_floats(values)
    found = limits(array, "minmax" if together else "minmax-channel")
    shape = (-1,) + (1,) * (array.ndim - 1)
    low, high = found.low.reshape(shape) / 2, found.high.reshape(shape) / 2
    width = np.where(high > low, high - low, 1)
    with np.errstate(invalid="ignore"):
        moved = np.where(high > low, (array / 2 - low) / width, 0.5)
    return np.where(np.isfinite(array), moved, np.nan).astype(array.dtype)
