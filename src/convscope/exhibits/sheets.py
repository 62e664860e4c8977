"""Sheets: every map, filter or value of a layer in one picture that says what its colours mean.

A sheet is a palette image, one byte a pixel: the values take most of the palette and the words the rest,
so that a sheet of 64 maps is made, written and read in a few milliseconds.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, PngImagePlugin

from convscope import raster
from convscope.errors import UsageError
from convscope.exhibits.filters import filters_sheet
from convscope.exhibits.frame import GAP, LABEL, framed, legend, marked, numbered
from convscope.files import atomic_write

__all__ = ["filters_sheet", "maps_sheet", "png_bytes", "save_png", "vector_picture"]


def maps_sheet(
    maps: ArrayLike,
    *,
    title: str = "",
    range: str = "channel",
    strongest: int | None = None,
    channels: Sequence[int] | None = None,
    limit: int | None = 64,
    note: str = "",
    size: int = 56,
    largest: int = 128,
    columns: int | None = None,
    numbers: bool = True,
) -> Image.Image:
    """Grid of a layer's feature maps, with title, channel numbers, legend and colour bar.

    Parameters
    ----------
    maps
        Array of shape ``(channels, rows, columns)``.
    title
        First line, such as the layer's name.
    range
        ``"channel"`` (each map by its own largest |value|), ``"layer"`` (one range for all
        channels, shown or not), ``"symmetric"`` (the same, about zero even where nothing is
        below it) or ``"minmax"`` (grey, smallest to largest value of the layer).
    strongest
        Show this many channels, by largest |value|, strongest first; a channel with values
        that are not finite comes before all others.
    channels
        Show these channels, in this order.
    limit
        Most channels shown when neither of the above is given; ``None`` shows all.
    note
        Ends the second line ("random weights").
    size, largest
        Small maps are enlarged by a whole factor up to ``size`` pixels; maps over ``largest`` cells
        are area-averaged down to it. Ranges are always those of the full maps.
    columns
        Tiles a row; chosen from their number otherwise.
    numbers
        Whether channel numbers stand above the tiles, where there is room.

    Returns
    -------
    Palette image (mode ``P``). A channel that is the same everywhere is neutral and struck
    through; values that are not finite are yellow.

    Raises
    ------
    UsageError
        If ``maps`` is not a stack of maps, or an option does not fit it.

    Examples
    --------
    >>> import numpy as np
    >>> sheet = maps_sheet(np.random.default_rng(0).normal(size=(64, 28, 28)), title="conv1")
    >>> sheet.mode, sheet.width < 600
    ('P', True)
    """
    array = raster.as_floats(maps)
    if array.ndim != 3 or 0 in array.shape:
        raise UsageError(f"`maps` must be (channels, rows, columns), none of them 0; got shape {array.shape}")
    # A single cell has no range of its own: by itself it could only be neutral.
    single = array[0].size == 1
    scope = "layer" if single and range == "channel" else range
    found = raster.limits(array, scope)
    chosen = _chosen(len(array), found, strongest, channels, limit)
    shown = found.take(chosen)
    small = raster.shrink(
        array[chosen] if len(chosen) < len(array) or strongest or channels else array, largest
    )
    tiles = raster.to_bytes(small, shown, levels=raster.SHEET_LEVELS)
    factor = max(1, size // max(small.shape[1:]))
    height, width = small.shape[1] * factor, small.shape[2] * factor
    head = raster.line_height(LABEL) if numbers and width >= 18 else 0
    grid = raster.Grid(*raster.grid_shape(len(chosen), columns=columns), height, width, GAP, head)
    body = raster.tile(tiles, grid, factor=factor, fill=raster.PAPER)
    marked(body, grid, shown.constant & (shown.not_finite == 0) & (not single))
    if head:
        numbered(body, grid, [str(channel) for channel in chosen.tolist()])
    count = (
        f"{len(chosen)} of {len(array)} channels" if len(chosen) < len(array) else f"{len(array)} channels"
    )
    facts = [count, f"{array.shape[1]} x {array.shape[2]}", "strongest first" if strongest else "", note]
    return framed(body, title, facts, legend(found, "channel", None if single else "map"), found.colours)


def vector_picture(values: ArrayLike, *, title: str = "", note: str = "", cell: int = 16) -> Image.Image:
    """A vector as a picture: one square a value, row by row, 512 values as 32 rows of 16.

    Parameters
    ----------
    values
        Array of shape ``(values,)``; all are drawn in one range.
    cell
        Side of a square in pixels.

    Returns
    -------
    Palette image (mode ``P``); the index of each row's first value stands at its left.

    Raises
    ------
    UsageError
        If ``values`` is not a vector of at least one value.

    Examples
    --------
    >>> vector_picture([0.0, 0.5, 1.0], title="avgpool").mode
    'P'
    """
    array = raster.as_floats(values)
    if array.ndim != 1 or not array.size:
        raise UsageError(f"`values` must be a vector of at least one value; got shape {array.shape}")
    found = raster.limits(array[:, None], "layer")
    shape = raster.grid_shape(array.size)
    grid = raster.Grid(*shape, cell, cell, 1)
    cells = raster.to_bytes(array[:, None, None], found, levels=raster.SHEET_LEVELS)
    squares = raster.tile(cells, grid, factor=cell, fill=raster.PAPER)
    labels = [raster.words(str(row * shape[1]), LABEL, 0.7) for row in np.arange(shape[0]).tolist()]
    aside = max(label.shape[1] for label in labels) + 5
    body = np.full((squares.shape[0], squares.shape[1] + aside), raster.PAPER, np.uint8)
    body[:, aside:] = squares
    for row, label in enumerate(labels):
        if cell >= LABEL + 2:
            top = grid.corner(row * shape[1])[0] + (cell - label.shape[0]) // 2
            raster.stamp(body, top, aside - 5 - label.shape[1], label)
    facts = [f"{array.size} values", f"{shape[0]} rows of {shape[1]}", note]
    return framed(body, title, facts, legend(found, "value", None), found.colours)


def save_png(
    path: str | os.PathLike[str],
    image: Image.Image | NDArray[np.uint8],
    *,
    text: Mapping[str, str] | None = None,
) -> Path:
    """Write a picture as PNG, whole or not at all.

    Parameters
    ----------
    image
        A Pillow image, or a ``uint8`` array of shape ``(rows, columns)`` or ``(rows, columns, 3)``.
    text
        Entries for the file's text chunks, such as ``{"Title": "conv1"}``.

    Returns
    -------
    ``path``.

    Raises
    ------
    OutputError
        If it cannot be written.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_png(f"{folder}/grey.png", np.zeros((2, 3), np.uint8)).name
    'grey.png'
    """
    return atomic_write(path, png_bytes(image, text=text))


def png_bytes(image: Image.Image | NDArray[np.uint8], *, text: Mapping[str, str] | None = None) -> bytes:
    """A picture as the bytes of a PNG file; see ``save_png``."""
    entries = {"Software": "convscope", **(text or {})}
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    if picture.mode == "P":
        palette = np.zeros((256, 3), np.uint8)
        colors = np.array(picture.getpalette("RGB"), np.uint8).reshape(-1, 3)
        palette[: len(colors)] = colors
        return raster.palette_png(np.asarray(picture), palette, text=entries)
    chunks = PngImagePlugin.PngInfo()
    for key, value in entries.items():
        chunks.add_itxt(key, value)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1, pnginfo=chunks)
    return buffer.getvalue()


def _chosen(
    count: int,
    found: raster.Limits,
    strongest: int | None,
    channels: Sequence[int] | None,
    limit: int | None,
) -> NDArray[np.intp]:
    if strongest is not None and channels is not None:
        raise UsageError("give `strongest` or `channels`, not both")
    for name, number in (("strongest", strongest), ("limit", limit)):
        if number is not None and number < 1:
            raise UsageError(f"`{name}` must be at least 1; got {number}")
    if channels is not None:
        index = np.asarray(list(channels), dtype=np.intp)
        if not index.size or index.min() < 0 or index.max() >= count:
            raise UsageError(f"`channels` must lie between 0 and {count - 1}; got {list(channels)}")
        return index
    if strongest is not None:
        return np.argsort(-found.strength, kind="stable")[:strongest]
    return np.arange(count if limit is None else min(count, limit))
