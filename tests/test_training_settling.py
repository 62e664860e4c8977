"""Batch norm's statistics taken anew: against plain averages, and in a whole training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from convscope.datasets import load_dataset
from convscope.filming import open_film
from convscope.models import load_model
from convscope.models.preprocessing import Preprocessing
from convscope.training import Recipe, train
from convscope.training.settling import settle


def chain() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4, momentum=0.4),
        nn.Dropout(0.5),
        nn.Conv2d(4, 2, 3),
        nn.BatchNorm2d(2),
    ).train()


def batches() -> list[Tensor]:
    return list(torch.randn(3, 8, 3, 9, 9, generator=torch.Generator().manual_seed(1)) * 3 + 1)


def test_the_statistics_are_the_averages_over_all_batches() -> None:
    module, inputs = chain(), batches()
    settle(module, inputs)
    for place in (1, 4):
        norm = module[place]
        assert isinstance(norm, nn.BatchNorm2d)
        means, variances = [], []
        for batch in inputs:
            before = batch
            for part in module[:place]:
                if isinstance(part, nn.BatchNorm2d):  # by hand: each batch by its own numbers
                    mean, variance = before.mean((0, 2, 3)), before.var((0, 2, 3), unbiased=False)
                    scaled = (before - mean.view(1, -1, 1, 1)) / (variance + part.eps).sqrt().view(
                        1, -1, 1, 1
                    )
                    before = scaled * part.weight.view(1, -1, 1, 1) + part.bias.view(1, -1, 1, 1)
                elif isinstance(part, nn.Conv2d):
                    before = part(before)
            means.append(before.mean((0, 2, 3)))
            variances.append(before.var((0, 2, 3)))
        assert norm.running_mean is not None
        assert norm.running_var is not None
        torch.testing.assert_close(norm.running_mean, torch.stack(means).mean(0), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(norm.running_var, torch.stack(variances).mean(0), rtol=1e-4, atol=1e-5)
    assert [part.training for part in module] == [True] * 5
    assert module[1].momentum == 0.4


def test_frozen_norms_and_a_failure_leave_things_as_they_were() -> None:
    module = chain()
    module[1].eval()
    before = module[1].state_dict()["running_mean"].clone()
    with pytest.raises(RuntimeError, match="expected input"):
        settle(module, [*batches(), torch.zeros(2, 5, 9, 9)])
    assert torch.equal(module[1].state_dict()["running_mean"], before)
    assert [part.training for part in module] == [True, False, True, True, True]
    assert module[4].momentum == 0.1


def normalized(pictures: NDArray[np.uint8], steps: Preprocessing) -> Tensor:
    """Inputs ``(N, 3, rows, columns)`` of pictures ``(N, rows, columns, 1 or 3)``."""
    pixels = torch.from_numpy(pictures.copy()).expand(*pictures.shape[:3], 3)
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (steps.mean, steps.std))
    return (pixels.permute(0, 3, 1, 2).float() / 255 - mean) / std


@pytest.mark.parametrize("averaging", ["none", "ema"])
def test_a_training_ends_with_the_statistics_of_its_pictures(averaging: str, tmp_path: Path) -> None:
    recipe = Recipe(epochs=1, batch=64, settle=True, averaging=averaging)
    film = averaging == "none"  # whose last frame is of the network that is saved
    train("cifar10_small", "digits", recipe, run=tmp_path / "run", size=32, threads=1, film=film)
    model = load_model(str(tmp_path / "run"))
    pictures = load_dataset("digits", size=32).train.images
    assert pictures is not None
    maps = model.module.conv1(model.module.pad(normalized(pictures, model.card.preprocessing)))
    norm = model.module.bn1
    torch.testing.assert_close(norm.running_mean, maps.mean((0, 2, 3)), rtol=0.02, atol=0.02)
    torch.testing.assert_close(norm.running_var, maps.var((0, 2, 3)), rtol=0.02, atol=0.02)
    if film:
        strip = open_film(tmp_path / "run")
        found = strip[len(strip) - 1].probabilities
        assert found is not None
        with torch.inference_mode():
            expected = model.module(normalized(strip.pictures, model.card.preprocessing)).softmax(1)
        torch.testing.assert_close(torch.from_numpy(found.copy()), expected, rtol=1e-3, atol=1e-5)
