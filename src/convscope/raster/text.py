"""Words on a sheet: Pillow's built-in font as palette bytes, and the colour bar.

That font has little beyond English: other letters are drawn by a wider one where there is one (matplotlib
brings DejaVu Sans), else without their marks. One font a word, all on one baseline.

Rendered words are kept, since the same channel numbers stand on every sheet.
"""

from __future__ import annotations

import os
from functools import lru_cache
from importlib.util import find_spec
from unicodedata import combining, normalize

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFont

from convscope.raster.colormaps import INK_RAMP, PAPER, SHEET_LEVELS, ZERO

_RAMP = np.array(INK_RAMP, np.uint8)
# Signs the built-in font does not have, in its own words.
_SPELLED = str.maketrans({"×": "x", "−": "-", "–": "-", "—": "-", "→": ">", "←": "<", "²": "2", "≥": ">="})


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


#: Fonts with Chinese signs that systems carry, by file name.
_CHINESE = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansCJKsc-Regular.otf",
    "NotoSansSC-Regular.otf",
    "SourceHanSansSC-Regular.otf",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf",
    "PingFang.ttc",
    "Hiragino Sans GB.ttc",
    "STHeiti Light.ttc",
    "msyh.ttc",
    "simhei.ttf",
    "simsun.ttc",
)
#: From this sign on the built-in font has nothing.
_BEYOND = "\u2e80"


@lru_cache(maxsize=16)
def _chinese_font(size: int) -> ImageFont.FreeTypeFont | None:
    for name in _CHINESE:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return None


#: Fonts with Latin, Greek and Cyrillic letters that systems carry, by file name.
_WIDE = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "Arial.ttf", "arial.ttf")


@lru_cache(maxsize=16)
def _wide_font(size: int) -> ImageFont.FreeTypeFont | None:
    for name in (*_of_matplotlib(), *_WIDE):
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return None


@lru_cache(maxsize=1)
def _of_matplotlib() -> tuple[str, ...]:
    """The font file that comes with matplotlib, which is not imported for it."""
    try:
        spec = find_spec("matplotlib")
    except ValueError:  # a stand-in without a spec lies in sys.modules
        return ()
    places = spec.submodule_search_locations if spec is not None else None
    return tuple(os.path.join(place, "mpl-data", "fonts", "ttf", "DejaVuSans.ttf") for place in places or ())


@lru_cache(maxsize=8192)
def _built_in(sign: str) -> bool:
    """Whether the built-in font has a sign, rather than a box for it."""
    if sign.isascii():
        return True
    font = _font(16)
    if not isinstance(font, ImageFont.FreeTypeFont):
        return False
    one, box = (font.getmask(text) for text in (sign, _NO_SIGN))
    return one.size != box.size or bytes(one) != bytes(box)


_NO_SIGN = "\uffff"


def without_marks(word: str) -> str:
    """Letters as the built-in font can draw them, where no other font is to be had.

    Examples
    --------
    >>> without_marks("Zürich"), without_marks("Łódź"), without_marks("Straße")
    ('Zurich', 'Lodz', 'Strasse')
    """
    apart = normalize("NFKD", word.translate(_WITHOUT_MARKS))
    return "".join(sign for sign in apart if not combining(sign))


