"""The step-by-step player as frames: the window on the input, the products, the sum, the cell it fills.

Only what a step changes is drawn anew, so that a hundred frames take a fraction of a second.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from convscope import raster
from convscope.errors import UsageError
from convscope.exhibits.drawing import (
    ACCENT,
    INK,
    LINE,
    RAISED,
    SOFT,
    STRONG_LINE,
    TONES,
    WASH,
    Colour,
    Pixels,
    Sheet,
    coloured,
    figure,
    ink_on,
    text_width,
)
from convscope.exhibits.lesson_panels import cell_size
from convscope.exhibits.player_layout import MARGIN, Layout, Plane, Ranges

if TYPE_CHECKING:
    from convscope.lesson.convolution import Convolution, Step
    from convscope.lesson.result import LessonResult

CAPTION = 15
TITLE = 22
TEXT = 18
#: How much lighter padding is than cells of the image.
_FADED = 0.85

_WORDS = {
    "en": {
        "input": "input",
        "padded": "input, padded",
        "spread": "input, with zeros between its cells",
        "result": "feature map",
        "window": "window",
        "kernel": "kernel",
        "products": "products",
        "channel": "channel",
        "sum": "sum",
        "bias": "bias",
        "step": "step {} of {}",
        "more": "and {} more channels",
    },
    "zh": {
        "input": "输入",
        "padded": "输入（含填充）",
        "spread": "输入（单元之间插入零）",
        "result": "特征图",
        "window": "窗口",
        "kernel": "卷积核",
        "products": "乘积",
        "channel": "通道",
        "sum": "和",
        "bias": "偏置",
        "step": "第 {} 步，共 {} 步",
        "more": "另有 {} 个通道",
    },
}


class Player:
    """Draws the steps of a convolution.

    Parameters
    ----------
    result
        A lesson's result that has a player.
    title
        First line; the lesson's own title in general.
    language
        ``"en"`` or ``"zh"``.

    Raises
    ------
    UsageError
        If the result has no steps.

    Examples
    --------
    >>> from convscope.lesson import LESSONS
    >>> player = Player(LESSONS["steps"].run())
    >>> len(player), player.frame(3).shape[2]
    (9, 3)
    """

    def __init__(self, result: LessonResult, *, title: str = "", language: str = "en") -> None:
        if result.player is None:
            raise UsageError(f"the lesson `{result.lesson}` has no steps to play")
        self.done: Convolution = result.player
        self.words = _WORDS[language]
        self.title = title
        shown = result.maps.get("input")
        self.photo = shown is not None and shown.role == "rgb"
        self.at = Layout(self.done, photo=self.photo)
        self.ranges = Ranges(self.done, photo=self.photo)
        self.base = self._static()
        self.filled = self.base.pixels.copy()
        self.upto = 0

    def __len__(self) -> int:
        return len(self.done)

    def frame(self, index: int) -> Pixels:
        """Step ``index``: all cells before it are filled; ``uint8 (rows, columns, 3)``."""
        if index < self.upto:
            self.filled, self.upto = self.base.pixels.copy(), 0
        sheet = Sheet(0, 0)
        sheet.pixels = self.filled
        while self.upto <= index:
            self._fill(sheet, self.upto)
            self.upto += 1
        sheet = Sheet(0, 0)
        sheet.pixels = self.filled.copy()
        self._step(sheet, self.done[index])
        return sheet.pixels

    def frames(self, most: int | None = None) -> Iterator[Pixels]:
        """All steps in turn, or at most ``most`` of them, evenly chosen, the last among them."""
        for index in chosen_steps(len(self), most):
            yield self.frame(index)

    def _static(self) -> Sheet:
        sheet = Sheet(self.at.height, self.at.width)
        words, where, done = self.words, self.done.geometry, self.done
        if self.title:
            sheet.text(MARGIN - 6, MARGIN, self.title, TITLE, strong=True)
        top = self.at.inputs[0].top - 26
        name = "spread" if where.spread != (1, 1) else "padded" if where.padded != where.image else "input"
        size = f"{where.padded[0]} x {where.padded[1]}"
        sheet.text(top, self.at.inputs[0].left, f"{words[name]}, {size}", CAPTION, SOFT)
        for planes, word in (
            (self.at.windows, "window"),
            (self.at.kernels, "kernel"),
            (self.at.products, "products"),
        ):
            first = planes[0]
            middle = first.left + first.width // 2
            sheet.text(top, middle, words[word], CAPTION, SOFT, align="middle")
        size = f"{where.output[0]} x {where.output[1]}"
        sheet.text(top, self.at.results[0].left, f"{words['result']}, {size}", CAPTION, SOFT)
        for number, plane in enumerate(self.at.inputs):
            self._draw_input(sheet, plane, number)
        for plane in self.at.results:
            sheet.fill(plane.top, plane.left, plane.height, plane.width, RAISED)
            self._lines(sheet, plane, LINE)
        for window, kernel, products in zip(self.at.windows, self.at.kernels, self.at.products, strict=True):
            middle = window.top + window.height // 2
            _times(sheet, middle, (window.left + window.width + kernel.left) // 2)
            _equals(sheet, middle, (kernel.left + kernel.width + products.left) // 2)
        hidden = done.kernel.shape[1] - self.at.channels
        if hidden > 0:
            last = self.at.windows[-1]
            sheet.text(last.top + last.height + 4, last.left, words["more"].format(hidden), CAPTION, SOFT)
        return sheet

    def _draw_input(self, sheet: Sheet, plane: Plane, number: int) -> None:
        padded = self.done.padded
        if self.photo:
            colours = np.rint(np.clip(np.moveaxis(padded[:3], 0, 2), 0, 255)).astype(np.uint8)
        else:
            colours = coloured(padded[number], "grey", *self.ranges.input)
        faded = colours + (np.array(WASH) - colours) * _FADED
        colours = np.where(self.ranges.inside[..., None], colours, faded).astype(np.uint8)
        _paint(sheet, plane, colours, None if self.photo else padded[number])
        self._lines(sheet, plane, STRONG_LINE)

    @staticmethod
    def _lines(sheet: Sheet, plane: Plane, colour: Colour) -> None:
        if plane.scale >= 8:
            for n in range(plane.rows + 1):
                sheet.fill(plane.top + n * plane.scale, plane.left, 1, plane.width + 1, colour)
            for n in range(plane.columns + 1):
                sheet.fill(plane.top, plane.left + n * plane.scale, plane.height + 1, 1, colour)
        else:
            sheet.outline(plane.top - 1, plane.left - 1, plane.height + 2, plane.width + 2, STRONG_LINE)

    def _fill(self, sheet: Sheet, index: int) -> None:
        """One cell of the result, for good."""
        channel, row, column = np.unravel_index(index, self.done.maps.shape)
        if channel >= len(self.at.results):
            return
        plane = self.at.results[channel]
        value = float(self.done.maps[channel, row, column])
        colour = coloured(np.array([[value]]), "signed", -self.ranges.result, self.ranges.result)[0, 0]
        top, left = plane.top + int(row) * plane.scale, plane.left + int(column) * plane.scale
        edge = 1 if plane.scale >= 8 else 0
        sheet.fill(top + edge, left + edge, plane.scale - edge, plane.scale - edge, tuple(colour.tolist()))
        if plane.scale >= 22:
            text = figure(value, 5 if plane.scale >= 44 else 3)
            size = cell_size([[text]], plane.scale, 17)
            lift = (plane.scale - raster.line_height(size)) // 2 if size >= 8 else 0
            if size >= 8:
                ink = ink_on(colour)
                sheet.text(top + lift, left + plane.scale // 2, text, size, ink, align="middle")

    def _step(self, sheet: Sheet, step: Step) -> None:
        words = self.words
        text = words["step"].format(step.index + 1, len(self.done))
        sheet.text(MARGIN - 2, self.at.width - MARGIN, text, CAPTION, SOFT, align="right")
        self._outline(sheet, step)
        for n in range(self.at.channels):
            low, high = self.ranges.input
            self._numbers(sheet, self.at.windows[n], step.values[n], "grey", low, high)
            self._numbers(
                sheet, self.at.kernels[n], step.kernel[n], "signed", -self.ranges.kernel, self.ranges.kernel
            )
            self._numbers(
                sheet,
                self.at.products[n],
                step.products[n],
                "signed",
                -self.ranges.product,
                self.ranges.product,
            )
            if self.at.channels > 1:
                plane = self.at.products[n]
                at = plane.top + plane.height // 2 - 11
                sheet.text(
                    at,
                    plane.left + plane.width + 14,
                    f"{self.words['sum']} {figure(float(step.sums[n]))}",
                    TEXT,
                )
        self._sum(sheet, step)

    def _numbers(self, sheet: Sheet, plane: Plane, values: Any, role: str, low: float, high: float) -> None:
        _paint(sheet, plane, coloured(values, role, low, high), values)
        self._lines(sheet, plane, STRONG_LINE)

    def _outline(self, sheet: Sheet, step: Step) -> None:
        where = self.done.geometry
        down, across = where.padding[0], where.padding[2]
        first, start = step.rows[0] + down, step.columns[0] + across
        high, wide = where.window
        each = len(step.values)
        group = range(step.first_channel, step.first_channel + each)
        for number, plane in enumerate(self.at.inputs):
            if not self.photo and number not in group:
                continue
            scale = plane.scale
            top, left = plane.top + first * scale, plane.left + start * scale
            if where.dilation != (1, 1) and scale >= 8:
                for r in step.rows:
                    for c in step.columns:
                        spot = plane.top + (r + down) * scale, plane.left + (c + across) * scale
                        sheet.outline(*spot, scale + 1, scale + 1, ACCENT, 2)
            sheet.frame(top, left, high * scale + 1, wide * scale + 1, TONES["accent"], 3)
        if step.channel < len(self.at.results):
            plane = self.at.results[step.channel]
            row, column = step.cell
            top, left = plane.top + row * plane.scale, plane.left + column * plane.scale
            sheet.frame(top, left, plane.scale + 1, plane.scale + 1, TONES["accent"], 3)

    def _sum(self, sheet: Sheet, step: Step) -> None:
        room = self.at.results[0].left - 40 - self.at.left
        top = self.at.sum_top
        terms = step.sums.tolist() if len(step.sums) > 1 else step.products.ravel().tolist()
        written = _added([figure(term) for term in terms], room)
        sheet.text(top, self.at.left, f"{self.words['sum']}:", TEXT, SOFT)
        line = top + 28
        if written:
            sheet.text(line, self.at.left, written, _small(written, room), INK)
            line += 28
        total = f"= {figure(step.sum, 7)}"
        if step.bias:
            total += f"   {'+' if step.bias > 0 else '-'} {figure(abs(step.bias), 7)} ({self.words['bias']})"
            total += f" = {figure(step.output, 7)}"
        sheet.text(line, self.at.left, total, TEXT + 2, ACCENT, strong=True)


def _paint(sheet: Sheet, plane: Plane, colours: Pixels, values: Any) -> None:
    """Cells in colours, with their numbers where there is room."""
    large = colours.repeat(plane.scale, 0).repeat(plane.scale, 1)
    sheet.paste(plane.top, plane.left, large)
    if values is None or plane.scale < 22:
        return
    texts = [[figure(float(v), 4) for v in row] for row in values]
    size = cell_size(texts, plane.scale, 17)
    if size < 8:
        return
    lift = (plane.scale - raster.line_height(size)) // 2 + 1
    for r, row in enumerate(texts):
        for c, text in enumerate(row):
            top, left = plane.top + r * plane.scale + lift, plane.left + c * plane.scale + plane.scale // 2
            sheet.text(top, left, text, size, ink_on(colours[r, c]), align="middle")


def _added(texts: Sequence[str], room: int) -> str:
    """``0 + 9 - 18``; empty if it does not fit even in small letters."""
    parts = [texts[0]]
    for text in texts[1:]:
        parts += ["-", text[1:]] if text.startswith("-") else ["+", text]
    line = " ".join(parts)
    return line if text_width(line, 11) <= room else ""


def _small(text: str, room: int) -> int:
    return next((size for size in range(TEXT, 11, -1) if text_width(text, size) <= room), 11)


def _times(sheet: Sheet, row: int, column: int) -> None:
    arm = 6
    sheet.lines([(row - arm, column - arm), (row + arm, column + arm)], SOFT)
    sheet.lines([(row - arm, column + arm), (row + arm, column - arm)], SOFT)


def _equals(sheet: Sheet, row: int, column: int) -> None:
    for lift in (-4, 3):
        sheet.fill(row + lift, column - 7, 2, 14, SOFT)


def chosen_steps(count: int, most: int | None) -> list[int]:
    """Which of ``count`` steps are shown where at most ``most`` may be.

    Examples
    --------
    >>> chosen_steps(9, 4)
    [0, 3, 5, 8]
    """
    if most is None or count <= most:
        return list(range(count))
    return [int(n) for n in np.rint(np.linspace(0, count - 1, most))]
