"""Test images looked at several times: mirrored, or moved by a pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cli_running import Command
from convscope.errors import UsageError
from convscope.training import Recipe, evaluate, train
from convscope.training.evaluation import measure
from convscope.training.pictures import Pictures

COUNT, SIDE, CLASSES = 60, 6, ("a", "b", "c")


@pytest.mark.parametrize("views", ["one", "mirror", "shifts"])
def test_answers_are_averaged_over_looks(views: str) -> None:
    random = np.random.default_rng(2)
    images = random.integers(0, 256, (COUNT, 3, SIDE, SIDE), np.uint8)
    labels = random.integers(0, 3, COUNT)
    torch.manual_seed(4)
    net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(80, 3))
    found = measure(net, Pictures(torch.from_numpy(images), torch.from_numpy(labels)), CLASSES, views=views)
    right, loss = 0, 0.0
    for image, label in zip(images, labels, strict=True):
        looks = [image]
        if views == "mirror":
            looks.append(image[:, :, ::-1])
        elif views == "shifts":
            wider = np.pad(image, ((0, 0), (1, 1), (1, 1)), "reflect")
            looks += [wider[:, :SIDE, :SIDE], wider[:, 2:, :SIDE], wider[:, :SIDE, 2:], wider[:, 2:, 2:]]
        with torch.no_grad():
            scores = [net(torch.from_numpy(look.copy())[None].float() / 255)[0].numpy() for look in looks]
        mean = np.mean(scores, axis=0, dtype=np.float64)
        right += int(mean.argmax() == label)
        loss += float(np.log(np.exp(mean).sum()) - mean[label])
    assert found.accuracy == right / COUNT
    assert found.loss == pytest.approx(loss / COUNT, rel=1e-5)
    assert found.to_json()["views"] == views


def test_a_run_is_measured_as_its_recipe_says_or_as_asked(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    command = Command(capsys)
    recipe = Recipe(epochs=1, views="shifts")
    run = train("tutorial_tanh", "digits", recipe, run=tmp_path / "run", threads=1, film=False)
    folder = str(run.folder)
    assert run.evaluation.views == evaluate(folder).views == "shifts"
    assert evaluate(folder).accuracy == run.evaluation.accuracy
    assert "test images right, each in 5 looks (95 %" in command("evaluate", folder).out
    assert command("evaluate", folder, "--views", "mirror", "--json").json["views"] == "mirror"
    refused = command("evaluate", folder, "--views", "two")
    assert refused.code == 2
    assert "`views` must be one of one, mirror, shifts; got 'two'" in refused.err
    with pytest.raises(UsageError, match="`views` must be one of one, mirror, shifts; got 'two'"):
        evaluate(folder, views="two")
