"""Maps as bytes, held against plain numpy in double precision."""

from __future__ import annotations

from typing import Any

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from convscope.scene.filters import filter_arrays
from convscope.scene.quantize import make_strip, quantize_maps, quantize_vector

NUMBERS = st.one_of(
    st.floats(-10, 10, width=32),
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 1e-45, 3.4e38, -3.4e38]),
)
MAPS = arrays.arrays(np.float32, arrays.array_shapes(min_dims=3, max_dims=3, max_side=7), elements=NUMBERS)


def plain_statistics(channel: NDArray[np.float32]) -> list[float]:
    """The eight numbers of one channel, in double precision and without tensors."""
    values = [(float(v), r, c) for r, row in enumerate(channel) for c, v in enumerate(row)]
    finite = [v for v in values if np.isfinite(v[0])]
    zeros = sum(v == 0 for v, _, _ in values) / len(values)
    if not finite:
        return [np.nan] * 4 + [zeros, -1, -1, 0]
    peak = max(finite, key=lambda v: abs(v[0]))
    numbers = [v for v, _, _ in finite]
    mean = sum(numbers) / len(numbers)
    largest = max(abs(v) for v in numbers)
    spread = largest * (sum(((v - mean) / (largest or 1)) ** 2 for v in numbers) / len(numbers)) ** 0.5
    return [min(numbers), max(numbers), mean, spread, zeros, peak[1], peak[2], largest / 127]


def assert_statistics_agree(found: NDArray[np.float32], channel: NDArray[np.float32]) -> None:
    want = plain_statistics(channel)
    largest = max(abs(want[0]), abs(want[1])) if np.isfinite(want[0]) else 0.0
    np.testing.assert_allclose(found[:2], want[:2], rtol=0)
    np.testing.assert_allclose(found[2:4], want[2:4], rtol=2e-5, atol=largest * 2e-6 + 1e-38)
    np.testing.assert_allclose(found[4], want[4], atol=1e-6)
    assert found[5:7].tolist() == want[5:7]
    np.testing.assert_allclose(found[7], want[7], rtol=1e-6, atol=1.2e-38)


@settings(max_examples=200, deadline=None)
@given(MAPS)
@example(np.full((1, 2, 2), 1e-45, np.float32))
@example(np.array([[[3.4e38, -3.4e38]]], np.float32))
def test_values_read_back_from_bytes_are_within_half_a_step_and_zero_is_128(
    values: NDArray[np.float32],
) -> None:
    found = quantize_maps(torch.from_numpy(values))
    scales = found.stats[:, 7].astype(np.float64)[:, None, None]
    back = (found.maps.astype(np.float64) - 128) * scales
    assert (np.abs(back - values) <= scales * 0.5001).all()
    assert (found.maps[values == 0] == 128).all()
    assert found.maps.min() >= 1


@settings(max_examples=200, deadline=None)
@given(MAPS)
@example(np.zeros((2, 1, 1), np.float32))
def test_statistics_equal_a_plain_loop_in_double_precision(values: NDArray[np.float32]) -> None:
    found = quantize_maps(torch.from_numpy(values))
    for channel, row in zip(values, found.stats, strict=True):
        assert_statistics_agree(row, channel)


@settings(max_examples=150, deadline=None)
@given(MAPS, st.randoms(use_true_random=False))
def test_what_is_not_finite_is_byte_0_and_the_rest_as_without_it(
    values: NDArray[np.float32], random: Any
) -> None:
    for _ in range(random.randint(1, values.size)):
        place = tuple(random.randrange(side) for side in values.shape)
        values[place] = random.choice([np.nan, np.inf, -np.inf])
    found = quantize_maps(torch.from_numpy(values))
    finite = np.isfinite(values)
    assert ((found.maps == 0) == ~finite).all()
    assert found.finite.tolist() == finite.sum(axis=(1, 2)).tolist()
    scales = found.stats[:, 7].astype(np.float64)[:, None, None]
    back = (found.maps.astype(np.float64) - 128) * scales
    assert (np.abs(back - np.where(finite, values, back)) <= scales * 0.5001).all()
    for channel, row in zip(values, found.stats, strict=True):
        assert_statistics_agree(row, channel)


