"""Any torch Dataset of pictures and labels is taken, and what is wrong with one is said by its item."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from convscope.datasets import load_dataset
from convscope.errors import DatasetError, UsageError
from dataset_writers import picture, png

torch = pytest.importorskip("torch")
DataLoader, TensorDataset = torch.utils.data.DataLoader, torch.utils.data.TensorDataset


class Given(torch.utils.data.Dataset):
    """Items by number, each made when it is asked for."""

    def __init__(self, items, **attributes):
        self.items = items
        self.asked = []
        vars(self).update(attributes)

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        self.asked.append(index)
        item = self.items[index]
        return item() if callable(item) else item


def _items(count=20, classes=2, form=lambda pixels: Image.fromarray(pixels)):
    return [(form(picture(n)), n % classes) for n in range(count)]


FORMS = {
    "Pillow images": Image.fromarray,
    "arrays": lambda pixels: pixels,
    "arrays of floats": lambda pixels: pixels / 255,
    "tensors of bytes": lambda pixels: torch.from_numpy(pixels.transpose(2, 0, 1).copy()),
    "tensors of floats": lambda pixels: torch.from_numpy(pixels.transpose(2, 0, 1) / 255).float(),
    "tensors of double": lambda pixels: torch.from_numpy(pixels.transpose(2, 0, 1) / 255),
}


@pytest.mark.parametrize("form", FORMS)
def test_pictures_of_every_form_come_out_the_same(form):
    dataset = load_dataset(Given(_items(form=FORMS[form])))
    assert dataset.name == "Given"
    assert dataset.classes == ("0", "1")
    assert dataset.split == "seeded 20% (seed 0)"
    assert (len(dataset.train), len(dataset.test)) == (16, 4)
    for split in dataset.parts.values():
        for name, label, image in zip(split.names, split.labels, split.images, strict=True):
            number = int(name.removeprefix("item "))
            assert label == number % 2
            np.testing.assert_array_equal(image, picture(number))


def test_each_item_is_asked_for_in_order_and_few_of_them_twice():
    given = Given(_items(200))
    load_dataset(given)
    assert given.asked[-200:] == list(range(200))
    assert len(given.asked) <= 300


def test_what_the_labels_mean_comes_from_the_data_set_or_the_caller():
    train = Given(_items(), classes=["newt", "yak"])
    assert load_dataset(train).classes == ("newt", "yak")
    assert load_dataset(torch.utils.data.Subset(train, range(10))).classes == ("newt", "yak")
    assert load_dataset(train, classes=["a", "b", "c"]).classes == ("a", "b", "c")


def test_a_pair_is_a_given_split():
    others = [(255 - picture(n), n % 2) for n in range(6)]
    dataset = load_dataset((Given(_items()), Given(others)))
    assert dataset.split == "given"
    assert (len(dataset.train), len(dataset.test)) == (20, 6)
    np.testing.assert_array_equal(dataset.test.images[5], others[5][0])


def test_plain_lists_and_tensor_datasets_will_do():
    images = torch.rand(10, 1, 6, 6)
    dataset = load_dataset(torch.utils.data.TensorDataset(images, torch.arange(10) % 2))
    assert dataset.train.shape == (6, 6, 1)
    number = int(dataset.train.names[0].removeprefix("item "))
    expected = np.rint(images[number, 0].numpy() * 255).astype(np.uint8)
    np.testing.assert_array_equal(dataset.train.images[0, ..., 0], expected)
    assert load_dataset(_items(form=lambda pixels: pixels[..., 0])).train.shape == (12, 10, 1)


def test_torchvisions_own_data_sets_are_taken(tmp_path):
    from torchvision.datasets import FakeData, ImageFolder

    for number in range(10):
        place = tmp_path / ("cat" if number % 2 else "dog")
        place.mkdir(exist_ok=True)
        (place / f"{number}.png").write_bytes(png(picture(number)))
    given, own = load_dataset(ImageFolder(tmp_path)), load_dataset(tmp_path)
    assert given.classes == own.classes == ("cat", "dog")
    pixels = [sorted(image.tobytes() for s in d.parts.values() for image in s.images) for d in (given, own)]
    assert pixels[0] == pixels[1]
    fake = load_dataset(FakeData(30, (3, 16, 16), num_classes=3))
    assert fake.train.shape == (16, 16, 3)


def test_a_large_one_is_read_as_it_is_asked_for():
    given = Given(_items(50), targets=[n % 2 for n in range(50)])
    dataset = load_dataset(given, memory=100)
    assert len(given.asked) < 50  # the labels are known without the pictures
    assert not dataset.train.in_memory
    assert "read as they are asked for" in dataset.notes[0]
    images, labels = dataset.train.batch([3, 1])
    for image, label, index in zip(images, labels, (3, 1), strict=True):
        number = int(dataset.train.names[index].removeprefix("item "))
        assert label == number % 2
        np.testing.assert_array_equal(image, picture(number))


def test_targets_that_a_transform_changes_are_not_believed():
    given = Given(_items(20), targets=[1] * 20, target_transform=lambda label: label)
    dataset = load_dataset(given, memory=100)
    assert sorted({*dataset.train.labels.tolist()}) == [0, 1]


def _broken():
    raise OSError("broken data stream")


def test_an_item_that_cannot_be_read_is_counted_and_named_and_the_rest_goes_on():
    items = _items(40)
    items[7] = _broken
    dataset = load_dataset(Given(items))
    (problem,) = dataset.problems
    assert problem.names == ("item 7",)
    assert "item 7 cannot be read: OSError: broken data stream" in problem.message
    assert len(dataset.train) + len(dataset.test) == 39
    with pytest.raises(DatasetError, match=r"item 7 cannot be read: .* \(asked to be strict\)"):
        load_dataset(Given(items), strict=True)


def test_a_data_set_whose_own_code_fails_gives_the_reason():
    with pytest.raises(DatasetError, match="no item can be read: item 0 cannot be read: OSError: broken"):
        load_dataset(Given([_broken] * 5))


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (10, r"item 3 has the label 10, but the labels of 2 classes are 0 to 1"),
        (-1, r"item 3 has the label -1, but the labels of 2 classes are 0 to 1"),
        ("cat", "the label of item 3 is 'cat', expected a whole number"),
        (0.5, "the label of item 3 is 0.5, expected a whole number"),
        (np.array([0, 1]), r"the label of item 3 is array\(\[0, 1\]\), expected a whole number"),
        (torch.tensor([0, 1]), r"the label of item 3 is tensor\(\[0, 1\]\), expected a whole number"),
    ],
)
def test_a_label_that_is_none_is_refused(label, message):
    items = _items()
    items[3] = (items[3][0], label)
    with pytest.raises(DatasetError, match=message) as caught:
        load_dataset(Given(items, classes=["a", "b"]))
    assert caught.value.code == "bad_label"


@pytest.mark.parametrize("label", [np.int64(1), torch.tensor(1), np.uint8(1)])
def test_labels_may_be_numbers_of_numpy_and_torch(label):
    items = [(pixels, label) for pixels, _ in _items()]
    assert set(load_dataset(Given(items)).train.labels.tolist()) == {1}


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (picture(1), "item 0 is a ndarray, expected a pair of a picture and a label"),
        (("cat.png", 1), "item 0 has a str where a picture was expected"),
        ((torch.randn(3, 5, 5) * 3, 1), r"item 0 has values from -\S+ to \S+, expected 0 to 1"),
        ((picture(1), 1, 1), "item 0 holds 3 things, expected a picture and a label"),
        ((torch.rand(2, 8, 8), 1), r"item 0 is a tensor of shape \(2, 8, 8\), expected \(channels, height"),
    ],
)
def test_items_that_are_no_picture_and_label_are_refused(item, message):
    with pytest.raises(DatasetError, match=message) as caught:
        load_dataset(Given([item] * 5))
    assert caught.value.code == "not_a_dataset"


def test_normalised_pictures_are_refused_with_the_way_out():
    with pytest.raises(DatasetError, match="expected 0 to 1") as caught:
        load_dataset(Given([(torch.randn(3, 5, 5) * 3, 1)] * 5))
    assert "Leave normalisation out" in caught.value.hint


def test_things_that_are_no_data_set_are_refused():
    with pytest.raises(UsageError, match="generator has not both") as caught:
        load_dataset(item for item in _items())
    assert "make a list first" in caught.value.hint
    with pytest.raises(UsageError, match="int has not both"):
        load_dataset(5)
    with pytest.raises(DatasetError, match="the Given is empty"):
        load_dataset(Given([]))


def test_mixed_sizes_and_a_coloured_one_among_grey_ones():
    items = [(picture(n, (40 + n, 50)), n % 2) for n in range(20)]
    dataset = load_dataset(Given(items))
    assert dataset.train.shape == (32, 32, 3)
    assert dataset.notes[0].startswith("pictures of 40 x 50 to 59 x 50 are scaled to 32 x 32")
    grey = [(picture(n)[..., 0], n % 2) for n in range(200)]
    grey[101] = (picture(101), 1)
    dataset = load_dataset(Given(grey))
    assert dataset.problems == ()
    assert dataset.train.shape[2] == 3
    for split in dataset.parts.values():
        for name, image in zip(split.names, split.images, strict=True):
            number = int(name.removeprefix("item "))
            expected = picture(number) if number == 101 else picture(number)[..., :1].repeat(3, 2)
            np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("memory", [2**20, 1000])
@pytest.mark.parametrize("labelled", [False, True])
def test_a_set_with_any_coloured_item_is_coloured(memory, labelled):
    items = [(picture(n) if n % 2 else picture(n)[..., 0], n % 3) for n in range(320)]
    given = Given(items, targets=[n % 3 for n in range(320)]) if labelled else Given(items)
    dataset = load_dataset(given, memory=memory)
    images, _ = dataset.train.batch(range(len(dataset.train)))
    assert dataset.problems == ()
    assert images.shape == (len(dataset.train), 12, 10, 3)
    for name, image in zip(dataset.train.names, images, strict=True):
        number = int(name.removeprefix("item "))
        expected = picture(number) if number % 2 else picture(number)[..., :1].repeat(3, 2)
        np.testing.assert_array_equal(image, expected)


def test_a_coloured_test_part_makes_a_grey_training_part_coloured():
    grey = [(picture(n)[..., 0], n % 2) for n in range(20)]
    coloured = [(picture(100 + n), n % 2) for n in range(6)]
    for pair in ((grey, coloured), (coloured, grey)):
        for memory in (2**20, 1000):
            dataset = load_dataset(pair, memory=memory)
            assert dataset.train.shape == dataset.test.shape == (12, 10, 3)
            assert dataset.problems == ()
            assert len(dataset.train.batch(range(6))[0]) == 6


def test_an_item_of_no_numbers_costs_itself_alone():
    pictures = torch.rand(300, 3, 8, 8)
    pictures[44, 0, 0, 0] = float("nan")
    (problem,) = load_dataset(TensorDataset(pictures, torch.arange(300) % 3)).problems
    assert problem.names == ("item 44",)
    assert problem.message.endswith("item 44 has values that are no numbers: NaN or infinite")


@pytest.mark.parametrize(
    ("picture_", "message", "hint"),
    [
        (
            np.random.default_rng(0).random((3, 9, 7)),
            r"array of shape \(3, 9, 7\)",
            "array.transpose(1, 2, 0)",
        ),
        (torch.rand(9, 7, 3), r"tensor of shape \(9, 7, 3\)", "tensor.permute(2, 0, 1)"),
        (torch.rand(4, 9, 7), r"tensor of shape \(4, 9, 7\)", "Channels may be 1 or 3"),
        (torch.rand(3, 9, 7) * 255, "expected 0 to 1", "Divide by 255"),
        (torch.randn(3, 9, 7), "expected 0 to 1", "normalisation"),
        (torch.rand(63), r"tensor of shape \(63,\)", "Channels may be 1 or 3"),
    ],
)
def test_a_picture_of_another_form_is_refused_with_the_way_out(picture_, message, hint):
    with pytest.raises(DatasetError, match=message) as caught:
        load_dataset([(picture_, 0), (picture_, 1)])
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        (None, "Give a name, a folder"),
        (5, "Give a name, a folder"),
        (iter([1]), "make a list first"),
        (DataLoader(TensorDataset(torch.rand(2, 3, 4, 4), torch.arange(2))), "load_dataset(loader.dataset)"),
    ],
)
def test_what_is_no_data_set_is_told_what_to_give_instead(given, hint):
    with pytest.raises(UsageError) as caught:
        load_dataset(given)
    assert hint in (caught.value.hint or "")


def test_classes_of_one_name_are_numbered_and_names_given_twice_refused():
    items = [(picture(n), n % 3) for n in range(30)]
    given = Given(items)
    given.classes = ["crane", "crane", "dog"]
    assert load_dataset(given).classes == ("crane", "crane (2)", "dog")
    with pytest.raises(UsageError, match="the class `u` is named twice"):
        load_dataset(items, classes=["u", "u", "v"])


def test_sizes_of_some_are_not_said_to_be_those_of_all():
    every = [(picture(n, (400, 300) if n == 17 else (40 + n % 20, 50)), n % 2) for n in range(320)]
    note = load_dataset(Given(every)).notes[0]
    assert note.startswith("pictures of 40 x 50 to 400 x 300 are scaled to 32 x 32")
    note = load_dataset(Given(every, targets=[n % 2 for n in range(320)]), memory=1000).notes[0]
    assert note.startswith(
        "pictures are scaled to 32 x 32, what sticks out cut off evenly; 32 of 320 were looked at"
    )
