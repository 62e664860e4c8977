"""Where everything stands on a frame of the step-by-step player, and which values its colours end at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convscope.lesson.convolution import Convolution

MARGIN = 28
#: Pixels the input, the result and a window may be high and wide.
INPUT, RESULT, WINDOW = 380, 300, 130
#: Channels whose windows are drawn one below the other, and planes of input or result shown.
MOST_CHANNELS = 3
MOST_PLANES = 4
#: Pixels a cell is wide at most, in a plane and in a window.
_CELL, _WINDOW_CELL = 64, 44
#: Pixels between two planes, and between input, windows and result.
_GAP, _PARTS = 14, 56


@dataclass(frozen=True)
class Plane:
    """Where a grid of cells stands: ``scale`` pixels a cell."""

    top: int
    left: int
    rows: int
    columns: int
    scale: int

    @property
    def height(self) -> int:
        """In pixels."""
        return self.rows * self.scale

    @property
    def width(self) -> int:
        """In pixels."""
        return self.columns * self.scale


class Layout:
    """Places of a convolution's input, windows, kernels, products and results, in pixels of a frame.

    Parameters
    ----------
    done
        The convolution.
    photo
        Whether its input is drawn as one picture in colour.

    Examples
    --------
    >>> from convscope.lesson import convolve
    >>> found = Layout(convolve([[1, 2, 3], [4, 5, 6]], [[1, 0], [0, 1]]), photo=False)
    >>> len(found.inputs), found.inputs[0].columns, found.results[0].columns
    (1, 3, 2)
    """

    def __init__(self, done: Convolution, *, photo: bool) -> None:
        top = MARGIN + 40 + 34
        count = 1 if photo else min(len(done.image), MOST_PLANES)
        self.inputs = _planes(count, done.geometry.padded, INPUT, top, MARGIN)
        self.left = max(plane.left + plane.width for plane in self.inputs) + _PARTS
        each = done.kernel.shape[1]
        self.channels = min(each, MOST_CHANNELS)
        end = self._columns(done.geometry.kernel, top)
        # What a sum over several channels needs to the right of its products.
        end += 86 if self.channels > 1 else 0
        start = max(end, self.left + 300) + _PARTS
        maps = min(len(done.maps), MOST_PLANES)
        self.results = _planes(maps, done.geometry.output, RESULT, top, start)
        last = self.products[-1]
        self.sum_top = last.top + last.height + (34 if each > self.channels else 20)
        bottom = max(plane.top + plane.height for plane in (*self.inputs, *self.results))
        height = max(bottom, self.sum_top + 84) + MARGIN
        width = max(plane.left + plane.width for plane in self.results) + MARGIN + 10
        # Encoders of films need even numbers.
        self.height, self.width = height + height % 2, width + width % 2

    def _columns(self, kernel: tuple[int, int], top: int) -> int:
        """Places the windows, kernels and products of the channels shown; where they end."""
        high, wide = kernel
        side = WINDOW if self.channels == 1 else WINDOW * 3 // 4
        scale = max(1, min(side // high, side // wide, _WINDOW_CELL))
        step = wide * scale + 44
        self.windows, self.kernels, self.products = (
            [
                Plane(top + n * (high * scale + 30), self.left + number * step, high, wide, scale)
                for n in range(self.channels)
            ]
            for number in range(3)
        )
        return self.left + 2 * step + wide * scale


def _planes(count: int, size: tuple[int, int], side: int, top: int, left: int) -> list[Plane]:
    """``count`` grids of ``size`` cells within ``side`` pixels, two in a row where there are several."""
    across = 1 if count == 1 else 2
    side = side // across - (10 if across > 1 else 0)
    rows, columns = size
    scale = max(1, min(side // rows, side // columns, _CELL))
    return [
        Plane(
            top + (n // across) * (rows * scale + _GAP),
            left + (n % across) * (columns * scale + _GAP),
            rows,
            columns,
            scale,
        )
        for n in range(count)
    ]


class Ranges:
    """Values at which the colours of a convolution's planes end, and which cells are of the image itself."""

    def __init__(self, done: Convolution, *, photo: bool) -> None:
        image = done.image[np.isfinite(done.image)]
        low, high = (float(image.min()), float(image.max())) if image.size else (0.0, 1.0)
        #: Of the input: a photo's are 0 and 255.
        self.input = (0.0, 255.0) if photo or (low >= 0 and 32 < high <= 255) else (low, high)
        #: Of kernel, result and products: the largest size.
        self.kernel = float(np.abs(done.kernel).max()) or 1.0
        finite = done.maps[np.isfinite(done.maps)]
        self.result = float(np.abs(finite).max()) if finite.size else 1.0
        self.product = max(map(abs, self.input)) * self.kernel or 1.0
        self.inside = _inside(done)


def _inside(done: Convolution) -> NDArray[np.bool_]:
    where = done.geometry
    top, left, rows, columns = where.padding[0], where.padding[2], *where.spread_image
    inside = np.zeros(where.padded, bool)
    inside[max(0, top) : top + rows, max(0, left) : left + columns] = True
    # Zeros between the cells of a transposed convolution are no cells of the image either.
    if where.spread != (1, 1):
        down, across = where.origins()
        inside &= (down >= 0)[:, None] & (across >= 0)[None, :]
    return inside
