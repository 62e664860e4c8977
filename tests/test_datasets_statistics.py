"""Counts, means and deviations agree with numpy's own, and the contact sheet shows the true pictures."""

from __future__ import annotations

import json

import numpy as np
import pytest

from convscope.datasets import Split, contact_sheet, describe, load_dataset, normalization
from convscope.errors import MissingExtraError, UsageError
from dataset_writers import pets, picture, png, write


def test_mean_and_deviation_are_those_of_numpy(tmp_path):
    write(tmp_path, pets(20))
    for memory in (2**20, 1000):
        dataset = load_dataset(tmp_path, memory=memory)
        pixels = dataset.train.read(np.arange(len(dataset.train))).reshape(-1, 3) / 255
        mean, std = normalization(dataset.train)
        np.testing.assert_allclose(mean, pixels.mean(0), rtol=1e-12)
        np.testing.assert_allclose(std, pixels.std(0), rtol=1e-12)
        found = describe(dataset)
        assert (found.mean, found.std) == (mean, std)


def test_deviation_stays_exact_where_differences_of_large_squares_would_not():
    images = np.full((4000, 16, 16, 3), 255, np.uint8)
    images[0, 0, 0] = 254
    mean, std = normalization(Split(np.zeros(4000), [""] * 4000, images=images))
    pixels = images[..., 0].astype(np.longdouble) / 255
    assert mean[0] == pytest.approx(float(pixels.mean()), rel=1e-14)
    assert std[0] == pytest.approx(float(pixels.std()), rel=1e-9)


def test_a_constant_data_set_has_no_deviation():
    assert normalization(Split([0], [""], images=np.full((1, 2, 2, 1), 51, np.uint8))) == ((0.2,), (0.0,))


def test_some_pictures_evenly_spread_are_enough_if_asked():
    images = np.arange(100, dtype=np.uint8).reshape(100, 1, 1, 1)
    mean, _ = normalization(Split(np.zeros(100), [""] * 100, images=images), most=10)
    assert mean[0] * 255 == pytest.approx(np.arange(0, 100, 10).mean())


def test_a_streamed_set_is_described_like_one_in_memory(tmp_path):
    files = {f"train/{name}": pixels for name, pixels in pets(20).items()}
    files |= {f"test/{name}": 255 - pixels for name, pixels in pets(5).items()}
    files["train/dog/003.png"] = b""
    files["test/owl/001.png"] = files["train/owl/007.png"]
    write(tmp_path, files)
    whole, large = (describe(load_dataset(tmp_path, memory=memory)) for memory in (2**20, 1000))
    assert not large.dataset.train.in_memory
    assert whole.counts["train"].tolist() == large.counts["train"].tolist() == [20, 19, 20]
    assert (whole.mean, whole.std) == (large.mean, large.std)
    by_code = [{problem.code: problem for problem in found.problems} for found in (whole, large)]
    assert by_code[0] == by_code[1]
    assert set(by_code[0]) == {"unreadable", "in_train_and_test"}
    assert by_code[0]["in_train_and_test"].names == ("test/owl/001.png = train/owl/007.png",)


def test_the_description_is_plain_json(tmp_path):
    write(tmp_path, {**pets(5), "cat/bad.png": b""})
    found = json.loads(json.dumps(describe(load_dataset(tmp_path)).as_json()))
    assert found["classes"][0] == {"name": "cat", "train": 4, "test": 1}
    assert (found["train"], found["test"], found["split"]) == (12, 3, "seeded 20% (seed 0)")
    assert (found["height"], found["width"], found["channels"]) == (12, 10, 3)
    assert found["problems"] == [
        {
            "code": "unreadable",
            "count": 1,
            "message": "1 picture cannot be read; left out: `cat/bad.png` is empty: the file has 0 bytes",
            "names": ["cat/bad.png"],
        }
    ]


def test_progress_ends_at_the_last_picture(tmp_path):
    calls = []
    describe(load_dataset(write(tmp_path, pets(30))), on_progress=lambda *call: calls.append(call))
    assert calls[-1] == (90, 90)
    assert calls == sorted(calls)


