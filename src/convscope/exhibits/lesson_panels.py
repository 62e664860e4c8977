"""The parts of a lesson's picture: maps with their marks, charts and tables, drawn from its data alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from convscope import raster
from convscope.exhibits.drawing import (
    INK,
    LINE,
    PAPER,
    SERIES,
    SOFT,
    STRONG_LINE,
    TONES,
    Pixels,
    Sheet,
    coloured,
    figure,
    ink_on,
    text_width,
    wrap,
)

if TYPE_CHECKING:
    from convscope.lesson.result import Chart, Map, Table

CAPTION = 14
SMALL = 12
_HEAD = 24


def map_panel(one: Map, width: int, height: int, language: str) -> Pixels:
    """A map with its caption above and its range below, at most ``width`` x about ``height`` pixels."""
    rows, columns = one.values.shape[:2]
    caption = one.caption[language]
    shown, scale = _fitted(one, width - 8, height)
    letters, most = (CAPTION, 2) if width > 150 else (SMALL, 3)
    lines = wrap(caption, letters, max(width - 8, 60))[:most]
    bar = one.role in ("signed", "sequential")
    step = _HEAD - 4 if width > 150 else 17
    tall = shown.shape[0] + 8 + step * len(lines) + (26 if bar else 4)
    sheet = Sheet(
        tall, max(shown.shape[1] + 8, min(width, max(text_width(line, letters) for line in lines) + 8))
    )
    for number, line in enumerate(lines):
        sheet.text(step * number, 4, line, letters)
    top, left = step * len(lines) + 4, 4
    sheet.outline(top - 1, left - 1, shown.shape[0] + 2, shown.shape[1] + 2, STRONG_LINE)
    sheet.paste(top, left, shown)
    if scale >= 8:
        _grid(sheet, top, left, rows, columns, scale)
    if one.cells and scale >= 20:
        write_cells(sheet, top, left, np.asarray(one.values), shown, scale)
    for mark in one.marks:
        _mark(sheet, top, left, mark, shown.shape[0] / rows, shown.shape[1] / columns)
    if bar:
        _range(sheet, top + shown.shape[0] + 6, left, shown.shape[1], one)
    return sheet.pixels


def _fitted(one: Map, width: int, height: int) -> tuple[Pixels, int]:
    """The map in colours, enlarged by a whole factor or made smaller, and that factor (0 where smaller)."""
    rows, columns = one.values.shape[:2]
    low, high = one.range()
    factor = min(width // columns, height // rows, 72)
    if factor >= 1:
        colours = coloured(one.values, one.role, low, high)
        if factor > 4 or one.cells:
            return colours.repeat(factor, 0).repeat(factor, 1), factor
        # Large maps fill their place; that some cells are a pixel larger is not seen.
        scale = min(width / columns, height / rows)
        down, across = (np.arange(int(n * scale)) * n // int(n * scale) for n in (rows, columns))
        return colours[down][:, across], 0
    side = round(max(rows, columns) * min(width / columns, height / rows))
    planes = np.moveaxis(one.values, 2, 0) if one.role == "rgb" else one.values[None]
    small = raster.shrink(planes.astype(np.float64), max(1, side))
    values = np.moveaxis(small, 0, 2) if one.role == "rgb" else small[0]
    return coloured(np.rint(values) if one.role == "rgb" else values, one.role, low, high), 0


def _grid(sheet: Sheet, top: int, left: int, rows: int, columns: int, scale: int) -> None:
    """Fine lines between cells."""
    place = sheet.pixels[top : top + rows * scale, left : left + columns * scale]
    for lines in (place[scale::scale], place[:, scale::scale]):
        lines[...] = (lines.astype(np.uint16) * 7 + np.array(STRONG_LINE, np.uint16)) // 8


def write_cells(
    sheet: Sheet, top: int, left: int, values: Any, colours: Pixels, scale: int, *, most: int = 20
) -> None:
    """Each cell's number into the cell, in the largest size that fits the longest of them."""
    texts = [[figure(float(v)) for v in row] for row in values]
    size = cell_size(texts, scale, most)
    if size < 8:
        return
    lift = (scale - raster.line_height(size)) // 2
    for r, row in enumerate(texts):
        for c, text in enumerate(row):
            ink = ink_on(colours[r * scale + 1, c * scale + 1])
            sheet.text(top + r * scale + lift, left + c * scale + scale // 2, text, size, ink, align="middle")


def cell_size(texts: Sequence[Sequence[str]], scale: int, most: int = 20) -> int:
    """The size of letters in which the widest text fits cells of ``scale`` pixels."""
    longest = max((text for row in texts for text in row), key=lambda text: text_width(text, 12), default="0")
    wide = max(1, text_width(longest, 12))
    return min(most, int(12 * (scale - 10) / wide), scale - 8)


def _mark(sheet: Sheet, top: int, left: int, mark: Any, down: float, across: float) -> None:
    colour = TONES.get(mark.tone, TONES["accent"])
    first, start = top + round(mark.top * down), left + round(mark.left * across)
    last, end = top + round(mark.bottom * down), left + round(mark.right * across)
    if mark.kind == "cross":
        row, column = (first + last) // 2, (start + end) // 2
        for thick, ink in ((4, INK), (2, colour)):
            arm = 8 + (thick == 4)
            sheet.fill(row - thick // 2, column - arm, thick, 2 * arm, ink)
            sheet.fill(row - arm, column - thick // 2, 2 * arm, thick, ink)
    else:
        tall, wide = max(3, last - first), max(3, end - start)
        sheet.frame(first, start, tall, wide, colour)
    if mark.label and mark.kind == "box":
        width = text_width(mark.label, SMALL) + 6
        # A label that would stand above the map stands below its box.
        place = first - 16 if first - 16 >= top else last + 2
        sheet.fill(place, start - 3, 15, width, colour)
        sheet.text(place, start, mark.label, SMALL, INK)


def _range(sheet: Sheet, top: int, left: int, width: int, one: Map) -> None:
    low, high = one.range()
    texts = (figure(low, 6), figure(high, 6))
    rooms = [text_width(text, SMALL) for text in texts]
    room = width - sum(rooms) - 12
    if room < 24:
        sheet.text(top - 1, left, f"{texts[0]} .. {texts[1]}", SMALL, SOFT)
        return
    room = min(room, 160)
    sheet.text(top - 1, left, texts[0], SMALL, SOFT)
    ramp = np.linspace(low, high or 1.0, room)[None].repeat(8, 0)
    sheet.paste(top + 4, left + rooms[0] + 6, coloured(ramp, one.role, low, high or 1.0))
    sheet.outline(top + 3, left + rooms[0] + 5, 10, room + 2, STRONG_LINE)
    sheet.text(top - 1, left + rooms[0] + room + 12, texts[1], SMALL, SOFT)


def table_panel(one: Table, width: int, language: str) -> Pixels:
    """A table: head, a line, rows; texts to the left, numbers to the right."""
    size = CAPTION
    rows = [[_word(cell, language) for cell in row] for row in one.rows]
    numeric = [all(_numeric(row[i]) for row in rows) for i in range(len(one.head))]
    body = [max([text_width(row[i], size) for row in rows], default=0) for i in range(len(one.head))]
    room = max(60, (width - sum(body)) // max(1, len(body)))
    heads = [wrap(head[language], SMALL, body[i] + max(0, room - 28)) for i, head in enumerate(one.head)]
    widths = [max([body[i], *(text_width(line, SMALL) for line in heads[i])]) for i in range(len(body))]
    gap = 28
    tall_head = max(len(head) for head in heads) * 17
    step = raster.line_height(size) + 8
    sheet = Sheet(_HEAD + tall_head + 12 + step * len(rows) + 4, min(width, sum(widths) + gap * len(widths)))
    sheet.text(0, 4, one.caption[language], CAPTION)
    top = _HEAD + 6
    left = 4
    for i, head in enumerate(heads):
        for line, text in enumerate(head):
            place = top + tall_head - 17 * (len(head) - line)
            at = left + widths[i] if numeric[i] else left
            sheet.text(place, at, text, SMALL, SOFT, align="right" if numeric[i] else "left")
        for r, row in enumerate(rows):
            at = left + widths[i] if numeric[i] else left
            sheet.text(
                top + tall_head + 9 + r * step, at, row[i], size, align="right" if numeric[i] else "left"
            )
        left += widths[i] + gap
    for r in range(len(rows) + 1):
        sheet.fill(top + tall_head + 4 + r * step, 4, 1, left - gap, STRONG_LINE if r == 0 else LINE)
    return sheet.pixels


def _word(cell: Any, language: str) -> str:
    if isinstance(cell, bool):
        return {"en": ("no", "yes"), "zh": ("否", "是")}[language][cell]
    if isinstance(cell, dict):
        return str(cell[language])
    return figure(cell, 7) if isinstance(cell, float) else f"{cell:,}" if isinstance(cell, int) else str(cell)


def _numeric(text: str) -> bool:
    return (
        not text or text.lstrip("+-").replace(",", "").replace(".", "").rstrip("%").isdigit() or text == "-"
    )


def chart_panel(one: Chart, width: int, height: int, language: str) -> Pixels:
    """A chart with axes, few ticks and a key."""
    sheet = Sheet(height, width)
    sheet.text(0, 4, one.caption[language], CAPTION)
    keys = _keys(one, width - 78, language)
    top, bottom, left, right = _HEAD + 26 + 18 * (len(keys) - 1), height - 48, 62, width - 16
    series = [([float(x) for x in s.x], [float(y) for y in s.y]) for s in one.series]
    bars = one.kind == "bars"
    xs, ys = [x for line in series for x in line[0]], [y for line in series for y in line[1]]
    across = _Axis(-0.5, max(xs) + 0.5, False) if bars else _Axis(min(xs), max(xs), one.log == "xy")
    up_log = one.log in ("y", "xy")
    up = _Axis(min(ys) if up_log else min(0.0, *ys), max(ys) or 1.0, up_log)

    def place(x: float, y: float) -> tuple[float, float]:
        return bottom - up.share(y) * (bottom - top), left + across.share(x) * (right - left)

    for tick in up.ticks():
        row = round(place(across.low, tick)[0])
        sheet.fill(row, left, 1, right - left, LINE)
        sheet.text(row - 9, left - 8, _tick(tick), SMALL, SOFT, align="right")
    below = [float(n) for n in range(len(one.names))] if bars else across.ticks()
    for number, tick in enumerate(below):
        column = round(place(tick, up.low)[1])
        text = one.names[number][language] if bars else _tick(tick)
        sheet.fill(bottom, column, 5, 1, STRONG_LINE)
        sheet.text(bottom + 6, column, text, SMALL, SOFT, align="middle")
    if one.kind == "lines":
        for number, (line_x, line_y) in enumerate(series):
            points = [place(x, y) for x, y in zip(line_x, line_y, strict=True)]
            sheet.lines(points, SERIES[number % len(SERIES)], 2.2)
            if len(points) <= 16:
                for dot in points:
                    sheet.fill(round(dot[0]) - 3, round(dot[1]) - 3, 6, 6, SERIES[number % len(SERIES)])
    elif one.kind == "histogram":
        edges, counts = series[0]
        for i, count in enumerate(counts[:-1]):
            start, end = (round(place(edges[i + j], 0)[1]) for j in (0, 1))
            high = round(place(edges[i], count)[0])
            kept = one.marker is None or edges[i] >= one.marker
            sheet.fill(
                high, start, bottom - high, max(1, end - start - 1), SERIES[0] if kept else STRONG_LINE
            )
    else:
        slot = (right - left) / (across.high - across.low)
        thick = max(2, int(slot * 0.8 / len(series)))
        for number, (line_x, line_y) in enumerate(series):
            for x, y in zip(line_x, line_y, strict=True):
                peak = round(place(x, y)[0])
                begin = round(place(x, y)[1] - thick * len(series) / 2 + number * thick)
                sheet.fill(peak, begin, bottom - peak, thick - 1, SERIES[number % len(SERIES)])
    sheet.fill(bottom, left, 1, right - left, STRONG_LINE)
    if one.marker is not None and across.low <= one.marker <= across.high:
        column = round(place(one.marker, up.low)[1])
        sheet.fill(top - 4, column - 1, bottom - top + 4, 2, (201, 76, 28))
        sheet.text(top - 22, column, figure(one.marker, 6), SMALL, (201, 76, 28), align="middle")
    sheet.text(height - 20, (left + right) // 2, one.across[language], SMALL, SOFT, align="middle")
    if len(one.series) > 1:
        for line, entries in enumerate(keys):
            for number, spot, label in entries:
                sheet.fill(_HEAD + 5 + 18 * line, left + spot, 10, 10, SERIES[number % len(SERIES)])
                sheet.text(_HEAD + 1 + 18 * line, left + spot + 15, label, SMALL, SOFT)
    elif one.marker is None or one.kind != "histogram":
        sheet.text(_HEAD + 1, left, one.up[language], SMALL, SOFT)
    return sheet.pixels


def _keys(one: Chart, room: int, language: str) -> list[list[tuple[int, int, str]]]:
    """Lines of the key: number, place and name of each series."""
    lines: list[list[tuple[int, int, str]]] = [[]]
    spot = 0
    for number, entry in enumerate(one.series):
        label = entry.label[language]
        wide = text_width(label, SMALL) + 34
        if spot and spot + wide > room:
            lines.append([])
            spot = 0
        lines[-1].append((number, spot, label))
        spot += wide
    return lines


#: Powers of two up to this are round numbers to a reader (strides, sizes); above it 1, 2 and 5 are.
_LARGEST_TWO = 8192


class _Axis:
    def __init__(self, low: float, high: float, log: bool) -> None:
        self.log = log and low > 0
        self.low, self.high = low, high if high > low else low + 1.0

    def share(self, value: float) -> float:
        """Where a value lies between the ends, 0 to 1."""
        if self.log:
            return math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """A few round numbers between the ends."""
        if self.log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            if last - first >= 2:
                return [10.0**n for n in range(first, last + 1, max(1, (last - first) // 4))]
            if self.high > _LARGEST_TWO:
                places = range(first - 1, last + 1)
                round_ = [digit * 10.0**n for n in places for digit in (1, 2, 5)]
                return [value for value in round_ if self.low <= value <= self.high] or [self.low]
            first, last = math.ceil(math.log2(self.low) - 1e-9), math.floor(math.log2(self.high) + 1e-9)
            return [2.0**n for n in range(first, last + 1)] or [self.low]
        rough = (self.high - self.low) / 5
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(unit * n for n in (1, 2, 2.5, 5, 10) if unit * n >= rough)
        start = math.ceil(self.low / step - 1e-9)
        return [n * step for n in range(start, math.floor(self.high / step + 1e-9) + 1)]


def _tick(value: float) -> str:
    for limit, sign in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            unit = 1e3 if sign == "k" else limit
            return f"{value / unit:g}{sign}"
    return f"{value:.6g}"


def beside(panels: Sequence[Pixels], gap: int = 28) -> Pixels:
    """Panels in a row, their tops in line."""
    height = max(len(panel) for panel in panels)
    sheet = Sheet(height, sum(panel.shape[1] for panel in panels) + gap * (len(panels) - 1), PAPER)
    left = 0
    for panel in panels:
        sheet.paste(0, left, panel)
        left += panel.shape[1] + gap
    return sheet.pixels
