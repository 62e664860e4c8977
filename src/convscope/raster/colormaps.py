"""Colour tables made by formula: which colour stands for which byte.

Every table shares one idea: zero is the same near-white in all of them, and strength is
darkness. A diverging table leaves it towards blue (below zero) and red (above), both ends
equally dark and equally colourful; a sequential table leaves it through orange and
crimson towards a dark violet. The paths are straight in the lightness of OKLab, so that equal steps of value
look like equal steps; the chroma is as high as sRGB allows up to a ceiling.

Bytes mean the same as in a scene: 128 is exactly zero in signed data, 0 marks a value that is not
a number or infinite, and 1 to 255 carry the values. A sheet also holds ink and paper,
so its palette gives the values the 239 bytes 9 to 247 and keeps sixteen for text.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from convscope.errors import UsageError

#: Names of the tables, in the order people are told of them.
COLOURS = ("diverging", "sequential", "grey")
#: Byte of exactly zero in signed data.
ZERO = 128
#: Byte of a value that is not a number or infinite.
NOT_FINITE = 0
#: Bytes that carry values in a scene and on a sheet; both are odd, so that zero is a byte of its own.
SCENE_LEVELS = 255
SHEET_LEVELS = 239
#: Palette entries of a sheet from paper to ink, for text with smooth edges.
INK_RAMP = (*range(1, 9), *range(248, 256))
PAPER = INK_RAMP[0]
INK = INK_RAMP[-1]

#: Yellow, which neither table comes near, also for eyes that lack red or green.
NOT_FINITE_COLOUR = (255, 245, 0)
_PAPER_COLOUR = (255, 255, 255)
_INK_COLOUR = (32, 36, 44)

_LIGHT = 0.965
_DIVERGING_DARK = 0.36
_SEQUENTIAL_DARK = 0.24
_BLUE, _RED = 255.0, 27.0
_CEILING = 0.175

# OKLab to linear sRGB (Bjorn Ottosson, "A perceptual color space for image processing", 2020).
_LAB_TO_CONES = np.array(
    [
        [1.0, 0.3963377774, 0.2158037573],
        [1.0, -0.1055613458, -0.0638541728],
        [1.0, -0.0894841775, -1.2914855480],
    ]
)
_CONES_TO_LINEAR = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def _linear(
    lightness: NDArray[np.float64], chroma: NDArray[np.float64], hue: NDArray[np.float64]
) -> NDArray[np.float64]:
    angle = np.radians(hue)
    lab = np.stack([lightness, chroma * np.cos(angle), chroma * np.sin(angle)], axis=-1)
    return ((lab @ _LAB_TO_CONES.T) ** 3) @ _CONES_TO_LINEAR.T


def _bytes(linear: NDArray[np.float64]) -> NDArray[np.uint8]:
    kept = np.clip(linear, 0.0, 1.0)
    encoded = np.where(kept <= 0.0031308, 12.92 * kept, 1.055 * kept ** (1 / 2.4) - 0.055)
    return np.rint(encoded * 255).astype(np.uint8)


def _most_chroma(lightness: NDArray[np.float64], hue: NDArray[np.float64]) -> NDArray[np.float64]:
    """Largest chroma that sRGB can show, by bisection."""
    low, high = np.zeros_like(lightness), np.full_like(lightness, 0.4)
    for _ in range(24):
        middle = (low + high) / 2
        linear = _linear(lightness, middle, hue)
        inside = ((linear >= 0) & (linear <= 1)).all(axis=-1)
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    return low


def _diverging(levels: int) -> NDArray[np.uint8]:
    half = levels // 2
    strength = np.arange(1, half + 1) / half
    lightness = _LIGHT - (_LIGHT - _DIVERGING_DARK) * strength
    sides = [np.full(half, _BLUE), np.full(half, _RED)]
    # The smaller of the two hues' limits serves both, so that neither sign looks stronger.
    limit = np.minimum(*(_most_chroma(lightness, hue) for hue in sides))
    chroma = np.minimum(limit * 0.97, _CEILING)
    below, above = (_bytes(_linear(lightness, chroma, hue)) for hue in sides)
    return np.concatenate([below[::-1], _neutral(), above])


def _sequential(levels: int) -> NDArray[np.uint8]:
    strength = np.arange(1, levels) / (levels - 1)
    lightness = _LIGHT - (_LIGHT - _SEQUENTIAL_DARK) * strength
    hue = 55.0 - 85.0 * strength
    chroma = np.minimum(_most_chroma(lightness, hue) * 0.97, _CEILING * np.minimum(1.0, 4 * strength))
    return np.concatenate([_neutral(), _bytes(_linear(lightness, chroma, hue))])


def _grey(levels: int) -> NDArray[np.uint8]:
    shade = np.rint(np.linspace(0, 255, levels)).astype(np.uint8)
    return np.repeat(shade[:, None], 3, axis=1)


def _neutral() -> NDArray[np.uint8]:
    return _bytes(_linear(np.array([_LIGHT]), np.zeros(1), np.zeros(1)))


_RAMPS = {"diverging": _diverging, "sequential": _sequential, "grey": _grey}


def _ramp(colours: str, levels: int) -> NDArray[np.uint8]:
    if colours not in _RAMPS:
        raise UsageError(f"`colours` must be one of {', '.join(COLOURS)}; got {colours!r}")
    return _RAMPS[colours](levels)


@cache
def table(colours: str = "diverging") -> NDArray[np.uint8]:
    """Colours of the 256 bytes of a scene's maps.

    Parameters
    ----------
    colours
        ``"diverging"``: 128 is neutral, below it blue, above it red.
        ``"sequential"``: 1 is the same neutral, 255 the darkest.
        ``"grey"``: 1 is black, 255 white.

    Returns
    -------
    Read-only ``uint8`` array of shape ``(256, 3)``, sRGB. Entry 0 is the colour of values
    that are not finite.

    Raises
    ------
    UsageError
        If there is no table of that name.

    References
    ----------
    Bjorn Ottosson, "A perceptual color space for image processing" (OKLab), 2020.

    Examples
    --------
    >>> table("diverging")[[1, 128, 255]].tolist()
    [[3, 60, 119], [243, 243, 243], [109, 28, 25]]
    """
    colors = np.concatenate([np.array([NOT_FINITE_COLOUR], np.uint8), _ramp(colours, SCENE_LEVELS)])
    colors.setflags(write=False)
    return colors


@cache
def sheet_palette(colours: str = "diverging") -> NDArray[np.uint8]:
    """Colours of the 256 bytes of a sheet: values in 9 to 247, text in the rest.

    Returns
    -------
    Read-only ``uint8`` array of shape ``(256, 3)``, sRGB: entry 0 for values that are not
    finite, 9 to 247 the table's colours (128 its middle), and the entries of ``INK_RAMP`` from
    paper to ink in even steps.

    Raises
    ------
    UsageError
        If there is no table of that name.

    Examples
    --------
    >>> bool((sheet_palette("diverging")[128] == table("diverging")[128]).all())
    True
    >>> sheet_palette("grey")[[9, 247]].tolist()
    [[0, 0, 0], [255, 255, 255]]
    """
    colors = np.zeros((256, 3), np.uint8)
    colors[NOT_FINITE] = NOT_FINITE_COLOUR
    first = ZERO - SHEET_LEVELS // 2
    colors[first : first + SHEET_LEVELS] = _ramp(colours, SHEET_LEVELS)
    colors[list(INK_RAMP)] = np.rint(np.linspace(_PAPER_COLOUR, _INK_COLOUR, len(INK_RAMP)))
    colors.setflags(write=False)
    return colors
