"""Proof that training trains, and that nothing leaks from the pictures it is measured on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from convscope.datasets import Dataset, Split, load_dataset
from convscope.errors import TrainingError, UsageError
from convscope.models import load_model
from convscope.training import Recipe, evaluate, measure_leak, recipe, train
from convscope.training.engine import Engine
from convscope.training.evaluation import measure, wilson
from convscope.training.networks import build
from convscope.training.pictures import Pictures, ready

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")

COUNTS = {
    "tutorial_cnn": [864, 32, 9216, 32, 4194304, 512, 5120, 10],
    "tutorial_mlp": [3145728, 1024, 524288, 512, 65536, 128, 1280, 10],
    "tutorial_tanh": [432, 16, 1152, 8, 16384, 32, 320, 10],
}


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits", size=32)


@pytest.mark.parametrize("name", COUNTS)
def test_the_articles_networks_have_the_articles_parameters_to_the_digit(name: str) -> None:
    network = build(name, tuple("abc"), outputs=recipe("article", name).outputs)
    assert [p.numel() for p in network.module.parameters()] == COUNTS[name]
    fitted = build(name, tuple("abc"))
    last = COUNTS[name][-2] // 10
    assert sum(p.numel() for p in fitted.module.parameters()) == sum(COUNTS[name]) - 7 * (last + 1)


@pytest.mark.parametrize("name", ["tutorial_cnn", "tutorial_tanh"])
def test_32_images_are_learned_by_heart(name: str, digits: Dataset, tmp_path: Path) -> None:
    few = Dataset("32 digits", digits.classes, _part(digits.train, 32), _part(digits.train, 32))
    changes = (
        {"epochs": 40, "optimizer": "adam", "learning_rate": 0.001}
        if name == "tutorial_cnn"
        else {"epochs": 60, "learning_rate": 0.02}
    )
    learning = recipe("article", name).replace(batch=8, momentum=0.9, evaluate_every=60, **changes)
    run = train(name, few, learning, run=tmp_path / "run", threads=1, checkpoint_seconds=1000)
    assert run.evaluation.accuracy == 1.0
    assert run.evaluation.images == 32


def test_a_step_goes_down_the_gradient_that_differences_give() -> None:
    """One step of plain SGD, its direction found a second time by raising and lowering each weight."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Tanh(), nn.Flatten(), nn.Linear(2 * 30 * 30, 3))
    pixels = torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8)
    pictures = Pictures(pixels, torch.tensor([0, 1, 2, 1]), (0.4,) * 3, (0.2,) * 3)
    model = load_model(net, input_size=32)
    plain = Recipe(
        epochs=1, batch=4, learning_rate=0.5, schedule="constant", warmup=0, momentum=0, weight_decay=0
    )
    before = {name: value.clone() for name, value in net.state_dict().items()}

    def loss(name: str, place: int, change: float) -> float:
        state = {key: value.double() for key, value in before.items()}
        state[name].view(-1)[place] += change
        inputs = (pixels.double() / 255 - 0.4) / 0.2
        scores = torch.func.functional_call(net.double(), state, inputs)
        return float(functional.cross_entropy(scores, pictures.labels))

    chosen = [(name, place) for name, value in before.items() for place in (0, value.numel() // 2)]
    differences = [(loss(n, p, 1e-5) - loss(n, p, -1e-5)) / 2e-5 for n, p in chosen]
    net.float().load_state_dict(before)
    engine = Engine(model, pictures, pictures, ("a", "b", "c"), plain)
    engine.run()
    after = net.state_dict()
    steps = [float((before[n] - after[n]).view(-1)[p]) / 0.5 for n, p in chosen]
    assert steps == pytest.approx(differences, rel=2e-3, abs=1e-6)


def test_with_labels_dealt_out_at_random_the_test_accuracy_is_chance(digits: Dataset, tmp_path: Path) -> None:
    shuffled = np.random.default_rng(0).permutation(digits.train.labels)
    train_part = Split(shuffled, digits.train.names, images=digits.train.images)
    nonsense = Dataset("nonsense", digits.classes, train_part, digits.test)
    run = train("tutorial_tanh", nonsense, Recipe(epochs=4), run=tmp_path / "run", threads=1)
    low, high = wilson(round(0.1 * 359), 359)
    assert low - 0.03 < run.evaluation.accuracy < high + 0.03


def test_the_articles_leak_by_name(digits: Dataset, tmp_path: Path) -> None:
    """Measured on training images with dropout on, measured on them rightly, and measured on others."""
    few = Dataset("few digits", digits.classes, _part(digits.train, 200), digits.test)
    learning = recipe("article", "tutorial_cnn").replace(epochs=6, learning_rate=0.01, evaluate_every=6)
    run = train("tutorial_cnn", few, learning, run=tmp_path / "run", threads=1, checkpoint_seconds=1000)
    model = load_model(run.folder)
    train_part, test_part = (ready(part, model.card.preprocessing) for part in (few.train, few.test))
    categories = model.card.categories
    right = measure(model.module, test_part, categories).accuracy
    by_heart = measure(model.module, train_part, categories).accuracy
    torch.manual_seed(0)
    as_the_article = measure(model.module, train_part, categories, training_mode=True).accuracy
    assert right == run.evaluation.accuracy
    assert right < as_the_article <= by_heart
    assert "test loader reads the training images" in run.config["recipe"]["notes"][0]


def test_the_leak_is_measured_for_a_run_too(tmp_path: Path) -> None:
    run = train("tutorial_tanh", "digits", Recipe(epochs=2), run=tmp_path / "run", threads=1)
    counted: list[tuple[int, int]] = []
    leak = measure_leak(run.folder, on_batch=lambda done, total: counted.append((done, total)))
    assert [done for done, total in counted if done == total] == [1438, 1438, 359]
    assert leak.test.accuracy == run.evaluation.accuracy == evaluate(run.folder).accuracy
    # Without dropout the article's way is wrong only in what it looks at.
    assert leak.as_the_article.accuracy == leak.train.accuracy
    assert leak.train.images == 1438


def test_the_loss_and_the_confusion_are_those_of_scikit_learn(digits: Dataset) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    model = load_model("tutorial_tanh", weights="none")
    pictures = ready(_part(digits.test, 100), model.card.preprocessing)
    found = measure(model.module, pictures, digits.classes, batch=7)
    assert pictures.images is not None
    with torch.no_grad():
        chances = model.module(pictures.normalize(pictures.images)).softmax(1).double()
    chances = chances / chances.sum(1, keepdim=True)
    labels = pictures.labels.numpy()
    assert found.loss == pytest.approx(metrics.log_loss(labels, chances, labels=range(10)), rel=1e-5)
    expected = metrics.confusion_matrix(labels, chances.argmax(1), labels=range(10))
    assert np.array_equal(found.confusion, expected)


def test_a_model_is_left_in_its_mode_after_it_is_measured(digits: Dataset) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(3072, 10))
    net.train()
    net[1].eval()
    steps = load_model("tutorial_tanh", weights="none").card.preprocessing
    measure(net, ready(_part(digits.test, 4), steps), digits.classes)
    assert [part.training for part in net.modules()] == [True, True, False, True]


def test_labels_out_of_range_are_named(digits: Dataset, tmp_path: Path) -> None:
    labels = digits.train.labels.copy()
    labels[7] = 10
    wrong = Dataset(
        "wrong", digits.classes, Split(labels, digits.train.names, images=digits.train.images), digits.test
    )
    with pytest.raises(TrainingError, match="image 7 has label 10, and there are 10 classes"):
        train("tutorial_tanh", wrong, Recipe(epochs=1), run=tmp_path / "run")
    assert not (tmp_path / "run" / "run.json").exists()


def test_a_recipe_with_too_few_outputs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="gives the network 3 outputs, and digits has 10"):
        train("tutorial_tanh", "digits", Recipe(outputs=3), run=tmp_path / "run")


def _part(split: Split, count: int) -> Split:
    assert split.images is not None
    return Split(split.labels[:count], list(split.names)[:count], images=split.images[:count])
