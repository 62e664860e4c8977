"""Folders and zip files of class folders are read for what they are, whatever lies in them."""

from __future__ import annotations

import unicodedata
import zipfile

import numpy as np
import pytest

from convscope.datasets import load_dataset
from convscope.errors import DatasetError, UsageError
from dataset_writers import pets, picture, pictures_of, png, problems_of, write, zipped


def test_every_picture_of_a_folder_comes_with_its_class(tmp_path):
    files = pets()
    dataset = load_dataset(write(tmp_path, files))
    found = pictures_of(dataset)
    assert dataset.classes == ("cat", "dog", "owl")
    assert set(found) == set(files)
    for name, pixels in files.items():
        class_, image = found[name]
        assert class_ == name.partition("/")[0]
        np.testing.assert_array_equal(image, pixels)
    assert dataset.problems == ()
    assert dataset.notes == ()


def test_a_zip_of_a_folder_is_the_same_data_set(tmp_path):
    files = pets()
    folder = load_dataset(write(tmp_path / "pets", files))
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA):
        archive = load_dataset(zipped(tmp_path / "pets.zip", files, method))
        for one, other in zip(folder.parts.values(), archive.parts.values(), strict=True):
            np.testing.assert_array_equal(one.labels, other.labels)
            np.testing.assert_array_equal(one.images, other.images)
            assert list(one.names) == list(other.names)


def test_a_fifth_of_every_class_is_kept_apart_the_same_one_every_time(tmp_path):
    write(tmp_path, pets(each=11))
    dataset, again = load_dataset(tmp_path), load_dataset(tmp_path)
    assert dataset.split == "seeded 20% (seed 0)"
    assert dataset.counts(dataset.train).tolist() == [9, 9, 9]
    assert dataset.counts(dataset.test).tolist() == [2, 2, 2]
    assert dataset.test.names == again.test.names
    assert not {*dataset.test.names} & {*dataset.train.names}
    other = load_dataset(tmp_path, seed=1)
    assert other.split == "seeded 20% (seed 1)"
    assert other.test.names != dataset.test.names


def test_the_split_of_a_class_does_not_depend_on_the_other_classes(tmp_path):
    write(tmp_path, pets())
    whole, some = load_dataset(tmp_path), load_dataset(f"{tmp_path}:owl,cat")
    kept = [name for name in whole.test.names if not name.startswith("dog")]
    assert list(some.test.names) == kept
    assert some.classes == ("owl", "cat")
    assert [some.classes[label] for label in some.test.labels] == ["cat", "cat", "owl", "owl"]


@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("Training", "val"), ("train", "validation")])
@pytest.mark.parametrize("outer", ["", "pets/"])
def test_a_given_split_is_kept(tmp_path, train, test, outer):
    write(tmp_path, {f"{outer}{train}/{name}": pixels for name, pixels in pets(4).items()})
    write(tmp_path, {f"{outer}{test}/{name}": 255 - pixels for name, pixels in pets(2).items()})
    dataset = load_dataset(tmp_path)
    assert dataset.split == "given"
    assert (len(dataset.train), len(dataset.test)) == (12, 6)
    assert all(name.startswith(f"{outer}{test}/") for name in dataset.test.names)
    assert dataset.problems == ()


def test_a_folder_train_beside_other_vehicles_is_a_class(tmp_path):
    dataset = load_dataset(write(tmp_path, pets(3, "bus car train")))
    assert dataset.classes == ("bus", "car", "train")


def test_a_second_test_folder_and_strangers_beside_the_parts_are_left_out_and_said(tmp_path):
    files = {
        f"{part}/{name}": pixels
        for part in ("train", "test", "val", "extra")
        for name, pixels in pets(2).items()
    }
    dataset = load_dataset(write(tmp_path, files))
    assert (len(dataset.train), len(dataset.test)) == (6, 6)
    messages = [problem.message for problem in dataset.problems if problem.code == "unused_split"]
    assert messages == [
        "the pictures in val are not used, only those in train and test",
        "the pictures in extra are not used, only those in train and test",
    ]


def test_folders_within_class_folders_belong_to_the_class(tmp_path):
    nested = {f"cat/{n}/{n}.png": picture(n + 500) for n in range(5)}
    dataset = load_dataset(write(tmp_path, nested | pets(5, "dog owl")))
    assert dataset.classes == ("cat", "dog", "owl")
    assert dataset.counts(dataset.train)[0] + dataset.counts(dataset.test)[0] == 5


