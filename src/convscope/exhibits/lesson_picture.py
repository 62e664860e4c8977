"""A lesson as one picture: its text, what it computed, and what the numbers say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from convscope import raster
from convscope.exhibits.drawing import INK, LINE, SOFT, Pixels, Sheet, wrap
from convscope.exhibits.lesson_panels import beside, chart_panel, map_panel, table_panel

if TYPE_CHECKING:
    from convscope.lesson.lessons import Lesson
    from convscope.lesson.result import LessonResult

WIDTH = 1200
MARGIN = 32
TITLE = 26
TEXT = 16
GAP = 28
#: Most and least pixels a map is high.
TALLEST, LOWEST = 360, 96


def draw_lesson(result: LessonResult, lesson: Lesson | None = None, *, language: str = "en") -> Image.Image:
    """The picture of one run of a lesson.

    Parameters
    ----------
    result
        What ``lesson.run`` gave.
    lesson
        Its lesson, found by name if not given.
    language
        ``"en"`` or ``"zh"``; Chinese needs a font that has its signs (see ``raster.has_chinese``).

    Returns
    -------
    RGB image, 1200 pixels wide and as high as it needs to be.

    Examples
    --------
    >>> from convscope.lesson import LESSONS
    >>> draw_lesson(LESSONS["steps"].run()).size[0]
    1200
    """
    from convscope.lesson.registry import find_lesson

    lesson = lesson or find_lesson(result.lesson)
    room = WIDTH - 2 * MARGIN
    blocks: list[Pixels] = [
        _lines([lesson.title[language]], TITLE, room, strong=True),
        _lines(wrap(lesson.text[language], TEXT, room), TEXT, room, soft=True),
    ]
    blocks += [_row(result, names, room, language) for names in result.layout]
    said = [line for text in result.sentences[language] for line in wrap(text, TEXT, room)]
    blocks.append(_lines(said, TEXT, room))
    gaps = [10, *[GAP] * (len(blocks) - 2)]
    sheet = Sheet(sum(map(len, blocks)) + sum(gaps) + 2 * MARGIN, WIDTH)
    top = MARGIN
    for block, gap in zip(blocks, [*gaps, 0], strict=True):
        sheet.paste(top, MARGIN, block)
        top += len(block) + gap
    sheet.fill(top - len(blocks[-1]) - GAP // 2, MARGIN, 1, room, LINE)
    return Image.fromarray(sheet.pixels)


def _row(result: LessonResult, names: tuple[str, ...], room: int, language: str) -> Pixels:
    """What stands side by side: maps as high as the row allows, charts and tables in what is left."""
    gap = GAP if len(names) < 6 else 10
    each = (room - gap * (len(names) - 1)) // len(names)
    maps = [name for name in names if name in result.maps]
    height = _height([result.maps[name].values.shape[:2] for name in maps], each)
    panels = []
    used = 0
    for name in names:
        if name in result.maps:
            panels.append(map_panel(result.maps[name], each, height, language))
            used += panels[-1].shape[1] + gap
    others = [name for name in names if name not in result.maps]
    share = (room - used - gap * (len(others) - 1)) // max(1, len(others))
    for name in others:
        if name in result.charts:
            panels.append(chart_panel(result.charts[name], share, max(300, height + 40), language))
        else:
            panels.append(table_panel(result.tables[name], share, language))
    return beside(panels, gap)


def _height(shapes: list[tuple[int, ...]], width: int) -> int:
    """A height at which the maps of a row fit their widths."""
    tallest = max((width * rows / columns for rows, columns in shapes), default=TALLEST)
    return int(np.clip(tallest, LOWEST, TALLEST))


def _lines(lines: list[str], size: int, width: int, *, soft: bool = False, strong: bool = False) -> Pixels:
    step = raster.line_height(size) + 3
    sheet = Sheet(step * max(1, len(lines)), width)
    for number, line in enumerate(lines):
        sheet.text(number * step, 0, line, size, SOFT if soft else INK, strong=strong)
    return sheet.pixels
