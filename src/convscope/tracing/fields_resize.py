"""Which rows a resized row is made from, as torch's `interpolate` computes it."""

from __future__ import annotations

from collections.abc import Mapping
from math import floor
from struct import pack, unpack
from typing import Any

from convscope.tracing.fields_windows import EVERYTHING, SAME, Along, Table, Window, row_set


def resized(kind: str, attributes: Mapping[str, Any], place: int, given: int, out: int) -> Along:
    """The rows each of ``out`` rows is made from, of ``given`` ones; ``place`` 0 for rows, 1 for columns.

    Examples
    --------
    Halved by bilinear interpolation: the mean of two neighbours.

    >>> resized("interpolate", {"mode": "bilinear", "size": 4}, 0, 8, 4)
    Window(size=2, stride=2, start=0, dilation=1)
    """
    mode = interpolation_mode(kind, attributes)
    if attributes.get("antialias"):
        return EVERYTHING
    if mode in {"nearest", "nearest-exact"}:
        sources = [nearest_row(i, mode, step(attributes, place, given, out), given, out) for i in range(out)]
        return _closed([[s] for s in sources])
    if mode == "bilinear":
        weights = [
            bilinear_rows(i, align_corners(kind, attributes), step(attributes, place, given, out), given, out)
            for i in range(out)
        ]
        return _closed([[row for row, weight in pair if weight] for pair in weights])
    return EVERYTHING if (given, out) != (1, 1) else SAME


def interpolation_mode(kind: str, attributes: Mapping[str, Any]) -> str:
    """``nearest``, ``bilinear``, ... as asked for, or as the function's name says."""
    named = kind.removeprefix("upsample_").removesuffix("2d") if kind.startswith("upsample_") else "nearest"
    return str(attributes.get("mode", named))


def align_corners(kind: str, attributes: Mapping[str, Any]) -> bool:
    """Whether the outermost rows of both maps lie on each other."""
    return bool(attributes.get("align_corners", kind == "upsample_bilinear"))


def step(attributes: Mapping[str, Any], place: int, given: int, out: int) -> float:
    """Input rows per output row: from the scale factor where torch uses it, else from the sizes."""
    factor = attributes.get("scale_factor")
    if isinstance(factor, tuple):
        factor = factor[place] if place < len(factor) else factor[0]
    if isinstance(factor, (int, float)) and factor > 0 and not attributes.get("recompute_scale_factor"):
        return 1 / float(factor)
    return given / out


def nearest_row(cell: int, mode: str, ratio: float, given: int, out: int) -> int:
    """The row copied to row ``cell``; torch works it out in float32, so this does too."""
    if out == given and mode == "nearest":
        return cell
    if mode == "nearest-exact":
        return min(floor(single(single(cell + 0.5) * single(ratio))), given - 1)
    if out == 2 * given:
        return cell >> 1
    return min(floor(single(cell * single(ratio))), given - 1)


def bilinear_rows(cell: int, corners: bool, ratio: float, given: int, out: int) -> list[tuple[int, float]]:
    """The two rows that row ``cell`` lies between, each with its weight."""
    if corners:
        place = cell * (given - 1) / (out - 1) if out > 1 else 0.0
    else:
        place = max((cell + 0.5) * ratio - 0.5, 0.0)
    low = min(floor(place), given - 1)
    share = min(place - low, 1.0)
    return [(low, 1 - share), (min(low + 1, given - 1), share)]


def single(value: float) -> float:
    """``value`` rounded to float32.

    Examples
    --------
    >>> single(0.1)
    0.10000000149011612
    """
    return float(unpack("f", pack("f", value))[0])


def _closed(sources: list[list[int]]) -> Along:
    """A window where every cell looks at one, else a table."""
    size = len(sources[0]) if sources else 1
    stride = sources[1][0] - sources[0][0] if len(sources) > 1 else 1
    start = sources[0][0] if sources else 0
    even = all(s == [start + stride * i + j for j in range(size)] for i, s in enumerate(sources))
    if even and stride > 0:
        return Window(size, stride, start)
    return Table(tuple(row_set(s) for s in sources))
