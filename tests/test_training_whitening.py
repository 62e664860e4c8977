"""Filters that begin along the principal directions of the pictures' patches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from convscope.errors import UsageError
from convscope.models import load_model
from convscope.tracing import blank_input, trace
from convscope.training import Recipe, train
from convscope.training.whitening import first_convolution, whiten

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")


def pictures(count: int = 300, side: int = 11) -> Tensor:
    """Neighbouring pixels and channels are alike, and the mean is not 0."""
    noise = torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(5))
    return (noise + 2 * noise.mean(1, keepdim=True)).cumsum(2).cumsum(3).div(side) + 0.7


def patches(images: Tensor, size: int) -> np.ndarray:
    """Every patch as a row, channels first: numpy's windows instead of torch's unfold."""
    windows = np.lib.stride_tricks.sliding_window_view(
        images.numpy().astype(np.float64), (size, size), (2, 3)
    )
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, 3 * size * size)


def test_the_filters_are_principal_directions_over_their_deviations() -> None:
    layer, images = nn.Conv2d(3, 24, 2), pictures()
    whiten(layer, images.split(64))
    rows = patches(images, 2)
    _, deviations, directions = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    variances = deviations**2 / len(rows)
    wanted = directions / np.sqrt(variances + 0.05 * variances.mean())[:, None]
    filters = layer.weight.detach().flatten(1).numpy()[:12]
    signs = np.sign((filters * wanted).sum(1, keepdims=True))
    np.testing.assert_allclose(filters, signs * wanted, rtol=0.02, atol=0.01)
    assert layer.bias is not None
    np.testing.assert_allclose(layer.bias.detach().numpy()[:12], -filters @ rows.mean(0), atol=0.01)


def test_opposites_follow_and_what_is_beyond_them_stays() -> None:
    layer = nn.Conv2d(3, 26, 2, bias=False)
    before = layer.weight.detach().clone()
    whiten(layer, [pictures()])
    assert torch.equal(layer.weight[12:24], -layer.weight[:12])
    assert torch.equal(layer.weight[24:], before[24:])


def test_few_filters_are_the_strongest_directions_and_their_opposites() -> None:
    few, all_ = nn.Conv2d(3, 5, 2, bias=False), nn.Conv2d(3, 24, 2, bias=False)
    for layer in (few, all_):
        whiten(layer, [pictures()])
    assert torch.equal(few.weight, torch.cat([all_.weight[:3], -all_.weight[:2]]))


def test_filters_further_apart_see_the_patches_they_will_see() -> None:
    images = pictures(side=13)
    wide, near = nn.Conv2d(3, 6, 2, dilation=2), nn.Conv2d(3, 6, 2)
    whiten(wide, [images])
    whiten(near, [images[:, :, ::2, ::2]])
    np.testing.assert_allclose(wide.weight.detach(), near.weight.detach(), rtol=0.5, atol=0.1)


def test_pictures_of_one_colour_leave_the_filters_as_they_are() -> None:
    layer = nn.Conv2d(3, 8, 3)
    before = layer.weight.detach().clone()
    whiten(layer, [torch.full((4, 3, 8, 8), 0.5)])
    assert torch.equal(layer.weight, before)


def test_the_layer_is_the_one_that_reads_the_picture() -> None:
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.second = nn.Conv2d(4, 2, 3)
            self.first = nn.Conv2d(3, 4, 3)

        def forward(self, image: Tensor) -> Tensor:
            return self.second(self.first(image).relu()).mean((2, 3))

    model = load_model(Backwards(), input_size=16)
    assert first_convolution(trace(model, blank_input(model), keep=[])) is model.module.first


@pytest.mark.parametrize("freeze", [False, True])
def test_a_run_begins_with_them_and_its_recipe_says_so(freeze: bool, tmp_path: Path) -> None:
    first: list[Tensor] = []

    def on_step(step: int, module: nn.Module) -> None:
        first.append(next(module.parameters()).detach().clone())

    recipe = Recipe(epochs=1, batch=1000, whiten=True, freeze_first=freeze)
    run = train(
        "tutorial_tanh", "digits", recipe, run=tmp_path / "run", threads=1, on_step=on_step, film=False
    )
    assert run.config["recipe"]["whiten"] is True
    assert torch.equal(first[0], first[-1]) is freeze
    rows = first[0].flatten(1)[:8]
    between = (rows @ rows.t()).fill_diagonal_(0)
    # Eight directions; their opposites follow.
    assert float(between.abs().max()) < 1e-3 * float(rows.norm(dim=1).min()) ** 2


def test_what_cannot_begin_so_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no convolution of this network reads the picture"):
        train("tutorial_mlp", "digits", Recipe(epochs=1, whiten=True), run=tmp_path / "a")
    with pytest.raises(UsageError, match="cannot begin anew"):
        train("alexnet", "digits", Recipe(whiten=True), run=tmp_path / "b", transfer=True, weights="none")