@pytest.mark.parametrize(
    ("channels", "rows", "columns"), [(3, 200, 190), (300, 13, 11), (1, 1, 70000), (2000, 1, 1)]
)
def test_maps_larger_than_a_block_are_measured_like_small_ones(
    channels: int, rows: int, columns: int
) -> None:
    values = torch.randn(channels, rows, columns, generator=torch.Generator().manual_seed(0)).relu()
    found = quantize_maps(values)
    exact = values.numpy().astype(np.float64)
    flat = exact.reshape(channels, -1)
    np.testing.assert_allclose(found.stats[:, 2], flat.mean(1), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.stats[:, 3], flat.std(1), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.stats[:, 4], (flat == 0).mean(1), atol=1e-6)
    peak = found.stats[:, 5] * columns + found.stats[:, 6]
    assert peak.tolist() == np.abs(flat).argmax(1).tolist()
    step = np.abs(exact).max(axis=(1, 2), keepdims=True) / 127
    assert (np.abs((found.maps.astype(np.float64) - 128) * step - exact) <= step * 0.5001).all()


def test_a_constant_map_is_its_largest_byte_and_has_no_spread() -> None:
    found = quantize_maps(torch.full((1, 3, 4), -2.5))
    assert set(found.maps.ravel().tolist()) == {1}
    assert found.stats[0].tolist()[:7] == [-2.5, -2.5, -2.5, 0.0, 0.0, 0.0, 0.0]


def test_the_order_of_axes_in_memory_changes_nothing() -> None:
    values = torch.randn(6, 5, 4, generator=torch.Generator().manual_seed(1))
    turned = values.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    assert (quantize_maps(turned).maps == quantize_maps(values).maps).all()


def test_a_vector_has_one_scale_and_each_value_its_own_row() -> None:
    found = quantize_vector(torch.tensor([4.0, -2.0, 0.0, float("nan"), float("inf")]))
    assert found.maps.shape == (5, 1, 1)
    assert found.maps.ravel().tolist() == [255, 65, 128, 0, 0]
    np.testing.assert_allclose(found.stats[:, 7], 4 / 127, rtol=1e-6)
    np.testing.assert_allclose(found.stats[:3, 0], [4, -2, 0])
    assert np.isnan(found.stats[3:, :4]).all()
    assert found.stats[:, 4].tolist() == [0, 0, 1, 0, 0]
    assert found.finite.tolist() == [1, 1, 1, 0, 0]


def test_a_strip_is_the_mean_over_areas_and_shows_what_is_not_finite() -> None:
    values = torch.arange(56 * 112, dtype=torch.float32).reshape(1, 56, 112)
    values[0, 0, 0] = torch.nan
    scales = np.array([50.0], np.float32)
    strip = make_strip(values, scales)
    assert strip.shape == (1, 14, 28)
    assert strip[0, 0, 0] == 0
    blocks = values.numpy()[0].reshape(14, 4, 28, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(strip[0].astype(float).ravel()[1:], (blocks / 50 + 128).ravel()[1:], atol=0.51)


def test_small_maps_are_not_enlarged_in_a_strip() -> None:
    assert make_strip(torch.ones(2, 7, 3), np.ones(2, np.float32)).shape == (2, 7, 3)


def test_filters_keep_the_eight_strongest_inputs_and_read_back_within_half_a_step() -> None:
    weight = torch.randn(5, 20, 3, 3, generator=torch.Generator().manual_seed(2))
    found = filter_arrays(weight, groups=1)
    for channel in range(5):
        norms = [float((weight[channel, i].double() ** 2).sum()) for i in range(20)]
        order = sorted(range(20), key=lambda i: -norms[i])[:8]
        assert found["filter_inputs"][channel].tolist() == order
        scale = float(found["filter_scales"][channel])
        back = (found["filters"][channel].astype(np.float64) - 128) * scale
        assert np.abs(back - weight[channel, order].numpy()).max() <= scale * 0.5001


def test_filters_of_few_inputs_keep_their_order_and_name_them_only_in_groups() -> None:
    weight = torch.randn(6, 3, 3, 3)
    assert "filter_inputs" not in filter_arrays(weight, groups=1)
    grouped = filter_arrays(torch.randn(6, 2, 3, 3), groups=3)
    assert grouped["filter_inputs"].tolist() == [[0, 1], [0, 1], [2, 3], [2, 3], [4, 5], [4, 5]]


def test_filters_that_are_not_finite_are_byte_0_and_kernels_of_zeros_128() -> None:
    weight = torch.zeros(2, 1, 2, 2)
    weight[0, 0, 0, 0] = torch.nan
    weight[0, 0, 1, 1] = 1.0
    found = filter_arrays(weight, groups=1)
    assert found["filters"].reshape(2, 4).tolist() == [[0, 128, 128, 255], [128] * 4]
