"""What surrounds a sheet's tiles: title, facts, colour bar and the words that explain it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convscope import raster

MARGIN = 16
TITLE = 17
TEXT = 11
LABEL = 9
GAP = 3
NARROWEST = 400


@dataclass(frozen=True)
class Legend:
    """Words at the two ends of the colour bar, where zero is, and lines that say what the range is."""

    low: str
    high: str
    zero: str
    lines: tuple[str, ...]


def legend(found: raster.Limits, one: str, subject: str | None) -> Legend:
    """The legend of maps drawn within ``found``.

    Parameters
    ----------
    one
        What one map is called: "channel", "kernel".
    subject
        What may be silent or constant, or ``None`` where that means nothing.
    """
    lines = []
    if found.range in ("channel", "minmax-channel"):
        low, high = ("-max", "+max") if found.colours == "diverging" else ("0", "max")
        if found.range == "minmax-channel":
            low, high = "min", "max"
        some = found.high[np.isfinite(found.high) & ~found.constant]
        between = f", {raster.number(some.min())} to {raster.number(some.max())}" if some.size else ""
        lines.append(
            f"each {one} by its own largest |value|{between}"
            if found.range == "channel"
            else f"each {one} from its smallest to its largest value"
        )
    else:
        ends = (found.low[0], found.high[0])
        low, high = (
            ("+" if end > 0 and found.colours == "diverging" else "") + raster.number(end) for end in ends
        )
        lines.append(
            {
                "layer": "one range for the whole layer",
                "symmetric": "one range for the whole layer, symmetric about 0",
                "minmax": "one range for the whole layer, smallest to largest value",
            }[found.range]
        )
    zero = {"diverging": "middle", "sequential": "start"}.get(found.colours, "none")
    if zero == "middle":
        lines[0] += "; white is 0"
    facts = []
    if subject:
        total = len(found.constant)
        silent = int(found.silent.sum())
        constant = int((found.constant & ~found.silent & (found.not_finite == 0)).sum())
        facts += (
            [f"{silent} of {total} silent on this image (struck through)"]
            if silent and subject == "map"
            else []
        )
        facts += [f"{silent} of {total} all zero (struck through)"] if silent and subject != "map" else []
        facts += [f"{constant} of {total} constant (struck through)"] if constant else []
    broken = int(found.not_finite.sum())
    facts += [f"{broken} values are not a number or infinite (yellow)"] if broken else []
    return Legend(low, high, zero, (*lines, *facts))


def marked(body: NDArray[np.uint8], grid: raster.Grid, which: NDArray[np.bool_]) -> None:
    """Strike tiles through with a faint diagonal, in place."""
    steps = max(grid.tile_height, grid.tile_width)
    down = np.arange(steps) * grid.tile_height // steps
    across = np.arange(steps) * grid.tile_width // steps
    for index in np.flatnonzero(which).tolist():
        top, left = grid.corner(index)
        body[top + grid.tile_height - 1 - down, left + across] = raster.INK_RAMP[5]


def numbered(body: NDArray[np.uint8], grid: raster.Grid, labels: Sequence[str]) -> None:
    """Write a label above each tile, in the rows the grid keeps free for it, in place."""
    for index, label in enumerate(labels):
        top, left = grid.corner(index)
        raster.stamp(body, top - grid.head, left, raster.words(label, LABEL, 0.7))


def header(width: int, title: str, facts: Sequence[str]) -> NDArray[np.uint8]:
    """Title and a fainter line of facts, ``width`` pixels wide, as palette bytes."""
    rows = []
    if title:
        rows.append(raster.words(raster.fit(title, TITLE, width), TITLE))
    line = "  ·  ".join(fact for fact in facts if fact)
    if line:
        rows.append(raster.words(raster.fit(line, TEXT, width), TEXT, 0.72))
    return _stacked(rows, width)


def footer(width: int, explained: Legend, *, bar: bool = True) -> NDArray[np.uint8]:
    """Colour bar and its words, beside it where there is room, else below."""
    parts = raster.colour_bar(explained.low, explained.high, zero=explained.zero) if bar else None
    aside = parts.shape[1] + 20 if parts is not None else 0
    room = width - aside
    widest = max(raster.words(line, TEXT).shape[1] for line in explained.lines)
    if widest > room:
        aside, room = 0, width
    lines = [raster.words(raster.fit(line, TEXT, room), TEXT, 0.72) for line in explained.lines]
    block = _stacked(lines, room)
    if parts is None:
        return block
    if not aside:
        return _stacked([parts, block], width, gap=6)
    canvas = np.full((max(parts.shape[0], block.shape[0]), width), raster.PAPER, np.uint8)
    raster.stamp(canvas, 0, 0, parts)
    raster.stamp(canvas, 0, aside, block)
    return canvas


def framed(
    body: NDArray[np.uint8],
    title: str,
    facts: Sequence[str],
    explained: Legend,
    colours: str,
    *,
    bar: bool = True,
) -> Image.Image:
    """The tiles with everything around them, as a palette image."""
    width = max(body.shape[1], NARROWEST)
    above, below = header(width, title, facts), footer(width, explained, bar=bar)
    heights = [above.shape[0], body.shape[0], below.shape[0]]
    canvas = np.full((sum(heights) + 2 * MARGIN + 8 + 14, width + 2 * MARGIN), raster.PAPER, np.uint8)
    raster.stamp(canvas, MARGIN, MARGIN, above)
    top, left = corner(title, facts)
    raster.stamp(canvas, top, left, body)
    raster.stamp(canvas, top + heights[1] + 14, MARGIN, below)
    image = Image.fromarray(canvas, "L")
    image.putpalette(raster.sheet_palette(colours).tobytes())
    return image


def corner(title: str, facts: Sequence[str]) -> tuple[int, int]:
    """Top and left pixel of the tiles within a framed sheet."""
    return MARGIN + header(NARROWEST, title, facts).shape[0] + 8, MARGIN


def _stacked(rows: Sequence[NDArray[np.uint8]], width: int, gap: int = 2) -> NDArray[np.uint8]:
    if not rows:
        return np.full((0, width), raster.PAPER, np.uint8)
    canvas = np.full((sum(row.shape[0] + gap for row in rows) - gap, width), raster.PAPER, np.uint8)
    top = 0
    for row in rows:
        raster.stamp(canvas, top, 0, row)
        top += row.shape[0] + gap
    return canvas
