"""From values to bytes: zero is neutral, order is kept, nothing not finite is hidden."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from convscope.errors import UsageError
from convscope.raster import RANGES, limits, rescale, to_bytes

FINITE = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=3, max_dims=3, max_side=5),
    elements=st.floats(-(2.0**99), 2.0**99, width=32, allow_subnormal=False),
)
ANY = hnp.arrays(
    np.float32, hnp.array_shapes(min_dims=2, max_dims=3, max_side=5), elements=st.floats(width=32)
)
SIGNED = st.sampled_from(["channel", "layer", "symmetric"])


def plainly(values: np.ndarray, scope: str, levels: int) -> list[int]:
    """The bytes of maps (maps, cells), one value at a time in exact Python arithmetic."""
    finite = [[float(v) for v in row if math.isfinite(v)] for row in values]
    every = [v for row in finite for v in row] or [0.0]
    half = levels // 2
    result = []
    for row, kept in zip(values, finite, strict=True):
        shared = kept if scope in ("channel", "minmax-channel") else every
        size = max((abs(v) for v in shared), default=0.0)
        signed = min(every) < 0 or scope == "symmetric"
        constant = len(set(shared)) <= 1 if scope in ("channel", "minmax", "minmax-channel") else size == 0
        for value in map(float, row):
            if not math.isfinite(value):
                result.append(0)
            elif scope.startswith("minmax"):
                low, high = min(shared), max(shared)
                result.append(
                    128 if constant else 128 - half + round((value - low) / (high - low) * 2 * half)
                )
            elif signed:
                result.append(128 if constant else 128 + round(value / size * half))
            else:
                result.append(128 - half if constant else 128 - half + round(value / size * 2 * half))
    return result


@given(FINITE, st.sampled_from(RANGES), st.sampled_from([255, 239]))
def test_bytes_equal_those_of_a_plain_loop(values: np.ndarray, scope: str, levels: int) -> None:
    rows = values.reshape(len(values), -1)
    drawn = to_bytes(rows, limits(rows, scope), levels=levels).astype(int).ravel()
    # A tie may round to either side in float32.
    assert np.abs(drawn - plainly(rows, scope, levels)).max() <= 1


@given(ANY, SIGNED)
def test_zero_is_neutral_in_every_signed_map(values: np.ndarray, scope: str) -> None:
    found = limits(values, scope)
    drawn = to_bytes(values, found)
    neutral = 128 if found.colours == "diverging" else 1
    assert (drawn[values == 0] == neutral).all()
    assert (found.low == -found.high).all() or (found.low == 0).all()


@given(ANY, st.sampled_from(RANGES))
def test_byte_zero_marks_exactly_the_values_that_are_not_finite(values: np.ndarray, scope: str) -> None:
    found = limits(values, scope)
    drawn = to_bytes(values, found)
    assert ((drawn == 0) == ~np.isfinite(values)).all()
    assert found.not_finite.tolist() == [int((~np.isfinite(part)).sum()) for part in values]


@given(FINITE, st.sampled_from(["layer", "symmetric", "minmax"]))
def test_a_larger_value_never_gets_a_smaller_byte(values: np.ndarray, scope: str) -> None:
    drawn = to_bytes(values, limits(values, scope)).ravel().astype(int)
    assert (np.diff(drawn[np.argsort(values.ravel(), kind="stable")]) >= 0).all()


@given(FINITE, SIGNED)
def test_signs_never_change_sides(values: np.ndarray, scope: str) -> None:
    values = np.concatenate([values, -values])
    drawn = to_bytes(values, limits(values, scope)).astype(int)
    assert (drawn[values > 0] >= 128).all()
    assert (drawn[values < 0] <= 128).all()


@given(FINITE)
def test_negating_mirrors_the_bytes(values: np.ndarray) -> None:
    up = to_bytes(values, limits(values, "symmetric")).astype(int)
    down = to_bytes(-values, limits(-values, "symmetric")).astype(int)
    assert (up + down == 256).all()


@pytest.mark.parametrize("level", [0.0, 3.5, -2.0, 1e38, 1e-40])
def test_a_constant_map_is_neutral_and_reported(level: float) -> None:
    values = np.stack([np.full((3, 3), level), np.linspace(-1, 1, 9).reshape(3, 3)])
    found = limits(values)
    assert found.constant.tolist() == [True, False]
    assert found.silent.tolist() == [level == 0, False]
    assert (to_bytes(values, found)[0] == 128).all()


def test_a_constant_map_within_the_layers_range_keeps_its_value() -> None:
    values = np.array([[3.0, 3.0], [-6.0, 1.0]])
    assert to_bytes(values, limits(values, "layer"))[0].tolist() == [192, 192]


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int32, np.uint8, np.bool_])
def test_other_number_types_are_drawn(dtype: type) -> None:
    values = np.array([[0, 1, 1]]).astype(dtype)
    assert to_bytes(values, limits(values)).tolist() == [[1, 255, 255]]


def test_huge_and_tiny_values_reach_both_ends() -> None:
    for size in (3.4e38, 1e-44):
        values = np.array([[-size, 0, size]], np.float32)
        assert to_bytes(values, limits(values)).tolist() == [[1, 128, 255]]
        assert to_bytes(values, limits(values, "minmax")).tolist() == [[1, 128, 255]]


def test_strength_puts_broken_maps_first() -> None:
    found = limits([[1.0, -5.0], [np.nan, 0.0], [2.0, 2.0]])
    assert found.strength.tolist() == [5.0, np.inf, 2.0]


@given(FINITE, st.booleans())
def test_rescaled_kernels_lie_between_zero_and_one_and_keep_their_order(
    values: np.ndarray, together: bool
) -> None:
    moved = rescale(values, together=together)
    assert moved.min() >= 0
    assert moved.max() <= 1
    for part, drawn in [(values, moved)] if together else zip(values, moved, strict=True):
        order = np.argsort(part, axis=None, kind="stable")
        assert (np.diff(drawn.ravel()[order]) >= 0).all()


def test_rescaling_together_is_the_articles_formula() -> None:
    kernels = np.random.default_rng(1).normal(size=(64, 3, 7, 7)).astype(np.float32)
    expected = (kernels - kernels.min()) / (kernels.max() - kernels.min())
    np.testing.assert_allclose(rescale(kernels), expected, atol=1e-6)


def test_the_input_is_left_as_it_was() -> None:
    values = np.array([[np.nan, 1.0, -2.0]], np.float32)
    before = values.copy()
    to_bytes(values, limits(values))
    rescale(values)
    np.testing.assert_array_equal(values, before)


@pytest.mark.parametrize(
    ("values", "scope", "message"),
    [
        ([[1.0]], "net", "`range` must be one of channel, layer"),
        ([1.0], "channel", r"at least one value; got shape \(1,\)"),
        (np.zeros((0, 3)), "channel", r"got shape \(0, 3\)"),
        ([[1j]], "channel", "real numbers; got an array of complex128"),
    ],
)
def test_values_that_cannot_be_scaled_are_refused(values: object, scope: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        limits(values, scope)  # type: ignore[arg-type]