# Letters that Unicode does not take apart.
_WITHOUT_MARKS = str.maketrans(
    {"ß": "ss", "ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "æ": "ae", "Æ": "Ae"}
    | {"œ": "oe", "Œ": "Oe", "ı": "i", "þ": "th", "Þ": "Th", "ð": "d", "Ð": "D", "µ": "u"}
)


def has_chinese() -> bool:
    """Whether this system has a font with Chinese signs; without one they are drawn as empty boxes."""
    return _chinese_font(12) is not None


def spell(text: str) -> str:
    """``text`` on one line, in signs the built-in font can draw.

    Examples
    --------
    >>> spell("56 × 56\\n−2")
    '56 x 56 -2'
    """
    line = " ".join(text.translate(_SPELLED).split())
    return "".join(sign if sign.isprintable() else "?" for sign in line)


@lru_cache(maxsize=8192)
def words(text: str, size: int, strength: float = 1.0) -> NDArray[np.uint8]:
    """``text`` as palette bytes, dark on paper.

    Parameters
    ----------
    text
        One line; see ``spell``.
    size
        Height of the font in pixels.
    strength
        1 for full ink, less for fainter text.

    Returns
    -------
    Read-only ``uint8`` array of shape ``(rows, columns)``, entries of ``INK_RAMP``. Rows depend on
    ``size`` alone, so that words set side by side share a baseline; no columns for empty text.

    Examples
    --------
    >>> words("conv1", 12).shape[0] == words("g", 12).shape[0]
    True
    """
    # The built-in font's space is so narrow at small sizes that words run together.
    drawn = [_word(word, size) for word in spell(text).split(" ")]
    space = np.zeros((line_height(size), max(2, round(size * 0.32))), np.uint8)
    pieces = [piece for word in drawn for piece in (space, word)][1:]
    canvas = np.concatenate(pieces, axis=1)
    steps = np.rint(canvas * (strength * (len(_RAMP) - 1) / 255)).astype(np.intp)
    inked = _RAMP[steps]
    inked.setflags(write=False)
    return inked


@lru_cache(maxsize=4096)
def _word(word: str, size: int) -> NDArray[np.uint8]:
    """Coverage, 0 to 255, of one word without spaces."""
    canvas_rows = line_height(size)
    word, font = _font_for(word, size)
    if isinstance(font, ImageFont.FreeTypeFont):
        mask, (left, top) = font.getmask2(word, mode="L")
        top += _lower(font, size)
    else:
        mask, (left, top) = font.getmask(word, mode="L"), (0, 0)
    columns, rows = mask.size
    left, top = max(0, left), max(0, top)
    canvas = np.zeros((canvas_rows, columns + left), np.uint8)
    if columns and rows:
        target = canvas[top : top + rows, left:]
        target[...] = np.frombuffer(bytes(mask), np.uint8).reshape(rows, columns)[: target.shape[0]]
    return canvas


def _font_for(word: str, size: int) -> tuple[str, ImageFont.FreeTypeFont | ImageFont.ImageFont]:
    """The font a word is drawn in, and the word in signs that font has."""
    if max(word, default="") >= _BEYOND:
        return word, _chinese_font(size) or _font(size)
    if all(map(_built_in, word)):
        return word, _font(size)
    wider = _wide_font(size)
    if wider is not None:
        return normalize("NFC", word), wider
    return without_marks(word), _font(size)


def _lower(font: ImageFont.FreeTypeFont, size: int) -> int:
    """By how many rows letters of the wide font are moved to stand on the built-in font's baseline."""
    own = _font(size)
    if font is own or font is not _wide_font(size) or not isinstance(own, ImageFont.FreeTypeFont):
        return 0
    return own.getmetrics()[0] - font.getmetrics()[0]


@lru_cache(maxsize=64)
def line_height(size: int) -> int:
    """Pixel rows of one line of text of that size, room for descenders included."""
    font = _font(size)
    return sum(font.getmetrics()) if isinstance(font, ImageFont.FreeTypeFont) else 11


def fit(text: str, size: int, width: int) -> str:
    """``text``, cut and ended by "..." where it is wider than ``width`` pixels.

    Examples
    --------
    >>> fit("layer1.0.conv1", 12, 500), fit("layer1.0.conv1", 12, 40)
    ('layer1.0.conv1', 'laye...')
    """
    line = spell(text)
    if words(line, size).shape[1] <= width:
        return line
    low, high = 0, len(line)
    while low < high:
        middle = (low + high + 1) // 2
        if words(line[:middle] + "...", size).shape[1] <= width:
            low = middle
        else:
            high = middle - 1
    return line[:low] + "..."


def stamp(canvas: NDArray[np.uint8], top: int, left: int, mark: NDArray[np.uint8]) -> None:
    """Lay ``mark`` on ``canvas`` in place, cut at the canvas's edges."""
    rows, columns = mark.shape
    if left < 0 or top < 0:
        mark = mark[max(0, -top) :, max(0, -left) :]
        top, left = max(0, top), max(0, left)
        rows, columns = mark.shape
    target = canvas[top : top + rows, left : left + columns]
    target[...] = mark[: target.shape[0], : target.shape[1]]


def number(value: float) -> str:
    """A value with three figures, as short as it can be said.

    Examples
    --------
    >>> [number(value) for value in (0, 2.1, 0.01234, 123456.0, 3e-7)]
    ['0', '2.1', '0.0123', '1.23e+05', '3e-07']
    """
    return f"{value:.3g}"


@lru_cache(maxsize=256)
def colour_bar(low: str, high: str, *, zero: str, width: int = 160) -> NDArray[np.uint8]:
    """A bar of all colours with words under its ends, and where zero is.

    Parameters
    ----------
    low, high
        What stands at the two ends.
    zero
        ``"middle"`` draws a tick and "0" there; ``"start"`` says that ``low`` is zero; ``"none"``: zero
        has no place.
    width
        Columns of the bar, without its words.

    Returns
    -------
    Read-only ``uint8`` array of shape ``(rows, columns)`` for a sheet's palette; as wide as
    bar and words need.

    Examples
    --------
    >>> int(colour_bar("-2", "+2", zero="middle").max()) <= 255
    True
    """
    height, size = 10, 11
    half = SHEET_LEVELS // 2
    colours = np.rint(np.linspace(ZERO - half, ZERO + half, width)).astype(np.uint8)
    left_word, right_word, middle = words(low, size), words(high, size), words("0", size)
    total = max(width + 2, left_word.shape[1] + right_word.shape[1] + 4 * middle.shape[1] + 8)
    canvas = np.full((height + 5 + line_height(size), total), PAPER, np.uint8)
    start = (total - width) // 2
    faint = INK_RAMP[6]
    canvas[: height + 2, start - 1 : start + width + 1] = faint
    canvas[1 : height + 1, start : start + width] = colours
    under = height + 4
    stamp(canvas, under, 0, left_word)
    stamp(canvas, under, total - right_word.shape[1], right_word)
    if zero == "middle":
        tick = start + width // 2
        canvas[1 : height + 4, tick] = INK_RAMP[10]
        stamp(canvas, under, tick - middle.shape[1] // 2, middle)
    canvas.setflags(write=False)
    return canvas
