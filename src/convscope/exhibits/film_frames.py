"""A film as an animation: filters forming beside the maps of one image, its answers, and where it stands."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convscope import raster
from convscope.exhibits.drawing import (
    ACCENT,
    INK,
    LINE,
    RAISED,
    SERIES,
    SOFT,
    STRONG_LINE,
    Colour,
    Pixels,
    Sheet,
    text_width,
)
from convscope.exhibits.film_curves import curve_range, curves, pieces, said, told
from convscope.exhibits.film_survey import survey
from convscope.exhibits.film_view import (
    TILES,
    as_bytes,
    image_number,
    kernel_view,
    layer_number,
    size_words,
    some_of,
    true_class,
)
from convscope.exhibits.player import chosen_steps

if TYPE_CHECKING:
    from convscope.filming import Strip

MARGIN, GAP = 28, 36
ASIDE, PANEL, CURVE = 216, 324, 104
CAPTION, TEXT, TITLE = 14, 15, 22
_COLOURS = "red is above zero, blue below; each tile by its largest in the whole film"
#: Frames drawn of a longer film, the first and the last among them.
MOST_FRAMES = 240


class FilmFrames:
    """Draws the frames of a film, each read when it is drawn.

    Parameters
    ----------
    strip
        The film.
    layer
        Name of the layer whose filters and maps are drawn; the first if not given.
    image
        Which of its images, from 0.
    most
        Steps drawn of a longer film: evenly chosen, the first and the last among them.
    progress
        Called with how many steps are read for the ranges of the colours, and of how many.

    Raises
    ------
    UsageError
        If the film has no such layer or image.
    FilmError
        If a frame cannot be read.
    """

    def __init__(
        self,
        strip: Strip,
        *,
        layer: str | None = None,
        image: int = 0,
        most: int = MOST_FRAMES,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.strip = strip
        self.layer = layer_number(strip, layer)
        self.image = image_number(strip, image)
        self.view = kernel_view(strip, self.layer)
        views = [self.view if n == self.layer else None for n in range(len(strip.layers))]
        seen = survey(strip, views, progress)
        self.kernel_limits = seen.kernel_limits[self.layer]
        self.map_limits = seen.map_limits[self.layer][image]
        self.bars = seen.bars[image]
        self.label = true_class(strip, image)
        self.chosen = chosen_steps(len(strip), most)
        self.moments = [seen.moments[n] for n in self.chosen]
        self.curves = curves(strip, self.moments)
        self.width = 2 * MARGIN + ASIDE + 2 * GAP + 2 * PANEL
        self.top = 114
        self.curve_top = self.top + PANEL + 44
        self.height = self.curve_top + CURVE + 40
        self.base = self._static()

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, index: int) -> Pixels:
        return self.frame(range(len(self))[index])

    def __iter__(self) -> Iterator[Pixels]:
        return (self.frame(n) for n in range(len(self)))

    def frame(self, index: int) -> Pixels:
        """Frame ``index`` as ``uint8 (rows, columns, 3)``."""
        sheet = Sheet(0, 0)
        sheet.pixels = self.base.pixels.copy()
        frame = self.strip[self.chosen[index]]
        for line, (text, size, colour) in zip((-6, 20), self._corner(index), strict=False):
            sheet.text(MARGIN + line, self.width - MARGIN, text, size, colour, align="right", strong=True)
        left = MARGIN + ASIDE + GAP
        broken = False
        kernels = frame.kernels[self.layer]
        if self.view is not None and kernels is not None and self.kernel_limits is not None:
            planes, limits = self.view.planes(kernels[:TILES]), self.kernel_limits[:TILES]
            tiles(sheet, self.top, left, PANEL, kernel_colours(planes, limits))
            broken = not np.isfinite(planes).all()
            left += PANEL + GAP
        places = as_bytes(frame.values(self.layer)[self.image], self.map_limits)[:TILES]
        tiles(sheet, self.top, left, PANEL, raster.table("diverging")[places])
        self._legend(sheet, broken or not places.all())
        if frame.probabilities is not None:
            self._answers(sheet, frame.probabilities[self.image])
        self._marked(sheet, index)
        return sheet.pixels

    def _static(self) -> Sheet:
        """What is the same in every frame."""
        sheet = Sheet(self.height, self.width)
        self._title(sheet)
        left = MARGIN + ASIDE + GAP
        for lines in self._headings():
            for line, text in enumerate(reversed(lines)):
                sheet.text(self.top - 24 - 18 * line, left, text, CAPTION, SOFT)
            left += PANEL + GAP
        picture = self.strip.pictures[self.image]
        described = self.strip.manifest["images"][self.image]
        sheet.text(self.top - 24, MARGIN, self._called(described), CAPTION, SOFT)
        side = 104 if self.bars else ASIDE
        sheet.paste(self.top, MARGIN, fitted(picture, side))
        self._axis(sheet)
        return sheet

    def _title(self, sheet: Sheet) -> None:
        """The title, as large as it can be beside the widest of what stands in the other corner."""
        title = " ".join(str(self.strip.manifest["title"]).split())
        corner = [line for n in range(len(self)) for line in self._corner(n)]
        widest = {size: max((t for t, s, _ in corner if s == size), key=len) for _, size, _ in corner}
        room = self.width - 2 * MARGIN - GAP - max(text_width(t, size) for size, t in widest.items())
        size = next((s for s in range(TITLE, 13, -1) if text_width(title, s) <= room), 14)
        sheet.text(MARGIN, MARGIN, shortened(title, room, size), size, strong=True)

    def _headings(self) -> list[list[str]]:
        """What stands above filters and maps, in one line or two each."""
        layer = self.strip.layers[self.layer]
        name = shortened(f"layer {layer['name']}", PANEL, CAPTION)
        shown = some_of(min(TILES, layer["maps"][0]), layer["map_shape"][0])
        if self.view is None:
            # Beside the maps there are no filters: their heading has the room of two.
            return [[name, shortened(f"{shown} maps of {size_words(layer)}", 2 * PANEL + GAP, CAPTION)]]
        size, _, averaged = size_words(layer).partition(", ")
        maps = [f"their maps, {shown} of {size}", averaged]
        return [[name, shortened(self.view.words, PANEL, CAPTION)], [text for text in maps if text]]

    def _legend(self, sheet: Sheet, broken: bool) -> None:
        """What the colours mean, and that of what is not finite where there is any."""
        of_filters = "grey is zero in filters; in maps " if self.view and self.view.kind == "rgb" else ""
        text = of_filters + _COLOURS + ("; yellow is not finite" if broken else "")
        sheet.text(self.top + PANEL + 4, MARGIN + ASIDE + GAP, text, 12, SOFT)

    def _called(self, described: Mapping[str, Any]) -> str:
        classes = self.strip.manifest["classes"]
        if self.label is not None and self.label < len(classes):
            return shortened(f"image of class {classes[self.label]}", ASIDE, CAPTION)
        return shortened(str(described["name"]), ASIDE, CAPTION)

    def _corner(self, index: int) -> list[tuple[str, int, Colour]]:
        """Lines of the corner: where the training stands, and how good it is. Text, size and colour."""
        known = told(self.strip, self.moments[index])
        step = f"step {self.moments[index].step:,}"
        if "epoch" in known:
            epoch = known["epoch"]
            step = f"epoch {epoch:.{0 if epoch.is_integer() else 2}f}, {step}"
        order = ("test accuracy", "training accuracy", "training loss")
        words = next((w for w in order if w in known), None)
        lines: list[tuple[str, int, Colour]] = [(step, 18, INK)]
        return lines if words is None else [*lines, (f"{words} {said(words, known[words])}", TEXT, ACCENT)]

    def _answers(self, sheet: Sheet, probabilities: NDArray[np.float32]) -> None:
        names = self.strip.classes
        top = self.top + 104 + 18
        pitch = (PANEL - 104 - 18) // max(1, len(self.bars))
        pitch = min(pitch, 30)
        wide = min(84, max(text_width(names[number], CAPTION) for number in self.bars) + 2)
        for place, number in enumerate(self.bars):
            line = top + place * pitch
            share = float(np.nan_to_num(probabilities[number]))
            percent = f"{100 * share:.0f} %" if math.isfinite(probabilities[number]) else "nan"
            true = number == self.label
            ink = ACCENT if true else INK if share == float(np.nan_to_num(probabilities).max()) else SOFT
            sheet.text(line, MARGIN, shortened(names[number], wide, CAPTION), CAPTION, ink, strong=true)
            start, room = MARGIN + wide + 10, ASIDE - wide - 10 - 46
            height = min(12, pitch - 6)
            sheet.fill(line + 3, start, height, room, RAISED)
            sheet.fill(line + 3, start, height, round(share * room), ACCENT if true else STRONG_LINE)
            sheet.text(line, MARGIN + ASIDE, percent, CAPTION, ink, align="right")

    def _axis(self, sheet: Sheet) -> None:
        left, right, top, bottom = self._box()
        sheet.fill(bottom, left, 1, right - left + 1, STRONG_LINE)
        taken: list[tuple[int, int]] = []
        # The ends first, so that no other takes their place.
        for index in dict.fromkeys((0, len(self) - 1, *range(len(self)))):
            column = self._column(index)
            text = f"{self.moments[index].step:,}"
            half = text_width(text, 12) // 2 + 7
            if all(column + half <= start or end <= column - half for start, end in taken):
                sheet.fill(bottom, column, 5, 1, STRONG_LINE)
                sheet.text(bottom + 7, column, text, 12, SOFT, align="middle")
                taken.append((column - half, column + half))
        sheet.text(bottom + 7, MARGIN, "step", 12, SOFT)
        wide = (right - left) / max(1, len(self) - 1)
        for number, (words, points) in enumerate(self.curves.items()):
            low, high = curve_range(words, points)
            scale = (CURVE - 6) / (high - low)
            for piece in pieces(points):
                path = [(bottom - 2 - scale * (value - low), left + wide * place) for place, value in piece]
                sheet.lines(path, SERIES[number], 2)
                if len(path) == 1:
                    row, middle = path[0]
                    sheet.lines([(row, middle - 2), (row, middle + 2)], SERIES[number], 4)
        if not self.curves:
            sheet.fill(top, left, 1, right - left + 1, LINE)

    def _marked(self, sheet: Sheet, index: int) -> None:
        """The place of a frame along the curves, and their values there."""
        _, _, top, bottom = self._box()
        sheet.fill(top - 2, self._column(index) - 1, bottom - top + 6, 2, INK)
        known = told(self.strip, self.moments[index])
        line = top
        for number, words in enumerate(self.curves):
            value = known.get(words)
            sheet.fill(line + 6, MARGIN, 3, 14, SERIES[number])
            sheet.text(line, MARGIN + 20, words, CAPTION, SOFT)
            if value is not None:
                right, ink = MARGIN + ASIDE, SERIES[number]
                sheet.text(line, right, said(words, value), CAPTION, ink, align="right", strong=True)
            line += 24

    def _box(self) -> tuple[int, int, int, int]:
        return MARGIN + ASIDE + GAP, self.width - MARGIN, self.curve_top, self.curve_top + CURVE

    def _column(self, index: int) -> int:
        left, right, _, _ = self._box()
        return round(left + (right - left) * index / max(1, len(self) - 1))


def kernel_colours(planes: NDArray[np.float32], limits: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Planes of kernels as tiles ``uint8 (filters, rows, columns, 3)``; of colours, zero is grey."""
    places = as_bytes(planes, limits)
    if places.ndim == 3:
        return raster.table("diverging")[places]
    return np.where((places == 0).any(axis=-1, keepdims=True), raster.table("diverging")[0], places)


