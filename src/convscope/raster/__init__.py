"""Arrays to pictures: colour tables, scaling, tiles and words; numpy and Pillow only."""

from __future__ import annotations

from convscope.raster.colormaps import (
    COLOURS,
    INK,
    INK_RAMP,
    NOT_FINITE,
    NOT_FINITE_COLOUR,
    PAPER,
    SCENE_LEVELS,
    SHEET_LEVELS,
    ZERO,
    sheet_palette,
    table,
)
from convscope.raster.png import palette_png
from convscope.raster.scaling import RANGES, Limits, as_floats, limits, rescale, to_bytes
from convscope.raster.text import colour_bar, fit, has_chinese, line_height, number, spell, stamp, words
from convscope.raster.tiles import Grid, enlarge, grid_shape, shrink, tile

__all__ = [
    "COLOURS",
    "INK",
    "INK_RAMP",
    "NOT_FINITE",
    "NOT_FINITE_COLOUR",
    "PAPER",
    "RANGES",
    "SCENE_LEVELS",
    "SHEET_LEVELS",
    "ZERO",
    "Grid",
    "Limits",
    "as_floats",
    "colour_bar",
    "enlarge",
    "fit",
    "grid_shape",
    "has_chinese",
    "limits",
    "line_height",
    "number",
    "palette_png",
    "rescale",
    "sheet_palette",
    "shrink",
    "spell",
    "stamp",
    "table",
    "tile",
    "to_bytes",
    "words",
]