def test_a_picture_is_known_by_its_bytes_where_its_name_says_nothing(tmp_path):
    dataset = load_dataset(
        write(tmp_path, {**pets(5, "cat dog"), "cat/0001": png(picture(9)), "dog/b.x": b"BMx"})
    )
    found = pictures_of(dataset)
    assert "cat/0001" in found
    assert problems_of(dataset)["unreadable"].names == ("dog/b.x",)


def test_a_class_without_pictures_is_said_and_the_rest_goes_on(tmp_path):
    dataset = load_dataset(write(tmp_path, {**pets(), "newt": None, "yak/notes.txt": b"none yet"}))
    assert dataset.classes == ("cat", "dog", "owl")
    assert problems_of(dataset)["empty_class"].message == "2 classes have no pictures: newt, yak"


def test_asking_for_a_class_without_pictures_is_an_error(tmp_path):
    write(tmp_path, {**pets(), "newt": None})
    with pytest.raises(DatasetError, match="has no class `newt`") as caught:
        load_dataset(f"{tmp_path}:cat,newt")
    assert caught.value.code == "no_such_class"


def test_a_class_that_is_only_in_test_is_left_out_there(tmp_path):
    files = {f"train/{name}": pixels for name, pixels in pets(3, "cat dog").items()}
    files |= {f"test/{name}": 255 - pixels for name, pixels in pets(2, "cat dog emu").items()}
    dataset = load_dataset(write(tmp_path, files))
    assert dataset.classes == ("cat", "dog")
    assert len(dataset.test) == 4
    assert problems_of(dataset)["class_only_in_test"].names == ("emu",)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "`photos` holds no class folders"),
        ({"1.png": picture(1), "2.png": picture(2)}, "holds no class folders, only 2 files"),
        ({"train/1.png": picture(1), "test/2.png": picture(2)}, "holds no class folders, only 2 files"),
    ],
)
def test_a_folder_without_classes_says_what_layout_is_expected(tmp_path, files, message):
    with pytest.raises(DatasetError, match=message) as caught:
        load_dataset(write(tmp_path / "photos", {**files, "../photos": None}))
    assert caught.value.code == "no_classes"
    assert caught.value.exit_code == 2
    assert "one folder a class" in caught.value.hint


def test_class_folders_that_are_all_empty_are_an_error(tmp_path):
    with pytest.raises(DatasetError, match="hold no pictures to train on: cat, dog") as caught:
        load_dataset(write(tmp_path, {"cat": None, "dog": None}))
    assert caught.value.code == "empty"


def test_no_such_class_gives_the_nearest_names(tmp_path):
    write(tmp_path, pets())
    with pytest.raises(DatasetError, match="has no class `Cat`") as caught:
        load_dataset(f"{tmp_path}:Cat,dog")
    assert caught.value.hint == "Did you mean cat?"
    with pytest.raises(DatasetError, match="has no class `zebra`") as caught:
        load_dataset(f"{tmp_path}:zebra")
    assert caught.value.hint == "It has cat, dog, owl."
    with pytest.raises(UsageError, match="the class `cat` is named twice"):
        load_dataset(f"{tmp_path}:cat,dog,cat")
    with pytest.raises(UsageError, match=r"after the colon of '.*' there must be class names"):
        load_dataset(f"{tmp_path}:cat,,dog")


@pytest.mark.parametrize(
    ("spec", "message", "hint"),
    [
        ("cifra10", "there is no data set, folder or zip file `cifra10`", "Did you mean cifar10?"),
        ("nowhere/at/all", "there is no data set, folder or zip file `nowhere/at/all`", "Known by name are"),
        (__file__, "is a file, but not a zip file of pictures", "Name a folder"),
    ],
)
def test_what_is_no_data_set_is_said_in_one_sentence(spec, message, hint):
    with pytest.raises(DatasetError, match=message) as caught:
        load_dataset(spec)
    assert hint in caught.value.hint
    assert "\n" not in caught.value.message


