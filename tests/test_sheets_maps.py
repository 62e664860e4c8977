"""Sheets: the picture shows the values given, where the numbers above say, and says what it hides."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from convscope import raster
from convscope.errors import OutputError, UsageError
from convscope.exhibits import frame
from convscope.exhibits.sheets import filters_sheet, maps_sheet, png_bytes, save_png, vector_picture

RANDOM = np.random.default_rng(7)


def find(image: Image.Image, tile: np.ndarray) -> list[tuple[int, int]]:
    """Every place (top, left) at which the tile lies on the sheet."""
    sheet = np.asarray(image)
    rows, columns = tile.shape
    places = np.argwhere(sheet[: sheet.shape[0] - rows + 1, : sheet.shape[1] - columns + 1] == tile[0, 0])
    return [
        (top, left)
        for top, left in places.tolist()
        if (sheet[top : top + rows, left : left + columns] == tile).all()
    ]


def expected_tile(one: np.ndarray, size: float, factor: int) -> np.ndarray:
    drawn = np.array([[128 + round(float(value) / size * 119) for value in row] for row in one], np.uint8)
    return np.kron(drawn, np.ones((factor, factor), np.uint8))


@pytest.mark.parametrize("scope", ["channel", "layer", "symmetric"])
def test_every_map_is_on_the_sheet_in_reading_order(scope: str) -> None:
    maps = RANDOM.normal(size=(20, 14, 14))
    sheet = maps_sheet(maps, title="layer3", range=scope)
    places = []
    for one in maps:
        size = np.abs(one).max() if scope == "channel" else np.abs(maps).max()
        found = find(sheet, expected_tile(one, size, 4))
        assert len(found) == 1
        places += found
    assert places == sorted(places)
    assert len({top for top, _ in places}) == 3


def test_strongest_channels_come_first_and_broken_ones_before_them() -> None:
    maps = RANDOM.normal(size=(6, 14, 14))
    maps *= np.array([1, 5, 2, 9, 3, 4])[:, None, None]
    places = [
        find(maps_sheet(maps, strongest=3), expected_tile(maps[index], np.abs(maps[index]).max(), 4))
        for index in (3, 1, 5, 0)
    ]
    assert [len(place) for place in places] == [1, 1, 1, 0]
    assert places[0] < places[1] < places[2]
    maps[2, 3, 4] = np.nan
    sheet = np.asarray(maps_sheet(maps, strongest=1))
    assert (sheet == raster.NOT_FINITE).sum() == 16


def test_the_layers_range_counts_channels_that_are_not_shown() -> None:
    maps = RANDOM.uniform(-1, 1, size=(3, 14, 14))
    maps[2] *= 10
    sheet = maps_sheet(maps, range="layer", channels=[0])
    assert len(find(sheet, expected_tile(maps[0], np.abs(maps).max(), 4))) == 1


def test_large_maps_are_averaged_but_keep_their_range() -> None:
    maps = np.zeros((1, 256, 256))
    maps[0, 0, 0] = -8.0
    maps[0, 100:120, 100:120] = 8.0
    sheet = np.asarray(maps_sheet(maps, largest=128))
    assert (sheet == 247).sum() >= 100
    assert 128 - round(8 / 4 / 8 * 119) in sheet


def test_silent_and_constant_channels_are_neutral_struck_and_told() -> None:
    maps = RANDOM.normal(size=(5, 28, 28))
    maps[1] = 0
    maps[2] = 4.0
    found = raster.limits(maps)
    lines = frame.legend(found, "channel", "map").lines
    assert "1 of 5 silent on this image (struck through)" in lines
    assert "1 of 5 constant (struck through)" in lines
    struck = np.full((56, 56), 128, np.uint8)
    struck[55 - np.arange(56), np.arange(56)] = raster.INK_RAMP[5]
    assert len(find(maps_sheet(maps), struck)) == 2


def test_values_that_are_not_finite_are_drawn_and_counted() -> None:
    maps = RANDOM.normal(size=(2, 56, 56))
    maps[0, :2, 0] = np.nan
    maps[1, 0, 0] = np.inf
    assert (np.asarray(maps_sheet(maps)) == raster.NOT_FINITE).sum() == 3
    assert (
        "3 values are not a number or infinite (yellow)"
        in frame.legend(raster.limits(maps), "channel", "map").lines
    )
    assert maps_sheet(np.full((2, 3, 3), np.nan)).mode == "P"


def test_single_cells_share_a_range() -> None:
    sheet = maps_sheet(np.array([1.0, 2.0, 5.0]).reshape(3, 1, 1))
    bytes_seen = set(np.unique(np.asarray(sheet)[:110]).tolist()) - set(raster.INK_RAMP)
    assert bytes_seen == {9 + round(238 / 5), 9 + round(238 * 2 / 5), 247}


@given(
    st.integers(1, 70),
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from(raster.RANGES),
    st.one_of(st.none(), st.integers(1, 80)),
)
def test_any_stack_of_maps_makes_a_sheet(
    channels: int, rows: int, columns: int, scope: str, strongest: int | None
) -> None:
    maps = np.random.default_rng(1).normal(size=(channels, rows, columns)).astype(np.float32)
    sheet = maps_sheet(maps, title="a" * 200, range=scope, strongest=strongest, limit=None)
    assert sheet.width >= frame.NARROWEST
    assert sheet.getpixel((0, 0)) == raster.PAPER


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strongest": 0}, "`strongest` must be at least 1; got 0"),
        ({"limit": -1}, "`limit` must be at least 1; got -1"),
        ({"channels": [5]}, r"`channels` must lie between 0 and 3; got \[5\]"),
        ({"channels": [0], "strongest": 2}, "give `strongest` or `channels`, not both"),
        ({"range": "net"}, "`range` must be one of"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        maps_sheet(np.zeros((4, 2, 2)), **options)  # type: ignore[arg-type]


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match=r"\(channels, rows, columns\), none of them 0; got shape \(2, 2\)"):
        maps_sheet(np.zeros((2, 2)))
    with pytest.raises(UsageError, match=r"must be a vector of at least one value; got shape \(0,\)"):
        vector_picture([])
    with pytest.raises(UsageError, match=r"none 0; got shape \(2, 2\)"):
        filters_sheet(np.zeros((2, 2)))


def test_512_values_are_32_rows_of_16_in_order() -> None:
    values = RANDOM.normal(size=512)
    sheet = np.asarray(vector_picture(values, title="avgpool", cell=16))
    aside = raster.words("496", frame.LABEL).shape[1] + 5
    top = frame.corner("avgpool", ["x"])[0]
    assert sheet.shape[0] > 32 * 17
    centers = sheet[top + 8 :: 17, frame.MARGIN + aside + 8 :: 17][:32, :16]
    assert centers.ravel().tolist() == [128 + round(v / np.abs(values).max() * 119) for v in values]


def test_first_layer_filters_are_rgb_rescaled_together() -> None:
    weights = RANDOM.normal(size=(64, 3, 7, 7))
    sheet = np.asarray(filters_sheet(weights, title="conv1"))
    scaled = np.rint((weights - weights.min()) / (weights.max() - weights.min()) * 255).astype(int)
    top, left = frame.corner("conv1", ["x"])
    pitch = raster.line_height(frame.LABEL) + 56 + frame.GAP
    for index in (0, 7, 8, 63):
        row, column = divmod(index, 8)
        y = top + row * pitch + raster.line_height(frame.LABEL)
        x = left + column * (56 + frame.GAP)
        block = sheet[y + 4 : y + 56 : 8, x + 4 : x + 56 : 8]
        assert np.abs(block.astype(int) - scaled[index].transpose(1, 2, 0)).max() <= 1


def test_grey_filters_are_the_first_channel() -> None:
    weights = RANDOM.normal(size=(64, 3, 7, 7))
    first = weights[:, 0]
    drawn = np.rint((first[9] - first.min()) / (first.max() - first.min()) * 238).astype(np.uint8) + 9
    assert len(find(filters_sheet(weights, grey=True), np.kron(drawn, np.ones((8, 8), np.uint8)))) == 1


def test_filters_of_many_channels_show_their_largest_kernels() -> None:
    weights = RANDOM.normal(size=(5, 20, 3, 3))
    sheet = filters_sheet(weights)
    size = np.abs(weights).max()
    for one in weights:
        order = np.argsort([-np.linalg.norm(kernel) for kernel in one])
        shown = [len(find(sheet, expected_tile(one[index], size, 8))) for index in order]
        assert shown == [1] * 8 + [0] * 12


def test_pointwise_filters_are_a_matrix() -> None:
    weights = RANDOM.normal(size=(24, 30, 1, 1))
    assert (
        len(find(filters_sheet(weights), expected_tile(weights[:, :, 0, 0], np.abs(weights).max(), 14))) == 1
    )


@pytest.mark.parametrize(
    "shape", [(8, 1, 3, 3), (8, 3, 1, 1), (1, 1, 1, 1), (3, 2, 1, 9), (70, 600, 1, 1), (4, 2, 5)]
)
@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("grey", [False, True])
def test_every_kind_of_filter_makes_a_sheet(
    shape: tuple[int, ...], broken: bool, together: bool, grey: bool
) -> None:
    weights = np.abs(RANDOM.normal(size=shape)) + 1
    if broken:
        weights.flat[0] = np.nan
    pixels = np.asarray(filters_sheet(weights, title="f", together=together, grey=grey).convert("RGB"))
    yellow = (pixels == np.array(raster.NOT_FINITE_COLOUR, np.uint8)).all(axis=2).any()
    assert yellow == broken


def test_a_saved_sheet_is_read_back_pixel_by_pixel(tmp_path: Path) -> None:
    for image in (maps_sheet(RANDOM.normal(size=(4, 7, 7))), filters_sheet(RANDOM.normal(size=(4, 3, 3, 3)))):
        path = save_png(tmp_path / "sheet.png", image, text={"Title": "conv1"})
        with Image.open(path) as again:
            np.testing.assert_array_equal(np.asarray(again.convert("RGB")), np.asarray(image.convert("RGB")))
            assert again.text == {"Software": "convscope", "Title": "conv1"}


def test_arrays_and_short_palettes_are_written_too() -> None:
    grey = RANDOM.integers(0, 256, (5, 6), dtype=np.uint8)
    with Image.open(io.BytesIO(png_bytes(grey))) as again:
        np.testing.assert_array_equal(np.asarray(again), grey)
    few = Image.new("P", (2, 2), 1)
    few.putpalette([0, 0, 0, 9, 8, 7])
    with Image.open(io.BytesIO(png_bytes(few))) as again:
        assert again.convert("RGB").getpixel((1, 1)) == (9, 8, 7)


def test_a_picture_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="it is a folder"):
        save_png(tmp_path, np.zeros((2, 2), np.uint8))


def test_sheets_load_neither_torch_nor_a_plotting_library() -> None:
    code = "import sys, convscope.exhibits.sheets; print({'torch', 'matplotlib'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
