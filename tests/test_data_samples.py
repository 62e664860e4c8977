"""Sample pictures by plain names, from the files that scikit-image carries."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convscope.data import load_image, samples
from convscope.data.sample_files import sample_path
from convscope.errors import ImageError, MissingExtraError
from data_writers import encoded

HINT = "Install it with: pip install 'convscope[demo]'"


@pytest.fixture
def without_scikit_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)


@pytest.fixture
def small_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A scikit-image that carries the cat alone."""
    folder = tmp_path / "skimage"
    (folder / "data").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise ImportError('must not be imported')\n")
    (folder / "data" / "chelsea.png").write_bytes(encoded("PNG"))
    monkeypatch.delitem(sys.modules, "skimage", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_every_sample_at_hand_loads_as_scikit_image_loads_it() -> None:
    io = pytest.importorskip("skimage.io")
    names = samples()
    assert "cat" in names
    assert list(names) == sorted(names)
    for name in names:
        picture = load_image(f"sample:{name}")
        assert (picture.name, picture.origin) == (name, "sample")
        expected = io.imread(sample_path(name))
        if expected.ndim == 2:
            expected = np.stack([expected] * 3, axis=2)
        if expected.shape[2] == 4:
            alpha = expected[..., 3:] / 255
            expected = np.rint(expected[..., :3] * alpha + 255 * (1 - alpha))
        difference = np.abs(picture.pixels - expected.astype(int))
        assert difference.max() <= 1, name


def test_cat_is_the_cat_of_scikit_image() -> None:
    data = pytest.importorskip("skimage.data")
    np.testing.assert_array_equal(load_image("sample:cat").pixels, data.cat())


def test_picture_that_the_package_does_not_carry_is_said_to_be_missing(small_package: Path) -> None:
    assert samples() == ("cat",)
    assert load_image("sample:cat").width == 64
    with pytest.raises(
        ImageError, match="installed scikit-image does not carry the picture `coffee`"
    ) as caught:
        load_image("sample:coffee")
    assert caught.value.code == "missing"
    assert caught.value.hint == "At hand are cat."


def test_unknown_sample_names_the_nearest(small_package: Path) -> None:
    with pytest.raises(ImageError, match="there is no sample picture `catt`") as caught:
        load_image("sample:catt")
    assert (caught.value.code, caught.value.hint) == ("missing", "Did you mean sample:cat?")
    with pytest.raises(ImageError, match=r"no sample picture `\.\./\.\./secret`") as caught:
        load_image("sample:../../secret")
    assert caught.value.hint == "At hand are cat."


def test_package_without_pictures_says_so(small_package: Path) -> None:
    (small_package / "data" / "chelsea.png").unlink()
    with pytest.raises(ImageError, match="It carries no pictures at all"):
        load_image("sample:cat")


@pytest.mark.usefixtures("without_scikit_image")
def test_missing_package_gives_the_command_that_installs_it() -> None:
    assert samples() == ()
    with pytest.raises(MissingExtraError, match="scikit-image, which is not installed") as caught:
        load_image("sample:cat")
    assert caught.value.hint == HINT


@pytest.mark.usefixtures("without_scikit_image")
def test_pictures_of_ones_own_need_no_scikit_image(tmp_path: Path) -> None:
    Image.new("RGB", (3, 2)).save(tmp_path / "own.png")
    assert load_image(tmp_path / "own.png").width == 3
    with pytest.raises(ImageError, match="there is no file"):
        load_image(tmp_path / "owm.png")
