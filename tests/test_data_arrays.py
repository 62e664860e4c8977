"""Arrays and Pillow images as pictures: the rules for types, ranges and shapes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from convscope.data import Limits, load_image
from convscope.errors import ImageError, UsageError
from data_writers import photo


def refused(array: np.ndarray, code: str, match: str) -> ImageError:
    with pytest.raises(ImageError, match=match) as caught:
        load_image(array)
    assert caught.value.code == code
    return caught.value


def test_rgb_bytes_are_kept_and_copied() -> None:
    array = photo()
    picture = load_image(array, name="mine")
    np.testing.assert_array_equal(picture.pixels, array)
    assert (picture.name, picture.origin, picture.notes) == ("mine", "array", ())
    array[:] = 0
    assert picture.pixels.any()


def test_views_turned_round_come_out_contiguous() -> None:
    picture = load_image(photo()[::-1, ::2])
    np.testing.assert_array_equal(picture.pixels, photo()[::-1, ::2])
    assert picture.pixels.flags.c_contiguous


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1)])
def test_grey_is_spread_over_three_channels(shape: tuple[int, ...]) -> None:
    array = np.arange(35, dtype=np.uint8).reshape(shape)
    picture = load_image(array)
    np.testing.assert_array_equal(picture.pixels, np.stack([array.reshape(5, 7)] * 3, axis=2))


def test_booleans_are_black_and_white() -> None:
    assert load_image(np.array([[True, False]])).pixels[0, :, 0].tolist() == [255, 0]


@given(hnp.arrays(np.uint16, (3, 4, 3)))
def test_16_bits_are_scaled_by_65535_and_rounded(array: np.ndarray) -> None:
    picture = load_image(array)
    np.testing.assert_array_equal(picture.pixels, np.floor(array * 255.0 / 65535 + 0.5))
    assert picture.notes == ("16-bit scaled to 8 bits",)


@given(hnp.arrays(np.float32, (3, 4), elements=st.floats(0, 1, width=32)))
def test_floats_of_0_to_1_are_scaled_by_255_and_rounded(array: np.ndarray) -> None:
    picture = load_image(array)
    assert np.abs(picture.pixels[..., 0] - array.astype(np.float64) * 255).max() <= 0.5001
    assert picture.notes == ("floating point, 0 to 1, scaled to 8 bits",)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_every_byte_survives_the_way_through_floats(kind: type) -> None:
    array = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(load_image((array / 255).astype(kind)).pixels[..., 0], array)


@given(hnp.arrays(np.uint8, (4, 5, 4)))
def test_alpha_is_drawn_over_white(array: np.ndarray) -> None:
    alpha = array[..., 3:] / 255
    exact = array[..., :3] * alpha + 255 * (1 - alpha)
    picture = load_image(array)
    assert np.abs(picture.pixels - exact).max() <= 0.5001
    assert bool(picture.notes) == bool((array[..., 3] < 255).any())


@given(hnp.arrays(np.uint8, (4, 5, 4)))
def test_alpha_is_the_same_by_way_of_pillow(array: np.ndarray) -> None:
    ours, pillows = load_image(array), load_image(Image.fromarray(array))
    assert np.abs(ours.pixels.astype(int) - pillows.pixels).max() <= 1
    assert ours.notes == pillows.notes


def test_shape_of_a_tensor_gets_the_hint_to_transpose() -> None:
    error = refused(np.zeros((3, 48, 64), np.uint8), "not_an_image", r"has the shape \(3, 48, 64\), expected")
    assert error.hint == "Channels come last: use array.transpose(1, 2, 0)."


@pytest.mark.parametrize("shape", [(), (5,), (5, 7, 2), (1, 5, 7, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    refused(np.zeros(shape, np.uint8), "not_an_image", r"expected \(height, width\) or")


@pytest.mark.parametrize("shape", [(0, 5), (5, 0, 3)])
def test_nothing_is_empty(shape: tuple[int, ...]) -> None:
    refused(np.zeros(shape, np.uint8), "empty", "is empty: its shape is")


@pytest.mark.parametrize("kind", [np.int64, np.int8, np.uint32, np.complex64, object, "U1"])
def test_types_without_a_known_white_are_refused(kind: object) -> None:
    refused(np.zeros((2, 2), kind), "unsupported_depth", "expected uint8, uint16, bool or floating point")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_counted(bad: float) -> None:
    array = np.zeros((4, 4, 3))
    array[1:3, 0, 0] = bad
    refused(array, "not_finite", "holds 2 values that are not finite")


def test_values_too_large_for_float32_are_named_as_they_are() -> None:
    refused(np.full((2, 2), 1e300), "unsupported_depth", r"from 1e\+300 to 1e\+300")


@pytest.mark.parametrize("values", [[0.0, 255.0], [-0.5, 0.5]])
def test_floats_outside_0_to_1_are_refused(values: list[float]) -> None:
    refused(np.array([values]), "unsupported_depth", f"from {values[0]:g} to {values[1]:g}, expected 0 to 1")


def test_rounding_dust_of_float32_is_not_outside() -> None:
    assert load_image(np.array([[1.0000001, -1e-9]], np.float32)).pixels[0, :, 0].tolist() == [255, 0]


def test_limits_hold_for_arrays_and_pillow_images() -> None:
    for source in (photo(), Image.fromarray(photo())):
        with pytest.raises(ImageError, match="is 64 x 48 pixels") as caught:
            load_image(source, limits=Limits(pixels=1000))
        assert caught.value.code == "too_many_pixels"


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "YCbCr", "HSV", "RGBX"])
def test_pillow_images_of_every_plain_mode(mode: str) -> None:
    image = Image.fromarray(photo()).convert(mode)
    picture = load_image(image, name="mine")
    np.testing.assert_array_equal(picture.pixels, np.asarray(image.convert("RGB")))
    assert (picture.name, picture.origin) == ("mine", "pillow")
    assert image.mode == mode


def test_pillow_image_of_16_bits_is_scaled() -> None:
    image = Image.fromarray(np.array([[0, 0x8000, 65535]], np.uint16))
    assert load_image(image).pixels[0, :, 0].tolist() == [0, 128, 255]


def test_pillow_image_of_32_bit_integers_is_refused() -> None:
    with pytest.raises(ImageError, match="`image` holds 32-bit integers") as caught:
        load_image(Image.new("I", (2, 2)))
    assert caught.value.code == "unsupported_depth"


def test_empty_and_closed_pillow_images_are_refused() -> None:
    with pytest.raises(ImageError, match="is empty: it is 0 x 5 pixels"):
        load_image(Image.new("RGB", (0, 5)))
    closed = Image.new("RGB", (2, 2))
    closed.close()
    with pytest.raises(ImageError, match="image"):
        load_image(closed)


@pytest.mark.parametrize("source", [None, 7, [1, 2], {"a": 1}])
def test_anything_else_is_a_usage_error(source: object) -> None:
    with pytest.raises(UsageError, match=f"`source` must be a path.*not {type(source).__name__}"):
        load_image(source)
