"""The articles' networks: their sizes to the digit, and three spellings of one net."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from convscope.errors import WeightsError
from convscope.models import load_model
from convscope.models.article_nets import respell_tanh

SPELLINGS = ("tutorial_tanh", "tutorial_tanh_modules", "tutorial_tanh_functional")


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("tutorial_mlp", [3145728, 1024, 524288, 512, 65536, 128, 1280, 10]),
        *((name, [432, 16, 1152, 8, 16384, 32, 320, 10]) for name in SPELLINGS),
        (
            "tutorial_cnn",
            [3 * 9 * 32, 32, 32 * 9 * 32, 32, 32 * 16 * 16 * 512, 512, 5120, 10],
        ),
    ],
)
def test_parameters_are_the_published_ones_tensor_by_tensor(name: str, sizes: list[int]) -> None:
    model = load_model(name)
    assert [parameter.numel() for parameter in model.module.parameters()] == sizes
    total = {"tutorial_mlp": 3_738_506, "tutorial_cnn": 4_210_090}.get(name, 18_354)
    assert sum(sizes) == total
    with torch.no_grad():
        assert model.module(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_alexnet_is_torchvisions() -> None:
    model = load_model("alexnet", weights="none")
    assert model.card.source == "torchvision"
    assert sum(parameter.numel() for parameter in model.module.parameters()) == 61_100_840


def test_the_three_spellings_compute_the_same_numbers() -> None:
    image = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        outputs = [load_model(name).module(image) for name in SPELLINGS]
    assert torch.equal(outputs[0], outputs[1])
    assert torch.equal(outputs[0], outputs[2])


@pytest.mark.parametrize("name", SPELLINGS)
def test_weights_of_one_spelling_fit_the_others(name: str, tmp_path: Path) -> None:
    path = tmp_path / "trained.pt"
    source = load_model("tutorial_tanh").module
    for parameter in source.parameters():
        parameter.data.mul_(2)
    torch.save(source.state_dict(), path)
    model = load_model(name, weights=path)
    image = torch.ones(1, 3, 32, 32)
    assert torch.equal(model.module(image), source(image))
    respelled = any("another spelling" in note for note in model.card.notes)
    assert respelled is (name != "tutorial_tanh")
    assert not model.card.random


def test_respelling_twice_changes_nothing() -> None:
    state = load_model("tutorial_tanh").module.state_dict()
    assert list(respell_tanh(respell_tanh(state))) == list(state)


def test_cards_carry_what_belongs_to_cifar10() -> None:
    card = load_model("tutorial_cnn").card
    assert card.preprocessing.mean == (0.4914, 0.4822, 0.4465)
    assert card.preprocessing.std == (0.2470, 0.2435, 0.2616)
    assert card.preprocessing.crop == (32, 32)
    assert (card.categories[0], card.categories[7], len(card.categories)) == ("airplane", "horse", 10)
    assert card.random
    with pytest.raises(WeightsError, match="tutorial_cnn has no weights `V1`"):
        load_model("tutorial_cnn", weights="V1")
