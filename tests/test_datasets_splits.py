"""Parts of a data set give the right pictures, in memory or decoded as they are asked for."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from convscope.datasets import Split, load_dataset
from convscope.datasets.fitting import choose_size, fit
from convscope.datasets.splitting import choose_test
from convscope.errors import DatasetError, ImageError
from dataset_writers import pets, picture, png, write


@pytest.fixture
def streamed(tmp_path):
    """Two readings of one folder: in memory, and as pictures are asked for."""
    write(tmp_path, pets(30))
    return load_dataset(tmp_path), load_dataset(tmp_path, memory=1000)


def test_a_set_that_does_not_fit_in_memory_is_streamed_with_the_same_pictures(streamed):
    whole, large = streamed
    assert whole.train.in_memory
    assert not large.train.in_memory
    assert large.train.images is None
    assert "decoded as they are asked for" in large.notes[0]
    for one, other in zip(whole.parts.values(), large.parts.values(), strict=True):
        assert one.shape == other.shape
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_array_equal(one.images, other.read(np.arange(len(other))))


def test_reading_gives_what_was_asked_for_in_that_order(streamed):
    for dataset in streamed:
        wanted = [5, 0, 5, 71]
        read = dataset.train.read(wanted)
        for image, index in zip(read, wanted, strict=True):
            np.testing.assert_array_equal(image, dataset.train.read([index])[0])
        assert dataset.train.read([]).shape == (0, 12, 10, 3)
        read[:] = 0
        assert dataset.train.read(wanted).any()


def test_streaming_gives_every_batch_in_order(streamed):
    order = np.random.default_rng(3).permutation(72).reshape(9, 8)
    expected = list(streamed[0].train.stream(order))
    for ahead in (0, 1, 20):
        batches = list(streamed[1].train.stream(order, ahead=ahead))
        assert len(batches) == 9
        for (images, labels), (other_images, other_labels) in zip(batches, expected, strict=True):
            np.testing.assert_array_equal(images, other_images)
            np.testing.assert_array_equal(labels, other_labels)


def _counted(seconds: float = 0.0):
    fetched: list[int] = []
    lock = threading.Lock()

    def fetch(index: int) -> np.ndarray:
        time.sleep(seconds)
        with lock:
            fetched.append(index)
        return np.full((2, 2, 3), index, np.uint8)

    return fetched, fetch


def test_the_next_batches_are_decoded_while_one_is_worked_on():
    fetched, fetch = _counted()
    split = Split(np.arange(60), [str(i) for i in range(60)], shape=(2, 2, 3), fetch=fetch)
    stream = split.stream(np.arange(60).reshape(6, 10), ahead=2)
    images, labels = next(stream)
    assert images[:, 0, 0, 0].tolist() == labels.tolist() == list(range(10))
    until = time.monotonic() + 10
    while len(fetched) < 30 and time.monotonic() < until:
        time.sleep(0.01)
    assert sorted(fetched) == list(range(30))  # this batch and two ahead, and no more
    stream.close()


def test_a_stream_left_early_stops_decoding():
    fetched, fetch = _counted(0.01)
    split = Split(np.arange(400), [str(i) for i in range(400)], shape=(2, 2, 3), fetch=fetch)
    stream = split.stream(np.arange(400).reshape(4, 100), ahead=3)
    next(stream)
    stream.close()
    assert len(fetched) < 400
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPool")]


def test_unreadable_pictures_are_left_out_of_batches_and_remembered(tmp_path):
    files = pets(30, "cat dog")
    files["cat/011.png"] = png(picture(1))[:50]
    write(tmp_path, {f"train/{name}": content for name, content in files.items()})
    write(tmp_path, {f"test/{name}": 255 - content for name, content in pets(2, "cat dog").items()})
    split = load_dataset(tmp_path, memory=1000).train
    bad = split.names.index("train/cat/011.png")
    assert split.problems == ()
    images, labels = split.batch([bad - 1, bad, bad + 1])
    assert labels.tolist() == [0, 0]
    np.testing.assert_array_equal(images, split.read([bad - 1, bad + 1]))
    (problem,) = split.problems
    assert problem.names == ("train/cat/011.png",)
    assert "`train/cat/011.png` is damaged" in problem.message
    assert not split.read([bad]).any()
    assert sum(len(labels) for _, labels in split.stream(np.arange(60).reshape(6, 10))) == 59


def test_a_strict_stream_stops_at_an_unreadable_picture():
    def fetch(index: int) -> np.ndarray:
        if index == 7:
            raise ImageError("`seven.png` is damaged", code="damaged")
        return np.zeros((1, 1, 3), np.uint8)

    split = Split(np.zeros(20, int), ["x"] * 20, shape=(1, 1, 3), fetch=fetch, strict=True)
    with pytest.raises(DatasetError, match=r"`seven\.png` is damaged \(asked to be strict\)"):
        list(split.stream(np.arange(20).reshape(4, 5)))
    with pytest.raises(DatasetError, match=r"seven\.png"):
        split.read([7])


def test_a_mistake_of_our_own_is_not_taken_for_a_bad_picture():
    def fetch(index: int) -> np.ndarray:
        raise ZeroDivisionError("ours")

    split = Split([0, 1], ["a", "b"], shape=(1, 1, 3), fetch=fetch)
    with pytest.raises(ZeroDivisionError, match="ours"):
        split.read([0])


def test_a_test_part_is_the_one_of_the_first_release():
    """Runs are recorded with their seed, so the split of a seed must never change."""
    names = [f"class/{number:02}.png" for number in range(20)]
    chosen = choose_test(names, ["class"] * 20, 0)
    assert [place for place, is_chosen in enumerate(chosen) if is_chosen] == [3, 12, 13, 19]
    turned = choose_test(names[::-1], ["class"] * 20, 0)
    assert turned == chosen[::-1]


@pytest.mark.parametrize(("count", "expected"), [(1, 0), (2, 1), (3, 1), (7, 1), (8, 2), (100, 20)])
def test_a_fifth_of_a_class_is_for_testing_and_one_always_stays_to_train_on(count, expected):
    chosen = choose_test([str(number) for number in range(count)], [0] * count, 5)
    assert sum(chosen) == expected


def test_sizes_are_kept_where_nearly_all_agree_and_are_small():
    assert choose_size([(12, 10)] * 9 + [(40, 40)], None) == ((12, 10), "")
    assert choose_size([(12, 10)] * 8 + [(40, 40)] * 2, None)[0] == (32, 32)
    assert choose_size([(3024, 4032)] * 5, None)[0] == (224, 224)
    assert choose_size([(100, 300), (130, 90)], None)[0] == (64, 64)
    assert choose_size([(8, 8)], 16)[1] == "pictures of 8 x 8 are scaled to 16 x 16"


def test_scaling_agrees_with_torchvision():
    import torch
    from torchvision.transforms import v2

    pixels = picture(4, (60, 100))
    steps = v2.Compose([v2.Resize(30, antialias=True), v2.CenterCrop(30)])
    expected = steps(torch.from_numpy(pixels.transpose(2, 0, 1).copy())).numpy().transpose(1, 2, 0)
    assert np.abs(fit(pixels, (30, 30)).astype(int) - expected).max() <= 1
