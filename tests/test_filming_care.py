"""Loops of one's own as people write them: a film takes what it is given, ends no training, loses nothing."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn.utils import parametrizations

import convscope
from convscope.errors import FilmError, ModelError, UnknownModelError, UsageError
from convscope.filming import open_film

IMAGES = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def network(end: nn.Module | None = None, outputs: int = 4) -> nn.Sequential:
    torch.manual_seed(3)
    layers = [nn.Conv2d(3, 4, 5), nn.Flatten(), nn.Linear(576, outputs)]
    return nn.Sequential(*layers, *([end] if end else []))


def stepped(net: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    net(torch.randn(4, 3, 16, 16)).square().mean().backward()
    optimizer.step()


@pytest.mark.parametrize("end", [nn.Softmax(1), nn.Sigmoid()])
def test_the_answers_of_a_network_that_gives_probabilities_are_its_own(
    end: nn.Module, tmp_path: Path
) -> None:
    net = network(end)
    convscope.film(net, IMAGES, tmp_path).snap(0)
    with torch.no_grad():
        assert np.allclose(open_film(tmp_path)[0].probabilities, net(IMAGES).numpy(), atol=1e-6)


def test_outputs_that_are_no_classes_are_not_shown_as_such(tmp_path: Path) -> None:
    convscope.film(network(), IMAGES, tmp_path, answers=False).snap(0)
    assert open_film(tmp_path)[0].probabilities is None
    assert open_film(tmp_path).classes == []


@pytest.mark.parametrize(
    "kind",
    [
        lambda p: torch.optim.SGD(p, 0.01, fused=True),
        lambda p: torch.optim.Adam(p, 0.01, fused=True),
        lambda p: torch.optim.Adam(p, 0.01),
    ],
)
def test_weights_of_a_later_step_are_not_kept_under_an_earlier_one(kind: Any, tmp_path: Path) -> None:
    net = network()
    optimizer = kind(net.parameters())
    with convscope.film(net, IMAGES, tmp_path, every=4) as film:
        for step in range(1, 8):
            stepped(net, optimizer)
            if step != 7:
                film.snap(step)
    assert open_film(tmp_path).steps[-1] == 4
    changed = network()
    with convscope.film(changed, IMAGES, tmp_path / "data", every=4) as film:
        for step in range(1, 7):
            film.snap(step)
        for parameter in changed.parameters():
            parameter.data -= 0.1
    assert open_film(tmp_path / "data").steps[-1] == 4


def test_one_weight_among_many_that_changed_is_a_change(tmp_path: Path) -> None:
    net = network()
    with convscope.film(net, IMAGES, tmp_path, every=4) as film:
        for step in range(1, 7):
            film.snap(step)
        with torch.no_grad():
            net[0].weight[1, 1, 1, 1] += 1
    assert open_film(tmp_path).steps[-1] == 4


def test_what_a_killed_process_left_goes_when_the_film_is_gone_on_with(tmp_path: Path) -> None:
    convscope.film(network(), IMAGES, tmp_path).snap(0)
    left = tmp_path / "film" / f".step-000000001.npz.{'0' * 8}-1-{'0' * 8}.convscope-tmp"
    left.write_bytes(b"half")
    long_ago = time.time() - 48 * 3600
    os.utime(left, (long_ago, long_ago))
    convscope.film(network(), IMAGES, tmp_path, resume=True)
    assert not left.exists()


def test_steps_that_begin_again_each_epoch_are_told_of_once(tmp_path: Path) -> None:
    net = network()
    with convscope.film(net, IMAGES, tmp_path) as film:
        for step in range(5):
            film.snap(step)
        with pytest.warns(UserWarning, match=r"told step 0 after step 4: `step` counts from the beginning"):
            film.snap(0)
        assert not film.snap(1)
        assert film.snap(5)
    assert open_film(tmp_path).steps == (0, 1, 2, 3, 4, 5)


def test_going_on_from_the_beginning_does_not_take_the_film_away(tmp_path: Path) -> None:
    net = network()
    with convscope.film(net, IMAGES, tmp_path) as film:
        for step in range(5):
            film.snap(step)
    again = convscope.film(net, IMAGES, tmp_path, resume=True)
    assert again.wants(0)
    with pytest.raises(FilmError, match="has steps 0 to 4; going on with step 0 would replace them all"):
        again.snap(0)
    assert open_film(tmp_path).steps == (0, 1, 2, 3, 4)
    assert again.snap(3)
    assert open_film(tmp_path).steps == (0, 1, 2, 3)


def test_a_film_of_other_images_is_not_gone_on_with(tmp_path: Path) -> None:
    convscope.film(network(), IMAGES, tmp_path).snap(0)
    with pytest.raises(FilmError, match="is of other images"):
        convscope.film(network(), IMAGES + 1, tmp_path, resume=True)
    shown = np.zeros((3, 8, 8, 3), np.uint8)
    with pytest.raises(FilmError, match="is of other images"):
        convscope.film(network(), IMAGES, tmp_path, pictures=shown, resume=True)


def test_two_films_do_not_mix_in_one_folder(tmp_path: Path) -> None:
    first, second = (convscope.film(network(), IMAGES, tmp_path) for _ in range(2))
    assert first.snap(0)
    with pytest.warns(UserWarning, match=r"the film ends: .* holds a film already"):
        assert not second.snap(0)
    assert not second.snap(1)
    assert first.snap(1)
    assert open_film(tmp_path).steps == (0, 1)


def test_a_network_that_changes_ends_its_film_and_not_the_training(tmp_path: Path) -> None:
    net = network()
    film = convscope.film(net, IMAGES, tmp_path)
    film.snap(0)
    net[0], net[2] = nn.Conv2d(3, 6, 5), nn.Linear(864, 4)
    with pytest.warns(UserWarning, match=r"the film ends: the network has changed .* of another shape"):
        assert not film.snap(1)
    assert not film.snap(2)
    assert [frame.step for frame in open_film(tmp_path)] == [0]


def test_a_layer_that_is_called_no_more_ends_the_film(tmp_path: Path) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.both = nn.Conv2d(3, 2, 3), nn.Conv2d(2, 2, 3), True

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.a(x)
            return self.b(x) if self.both else x

    net = Net()
    film = convscope.film(net, IMAGES, tmp_path)
    film.snap(0)
    net.both = False
    with pytest.warns(UserWarning, match="the film ends: the network has changed since its film began"):
        assert not film.snap(1)


def test_a_folder_that_is_taken_away_is_made_again(tmp_path: Path) -> None:
    film = convscope.film(network(), IMAGES, tmp_path)
    film.snap(0)
    shutil.rmtree(tmp_path / "film")
    assert film.snap(1)
    assert open_film(tmp_path)[0].step == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"labels": 1}, "`labels` must be one for each of the 3 images; got 1"),
        ({"labels": "abc"}, "`labels` must be one for each of the 3 images; got 'abc'"),
        ({"labels": [0.5, 1.0, 2.0]}, "a label must be the number of a class, or None; got 0.5"),
        ({"labels": np.eye(3)}, r"a label must be the number of a class, or None; got \[1.0, 0.0, 0.0\]"),
        ({"labels": [0, -1, 2]}, "a label must be the number of a class, or None; got -1"),
        ({"labels": [0, 13, 2]}, "image 1 has the label 13, the network classes 0 to 3"),
        ({"names": 3}, "`names` must be one for each of the 3 images; got 3"),
        ({"classes": {0: "cat"}}, "`classes` must be a list of names"),
        ({"every": 50.5}, "`every` must be a whole number, at least 1; got 50.5"),
        ({"run": None}, "`run` must be a folder; got None"),
        ({"pictures": [[1]]}, "`pictures` must be a numpy array, uint8 of shape .*; got list"),
        ({"layers": ["conv9"]}, "the network has no convolution `conv9`"),
        ({"images": 3}, r"`images` must be a batch \(N, C, H, W\) or a list of pictures; got int"),
        ({"images": [torch.zeros(3, 16, 16), torch.zeros(3, 8, 8)]}, "must be of one size; got"),
    ],
)
def test_what_cannot_be_is_said_before_the_training_begins(
    given: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        convscope.film(network(), **{"images": IMAGES, "run": tmp_path, **given})
    assert not list(tmp_path.iterdir())


def test_images_of_another_size_and_lazy_layers_are_said_before_the_training_begins(tmp_path: Path) -> None:
    with pytest.raises(FilmError, match=r"the images do not go through the network(.|\n)*torch.stack"):
        convscope.film(network(), [Image.new("RGB", (16, 16))], tmp_path)
    lazy = nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(2))
    with pytest.raises(ModelError, match="is lazy and was never run"):
        convscope.film(lazy, IMAGES, tmp_path)
    with pytest.raises(UsageError, match="`step` must be a whole number"):
        convscope.film(network(), IMAGES, tmp_path).snap(10**18)


@pytest.mark.parametrize(
    "images",
    [
        list(IMAGES),
        [(image, label) for image, label in zip(IMAGES, (2, 0, 1), strict=True)],
        torch.utils.data.Subset(torch.utils.data.TensorDataset(IMAGES, torch.tensor([2, 0, 1])), [0, 1, 2]),
        IMAGES.numpy(),
    ],
)
def test_images_may_come_as_a_data_set_gives_them(images: Any, tmp_path: Path) -> None:
    net = network()
    convscope.film(net, images, tmp_path).snap(0)
    strip = open_film(tmp_path)
    with torch.no_grad():
        assert np.allclose(strip[0].probabilities, net(IMAGES).softmax(1).numpy(), atol=1e-6)
    labels = [image["label"] for image in strip.manifest["images"]]
    assert labels == ([None] * 3 if isinstance(images, np.ndarray) or len(images[0]) == 3 else [2, 0, 1])


def test_a_part_of_the_labels_may_be_unknown_and_names_may_be_odd(tmp_path: Path) -> None:
    film = convscope.film(
        network(), IMAGES, tmp_path, labels=[None, torch.tensor(1), np.int64(2)], names=["\ud800", "b\n", "c"]
    )
    film.snap(0)
    assert [image["label"] for image in open_film(tmp_path).manifest["images"]] == [None, 1, 2]


@pytest.mark.parametrize("wrapped", [parametrizations.weight_norm, parametrizations.spectral_norm])
def test_weights_that_are_computed_are_kept_as_they_were_used(wrapped: Any, tmp_path: Path) -> None:
    net = nn.Sequential(wrapped(nn.Conv2d(3, 4, 5))).eval()
    convscope.film(net, IMAGES, tmp_path).snap(0)
    (kernels,) = open_film(tmp_path)[0].kernels
    assert np.allclose(kernels, net[0].weight.detach().numpy(), atol=1e-6)


def test_which_layers_are_kept_may_be_chosen_and_how_many_there_are_is_said(tmp_path: Path) -> None:
    net = convscope.load_model("resnet18", weights="none")
    film = convscope.film(net, torch.rand(1, 3, 64, 64), tmp_path, layers=["conv1", "layer4.1.conv2"])
    film.snap(0)
    manifest = open_film(tmp_path).manifest
    assert [layer["name"] for layer in manifest["layers"]] == ["conv1", "layer4.1.conv2"]
    assert manifest["convolutions"] == 20
    assert manifest["layers"][1]["weight_shape"] == [512, 512, 3, 3]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("classes", None),
        ("layers", []),
        ("outputs", "x"),
        ("picture", [0, 4]),
        ("images", [{"label": 1}]),
        ("layers", [{"name": "a"}]),
        ("title", 3),
    ],
)
def test_a_film_whose_record_is_damaged_says_so(key: str, value: Any, tmp_path: Path) -> None:
    convscope.film(network(), IMAGES, tmp_path).snap(0)
    path = tmp_path / "film" / "film.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(FilmError, match="is damaged: ") as refused:
        open_film(tmp_path)
    assert refused.value.code == "damaged"


def test_what_is_a_file_and_no_film_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "film.gif").write_bytes(b"GIF89a")
    with pytest.raises(FilmError, match="holds no film of a training"):
        open_film(tmp_path / "film.gif")
    convscope.film(network(), IMAGES, tmp_path).snap(0)
    (tmp_path / "film" / "images.npz").unlink()
    with pytest.raises(FilmError, match=r"images.npz` cannot be read") as refused:
        _ = open_film(tmp_path).pictures
    assert "Remove that file" not in str(refused.value)


def test_a_folder_with_a_film_and_no_weights_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(UnknownModelError, match=r"is no run of `convscope train`: it has no run.json"):
        convscope.load_model(tmp_path)
    convscope.film(network(), IMAGES, tmp_path).snap(0)
    with pytest.raises(
        UnknownModelError, match="holds the film of a training, and no weights: convscope film"
    ):
        convscope.load_model(str(tmp_path))