def test_the_contact_sheet_shows_pictures_of_each_class_to_the_pixel(tmp_path):
    dataset = load_dataset(write(tmp_path, pets(20)))
    sheet = contact_sheet(dataset, columns=4)
    factor = 64 // 12
    for label in range(3):
        rows = np.flatnonzero(dataset.train.labels == label)
        for index in rows[(np.arange(4) * len(rows)) // 4]:
            tile = dataset.train.images[index].repeat(factor, 0).repeat(factor, 1)
            assert _contains(sheet, tile), (label, index)


def _contains(sheet, tile):
    height, width = tile.shape[:2]
    starts = np.argwhere((sheet[: -height + 1, : -width + 1] == tile[0, 0]).all(-1))
    return any((sheet[top : top + height, left : left + width] == tile).all() for top, left in starts)


def test_a_sheet_of_large_pictures_many_classes_or_few_pictures_is_drawn(tmp_path):
    large = {f"{c}/{n}.png": picture(n, (300, 200)) for n, c in enumerate("aabb")}
    sheet = contact_sheet(load_dataset(write(tmp_path / "large", large)))
    assert sheet.shape[0] < 2 * 120 + 150
    many = {f"class {c:03}/{n}.png": picture(n + c, (6, 6)) for c in range(70) for n in range(2)}
    dataset = load_dataset(write(tmp_path / "many", many))
    assert len(dataset.classes) == 70
    assert contact_sheet(dataset, columns=1).shape[0] < 61 * (60 + 4) + 200
    with pytest.raises(UsageError, match="`columns` must be at least 1; got 0"):
        contact_sheet(dataset, columns=0)


def test_the_sheet_leaves_out_what_cannot_be_read(tmp_path):
    files = {f"train/{name}": pixels for name, pixels in pets(3, "cat dog").items()}
    files |= {f"test/{name}": 255 - pixels for name, pixels in pets(1, "cat dog").items()}
    files["train/dog/001.png"] = png(picture(1))[:40]
    dataset = load_dataset(write(tmp_path, files), memory=10)
    assert contact_sheet(dataset).shape[2] == 3
    assert dataset.problems[0].names == ("train/dog/001.png",)


def test_the_digits_are_those_of_scikit_learn():
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
    own = datasets.load_digits()
    dataset = load_dataset("digits")
    seen = []
    for split in dataset.parts.values():
        for name, label, image in zip(split.names, split.labels, split.images, strict=True):
            number = int(name)
            seen.append(number)
            assert label == own.target[number]
            np.testing.assert_array_equal(np.rint(image[..., 0] * (16 / 255)), own.images[number])
    assert sorted(seen) == list(range(1797))
    some = load_dataset("digits:7,2", seed=4)
    assert some.classes == ("7", "2")
    for name, label in zip(some.train.names, some.train.labels, strict=True):
        assert own.target[int(name)] == (7, 2)[label]
    assert load_dataset("digits", size=16).train.shape == (16, 16, 1)


def test_without_scikit_learn_the_digits_name_the_install_line(monkeypatch):
    from convscope.datasets import digits

    monkeypatch.setattr(digits, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="the digits come with scikit-learn") as caught:
        load_dataset("digits")
    assert "pip install 'convscope[train]'" in caught.value.hint


def test_rows_lower_than_the_words_beside_them_leave_the_words_room(tmp_path):
    files = {f"{name}/{n}.png": picture(10 * ord(name) + n, (3, 200)) for name in "abc" for n in range(5)}
    flat = contact_sheet(load_dataset(write(tmp_path / "flat", files)))
    files = {f"{name}/{n}.png": picture(10 * ord(name) + n, (3, 200)) for name in "ab" for n in range(5)}
    lower = contact_sheet(load_dataset(write(tmp_path / "fewer", files)))
    assert flat.shape[0] - lower.shape[0] >= 30  # a name and a count, of 14 and 11 pixels
