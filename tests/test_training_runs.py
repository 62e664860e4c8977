"""A training from its first step to its run folder, and what it refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import convscope
from convscope.errors import RunError, UsageError
from convscope.training import ProgressLines, Recipe, Run, recipe, train

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")

SHORT = Recipe(epochs=3, batch=128)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train("tutorial_tanh", "digits", SHORT, run=tmp_path_factory.mktemp("runs") / "run", threads=1)


def test_a_small_network_learns_the_digits(done: Run) -> None:
    assert done.evaluation.accuracy > 0.85
    assert done.evaluation.interval[0] < done.evaluation.accuracy < done.evaluation.interval[1]
    assert done.history[-1]["test_accuracy"] == done.evaluation.accuracy
    assert done.history[-1]["train_loss"] < done.history[0]["train_loss"]


def test_how_far_it_is_is_printed_now_and_then(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train("tutorial_tanh", "digits", SHORT, run=tmp_path / "run", on_progress=ProgressLines(seconds=1e6))
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("epoch 1/3  loss 2.")
    assert first.endswith(" left")
    accuracy = 100 * float(table(tmp_path / "run" / "metrics.csv")[-1]["test_accuracy"])
    assert last.startswith("epoch 3/3  loss ")
    assert f"  test {accuracy:.1f} %  " in last


def test_the_accuracy_is_that_of_the_model_as_anyone_loads_it_on_images_never_trained_on(done: Run) -> None:
    """Counted again, one image at a time, through the preprocessing of the model's card."""
    from convscope.datasets import load_dataset

    model = convscope.load_model(done.folder)
    data = load_dataset("digits", size=32)
    trained_on = {data.train.images[i].tobytes() for i in range(len(data.train))}
    right = 0
    for i in range(len(data.test)):
        picture = np.repeat(data.test.images[i], 3, axis=2)
        with torch.no_grad():
            scores = model.module(model.card.preprocessing.apply(picture).tensor)
        right += int(scores.argmax()) == int(data.test.labels[i])
        assert data.test.images[i].tobytes() not in trained_on
    assert right / len(data.test) == done.evaluation.accuracy


def test_everything_stands_in_the_run_folder(done: Run) -> None:
    names = {path.name for path in done.folder.iterdir()}
    assert names >= {
        "run.json",
        "metrics.csv",
        "metrics.parquet",
        "curves.png",
        "confusion.png",
        "confusion.csv",
        "classes.csv",
        "evaluation.json",
        "model.safetensors",
        "checkpoint.safetensors",
    }
    config = json.loads((done.folder / "run.json").read_text())
    assert config["recipe"]["batch"] == 128
    assert config["seed"] == 0
    assert config["versions"]["torch"] == torch.__version__.partition("+")[0]
    rows = table(done.folder / "metrics.csv")
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3]
    assert float(rows[-1]["test_accuracy"]) == done.evaluation.accuracy
    per_class = table(done.folder / "classes.csv")
    assert sum(int(row["images"]) for row in per_class) == done.evaluation.images == 359


def test_parquet_and_csv_say_the_same(done: Run) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    packed = parquet.read_table(done.folder / "metrics.parquet").to_pylist()
    rows = table(done.folder / "metrics.csv")
    assert [float(row["train_loss"]) for row in rows] == [row["train_loss"] for row in packed]


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(tmp_path: Path) -> None:
    short = SHORT.replace(epochs=1)
    first, again, other = (
        train("tutorial_tanh", "digits", short, run=tmp_path / name, seed=seed, threads=1)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    weights = [(run.folder / "model.safetensors").read_bytes() for run in (first, again, other)]
    assert weights[0] == weights[1] != weights[2]


def test_the_callers_random_numbers_go_on_undisturbed(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train("tutorial_tanh", "digits", SHORT.replace(epochs=1), run=tmp_path / "run", threads=1)
    assert torch.equal(torch.rand(3), expected)


def test_a_folder_that_holds_a_run_is_refused(done: Run) -> None:
    with pytest.raises(RunError, match="holds a finished run already"):
        train("tutorial_tanh", "digits", SHORT, run=done.folder)
    with pytest.raises(RunError, match="at its end already"):
        train(run=done.folder, resume=True)


def test_a_folder_with_other_things_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(RunError, match="other things in it"):
        train("tutorial_tanh", "digits", SHORT, run=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_module_of_ones_own_is_trained_and_loaded_again(tmp_path: Path) -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(64, 10)
    )
    run = train(net, "digits", SHORT.replace(epochs=2), run=tmp_path / "run", threads=1)
    assert run.config["preprocessing"]["channels"] == 1
    with pytest.raises(convscope.ConvscopeError, match="cannot be built again from its name"):
        convscope.load_model(run.folder)
    again = convscope.load_model(net, weights=run.folder / "model.safetensors")
    assert torch.equal(again.module[0].weight, net[0].weight)


def test_recipes_refuse_what_makes_no_sense() -> None:
    with pytest.raises(UsageError, match="`epochs` must be at least 1"):
        Recipe(epochs=0)
    with pytest.raises(UsageError, match="no recipe has a value `momentun`"):
        recipe("plain").with_text({"momentun": "0.8"})
    with pytest.raises(UsageError, match="`batch` must be a whole number"):
        recipe("plain").with_text({"batch": "many"})
    with pytest.raises(UsageError, match="there is no recipe `articel`"):
        recipe("articel", "tutorial_cnn")
