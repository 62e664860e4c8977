"""Pictures of one size out of pictures of many, and which size that is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZES = (32, 64, 96, 128, 160, 192, 224)
_LARGEST_KEPT = 256
_MOST_OF_THEM = 0.9


def choose_size(
    shapes: Sequence[tuple[int, int]], size: int | None, count: int = 0
) -> tuple[tuple[int, int], str]:
    """Height and width every picture is brought to, and a sentence about it, empty if none changes.

    Parameters
    ----------
    shapes
        ``(height, width)`` of pictures, at least one.
    size
        Side of a square a person asked for, or ``None``.
    count
        How many pictures there are, if those are not all of them.

    Returns
    -------
    With ``size`` that square. Without it the size that nine of ten have, if it is at most 256 a
    side; else a square, of the largest of 32, 64, 96, 128, 160, 192 and 224 that their median shorter
    side reaches, and at least 32.

    Examples
    --------
    >>> choose_size([(8, 8), (8, 8)], None)
    ((8, 8), '')
    >>> choose_size([(300, 451), (200, 180)], None)
    ((224, 224), 'pictures of 200 x 180 to 300 x 451 are scaled to 224 x 224, what sticks out cut off evenly')
    >>> choose_size([(300, 300)], 32)
    ((32, 32), 'pictures of 300 x 300 are scaled to 32 x 32')
    """
    usual, number = Counter(shapes).most_common(1)[0]
    if size is not None:
        target = (size, size)
    elif max(usual) <= _LARGEST_KEPT and number / len(shapes) >= _MOST_OF_THEM:
        return usual, ""
    else:
        middle = float(np.median([min(shape) for shape in shapes]))
        side = max((one for one in SIZES if one <= middle), default=SIZES[0])
        target = (side, side)
    return target, scaled_note(shapes, target, count)


def scaled_note(shapes: Iterable[tuple[int, int]], target: tuple[int, int], count: int = 0) -> str:
    """What scaling pictures of these sizes to ``target`` is said to be, empty if all have that size.

    Parameters
    ----------
    count
        How many pictures there are, if ``shapes`` are of some of them.

    Examples
    --------
    >>> scaled_note([(300, 300)] * 64, (224, 224), 2000)
    'pictures are scaled to 224 x 224; 64 of 2,000 were looked at, of 300 x 300'
    """
    looked_at = list(shapes)
    every = set(looked_at)
    if every <= {target}:
        return ""
    spread = " to ".join(
        f"{high} x {wide}" for high, wide in dict.fromkeys((min(every, key=_area), max(every, key=_area)))
    )
    cut = any(high * target[1] != wide * target[0] for high, wide in every)
    end = f"are scaled to {target[0]} x {target[1]}" + ", what sticks out cut off evenly" * cut
    if count > len(looked_at):
        return f"pictures {end}; {len(looked_at):,} of {count:,} were looked at, of {spread}"
    return f"pictures of {spread} {end}"


def _area(shape: tuple[int, int]) -> tuple[int, tuple[int, int]]:
    return shape[0] * shape[1], shape


def fit(pixels: NDArray[np.uint8], target: tuple[int, int]) -> NDArray[np.uint8]:
    """``pixels`` scaled, its sides in proportion, to cover ``target``, and its middle kept.

    Parameters
    ----------
    pixels
        ``uint8`` array of shape ``(height, width, 3)`` or ``(height, width, 1)``.
    target
        Height and width of the result.

    Returns
    -------
    ``uint8`` array of shape ``(*target, channels)``; bilinear, averaged where it shrinks; ``pixels``
    itself if it has that size.

    Examples
    --------
    >>> fit(np.full((4, 8, 3), 7, np.uint8), (2, 2)).tolist()
    [[[7, 7, 7], [7, 7, 7]], [[7, 7, 7], [7, 7, 7]]]
    """
    height, width = pixels.shape[:2]
    if (height, width) == target:
        return pixels
    from PIL import Image

    scale = max(target[0] / height, target[1] / width)
    rows, columns = target[0] / scale, target[1] / scale
    top, left = (height - rows) / 2, (width - columns) / 2
    box = (max(0.0, left), max(0.0, top), min(float(width), left + columns), min(float(height), top + rows))
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    done = np.asarray(image.resize((target[1], target[0]), Image.Resampling.BILINEAR, box=box))
    return done[..., np.newaxis] if pixels.shape[2] == 1 else done
