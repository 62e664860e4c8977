"""Equal pictures stay in one part, wherever the data lies and however it is read."""

from __future__ import annotations

import numpy as np
import pytest

from convscope.datasets import describe, load_dataset
from convscope.datasets.copies import digests, find_copies
from convscope.datasets.splitting import choose_test
from dataset_writers import pets, picture, png, problems_of, write, zipped


def shared(dataset) -> int:
    """Test pictures that are trained on."""
    train, test = (digests(part.read(np.arange(len(part)))) for part in dataset.parts.values())
    return len(find_copies(train, test))


def fourfold(each: int = 40, classes: str = "cat dog") -> dict[str, np.ndarray]:
    """Every picture four times."""
    return {
        f"{name}/{number:03}.png": picture(100 * place + number // 4)
        for place, name in enumerate(classes.split())
        for number in range(each)
    }


@pytest.mark.parametrize("memory", [2**20, 1000])
def test_copies_of_a_picture_are_all_in_one_part(tmp_path, memory):
    folder = write(tmp_path / "pets", fourfold())
    archive = zipped(tmp_path / "pets.zip", fourfold())
    for place in (folder, archive):
        dataset = load_dataset(place, memory=memory)
        assert dataset.train.in_memory == (memory > 1000)
        assert (len(dataset.train), len(dataset.test)) == (64, 16)
        assert shared(dataset) == 0
        assert (
            dataset.notes[0] == "60 pictures are copies of others, byte for byte; copies are kept in one part"
        )
        assert dataset.problems == ()


def test_a_streamed_set_is_split_like_one_in_memory_at_any_size(tmp_path):
    write(tmp_path, fourfold())
    every = [load_dataset(tmp_path, memory=memory, size=size) for memory in (2**20, 1000) for size in (8, 16)]
    assert len({tuple(dataset.test.names) for dataset in every}) == 1


def test_empty_files_are_no_copies_of_each_other(tmp_path):
    files = pets(20, "cat dog") | {f"{name}/empty{n}.png": b"" for name in ("cat", "dog") for n in range(3)}
    for memory in (2**20, 1000):
        dataset = load_dataset(write(tmp_path, files), memory=memory)
        assert not any("copies" in note for note in dataset.notes)
        assert "in_two_classes" not in problems_of(dataset)


def test_files_of_one_length_and_one_end_are_no_copies(tmp_path):
    body = [bytes([number]) + bytes(9000) for number in range(10)]
    files = {
        f"{name}/{number}.png": png(picture(number)) + body[number] for name in "ab" for number in range(10)
    }
    files = {name: content for name, content in files.items() if name != "b/3.png"}
    dataset = load_dataset(write(tmp_path, files))
    assert dataset.notes == ("9 pictures are copies of others, byte for byte; copies are kept in one part",)


@pytest.mark.parametrize("memory", [2**20, 1000])
def test_copies_in_parts_that_are_given_are_said_where_pictures_are_streamed_too(tmp_path, memory):
    files = {f"train/{name}": pixels for name, pixels in pets(10, "cat dog").items()}
    files |= {f"test/{name}": 255 - pixels for name, pixels in pets(3, "cat dog").items()}
    files |= {"test/dog/000.png": files["train/cat/004.png"], "test/cat/001.png": files["train/cat/005.png"]}
    problem = problems_of(load_dataset(write(tmp_path, files), memory=memory))["in_train_and_test"]
    how = "pixel for pixel" if memory > 1000 else "byte for byte"
    assert problem.message == (
        f"2 test pictures are also in the training part, {how} (1 under another class): "
        "test/cat/001.png = train/cat/005.png, test/dog/000.png = train/cat/004.png"
    )


@pytest.mark.parametrize("memory", [2**20, 1000])
def test_one_picture_in_two_classes_is_trained_on_and_said(tmp_path, memory):
    files = pets(20, "cat dog")
    for number in range(10):
        files[f"dog/{number:03}.png"] = files[f"cat/{number:03}.png"]
    dataset = load_dataset(write(tmp_path, files), memory=memory)
    assert problems_of(dataset)["in_two_classes"].count == 10
    assert (
        "10 training pictures stand under another class too" in problems_of(dataset)["in_two_classes"].message
    )
    assert shared(dataset) == 0
    assert len(dataset.test) == 8
    assert problems_of(describe(dataset))["in_two_classes"].message.endswith("and 7 more")


def test_the_same_pictures_in_another_place_are_split_alike(tmp_path):
    def test_part(place):
        dataset = load_dataset(place)
        return {image.tobytes() for image in dataset.test.images}

    files = pets(20)
    expected = test_part(write(tmp_path / "plain", files))
    deeper = {f"some/where/{name}": content for name, content in files.items()}
    assert test_part(write(tmp_path / "deeper", deeper)) == expected
    assert test_part(zipped(tmp_path / "pets.zip", deeper)) == expected
    assert (
        test_part(write(tmp_path / "alone", {f"train/{name}": file for name, file in files.items()}))
        == expected
    )


def test_a_split_without_copies_is_what_it_was():
    names = [f"class/{number:02}.png" for number in range(20)]
    assert choose_test(names, ["class"] * 20, 0, list(range(20))) == choose_test(names, ["class"] * 20, 0)


def test_groups_that_are_too_large_are_left_to_train_on_unless_there_is_no_other():
    names = [str(number) for number in range(10)]
    assert sum(choose_test(names, [0] * 10, 0, [0, 0, 0, 0, 1, 1, 1, 1, 2, 3])) == 2
    assert sum(choose_test(names, [0] * 10, 0, [0] * 6 + [1] * 4)) == 4
    assert sum(choose_test(names, [0] * 10, 0, [0] * 10)) == 0
    assert sum(choose_test(names, [0] * 5 + [1] * 5, 0, [0] * 10)) == 0


def test_copies_among_items_given_in_python_are_in_one_part():
    pictures = [picture(number // 4) for number in range(80)]
    for memory in (2**20, 1000):
        dataset = load_dataset(
            [(one, number % 40 // 20) for number, one in enumerate(pictures)], memory=memory
        )
        assert dataset.train.in_memory == (memory > 1000)
        assert (len(dataset.train), len(dataset.test)) == (64, 16)
        assert shared(dataset) == 0


def test_pairs_given_in_python_that_share_pictures_say_so_where_they_are_streamed():
    train = [(picture(number), number % 2) for number in range(10)]
    dataset = load_dataset((train, [train[3], (picture(77), 0)]), memory=1000)
    assert not dataset.train.in_memory
    assert problems_of(dataset)["in_train_and_test"].names == ("item 0 = item 3",)


def test_where_copies_cannot_be_looked_for_that_is_said():
    class Known(list):
        targets = [0, 1] * 10

    dataset = load_dataset(Known((picture(n // 2), n % 2) for n in range(20)), memory=1000)
    assert "equal ones are not looked for" in dataset.notes[-1]


def test_classes_without_test_pictures_are_said_where_the_part_is_made_here(tmp_path):
    files = {**pets(10, "cat dog"), "lonely/1.png": picture(5)}
    files |= {f"rotten/{number}.png": b"no picture" for number in range(3)}
    problems = [str(problem) for problem in load_dataset(write(tmp_path, files)).problems]
    assert "1 class has no pictures to train on: rotten" in problems
    assert "1 class has pictures to train on and none to test: lonely" in problems


def test_labels_that_leave_numbers_out_make_classes_without_pictures_and_say_so():
    dataset = load_dataset([(picture(number), 7 * (number % 2)) for number in range(20)])
    assert "6 classes have no pictures to train on: 1, 2, 3 and 3 more" in [str(p) for p in dataset.problems]
