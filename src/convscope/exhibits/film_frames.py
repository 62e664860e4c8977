"""A film as an animation: filters forming beside the maps of one image, its answers, and where it stands."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from convscope import raster
from convscope.errors import UsageError
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
from convscope.exhibits.film_view import (
    KernelView,
    as_bytes,
    curves,
    kernel_limits,
    kernel_view,
    layer_number,
    map_limits,
    told,
)

if TYPE_CHECKING:
    from convscope.filming import Frame, Strip

MARGIN, GAP = 28, 36
ASIDE, PANEL, CURVE = 216, 324, 104
CAPTION, TEXT, TITLE = 14, 15, 22
_COLOURS = "red is above zero, blue below; each tile by its largest in the whole film"
#: Most tiles of a panel, and classes whose bars are drawn.
TILES, BARS = 36, 10


class FilmFrames:
    """Draws the frames of a film.

    Parameters
    ----------
    strip
        The film.
    layer
        Name of the layer whose filters and maps are drawn; the first if not given.
    image
        Which of its images, from 0.

    Raises
    ------
    UsageError
        If the film has no such layer or image.
    """

    def __init__(self, strip: Strip, *, layer: str | None = None, image: int = 0) -> None:
        self.strip = strip
        self.layer = layer_number(strip, layer)
        described = strip.manifest["images"]
        if not 0 <= image < len(described):
            raise UsageError(f"the film has images 0 to {len(described) - 1}; got {image}")
        self.image = image
        self.frames = list(strip)
        self.view = kernel_view(strip, self.layer)
        self.kernel_limits = kernel_limits(self.frames, self.layer, self.view) if self.view else None
        self.map_limits = map_limits(self.frames, self.layer)[image]
        self.curves = curves(strip, self.frames)
        self.bars = chosen_classes(self.frames, image, described[image]["label"])
        self.width = 2 * MARGIN + ASIDE + 2 * GAP + 2 * PANEL
        self.top = 96
        self.curve_top = self.top + PANEL + 44
        self.height = self.curve_top + CURVE + 40
        self.base = self._static()

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[Pixels]:
        return (self.frame(n) for n in range(len(self)))

    def frame(self, index: int) -> Pixels:
        """Frame ``index`` as ``uint8 (rows, columns, 3)``."""
        sheet = Sheet(0, 0)
        sheet.pixels = self.base.pixels.copy()
        frame = self.frames[index]
        self._corner(sheet, frame)
        left = MARGIN + ASIDE + GAP
        kernels = frame.kernels[self.layer]
        if self.view is not None and kernels is not None and self.kernel_limits is not None:
            tiles(sheet, self.top, left, PANEL, kernel_colours(kernels, self.view, self.kernel_limits))
            left += PANEL + GAP
        values = frame.values(self.layer)[self.image]
        places = as_bytes(values, self.map_limits)
        tiles(sheet, self.top, left, PANEL, raster.table("diverging")[places])
        if frame.probabilities is not None:
            self._answers(sheet, frame.probabilities[self.image])
        self._marked(sheet, index)
        return sheet.pixels

    def _static(self) -> Sheet:
        """What is the same in every frame."""
        sheet = Sheet(self.height, self.width)
        title = self.strip.manifest["title"]
        size = next((s for s in range(TITLE, 11, -1) if text_width(title, s) <= self.width // 2), 12)
        sheet.text(MARGIN, MARGIN, title, size, strong=True)
        layer = self.strip.layers[self.layer]
        left = MARGIN + ASIDE + GAP
        channels, rows, columns = layer["map_shape"]
        heads = [f"their maps, {channels} of {rows} x {columns}"]
        if self.view is not None:
            heads.insert(0, f"layer {layer['name']}: {self.view.words}")
        else:
            heads[0] = f"layer {layer['name']}: {channels} maps of {rows} x {columns}"
        for text in heads:
            sheet.text(self.top - 24, left, shortened(text, PANEL, CAPTION), CAPTION, SOFT)
            left += PANEL + GAP
        of_filters = "grey is zero in filters; in maps " if self.view and self.view.kind == "rgb" else ""
        sheet.text(self.top + PANEL + 4, MARGIN + ASIDE + GAP, of_filters + _COLOURS, 12, SOFT)
        picture = self.strip.pictures[self.image]
        described = self.strip.manifest["images"][self.image]
        sheet.text(self.top - 24, MARGIN, self._called(described), CAPTION, SOFT)
        side = 104 if self.bars else ASIDE
        sheet.paste(self.top, MARGIN, fitted(picture, side))
        self._axis(sheet)
        return sheet

    def _called(self, described: dict[str, object]) -> str:
        classes, label = self.strip.manifest["classes"], described["label"]
        if isinstance(label, int) and label < len(classes):
            return shortened(f"image of class {classes[label]}", ASIDE, CAPTION)
        return shortened(str(described["name"]), ASIDE, CAPTION)

    def _corner(self, sheet: Sheet, frame: Frame) -> None:
        known = told(self.strip, frame)
        right = self.width - MARGIN
        step = f"step {frame.step:,}"
        if "epoch" in known:
            epoch = known["epoch"]
            step = f"epoch {epoch:.{0 if epoch.is_integer() else 2}f}, {step}"
        sheet.text(MARGIN - 6, right, step, 18, INK, align="right", strong=True)
        words = next((w for w in ("test accuracy", "training accuracy") if w in known), None)
        if words is not None:
            said = f"{words} {100 * known[words]:.1f} %"
            sheet.text(MARGIN + 20, right, said, TEXT, ACCENT, align="right", strong=True)
        elif "training loss" in known:
            said = f"training loss {known['training loss']:.3g}"
            sheet.text(MARGIN + 20, right, said, TEXT, ACCENT, align="right", strong=True)

    def _answers(self, sheet: Sheet, probabilities: NDArray[np.float32]) -> None:
        names = self.strip.classes
        label = self.strip.manifest["images"][self.image]["label"]
        top = self.top + 104 + 18
        pitch = (PANEL - 104 - 18) // max(1, len(self.bars))
        pitch = min(pitch, 30)
        wide = min(84, max(text_width(names[number], CAPTION) for number in self.bars) + 2)
        for place, number in enumerate(self.bars):
            line = top + place * pitch
            share = float(np.nan_to_num(probabilities[number]))
            said = f"{100 * share:.0f} %" if math.isfinite(probabilities[number]) else "nan"
            true = number == label
            ink = ACCENT if true else INK if share == float(np.nan_to_num(probabilities).max()) else SOFT
            sheet.text(line, MARGIN, shortened(names[number], wide, CAPTION), CAPTION, ink, strong=true)
            start, room = MARGIN + wide + 10, ASIDE - wide - 10 - 46
            height = min(12, pitch - 6)
            sheet.fill(line + 3, start, height, room, RAISED)
            sheet.fill(line + 3, start, height, round(share * room), ACCENT if true else STRONG_LINE)
            sheet.text(line, MARGIN + ASIDE, said, CAPTION, ink, align="right")

    def _axis(self, sheet: Sheet) -> None:
        left, right, top, bottom = self._box()
        sheet.fill(bottom, left, 1, right - left + 1, STRONG_LINE)
        taken: list[tuple[int, int]] = []
        # The ends first, so that no other takes their place.
        for index in dict.fromkeys((0, len(self) - 1, *range(len(self)))):
            column = self._column(index)
            text = f"{self.frames[index].step:,}"
            half = text_width(text, 12) // 2 + 7
            if all(column + half <= start or end <= column - half for start, end in taken):
                sheet.fill(bottom, column, 5, 1, STRONG_LINE)
                sheet.text(bottom + 7, column, text, 12, SOFT, align="middle")
                taken.append((column - half, column + half))
        sheet.text(bottom + 7, MARGIN, "step", 12, SOFT)
        for number, (words, points) in enumerate(self.curves.items()):
            high = max(value for _, value in points) if "loss" in words else 1.0
            scale = (CURVE - 6) / (high or 1)
            wide = (right - left) / max(1, len(self) - 1)
            path = [(bottom - 2 - scale * value, left + wide * place) for place, value in points]
            sheet.lines(path, SERIES[number], 2)
        if not self.curves:
            sheet.fill(top, left, 1, right - left + 1, LINE)

    def _marked(self, sheet: Sheet, index: int) -> None:
        """The place of a frame along the curves, and their values there."""
        _, _, top, bottom = self._box()
        sheet.fill(top - 2, self._column(index) - 1, bottom - top + 6, 2, INK)
        known = told(self.strip, self.frames[index])
        line = top
        for number, words in enumerate(self.curves):
            value = known.get(words)
            sheet.fill(line + 6, MARGIN, 3, 14, SERIES[number])
            sheet.text(line, MARGIN + 20, words, CAPTION, SOFT)
            if value is not None:
                said = f"{value:.3g}" if "loss" in words else f"{100 * value:.1f} %"
                sheet.text(line, MARGIN + ASIDE, said, CAPTION, SERIES[number], align="right", strong=True)
            line += 24

    def _box(self) -> tuple[int, int, int, int]:
        return MARGIN + ASIDE + GAP, self.width - MARGIN, self.curve_top, self.curve_top + CURVE

    def _column(self, index: int) -> int:
        left, right, _, _ = self._box()
        return round(left + (right - left) * index / max(1, len(self) - 1))


def kernel_colours(
    kernels: NDArray[np.float32], view: KernelView, limits: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Kernels as tiles ``uint8 (filters, rows, columns, 3)``: zero is grey in colour, else near white."""
    places = as_bytes(view.planes(kernels), limits)
    return places if view.kind == "rgb" else raster.table("diverging")[places]


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


def chosen_classes(frames: Sequence[Frame], image: int, label: int | None) -> list[int]:
    """The classes whose bars are drawn: all where they are few, else the true one and the likeliest."""
    last = frames[-1].probabilities
    if last is None:
        return []
    row = np.nan_to_num(last[image])
    if len(row) <= BARS:
        return list(range(len(row)))
    rows = [f.probabilities[image] for f in frames if f.probabilities is not None]
    peak = np.nan_to_num(rows).max(axis=0)
    order = [int(n) for n in np.lexsort((-peak, -row))]
    first = [label] if label is not None else []
    return [*first, *(n for n in order if n != label)][:BARS]


def shortened(text: str, room: int, size: int) -> str:
    """``text``, cut off where it is wider than ``room`` pixels."""
    if text_width(text, size) <= room:
        return text
    while text and text_width(f"{text}…", size) > room:
        text = text[:-1]
    return f"{text}…"


__all__ = ["Colour", "FilmFrames", "chosen_classes", "fitted", "kernel_colours", "shortened", "tiles"]
