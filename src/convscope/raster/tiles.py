"""Many small maps in one picture: grids, enlarging and shrinking, all by array arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from convscope.errors import UsageError

Kind = TypeVar("Kind", bound=np.generic)


def grid_shape(count: int, *, columns: int | None = None) -> tuple[int, int]:
    """Rows and columns of a grid for ``count`` tiles, at least 1.

    Eight a row up to 64 tiles, sixteen up to 512, then 32: so 64 tiles make 8 x 8 and 512 make
    32 x 16. ``columns`` sets another width.

    Raises
    ------
    UsageError
        If ``count`` or ``columns`` is below 1.

    Examples
    --------
    >>> [grid_shape(count) for count in (3, 32, 64, 512, 1280)]
    [(1, 3), (4, 8), (8, 8), (32, 16), (40, 32)]
    """
    if count < 1 or (columns is not None and columns < 1):
        raise UsageError(f"a grid needs at least one tile and one column; got {count} and {columns}")
    wide = columns or (8 if count <= 64 else 16 if count <= 512 else 32)
    wide = min(wide, count)
    return -(-count // wide), wide


@dataclass(frozen=True)
class Grid:
    """Where each tile of a grid lies, in pixels from the grid's top left corner.

    ``gap`` pixels lie between tiles, ``head`` pixels above each tile for its label.
    """

    rows: int
    columns: int
    tile_height: int
    tile_width: int
    gap: int = 2
    head: int = 0

    @property
    def height(self) -> int:
        """Pixels from the first label to the last tile's lower edge."""
        return self.rows * (self.head + self.tile_height + self.gap) - self.gap

    @property
    def width(self) -> int:
        """Pixels from the first tile's left edge to the last one's right edge."""
        return self.columns * (self.tile_width + self.gap) - self.gap

    def corner(self, index: int) -> tuple[int, int]:
        """Top and left pixel of tile ``index``, counted row by row.

        Examples
        --------
        >>> Grid(2, 3, 10, 10, gap=2, head=5).corner(4)
        (22, 12)
        """
        row, column = divmod(index, self.columns)
        top = row * (self.head + self.tile_height + self.gap) + self.head
        return top, column * (self.tile_width + self.gap)


def tile(maps: NDArray[Kind], grid: Grid, *, factor: int = 1, fill: int = 0) -> NDArray[Kind]:
    """The maps laid out on ``grid``, each cell drawn ``factor`` x ``factor`` pixels large.

    Parameters
    ----------
    maps
        Array of shape ``(maps, rows, columns)`` or ``(maps, rows, columns, 3)``, at most as many as the grid
        holds; ``rows * factor`` is the grid's ``tile_height``, ``columns * factor`` its width.
    fill
        Value of every pixel that belongs to no map.

    Returns
    -------
    Array of shape ``(grid.height, grid.width)`` (and 3), of the type of ``maps``; a copy.

    Raises
    ------
    UsageError
        If the maps do not fit the grid.

    Examples
    --------
    >>> import numpy as np
    >>> tile(np.arange(1, 4).reshape(3, 1, 1), Grid(2, 2, 1, 1, gap=1))
    array([[1, 0, 2],
           [0, 0, 0],
           [3, 0, 0]])
    """
    count, height, width = maps.shape[:3]
    if (height * factor, width * factor) != (
        grid.tile_height,
        grid.tile_width,
    ) or count > grid.rows * grid.columns:
        raise UsageError(f"{count} maps of {height} x {width}, {factor} times enlarged, do not fit {grid}")
    colour = maps.shape[3:]
    pitch, stride = grid.head + grid.tile_height + grid.gap, grid.tile_width + grid.gap
    canvas = np.full((grid.rows, pitch, grid.columns, stride, *colour), fill, maps.dtype)
    large = enlarge(maps, factor)
    inner = canvas[:, grid.head : grid.head + grid.tile_height, :, : grid.tile_width]
    full, rest = divmod(count, grid.columns)
    axes = (0, 2, 1, 3, *range(4, 4 + len(colour)))
    whole = large[: full * grid.columns].reshape(full, grid.columns, *large.shape[1:])
    inner[:full] = whole.transpose(axes)
    if rest:
        inner[full, :, :rest] = large[full * grid.columns :].swapaxes(0, 1)
    sheet = canvas.reshape(grid.rows * pitch, grid.columns * stride, *colour)
    return sheet[: grid.height, : grid.width]


def enlarge(maps: NDArray[Kind], factor: int) -> NDArray[Kind]:
    """Every cell of ``(maps, rows, columns, ...)`` repeated ``factor`` times along both axes.

    A copy, but ``maps`` itself for a factor of 1.

    Examples
    --------
    >>> import numpy as np
    >>> enlarge(np.array([[[1, 2]]]), 2)
    array([[[1, 1, 2, 2],
            [1, 1, 2, 2]]])
    """
    return maps if factor == 1 else maps.repeat(factor, axis=2).repeat(factor, axis=1)


def shrink(maps: NDArray[np.floating], side: int) -> NDArray[np.floating]:
    """Maps area-averaged so that neither side exceeds ``side`` cells; the shape's proportions are kept.

    Parameters
    ----------
    maps
        Float array of shape ``(maps, rows, columns)``.
    side
        Most rows or columns of the result, at least 1.

    Returns
    -------
    Float array of the same type, or ``maps`` itself if it is small enough. Each new cell is the mean of the
    area it covers, parts of cells counted by their share; it is not-a-number if any of them
    is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> shrink(np.array([[[1.0, 3.0, 5.0], [1.0, 3.0, 8.0]]]), 1)
    array([[[3.5]]])
    """
    rows, columns = maps.shape[1:3]
    longest = max(rows, columns)
    if longest <= side:
        return maps
    new_rows, new_columns = (max(1, round(size * side / longest)) for size in (rows, columns))
    finite = np.isfinite(maps)
    clean = maps if finite.all() else np.where(finite, maps, 0)
    down, across = _averaging(rows, new_rows, maps.dtype), _averaging(columns, new_columns, maps.dtype).T
    small = down @ clean @ across
    if clean is not maps:
        small[(down @ (~finite).astype(maps.dtype) @ across) > 0] = np.nan
    return small


@lru_cache(maxsize=64)
def _averaging(old: int, new: int, dtype: np.dtype[np.floating]) -> NDArray[np.floating]:
    """Matrix ``(new, old)`` whose row ``i`` holds the share of each old cell in new cell ``i``."""
    edges = np.arange(new + 1) * (old / new)
    cells = np.arange(old)
    overlap = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    return (np.clip(overlap, 0, None) * (new / old)).astype(dtype)
