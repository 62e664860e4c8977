"""Drawing on a light sheet: fills, boxes, lines, words and arrays, in RGB.

Words are those of ``convscope.raster``, laid over whatever is below them; everything else is array
arithmetic, so that a frame of an animation takes a few milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from convscope import raster

Colour = tuple[int, int, int]
Pixels = NDArray[np.uint8]

PAPER: Colour = (255, 255, 255)
RAISED: Colour = (247, 248, 248)
INK: Colour = (26, 29, 33)
SOFT: Colour = (92, 98, 107)
LINE: Colour = (223, 224, 222)
STRONG_LINE: Colour = (176, 178, 175)
ACCENT: Colour = (0, 103, 122)
WASH: Colour = (223, 240, 242)
#: Outlines on maps: the first thing to look at, the others, what only frames.
TONES: dict[str, Colour] = {"accent": (255, 193, 7), "second": (0, 184, 212), "faint": (150, 152, 150)}
#: Lines and bars of charts, told apart also by eyes that lack red or green.
SERIES: tuple[Colour, ...] = ((0, 103, 122), (201, 76, 28), (112, 91, 168), (90, 96, 104), (158, 120, 0))

_COVERAGE = np.zeros(256, np.float32)
_COVERAGE[list(raster.INK_RAMP)] = np.linspace(0, 1, len(raster.INK_RAMP))


class Sheet:
    """A light sheet of ``height`` x ``width`` pixels; ``pixels`` is ``uint8 (rows, columns, 3)``."""

    def __init__(self, height: int, width: int, colour: Colour = PAPER) -> None:
        self.pixels: Pixels = np.empty((height, width, 3), np.uint8)
        self.pixels[...] = colour

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return int(self.pixels.shape[1])

    def fill(self, top: int, left: int, height: int, width: int, colour: Colour) -> None:
        """Fill a rectangle, cut at the sheet's edges."""
        self.pixels[max(0, top) : max(0, top + height), max(0, left) : max(0, left + width)] = colour

    def outline(self, top: int, left: int, height: int, width: int, colour: Colour, thick: int = 1) -> None:
        """Draw a rectangle's edge, ``thick`` pixels inwards."""
        self.fill(top, left, thick, width, colour)
        self.fill(top + height - thick, left, thick, width, colour)
        self.fill(top, left, height, thick, colour)
        self.fill(top, left + width - thick, height, thick, colour)

    def frame(self, top: int, left: int, height: int, width: int, colour: Colour, thick: int = 2) -> None:
        """Outline something from outside, with a dark edge that shows on any ground."""
        self.outline(top - thick - 1, left - thick - 1, height + 2 * thick + 2, width + 2 * thick + 2, INK, 1)
        self.outline(top - thick, left - thick, height + 2 * thick, width + 2 * thick, colour, thick)

    def paste(self, top: int, left: int, pixels: Pixels) -> None:
        """Lay pixels on the sheet, cut at its edges."""
        rows, columns = min(len(pixels), self.height - top), min(pixels.shape[1], self.width - left)
        if rows > 0 and columns > 0:
            self.pixels[top : top + rows, left : left + columns] = pixels[:rows, :columns]

    def text(
        self,
        top: int,
        left: int,
        text: str,
        size: int,
        colour: Colour = INK,
        *,
        align: str = "left",
        strong: bool = False,
    ) -> int:
        """Write one line; the columns it took.

        Parameters
        ----------
        align
            What ``left`` is: where it begins (``"left"``), its ``"middle"``, or its end (``"right"``).
        strong
            Whether it is bold.
        """
        cover = _cover(text, size, strong)
        rows, columns = cover.shape[:2]
        if align != "left":
            left -= columns if align == "right" else columns // 2
        place = self.pixels[max(0, top) : top + rows, max(0, left) : left + columns]
        cover = cover[max(0, -top) :, max(0, -left) :][: place.shape[0], : place.shape[1]]
        if cover.size:
            ground = place.astype(np.float32)
            ground += (np.array(colour, np.float32) - ground) * cover
            place[...] = np.rint(ground)
        return columns

    def lines(self, points: Sequence[tuple[float, float]], colour: Colour, width: float = 2.0) -> None:
        """Draw smooth lines through points (row, column)."""
        if len(points) < 2:
            return
        rows = [point[0] for point in points]
        columns = [point[1] for point in points]
        edge = int(width) + 2
        top, left = max(0, int(min(rows)) - edge), max(0, int(min(columns)) - edge)
        bottom, right = min(self.height, int(max(rows)) + edge), min(self.width, int(max(columns)) + edge)
        if bottom <= top or right <= left:
            return
        fine = 4
        mask = Image.new("L", ((right - left) * fine, (bottom - top) * fine))
        path = [((c - left) * fine, (r - top) * fine) for r, c in points]
        ImageDraw.Draw(mask).line(path, 255, round(width * fine), "curve")
        small = np.asarray(mask.reduce(fine), np.float32)[..., None] / 255
        place = self.pixels[top:bottom, left:right]
        ground = place.astype(np.float32)
        place[...] = np.rint(ground + (np.array(colour, np.float32) - ground) * small)


