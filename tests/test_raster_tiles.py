"""Tiles: every pixel where a plain loop puts it; PNG files that other software reads the same."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from convscope import raster
from convscope.errors import UsageError


@given(
    st.integers(1, 12),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(0, 3),
    st.integers(0, 4),
    st.integers(1, 5),
)
def test_tiles_lie_where_a_loop_puts_them(
    count: int, rows: int, columns: int, factor: int, gap: int, head: int, wide: int
) -> None:
    maps = np.random.default_rng(0).integers(1, 256, (count, rows, columns), dtype=np.uint8)
    shape = raster.grid_shape(count, columns=wide)
    grid = raster.Grid(*shape, rows * factor, columns * factor, gap, head)
    expected = np.zeros((grid.height, grid.width), np.uint8)
    for index in range(count):
        top, left = grid.corner(index)
        assert top == (index // shape[1]) * (rows * factor + gap + head) + head
        for row in range(rows * factor):
            for column in range(columns * factor):
                expected[top + row, left + column] = maps[index, row // factor, column // factor]
    np.testing.assert_array_equal(raster.tile(maps, grid, factor=factor), expected)


def test_colour_tiles_keep_their_channels() -> None:
    maps = np.arange(2 * 2 * 2 * 3, dtype=np.uint8).reshape(2, 2, 2, 3)
    sheet = raster.tile(maps, raster.Grid(1, 2, 4, 4, 1), factor=2)
    assert sheet.shape == (4, 9, 3)
    assert sheet[3, 8].tolist() == maps[1, 1, 1].tolist()


def test_grid_shapes_are_the_articles() -> None:
    assert raster.grid_shape(64) == (8, 8)
    assert raster.grid_shape(512) == (32, 16)
    assert raster.grid_shape(32) == (4, 8)


@given(st.integers(1, 5000), st.one_of(st.none(), st.integers(1, 99)))
def test_grid_holds_all_tiles_and_no_empty_row(count: int, columns: int | None) -> None:
    rows, wide = raster.grid_shape(count, columns=columns)
    assert (rows - 1) * wide < count <= rows * wide


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
def test_shrinking_is_the_mean_of_a_fine_grid(rows: int, columns: int, side: int) -> None:
    maps = np.random.default_rng(3).normal(size=(2, rows, columns))
    small = raster.shrink(maps, side)
    assert max(small.shape[1:]) == min(side, max(rows, columns))
    fine = maps.repeat(small.shape[1], axis=1).repeat(small.shape[2], axis=2)
    blocks = fine.reshape(2, small.shape[1], rows, small.shape[2], columns)
    np.testing.assert_allclose(small, blocks.mean(axis=(2, 4)), atol=1e-12)


def test_shrinking_never_hides_a_value_that_is_not_finite() -> None:
    for odd in (np.nan, np.inf, -np.inf):
        maps = np.zeros((1, 8, 8), np.float32)
        maps[0, 5, 2] = odd
        small = raster.shrink(maps, 4)
        assert np.argwhere(np.isnan(small[0])).tolist() == [[2, 1]]


def test_maps_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="3 maps of 2 x 2, 1 times enlarged, do not fit"):
        raster.tile(np.zeros((3, 2, 2)), raster.Grid(1, 2, 2, 2))
    with pytest.raises(UsageError, match="at least one tile and one column; got 0 and None"):
        raster.grid_shape(0)


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_pillow_reads_a_palette_png_as_it_was_written(
    rows: int, columns: int, seed: int, factor: int
) -> None:
    random = np.random.default_rng(seed)
    indices = random.integers(0, 256, (rows, columns), dtype=np.uint8).repeat(factor, 0).repeat(factor, 1)
    palette = random.integers(0, 256, (256, 3), dtype=np.uint8)
    data = raster.palette_png(indices, palette, text={"Title": "conv1 × 漢"})
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert image.mode == "P"
        np.testing.assert_array_equal(np.asarray(image), indices)
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), palette[indices])
        assert image.text["Title"] == "conv1 × 漢"


def test_a_wrong_palette_is_refused() -> None:
    with pytest.raises(
        UsageError, match=r"needs \(rows, columns\) and \(256, 3\); got \(2, 2\) and \(2, 3\)"
    ):
        raster.palette_png(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8))


def test_words_are_dark_on_paper_and_share_a_baseline() -> None:
    tall, low = raster.words("Ag", 12), raster.words("a.", 12)
    assert tall.shape[0] == low.shape[0] == raster.line_height(12)
    assert set(np.unique(tall).tolist()) <= set(raster.INK_RAMP)
    assert (tall == raster.INK).any()
    assert raster.words("", 12).shape[1] == 0


def test_fainter_words_have_less_ink() -> None:
    palette = raster.sheet_palette("grey").astype(int)
    assert palette[raster.words("conv", 12, 0.5)].sum() > palette[raster.words("conv", 12)].sum()


@given(st.text(max_size=60), st.integers(20, 300))
def test_any_text_fits_the_width_it_is_given(text: str, width: int) -> None:
    line = raster.fit(text, 11, width)
    assert raster.words(line, 11).shape[1] <= width
    assert line.isprintable()


def test_stamps_are_cut_at_the_edges() -> None:
    canvas = np.zeros((3, 3), np.uint8)
    raster.stamp(canvas, -1, 2, np.full((2, 2), 7, np.uint8))
    raster.stamp(canvas, 2, -1, np.full((2, 2), 8, np.uint8))
    assert canvas.tolist() == [[0, 0, 7], [0, 0, 0], [8, 0, 0]]


def test_the_colour_bar_shows_every_colour_with_zero_in_the_middle() -> None:
    bar = raster.colour_bar("-2", "+2", zero="middle", width=239)
    middle = bar[5]
    values = middle[(middle >= 9) & (middle <= 247)]
    assert set(range(9, 248)) - set(values.tolist()) <= {128}  # the tick stands on zero
