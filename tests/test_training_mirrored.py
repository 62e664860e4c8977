"""Training with maps in mirrored pairs, and on parts of pictures in the first epochs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from convscope.errors import UsageError
from convscope.models import load_model
from convscope.models.mirrored import Pairs
from convscope.training import Recipe, train
from convscope.training.recipes import recipe

STEP = recipe("fast", "cifar10_small").replace(epochs=2, batch=8, evaluate_every=2, parts=((24, 0.5),))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes that differ from their mirror images: ramps, brighter on either side."""
    random = np.random.default_rng(0)
    for name, shade in (("ember", (255, 96, 32)), ("frost", (32, 96, 255))):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        for number in range(12):
            ramp = np.linspace(0, 1, 32)[None, :, None] * np.array(shade) * random.uniform(0.5, 1)
            noisy = ramp + random.normal(0, 20, (32, 32, 3))
            Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "photos"


def test_a_run_ends_with_one_answer_for_a_picture_and_its_mirror_image(photos: Path, tmp_path: Path) -> None:
    train("cifar10_small", str(photos), STEP, run=tmp_path / "run", seed=1, threads=1, film=False)
    module = load_model(str(tmp_path / "run")).module
    pairs = Pairs(module)
    for name, value in module.state_dict().items():
        assert torch.equal(pairs.reflected(name, value), value), name
    picture = torch.randn(3, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(module(picture), module(picture.flip(3)), rtol=1e-4, atol=1e-4)


def test_networks_without_pairs_and_learned_networks_are_refused(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be trained with its maps in mirrored pairs"):
        train("resnet18", str(photos), Recipe(mirrored_pairs=True), run=tmp_path / "one", size=32)
    with pytest.raises(UsageError, match="maps that were learned cannot be made mirrored pairs"):
        train(
            "cifar10_small",
            str(photos),
            recipe("transfer", "transfer").replace(mirrored_pairs=True),
            transfer=True,
            run=tmp_path / "two",
        )
