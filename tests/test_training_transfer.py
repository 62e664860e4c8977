"""What a network has learned, put to use for other classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import convscope
from convscope.errors import ModelError, UsageError
from convscope.models import load_model
from convscope.models.card import Model
from convscope.training import Recipe, recipe, train
from convscope.training.networks import build, find_scores

HEADS = {
    "alexnet": ["classifier.6"],
    "squeezenet1_1": ["classifier.1"],
    "googlenet": ["fc"],
    "densenet121": ["classifier"],
    "mobilenet_v3_small": ["classifier.3"],
    "swin_t": ["head"],
    "timm:resnetv2_50": ["head.fc"],
    "timm:mobilenetv3_small_050": ["classifier"],
    "timm:convnext_atto": ["head.fc"],
    "timm:vit_tiny_patch16_224": ["head"],
    "timm:deit_tiny_distilled_patch16_224": ["head", "head_dist"],
    "timm:dla34": ["fc"],
}


@pytest.mark.parametrize("name", HEADS)
def test_the_layers_that_make_the_scores_are_found_and_exchanged(name: str) -> None:
    if name.startswith("timm:"):
        pytest.importorskip("timm")
    model = load_model(name, weights="none", input_size=96 if name in ("swin_t",) else None)
    found = find_scores(model)
    assert list(found.ends) == HEADS[name]
    heads = found.heads(7)
    assert [layer["outputs"] for head in heads for layer in head.layers] == [7] * len(heads)


@pytest.mark.parametrize("name", ["squeezenet1_1", "timm:mobilenetv3_small_050"])
def test_the_exchanged_network_gives_the_new_number_of_scores(name: str) -> None:
    network = build(name, tuple("abcde"), size=64)
    with torch.no_grad():
        assert network.module(torch.zeros(2, 3, 64, 64)).shape == (2, 5)


def test_article_bs_classifier_is_9216_to_1024_to_102_with_log_softmax() -> None:
    learned = load_model("alexnet", weights="none")
    chosen = recipe("article", "transfer:alexnet")
    network = build(
        "alexnet", tuple(f"flower {i}" for i in range(102)), learned=learned, hidden=chosen.hidden
    )
    assert network.heads == ("classifier",)
    shapes = [tuple(p.shape) for p in network.module.classifier.parameters()]
    assert shapes == [(1024, 9216), (1024,), (102, 1024), (102,)]
    with torch.no_grad():
        scores = network.module.eval()(torch.zeros(1, 3, 224, 224))
    assert scores.exp().sum() == pytest.approx(1.0, abs=1e-5)


def test_a_network_whose_scores_no_layer_makes_alone_is_refused_with_a_way_out() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 5, 3)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.conv(image).mean((2, 3))

    with pytest.raises(ModelError, match="gives 5 class scores, and no single Linear"):
        build(Odd(), tuple("abc"), size=32)

    class NoScores(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image

    with pytest.raises(ModelError, match="gives no class scores"):
        build(NoScores(), tuple("abc"), size=32)


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of two kinds, of several sizes: mostly red, mostly blue."""
    place = tmp_path_factory.mktemp("colours")
    random = np.random.default_rng(0)
    for name, colour in (("red", (200, 40, 40)), ("blue", (40, 40, 200))):
        (place / name).mkdir()
        for i in range(20):
            size = (int(random.integers(40, 90)), int(random.integers(40, 90)), 3)
            pixels = np.clip(random.normal(colour, 40, size), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(place / name / f"{i}.png")
    return place


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory, colours: Path) -> Path:
    """A small network trained on the two colours from the start: something to transfer from."""
    folder = tmp_path_factory.mktemp("learned") / "run"
    train("tutorial_tanh", colours, Recipe(epochs=6, batch=8), run=folder, threads=1)
    return folder


def test_only_the_new_classifier_is_trained(learned: Path, tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    before = load_model(learned).module.state_dict()
    run = train(
        learned, "digits:0,1", Recipe(epochs=6, batch=32), transfer=True, run=tmp_path / "run", threads=1
    )
    after = run.model().module.state_dict()
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert changed == {"9.weight", "9.bias"}
    assert run.evaluation.accuracy > 0.75
    assert run.config["transfer"] == {"weights": "default", "frozen": True}
    # The pictures are prepared as those it first learned from, and a photo looked at later too.
    assert run.model().card.preprocessing.mean == load_model(learned).card.preprocessing.mean


def test_thereafter_every_weight_is_trained_and_the_classifier_is_kept(
    learned: Path, colours: Path, tmp_path: Path
) -> None:
    run = train(learned, colours, "finetune", transfer=True, unfreeze=True, run=tmp_path / "run", threads=1)
    before, after = load_model(learned).module.state_dict(), run.model().module.state_dict()
    assert all(not torch.equal(value, after[name]) for name, value in before.items())
    # At a low rate what was known stays known: nothing was exchanged.
    assert run.config["model"]["heads"] == load_config(learned)["model"]["heads"]
    assert run.evaluation.accuracy == 1.0


def test_photos_of_many_sizes_are_learned_and_looked_at_through_their_run(
    learned: Path, colours: Path
) -> None:
    model = load_model(learned)
    trace = convscope.trace(model, colours / "blue" / "3.png")
    assert trace.predictions(1)[0].label == "blue"
    assert model.card.source == "run"


def test_frozen_batch_norms_keep_their_statistics(tmp_path: Path, colours: Path) -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 9),
    )
    net[1].running_mean.fill_(0.25)
    train(net, colours, Recipe(epochs=1, batch=8), transfer=True, size=32, run=tmp_path / "run", threads=1)
    assert net[1].running_mean.tolist() == [0.25] * 4
    assert net[5].out_features == 2


def test_evaluating_on_other_pictures_matches_classes_by_name(learned: Path, colours: Path) -> None:
    found = convscope.evaluate(learned, f"{colours}:blue")
    assert found.per_class == {"blue": 1.0}
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    with pytest.raises(convscope.ConvscopeError, match="knows no class 0, 1, 2, 3, 4"):
        convscope.evaluate(learned, "digits")


def test_a_hidden_layer_needs_one_linear_layer_at_the_end() -> None:
    model = load_model("squeezenet1_1", weights="none")
    with pytest.raises(ModelError, match="does not end in one linear layer"):
        find_scores(model).classifier(3, 100)


def test_streamed_pictures_train_like_those_in_memory(colours: Path, tmp_path: Path) -> None:
    from convscope.datasets import load_dataset

    quick = Recipe(epochs=2, batch=7, flip="random", translate=2)
    weights = []
    for name, memory in (("held", 1 << 28), ("streamed", 0)):
        data = load_dataset(colours, size=32, memory=memory)
        assert data.train.in_memory is (name == "held")
        run = train("tutorial_tanh", data, quick, run=tmp_path / name, threads=1)
        weights.append((run.folder / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_transfer_takes_a_model_given_in_python() -> None:
    model = load_model("tutorial_tanh", weights="none")
    assert isinstance(model, Model)
    network = build(model, tuple("abc"), learned=model)
    assert network.outputs == 3
    with pytest.raises(UsageError, match="`epochs` must be at least 1"):
        Recipe(epochs=-1)


def load_config(folder: Path) -> dict[str, dict[str, object]]:
    import json

    config: dict[str, dict[str, object]] = json.loads((folder / "run.json").read_text())
    return config