def test_mixed_sizes_are_brought_to_one_and_said(tmp_path):
    sizes = [(40, 60), (70, 50), (100, 100)]
    files = {f"{c}/{n}.png": picture(n, sizes[n % 3]) for n, c in enumerate("aaaaabbbbb")}
    dataset = load_dataset(write(tmp_path, files))
    assert dataset.train.shape == (32, 32, 3)
    assert dataset.notes == (
        "pictures of 40 x 60 to 100 x 100 are scaled to 32 x 32, what sticks out cut off evenly",
    )
    assert load_dataset(tmp_path, size=20).train.images.shape[1:] == (20, 20, 3)


def test_scaling_keeps_proportions_and_averages(tmp_path):
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = (np.indices((20, 20)).sum(0) % 2 * 200)[..., np.newaxis]
    files = {f"{c}/{n}.png": wide for n, c in enumerate("aabb")}
    dataset = load_dataset(write(tmp_path, files), size=10)
    assert dataset.train.images.shape[1:] == (10, 10, 3)
    # The middle third is a chessboard of 0 and 200, which shrunk by two is grey.
    assert np.abs(dataset.train.images[:, 1:-1, 1:-1].astype(int) - 100).max() <= 2


def test_a_few_of_another_size_are_scaled_to_the_rest_and_named(tmp_path):
    files = pets(60, "cat dog")
    files["cat/001.png"] = picture(1, (24, 20))
    dataset = load_dataset(write(tmp_path, files))
    assert dataset.train.shape == (12, 10, 3)
    assert dataset.notes == ("1 picture is not 12 x 10 like the rest, and scaled to it: cat/001.png",)


def test_pictures_in_both_parts_are_named_where_the_split_is_given(tmp_path):
    files = {f"train/{name}": pixels for name, pixels in pets(4, "cat dog").items()}
    files |= {f"test/{name}": 255 - pixels for name, pixels in pets(2, "cat dog").items()}
    files["test/cat/000.png"] = files["train/cat/002.png"]
    files["test/dog/000.png"] = files["train/cat/003.png"]
    dataset = load_dataset(write(tmp_path, files))
    problem = problems_of(dataset)["in_train_and_test"]
    assert problem.names == ("test/cat/000.png = train/cat/002.png", "test/dog/000.png = train/cat/003.png")
    assert problem.message.startswith(
        "2 test pictures are also in the training part, pixel for pixel (1 under another class): "
    )
    assert len(dataset.test) == 4


def test_a_test_part_made_here_holds_no_copy_of_what_is_trained_on(tmp_path):
    files: dict[str, bytes | np.ndarray] = dict(pets(10, "cat dog"))
    for number in range(8):
        # Files that differ, of the same pixels: what stands after the end of a picture is not looked at.
        files[f"cat/{number:03}.png"] = png(picture(999)) + bytes(number)
    dataset = load_dataset(write(tmp_path, files))
    trained = {image.tobytes() for image in dataset.train.images}
    assert not any(image.tobytes() in trained for image in dataset.test.images)
    kept_out = 4 - len(dataset.test)
    assert kept_out > 0
    assert f"{kept_out} picture" in dataset.notes[0]
    assert "kept out of the test part" in dataset.notes[0]


def test_too_small_or_large_a_size_is_refused(tmp_path):
    for size in (0, -3, 5000):
        with pytest.raises(UsageError, match=f"`size` must be 1 to 4096 pixels; got {size}"):
            load_dataset(tmp_path, size=size)
    with pytest.raises(UsageError, match="`root` says where the files of cifar10 are"):
        load_dataset(tmp_path, root=tmp_path)


