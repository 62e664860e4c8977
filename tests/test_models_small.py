"""Our own networks: what they are made of, and what the weights in the package are worth."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import nn

from convscope.errors import WeightsError
from convscope.models import list_models, load_model
from convscope.models.mirrored import folded
from convscope.models.small_models import RIGHT, WEIGHTS
from convscope.models.small_nets import smooth_pool
from convscope.tracing import trace


def test_the_small_network_tensor_by_tensor() -> None:
    sizes = [p.numel() for p in load_model("cifar10_small", weights="none").module.parameters()]
    block = [[a * b * 9, b, b, b * b * 9, b, b] for a, b in ((32, 64), (64, 208), (208, 208))]
    assert sizes == [3 * 49 * 32, 32, 32, *block[0], *block[1], *block[2], 2080]
    assert sum(sizes) == 1_352_000


def test_resnet9_is_pages_by_the_digit() -> None:
    model = load_model("resnet9")
    assert model.card.weights == "random"
    pairs = ((3, 64), (64, 128), (128, 128), (128, 128), (128, 256), (256, 512), (512, 512), (512, 512))
    assert (
        sum(p.numel() for p in model.module.parameters()) == sum(9 * a * b + 2 * b for a, b in pairs) + 5120
    )
    assert sum(isinstance(layer, nn.Conv2d) for layer in model.module.modules()) == 8
    with torch.no_grad():
        assert model.module(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_fresh_convolutions_pass_their_maps_on() -> None:
    block = load_model("cifar10_small", weights="none").module.layer1
    maps = torch.randn(1, 32, 8, 8)
    assert isinstance(block.conv1, nn.Conv2d)
    one, other = block.conv1(maps).chunk(2, 1)
    torch.testing.assert_close(torch.cat([one[:, :16], other[:, :16]], 1), maps)


@pytest.mark.parametrize("side", [13, 6])
def test_pooling_is_the_mean_of_the_largest_around_each_of_four_cells(side: int) -> None:
    maps = torch.randn(2, 4, side, side)
    found = smooth_pool(side)(maps)
    reach = (0, 1) if side % 2 else (-1, 0, 1)
    assert found.shape[2:] == (side // 2, side // 2)
    for row, column in product(range(side // 2), repeat=2):
        largest = []
        for i, j in product((2 * row, 2 * row + 1), (2 * column, 2 * column + 1)):
            around = [(i + a, j + b) for a, b in product(reach, reach)]
            inside = [maps[..., a, b] for a, b in around if 0 <= a < side and 0 <= b < side]
            largest.append(torch.stack(inside).amax(0))
        torch.testing.assert_close(found[..., row, column], torch.stack(largest).mean(0))


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_what_its_model_card_says(training: bool) -> None:
    module, picture = load_model("cifar10_small").module, torch.randn(2, 3, 32, 32)
    weights = module.state_dict()
    module.training = training  # of the network; its batch norms still go by what they keep

    def conv(maps: torch.Tensor, layer: str, padding: int = 1) -> torch.Tensor:
        return nn.functional.conv2d(maps, weights[f"{layer}.weight"], padding=padding)

    def norm(maps: torch.Tensor, layer: str) -> torch.Tensor:
        mean, variance, shift = (weights[f"{layer}.{n}"] for n in ("running_mean", "running_var", "bias"))
        scale = weights[f"{layer}.weight"] / (variance + 1e-5).sqrt()
        return ((maps - mean[:, None, None]) * scale[:, None, None] + shift[:, None, None]).clamp_min(0)

    with torch.inference_mode():
        cells = torch.arange(32) if training else torch.arange(-1, 33).clamp(0, 31)
        maps = norm(conv(picture[..., cells, :][..., cells], "conv1", 0), "bn1")
        maps = norm(nn.functional.max_pool2d(conv(maps, "layer1.conv1"), 2), "layer1.bn1")
        maps = norm(conv(maps, "layer1.conv2"), "layer1.bn2")
        maps = nn.functional.max_pool2d(conv(maps, "layer2.conv1"), 2, 1)
        largest = []
        for down, across in [(0, 0)] if training else product((0, 1), repeat=2):
            way = norm(nn.functional.avg_pool2d(maps[..., down:, across:], 2), "layer2.bn1")
            assert way.shape[2:] == (6, 6)
            way = norm(conv(way, "layer2.conv2"), "layer2.bn2")
            for place in (1, 2):
                way = norm(conv(way, f"layer3.conv{place}"), f"layer3.bn{place}")
            largest.append(way.amax((2, 3)))
        expected = torch.stack(largest).amax(0) @ weights["fc.weight"].t()
        torch.testing.assert_close(module(picture), expected, rtol=1e-4, atol=1e-4)


def test_the_cells_it_reads_go_by_the_mode_however_that_is_set() -> None:
    model, picture = load_model("cifar10_small"), torch.randn(1, 3, 32, 32)
    module = model.module
    with torch.inference_mode():
        expected = module(picture)
        found = trace(model, picture)
        module.train()
        # A trace is of evaluation mode, and leaves a network as it was.
        again = trace(model, picture)
        assert again.multiply_adds == found.multiply_adds
        torch.testing.assert_close(again.output, expected)
        assert module.layer2(torch.randn(2, 64, 13, 13)).shape[2:] == (6, 6)
        module.load_state_dict(load_model("cifar10_small").module.state_dict())
        for part in module.modules():
            part.training = False
        torch.testing.assert_close(module(picture), expected)
        assert module.train()(picture).shape == (1, 10)
        assert module.layer2(torch.randn(2, 64, 13, 13)).shape[2:] == (6, 6)


def test_the_weights_in_the_package_are_small_and_one_of_each_pair_in_half_precision() -> None:
    assert WEIGHTS.stat().st_size <= 1_400_000
    expected = folded(load_model("cifar10_small", weights="none").module)
    with safe_open(WEIGHTS, "pt") as file:
        assert set(file.keys()) == set(expected)
        for name, like in expected.items():
            tensor = file.get_tensor(name)
            assert tensor.shape == like.shape
            if like.is_floating_point():
                assert tensor.dtype == torch.float16
                assert tensor.isfinite().all(), name


def test_the_model_comes_ready_and_says_what_it_was_trained_on() -> None:
    model = load_model("cifar10_small")
    assert not model.module.training
    assert {p.dtype for p in model.module.parameters()} == {torch.float32}
    assert model.card.preprocessing.crop == (32, 32)
    assert model.card.categories[6] == "frog"
    assert any("JPEG" in note for note in model.card.notes)
    (entry,) = list_models("cifar10_small")
    assert entry.weights
    with pytest.raises(WeightsError, match="cifar10_small has no weights `IMAGENET1K_V1`"):
        load_model("cifar10_small", weights="IMAGENET1K_V1")


def test_a_picture_and_its_mirror_image_get_the_same_answer() -> None:
    module, picture = load_model("cifar10_small").module, torch.randn(4, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(module(picture), module(picture.flip(3)))
    filters = module.conv1.weight
    assert isinstance(filters, torch.Tensor)
    assert torch.equal(filters[:16].flip(3), filters[16:])


def test_the_first_layer_is_worth_looking_at() -> None:
    filters = load_model("cifar10_small").module.conv1.weight
    assert isinstance(filters, torch.Tensor)
    assert filters.shape == (32, 3, 7, 7)
    centred = filters.detach() - filters.detach().mean((2, 3), keepdim=True)
    energy = centred.square().mean()
    neighbours = (centred[..., 1:] * centred[..., :-1]).mean() + (
        centred[..., 1:, :] * centred[..., :-1, :]
    ).mean()
    # Of noise, neighbouring weights have nothing in common (about -0.02 for 7 x 7 after centring).
    assert float(neighbours / 2 / energy) > 0.4


@pytest.mark.slow
def test_the_weights_answer_as_well_as_the_card_says(shared: Path) -> None:
    from convscope.datasets import load_dataset

    test = load_dataset(str(shared / "data" / "cifar10-jpeg.zip")).test
    model = load_model("cifar10_small")
    steps = model.card.preprocessing
    right = 0
    with torch.inference_mode():
        for start in range(0, len(test), 500):
            pixels = torch.from_numpy(test.images[start : start + 500]).permute(0, 3, 1, 2).float() / 255
            inputs = (pixels - torch.tensor(steps.mean).view(3, 1, 1)) / torch.tensor(steps.std).view(3, 1, 1)
            labels = torch.from_numpy(test.labels[start : start + 500])
            right += int((model.module(inputs).argmax(1) == labels).sum())
    # Another processor rounds otherwise, and a picture on the edge may change sides.
    assert len(test) == 10_000
    assert abs(right - RIGHT) <= 5