@cache
def _cover(text: str, size: int, strong: bool) -> NDArray[np.float32]:
    cover = _COVERAGE[raster.words(text, size)]
    if strong and cover.size:
        # The built-in font has one weight; set twice, half a pixel apart, it reads as bold.
        wide = np.pad(cover, ((0, 0), (0, 1)))
        cover = np.maximum(wide, 0.75 * np.roll(wide, 1, axis=1))
    found: NDArray[np.float32] = cover[..., None]
    return found


def text_width(text: str, size: int) -> int:
    """Columns a line takes."""
    return int(raster.words(text, size).shape[1])


def wrap(text: str, size: int, width: int) -> list[str]:
    """Lines of ``text``, each at most ``width`` pixels wide where words allow; Chinese breaks anywhere.

    Examples
    --------
    >>> wrap("a window moves over the image", 14, 120)
    ['a window moves', 'over the image']
    """
    lines: list[str] = []
    line = ""
    for word in _pieces(text):
        if line and text_width(line + word.rstrip(), size) > width:
            lines.append(line.rstrip())
            line = ""
        line += word
    return [*lines, line.rstrip()] if line.strip() else lines


def _pieces(text: str) -> list[str]:
    """Words with the space after them; Chinese signs one by one, with the punctuation that follows them."""
    pieces: list[str] = []
    for sign in text:
        wide = ord(sign) > 0x2E7F
        closing = sign in "，。：；、）！？」"
        if (
            not pieces
            or (wide and not closing)
            or pieces[-1].endswith(" ")
            or (ord(pieces[-1][-1]) > 0x2E7F and not closing)
        ):
            pieces.append(sign)
        else:
            pieces[-1] += sign
    return pieces


def coloured(values: NDArray[np.generic], role: str, low: float, high: float) -> Pixels:
    """Values as colours, ``uint8 (rows, columns, 3)``.

    Parameters
    ----------
    role
        ``"signed"`` (zero neutral, red above, blue below), ``"sequential"`` (from neutral to dark) or
        ``"grey"`` (black to white); ``"rgb"`` gives ``values`` as they are.
    low, high
        Values at the two ends of the colours.
    """
    if role == "rgb":
        pixels: Pixels = values.astype(np.uint8)
        return pixels
    array = np.asarray(values, np.float64)
    with np.errstate(invalid="ignore"):
        if role == "signed":
            places = 128 + array / (high or 1.0) * 127
        elif high > low:
            places = 1 + (array - low) / (high - low) * 254
        else:
            places = np.full(array.shape, 1.0 if role == "sequential" else 128.0)
    finite = np.isfinite(array)
    index = np.where(finite, np.clip(np.rint(np.where(finite, places, 0)), 1, 255), 0).astype(np.intp)
    table = raster.table({"signed": "diverging"}.get(role, role))
    found: Pixels = table[index]
    return found


def ink_on(colour: NDArray[np.uint8] | Colour) -> Colour:
    """Dark or light ink, whichever reads better on a colour."""
    red, green, blue = (float(c) for c in colour)
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else PAPER


def figure(value: float, room: int = 5) -> str:
    """A number in at most about ``room`` signs.

    Examples
    --------
    >>> [figure(v) for v in (9.0, -18.0, 0.125, 1 / 3, 123456.0, -0.0, 1e-9, 70.62)]
    ['9', '-18', '0.125', '0.3333', '1.2e5', '0', '1e-9', '70.62']
    """
    if value != value:
        return "nan"
    if value == 0:
        return "0"
    if float(value).is_integer() and abs(value) < 10**room:
        return str(int(value))
    for digits in range(room - 1, 0, -1):
        text = f"{value:.{digits}g}"
        if "e" not in text and len(text.lstrip("-0.")) <= room and len(text) <= room + 1:
            return text
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
