"""Colour tables: neutral zero, equal halves, steady lightness, readable by colour-blind eyes."""

from __future__ import annotations

import numpy as np
import pytest

from convscope import raster
from convscope.errors import UsageError

# Viénot/Machado-style matrices for full deficiency, on linear RGB (Machado, Oliveira, Fernandes 2009).
EYES = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}


def linear(colors: np.ndarray) -> np.ndarray:
    share = np.asarray(colors, float) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def cielab(light: np.ndarray) -> np.ndarray:
    """CIE 1976 L*a*b*, not the space the tables are made in."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    ratio = np.clip(light, 0, 1) @ to_xyz.T / to_xyz.sum(axis=1)
    root = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    x, y, z = root.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


@pytest.mark.parametrize("eyes", EYES)
def test_lightness_falls_steadily_from_zero_to_each_end(eyes: str) -> None:
    lightness = cielab(linear(raster.table("diverging")) @ EYES[eyes].T)[:, 0]
    # One rounding step of eight-bit colour is allowed.
    assert (np.diff(lightness[128:]) < 0.3).all()
    assert (np.diff(lightness[128:0:-1]) < 0.3).all()
    assert lightness[128] - max(lightness[1], lightness[255]) > 40
    sequential = cielab(linear(raster.table("sequential")) @ EYES[eyes].T)[1:, 0]
    assert (np.diff(sequential) < 0.3).all()
    assert sequential[0] - sequential[-1] > 60


def test_lightness_falls_in_even_steps() -> None:
    steps = np.diff(cielab(linear(raster.table("sequential")[1:]))[::16, 0])
    assert steps.min() > 2.5 * steps.max()
    assert abs(steps / steps.mean() - 1).max() < 0.5


def test_both_signs_are_equally_dark() -> None:
    lightness = cielab(linear(raster.table("diverging")))[:, 0]
    assert np.abs(lightness[129:] - lightness[127:0:-1]).max() < 6


def test_zero_is_exactly_grey_and_the_same_in_both_tables() -> None:
    neutral = raster.table("diverging")[128]
    assert len(set(neutral.tolist())) == 1
    assert (raster.table("sequential")[1] == neutral).all()
    assert (raster.sheet_palette("diverging")[128] == neutral).all()
    assert (raster.sheet_palette("sequential")[9] == neutral).all()


@pytest.mark.parametrize("eyes", EYES)
def test_signs_are_told_apart_by_all_eyes(eyes: str) -> None:
    seen = cielab(linear(raster.table("diverging")) @ EYES[eyes].T)
    strong = np.arange(32, 128)
    assert np.linalg.norm(seen[128 + strong - 1] - seen[128 - strong], axis=1).min() > 20


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("colours", raster.COLOURS)
def test_not_finite_is_unlike_every_value_for_all_eyes(eyes: str, colours: str) -> None:
    seen = cielab(linear(raster.table(colours)) @ EYES[eyes].T)
    assert np.linalg.norm(seen[1:] - seen[0], axis=1).min() > 25


def test_grey_is_evenly_stepped_from_black_to_white() -> None:
    grey = raster.table("grey")[1:].astype(int)
    assert grey[0].tolist() == [0, 0, 0]
    assert grey[-1].tolist() == [255, 255, 255]
    assert set(np.diff(grey[:, 0]).tolist()) <= {1, 2}


def test_sheet_palette_keeps_values_and_ink_apart() -> None:
    values = set(range(9, 248))
    assert not values & set(raster.INK_RAMP)
    assert values | set(raster.INK_RAMP) | {raster.NOT_FINITE} == set(range(256))
    ramp = raster.sheet_palette("diverging")[list(raster.INK_RAMP)].astype(int)
    assert ramp[0].tolist() == [255, 255, 255]
    assert (np.diff(ramp, axis=0) < 0).all()


def test_tables_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        raster.table("diverging")[0, 0] = 1


def test_unknown_table_is_named() -> None:
    with pytest.raises(UsageError, match="must be one of diverging, sequential, grey; got 'jet'"):
        raster.table("jet")


def test_public_names_are_sorted_and_exist() -> None:
    names = raster.__all__
    ordered = sorted(names, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    assert names == ordered
    assert all(hasattr(raster, name) for name in names)
