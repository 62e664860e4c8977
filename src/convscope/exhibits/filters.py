"""Sheets of a convolution's kernels: in colour where they read RGB, signed elsewhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from convscope import raster
from convscope.errors import UsageError
from convscope.exhibits.frame import GAP, LABEL, Legend, corner, framed, legend, marked, numbered

#: Most kernels shown of one filter that reads many channels.
KERNELS = 8
#: Widest matrix of 1 x 1 kernels that is drawn with all its columns.
MATRIX = 256
#: Kernels are enlarged by a whole factor up to this many pixels.
_SIDE = 56


def filters_sheet(
    weights: ArrayLike,
    *,
    title: str = "",
    together: bool = True,
    grey: bool = False,
    limit: int | None = 64,
    note: str = "",
) -> Image.Image:
    """Sheet of a convolution's filters.

    Filters that read three channels are drawn as RGB tiles, eight a row; filters that read
    one, as signed tiles; filters that read more, as a row of their eight largest kernels (by L2
    norm), each under its filter's number and the input channels read; 1 x 1 filters, as the
    matrix they are, one row a filter.

    Parameters
    ----------
    weights
        Array of shape ``(out_channels, in_channels, kernel_rows, kernel_columns)``; or
        ``(out_channels, in_channels, kernel_columns)`` of a convolution along one axis.
    together
        One range for all kernels, so that they can be compared; otherwise each filter has its own.
    grey
        Draw the first input channel of each filter in grey, black its smallest value and white its
        largest; for any number of input channels.
    limit
        Most filters shown, in order; ``None`` shows all.

    Returns
    -------
    RGB image for three input channels, else a palette image (mode ``P``).

    Raises
    ------
    UsageError
        If ``weights`` is no stack of kernels.

    Examples
    --------
    >>> import numpy as np
    >>> weights = np.random.default_rng(0).normal(size=(64, 3, 7, 7))
    >>> filters_sheet(weights).mode, filters_sheet(weights, grey=True).mode
    ('RGB', 'P')
    """
    array = raster.as_floats(weights)
    if array.ndim == 3:
        array = array[:, :, None]
    if array.ndim != 4 or 0 in array.shape:
        raise UsageError(
            f"`weights` must be (out_channels, in_channels, rows, columns), none 0; got shape {array.shape}"
        )
    if limit is not None and limit < 1:
        raise UsageError(f"`limit` must be at least 1; got {limit}")
    filters, inputs, rows, columns = array.shape
    shown = array[:limit]
    count = f"{len(shown)} of {filters} filters" if len(shown) < filters else f"{filters} filters"
    facts = [count, f"{rows} x {columns}", f"reading {inputs} channel{'s' if inputs > 1 else ''}"]
    if grey:
        return _tiles(shown[:, 0], title, [*facts, "the first channel", note], _range(together, grey=True))
    if inputs == 3:
        return _colour(shown, title, [*facts, "as red, green, blue", note], together)
    if inputs == 1:
        return _tiles(shown[:, 0], title, [*facts, note], _range(together))
    if rows == columns == 1:
        return _matrix(shown[:, :, 0, 0], title, [*facts, note], _range(together))
    return _strips(shown, title, [*facts, note], _range(together))


def _range(together: bool, *, grey: bool = False) -> str:
    if grey:
        return "minmax" if together else "minmax-channel"
    return "symmetric" if together else "channel"


def _signed(kernels: NDArray[np.floating], scope: str) -> raster.Limits:
    """Limits about zero; weights without a negative one are still signed data."""
    found = raster.limits(kernels, scope)
    if found.colours == "sequential":
        return raster.Limits(**{**vars(found), "low": -found.high, "colours": "diverging"})
    return found


def _explained(found: raster.Limits) -> Legend:
    said = legend(found, "filter", "filter")
    lines = tuple(line.replace("for the whole layer", "for all filters") for line in said.lines)
    return Legend(said.low, said.high, said.zero, lines)


def _tiles(kernels: NDArray[np.floating], title: str, facts: list[str], scope: str) -> Image.Image:
    found = _signed(kernels, scope)
    cells = raster.to_bytes(kernels, found, levels=raster.SHEET_LEVELS)
    factor = max(1, _SIDE // max(kernels.shape[1:]))
    grid = _grid(len(cells), kernels.shape[1] * factor, kernels.shape[2] * factor)
    body = raster.tile(cells, grid, factor=factor, fill=raster.PAPER)
    if kernels[0].size > 1:
        marked(body, grid, found.constant & (found.not_finite == 0))
    if grid.head:
        numbered(body, grid, [str(index) for index in np.arange(len(cells)).tolist()])
    return framed(body, title, facts, _explained(found), found.colours)


def _grid(count: int, height: int, width: int, columns: int | None = None) -> raster.Grid:
    head = raster.line_height(LABEL) if width >= 18 else 0
    return raster.Grid(*raster.grid_shape(count, columns=columns), height, width, GAP, head)


def _colour(kernels: NDArray[np.floating], title: str, facts: list[str], together: bool) -> Image.Image:
    scaled = raster.rescale(kernels, together=together).transpose(0, 2, 3, 1)
    broken = ~np.isfinite(scaled)
    pixels = np.rint(np.where(broken, 0, scaled) * 255).astype(np.uint8)
    pixels[broken.any(axis=-1)] = raster.NOT_FINITE_COLOUR
    factor = max(1, _SIDE // max(pixels.shape[1:3]))
    grid = _grid(len(pixels), pixels.shape[1] * factor, pixels.shape[2] * factor)
    found = raster.limits(kernels, "minmax" if together else "minmax-channel")
    ends = f"{raster.number(found.low[0])} is 0 and {raster.number(found.high[0])} is 255"
    lines = [
        f"all filters rescaled together: {ends}" if together else "each filter rescaled by itself to 0 .. 255"
    ]
    lines += list(_explained(found).lines[1:])
    room = np.full((grid.height, grid.width), raster.PAPER, np.uint8)
    if grid.head:
        numbered(room, grid, [str(index) for index in np.arange(len(pixels)).tolist()])
    tiles = raster.tile(pixels, grid, factor=factor)
    inside = raster.tile(np.ones(pixels.shape[:3], np.bool_), grid, factor=factor)
    said = Legend("", "", "none", tuple(lines))
    image = framed(room, title, facts, said, "grey", bar=False)
    canvas = np.array(image.convert("RGB"))
    top, left = corner(title, facts)
    canvas[top : top + grid.height, left : left + grid.width][inside] = tiles[inside]
    return Image.fromarray(canvas)


def _strips(kernels: NDArray[np.floating], title: str, facts: list[str], scope: str) -> Image.Image:
    found = _signed(kernels.reshape(len(kernels), -1), scope)
    norms = np.square(np.nan_to_num(kernels.astype(np.float64), nan=np.inf)).sum(axis=(2, 3))
    largest = np.argsort(-norms, axis=1, kind="stable")[:, :KERNELS]
    chosen = np.take_along_axis(kernels, largest[:, :, None, None], axis=1)
    cells = raster.to_bytes(chosen, found, levels=raster.SHEET_LEVELS)
    factor = max(1, 26 // max(chosen.shape[2:]))
    count, each = largest.shape
    height, width = chosen.shape[2] * factor, chosen.shape[3] * factor
    head = raster.line_height(LABEL)
    rows = raster.Grid(count, each, height, width, 4, head)
    flat = cells.reshape(count * each, *cells.shape[2:])
    picture = raster.tile(flat, rows, factor=factor, fill=raster.PAPER)
    if width >= 18:
        numbered(picture, rows, [str(channel) for channel in largest.ravel().tolist()])
    aside = raster.words(str(count), LABEL).shape[1] + 6
    pitch = head + height + rows.gap
    strips = np.full((count, pitch, rows.width + aside), raster.PAPER, np.uint8)
    strips.reshape(count * pitch, -1)[: len(picture), aside:] = picture
    for index in np.arange(count).tolist():
        label = raster.words(str(index), LABEL)
        raster.stamp(strips[index], head + (height - head) // 2, aside - 6 - label.shape[1], label)
    blocks = max(1, 960 // (strips.shape[2] + 16))
    grid = raster.Grid(*raster.grid_shape(count, columns=blocks), strips.shape[1], strips.shape[2], 12)
    body = raster.tile(strips, grid, fill=raster.PAPER)
    if each < kernels.shape[1]:
        facts = [*facts[:3], f"the {each} largest kernels of each", *facts[3:]]
    return framed(body, title, facts, _explained(found), found.colours)


def _matrix(weights: NDArray[np.floating], title: str, facts: list[str], scope: str) -> Image.Image:
    found = _signed(weights, scope)
    if weights.shape[1] > MATRIX:
        norms = np.square(np.nan_to_num(weights.astype(np.float64), nan=np.inf)).sum(axis=0)
        order = np.sort(np.argsort(-norms, kind="stable")[:MATRIX])
        weights = weights[:, order]
        facts = [*facts[:3], f"the {MATRIX} read most, in order", *facts[3:]]
    cell = max(2, min(14, 900 // weights.shape[1]))
    picture = raster.enlarge(raster.to_bytes(weights, found, levels=raster.SHEET_LEVELS)[None], cell)[0]
    step = -(-raster.line_height(LABEL) // cell)
    aside = raster.words(str(len(weights)), LABEL).shape[1] + 6
    body = np.full((picture.shape[0], picture.shape[1] + aside), raster.PAPER, np.uint8)
    body[:, aside:] = picture
    for index in np.arange(0, len(weights), step).tolist():
        raster.stamp(body, index * cell, 0, raster.words(str(index), LABEL, 0.7))
    return framed(body, title, [*facts, "one row a filter"], _explained(found), found.colours)