def tiles(sheet: Sheet, top: int, left: int, side: int, colours: NDArray[np.uint8]) -> None:
    """Lay tiles ``(count, rows, columns, 3)`` out in a square of ``side`` pixels, at most 36 of them."""
    shown = colours[:TILES]
    across = math.ceil(math.sqrt(len(shown)))
    pitch = side // across
    room = pitch - max(2, pitch // 16)
    for number, tile in enumerate(shown):
        row, column = divmod(number, across)
        place = fitted(tile, room)
        at = top + row * pitch, left + column * pitch
        sheet.paste(*at, place)


def fitted(picture: NDArray[np.uint8], side: int) -> Pixels:
    """A picture with its longer side at ``side`` pixels, cells of (nearly) one size."""
    rows, columns = picture.shape[:2]
    height, width = (max(1, round(side * length / max(rows, columns))) for length in (rows, columns))
    down, along = np.arange(height) * rows // height, np.arange(width) * columns // width
    found: Pixels = picture[down[:, None], along[None, :]]
    return found


def shortened(text: str, room: int, size: int) -> str:
    """``text``, cut off where it is wider than ``room`` pixels."""
    if text_width(text, size) <= room:
        return text
    while text and text_width(f"{text}…", size) > room:
        text = text[:-1]
    return f"{text}…"


__all__ = ["Colour", "FilmFrames", "fitted", "kernel_colours", "shortened", "tiles"]