def test_progress_counts_every_picture_to_the_end(tmp_path):
    write(tmp_path, pets(40))
    calls = []
    load_dataset(tmp_path, on_progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (120, 120)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_one_folder_around_everything_is_seen_through_and_files_beside_it_are_named(tmp_path):
    files = {f"export/pets/{name}": pixels for name, pixels in pets(5).items()}
    dataset = load_dataset(write(tmp_path, {**files, "readme.txt": b"x", "export/sheet.png": picture(1)}))
    assert dataset.classes == ("cat", "dog", "owl")
    assert problems_of(dataset)["outside_classes"].names == ("export/sheet.png", "readme.txt")


def test_a_single_class_is_said(tmp_path):
    write(tmp_path, pets(5, "cat"))
    (problem,) = load_dataset(tmp_path).problems
    assert problem.message == "there is one class only, nothing to tell it from: cat"


def test_nothing_left_to_test_on_is_said(tmp_path):
    same = {f"{class_}/{number}.png": picture(ord(class_)) for class_ in "ab" for number in range(5)}
    dataset = load_dataset(write(tmp_path, same))
    assert len(dataset.test) == 0
    assert set(problems_of(dataset)) == {"nothing_to_test"}


@pytest.mark.parametrize("outer", ["data/", "some/data/"])
@pytest.mark.parametrize("strangers", [["docs/readme.md"], ["docs/a/b.txt", "code/net.py"]])
def test_folders_without_pictures_beside_the_data_are_not_looked_at(tmp_path, outer, strangers):
    files = {f"{outer}train/{name}": pixels for name, pixels in pets(4).items()}
    files |= {f"{outer}test/{name}": 255 - pixels for name, pixels in pets(2).items()}
    files |= dict.fromkeys(strangers, b"words")
    for place in (write(tmp_path / "here", files), zipped(tmp_path / "here.zip", files)):
        dataset = load_dataset(place)
        assert dataset.split == "given"
        assert dataset.classes == ("cat", "dog", "owl")
        assert (len(dataset.train), len(dataset.test)) == (12, 6)
        assert problems_of(dataset)["outside_classes"].names == tuple(sorted(strangers))


def test_folders_without_pictures_beside_the_parts_are_not_looked_at(tmp_path):
    files = {f"train/{name}": pixels for name, pixels in pets(4).items()}
    dataset = load_dataset(write(tmp_path, {**files, "docs/readme.md": b"words"}))
    assert dataset.classes == ("cat", "dog", "owl")
    files |= {f"test/{name}": 255 - pixels for name, pixels in pets(2).items()}
    dataset = load_dataset(write(tmp_path, files))
    assert "unused_split" not in problems_of(dataset)


def test_a_class_with_folders_in_it_beside_an_empty_class_stays_a_class(tmp_path):
    nested = {f"cat/{n}/{n}.png": picture(n) for n in range(5)}
    dataset = load_dataset(write(tmp_path, {**nested, "dog": None}))
    assert dataset.classes == ("cat",)
    assert problems_of(dataset)["empty_class"].names == ("dog",)


@pytest.mark.parametrize("name", ["x,y", "x, y", "p:q", "a,b:c,d"])
def test_a_class_with_a_comma_or_colon_in_its_name_can_be_chosen(tmp_path, name):
    write(
        tmp_path / "pets", {**pets(5, "cat x y"), **{f"{name}/{n}.png": picture(n + 700) for n in range(5)}}
    )
    assert load_dataset(f"{tmp_path}/pets:{name}").classes == (name,)
    assert load_dataset(f"{tmp_path}/pets:cat,{name}").classes == ("cat", name)


def test_folders_whose_names_look_the_same_get_numbers(tmp_path):
    write(tmp_path, {**pets(5, "cat"), "a\nb/1.png": picture(1), "a\\nb/1.png": picture(2)})
    assert load_dataset(tmp_path).classes == ("a\\nb", "a\\nb (2)", "cat")


def test_run_folders_are_no_classes(tmp_path):
    run = {"run.json": b'{\n "schema": "convscope.run/1",\n "model": {}}\n', "curves.png": picture(5)}
    files = {
        f"{place}/{name}": content for place in ("one", "runs/a", "runs/b") for name, content in run.items()
    }
    dataset = load_dataset(write(tmp_path, {**pets(), **files, "owl/run.json": b'{"schema": "other"}'}))
    assert dataset.classes == ("cat", "dog", "owl")
    assert {problem.code for problem in dataset.problems} == {"run_folder", "not_a_picture"}
    assert problems_of(dataset)["run_folder"].message == (
        "3 folders were made by `convscope train`; left out: one, runs/a, runs/b"
    )


def test_a_name_written_as_macos_does_is_the_class_of_that_name(tmp_path):
    apart, whole = unicodedata.normalize("NFD", "café"), "café"
    assert apart != whole
    files = {f"{apart}/{n}.png": picture(n) for n in range(6)}
    files |= {f"{whole}/{n}.png": picture(n) for n in range(6, 10)} | {"tea/0.png": picture(20)}
    folder = zipped(tmp_path / "drinks.zip", files)
    dataset = load_dataset(folder)
    assert dataset.classes == (whole, "tea")
    assert (dataset.counts(dataset.train) + dataset.counts(dataset.test)).tolist() == [10, 1]
    for name in (apart, whole):
        assert load_dataset(folder, classes=[name, "tea"]).classes == (whole, "tea")
