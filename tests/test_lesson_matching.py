"""A kernel cut from the picture: its three answers by scikit-image and by plain sums; previews."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.feature import match_template

import convscope
from convscope.lesson import LESSONS, Tools
from convscope.lesson.matching import Matcher, match, peaks
from convscope.lesson.photos import Previews


@pytest.fixture(scope="module")
def results() -> dict[str, convscope.lesson.LessonResult]:
    return {name: LESSONS[name].run() for name in ("cut",)}


def grey(name: str) -> np.ndarray:
    pixels = convscope.load_image(f"sample:{name}").pixels.astype(np.float64)
    return pixels @ [0.299, 0.587, 0.114]


@pytest.mark.parametrize("place", [(0, 0, 7, 9), (30, 40, 20, 21), (100, 200, 48, 48)])
def test_normalised_cross_correlation_is_that_of_scikit_image(place):
    image = grey("coins")
    top, left, rows, columns = place
    kernel = image[top : top + rows, left : left + columns]
    found = match(image, kernel)
    np.testing.assert_allclose(found["normalised"], match_template(image, kernel), atol=1e-6)
    assert peaks(found["normalised"], 1, (1, 1)) == [(top, left)]
    assert found["normalised"][top, left] == pytest.approx(1, abs=1e-9)


def test_in_colour_all_channels_count_together_as_in_scikit_image():
    pixels = convscope.load_image("sample:cat").pixels.astype(np.float64)
    kernel = pixels[100:120, 200:230]
    found = match(np.moveaxis(pixels, 2, 0), np.moveaxis(kernel, 2, 0))
    np.testing.assert_allclose(found["normalised"], match_template(pixels, kernel)[..., 0], atol=1e-6)


def test_raw_and_zero_mean_are_plain_sums_of_products():
    image = grey("coins")
    kernel = image[60:75, 80:90]
    found = match(image, kernel)
    for row, column in ((0, 0), (60, 80), (288, 374), (131, 77)):
        window = image[row : row + 15, column : column + 10]
        assert found["raw"][row, column] == pytest.approx((window * kernel).sum())
        assert found["zero_mean"][row, column] == pytest.approx(
            (window * (kernel - kernel.mean())).sum(), abs=1e-4
        )


def test_where_window_or_kernel_is_flat_the_normalised_answer_is_0():
    image = np.full((12, 12), 7.3)
    image[8:, 8:] = np.arange(16).reshape(4, 4)
    assert match(image, image[8:11, 8:11])["normalised"][:4, :4].tolist() == np.zeros((4, 4)).tolist()
    assert not match(image, image[:3, :3])["normalised"].any()


def test_the_raw_answer_is_fooled_by_brightness_and_the_normalised_one_is_not(results):
    forms = results["cut"].numbers["forms"]
    assert not forms["raw"]["finds_the_cut"]
    assert forms["raw"]["share_above_the_cut"] > 0
    assert forms["raw"]["brightness_at_the_peak"] > forms["raw"]["brightness_at_the_cut"]
    assert forms["raw"]["correlation_with_brightness"] > 0.9
    for name in ("zero_mean", "normalised"):
        assert forms[name]["finds_the_cut"]
        assert forms[name]["peaks"][0] == [168, 188]
    assert forms["normalised"]["at_the_cut"] == pytest.approx(1)


# Previews


def test_a_preview_is_smaller_and_speaks_of_the_pictures_own_pixels():
    image = np.random.default_rng(0).integers(0, 256, (1024, 1100, 3), np.uint8)
    image[300:366, 600:672] = np.add.outer(np.arange(66), np.arange(72))[..., None]
    full, quick = (
        LESSONS["cut"].run(Tools(preview=preview), picture=image, box="300,600,66,72")
        for preview in (False, True)
    )
    assert quick.preview
    assert not full.preview
    assert quick.maps["photo"].values.shape == (341, 366, 3)
    assert full.numbers["forms"]["normalised"]["peaks"][0] == [300, 600]
    assert quick.numbers["forms"]["normalised"]["peaks"][0] == [300, 600]
    assert quick.numbers["kernel"] == [66, 72]


def test_a_matcher_used_again_answers_as_a_new_one_by_transforms_and_without():
    image = np.random.default_rng(3).uniform(0, 255, (3, 300, 310))
    matcher = Matcher(image)
    for place in ((10, 20, 8, 9), (100, 50, 40, 44), (0, 0, 40, 44), (0, 0, 300, 310)):
        top, left, rows, columns = place
        kernel = image[:, top : top + rows, left : left + columns]
        found = matcher.match(kernel)
        for name, response in match(image, kernel).items():
            np.testing.assert_allclose(
                found[name], response, rtol=0, atol=1e-12 * max(1, abs(response).max())
            )
        window = image[:, -rows:, -columns:]
        assert found["raw"][-1, -1] == pytest.approx((window * kernel).sum(), rel=1e-12)
        expected = (window * (kernel - kernel.mean())).sum()
        assert found["zero_mean"][-1, -1] == pytest.approx(expected, abs=1e-11 * abs(found["raw"]).max())
        assert found["normalised"][-1, -1] == pytest.approx(
            np.corrcoef(window.ravel(), kernel.ravel())[0, 1], abs=1e-9
        )


def test_a_picture_too_large_to_keep_its_spectra_is_answered_alike(monkeypatch):
    image = np.random.default_rng(4).uniform(0, 255, (3, 200, 260))
    kept = match(image, image[:, 20:60, 30:70])
    monkeypatch.setattr("convscope.lesson.matching.KEPT_VALUES", 0)
    for name, response in match(image, image[:, 20:60, 30:70]).items():
        np.testing.assert_array_equal(response, kept[name])


def test_previews_are_kept_for_the_same_picture_and_only_for_the_last_ones():
    pictures = [
        convscope.load_image(np.random.default_rng(seed).integers(0, 256, (600, 700, 3), np.uint8))
        for seed in range(3)
    ]
    previews = Previews(most=2)
    tools = [Tools(picture=lambda _, one=one: one, preview=True, previews=previews) for one in pictures]
    first = previews.get(pictures[0], 512)
    assert previews.get(pictures[0], 512) is first
    for one in tools:
        kept = LESSONS["cut"].run(one, box="10,20,64,64")
        fresh = LESSONS["cut"].run(Tools(picture=one.picture, preview=True), box="10,20,64,64")
        assert kept.numbers == fresh.numbers
        again = LESSONS["cut"].run(one, box="10,20,64,64")
        assert again.maps["photo"].values is kept.maps["photo"].values
    assert previews.get(pictures[0], 512) is not first
