"""What a run says of the pictures it is trained and measured on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from cli_running import Command
from convscope.datasets import load as loading
from convscope.datasets import load_dataset
from convscope.datasets.copies import digests, find_copies
from convscope.errors import TrainingError, UsageError
from convscope.training import Recipe, evaluate, train
from convscope.training.evaluation import Evaluation
from convscope.training.plots import confusion_matrix, curves
from dataset_writers import picture, png, write, zipped

pytestmark = pytest.mark.usefixtures("one_thread")
ONCE = Recipe(epochs=1, batch=16)
CHANGED = "the data have changed since the training: some of these images may have been trained on"


def pets(each: int) -> dict[str, np.ndarray]:
    """``each`` square pictures of three classes."""
    names = [f"{name}/{number:03}.png" for name in ("cat", "dog", "owl") for number in range(each)]
    return {name: square(100 * place) for place, name in enumerate(names)}


def square(number: int) -> np.ndarray:
    return picture(number, (12, 12))


class Net(nn.Module):
    """Something small for pictures of any size."""

    def __init__(self, num_classes: int = 3) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, num_classes)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes=3):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, num_classes)
        )

    def forward(self, x):
        return self.layers(x)
"""


@pytest.fixture
def learned(tmp_path: Path) -> Callable[..., Path]:
    """Train on data, keep the run beside it."""
    (tmp_path / "net.py").write_text(NET)

    def make(data: Any, **options: Any) -> Path:
        settings: dict[str, Any] = {"run": tmp_path / "run", "film": False, "size": 12, **options}
        return train(f"{tmp_path / 'net.py'}:Net", data, ONCE, **settings).folder

    return make


def test_data_that_have_changed_since_the_training_are_told_of(
    learned: Callable[..., Path], tmp_path: Path
) -> None:
    folder = write(tmp_path / "pets", pets(20))
    run = learned(str(folder))
    assert evaluate(run).notes == ()
    assert evaluate(run, folder).notes == ()
    moved = folder.rename(tmp_path / "moved")
    assert (evaluate(run, moved).notes, evaluate(run, moved).images) == ((), 12)
    moved.rename(folder)
    write(folder, {f"cat/9{number:03}.png": square(5000 + number) for number in range(20)})
    for data in (None, folder):
        found = evaluate(run, data)
        assert found.images == 16
        assert found.notes[0].startswith(CHANGED)


def test_of_other_data_without_parts_everything_is_measured(
    learned: Callable[..., Path], tmp_path: Path
) -> None:
    run = learned(str(write(tmp_path / "pets", pets(20))))
    new = {
        f"{name}/{n}.png": square(90_000 + 10 * ord(name[0]) + n) for name in ("cat", "owl") for n in range(6)
    }
    found = evaluate(run, write(tmp_path / "new", new))
    assert found.images == 12
    assert found.notes == (f"{tmp_path / 'new'} has no test part of its own, so all its images are measured",)
    only_test = {f"test/{name}": content for name, content in new.items()}
    assert evaluate(run, write(tmp_path / "only", only_test)).images == 12
    parts = {f"train/{name}": 255 - content for name, content in new.items()} | only_test
    found = evaluate(run, write(tmp_path / "parts", parts))
    assert (found.images, found.notes) == (12, ())
    shutil.rmtree(tmp_path / "pets")
    assert evaluate(run, tmp_path / "new").notes[-1] == (
        "whether some of these images were trained on is not known"
    )


def test_images_that_were_trained_on_are_left_out_of_other_data(
    learned: Callable[..., Path], tmp_path: Path
) -> None:
    files = pets(20)
    run = learned(str(write(tmp_path / "pets", files)))
    archive = zipped(tmp_path / "pets.zip", {f"some/{name}": content for name, content in files.items()})
    found, own = evaluate(run, archive), evaluate(run)
    assert found.images == own.images == 12
    np.testing.assert_array_equal(found.confusion, own.confusion)
    assert found.notes[1] == "48 of its images were trained on, pixel for pixel, and left out"
    trained = load_dataset(tmp_path / "pets", size=12).train.names
    only = {name: files[name] for name in trained}
    with pytest.raises(TrainingError, match="the run was trained on every image of"):
        evaluate(run, zipped(tmp_path / "only.zip", only))


def test_some_classes_of_the_runs_own_data_are_measured_on_its_test_part(
    learned: Callable[..., Path], tmp_path: Path
) -> None:
    run = learned(str(write(tmp_path / "pets", pets(20))))
    found, whole = evaluate(run, f"{tmp_path / 'pets'}:dog,cat"), evaluate(run)
    assert found.images == 8
    np.testing.assert_array_equal(found.confusion[:2], whole.confusion[:2])


class Items(TensorDataset):
    """Pictures of three kinds with names for them."""

    def __init__(self, classes: list[str] | None = None, first: int = 0, count: int = 60) -> None:
        labels = torch.arange(first, first + count) % 3
        super().__init__(torch.stack([_noise(n) for n in range(first, first + count)]), labels)
        if classes is not None:
            self.classes = classes


def _noise(number: int) -> torch.Tensor:
    return torch.rand(3, 12, 12, generator=torch.Generator().manual_seed(number))


def test_classes_of_one_name_are_told_apart(learned: Callable[..., Path]) -> None:
    data = Items(["crane", "crane", "dog"])
    run = learned(data)
    said = json.loads((run / "evaluation.json").read_text())
    found = evaluate(run, data)
    assert found.classes == ("crane", "crane (2)", "dog")
    assert list(found.per_class) == list(found.classes)
    assert found.confusion.sum(1).tolist() == [4, 4, 4]
    assert (found.accuracy, found.per_class) == (said["accuracy"], said["per_class"])
    assert (run / "confusion.csv").read_text().startswith("true class,crane,crane (2),dog\n")


def test_data_given_in_python_is_known_by_its_pictures(learned: Callable[..., Path]) -> None:
    run = learned(Items())
    found = evaluate(run, Items())
    assert (found.images, found.notes) == (12, ())
    found = evaluate(run, Items(first=500))
    assert found.images == 12
    assert found.notes[0].startswith(CHANGED)
    found = evaluate(run, Items(first=500, count=30))
    assert found.images == 30
    assert found.notes[0].endswith("has no test part of its own, so all its images are measured")


@pytest.mark.parametrize("cli", [False, True])
def test_pictures_that_cannot_be_read_are_named_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cli: bool
) -> None:
    for reading in (loading.load_dataset, loading.read_dataset):
        monkeypatch.setattr(reading, "__kwdefaults__", {**(reading.__kwdefaults__ or {}), "memory": 1000})
    folder = write(tmp_path / "pets", pets(20))
    chosen = load_dataset(folder)
    assert not chosen.train.in_memory
    bad = [chosen.train.names[5], chosen.train.names[9], chosen.test.names[2]]
    write(folder, {name: png(picture(number))[: 60 + number] for number, name in enumerate(bad)})
    (tmp_path / "net.py").write_text(NET)
    sentences = ["2 pictures cannot be read; left out: ", "1 picture cannot be read; left out: "]
    if cli:
        ran = Command(capsys)(
            "train", f"{tmp_path / 'net.py'}:Net", "--data", folder, "--run", tmp_path / "run", "--size", 12,
            "--epochs", 2, "--batch", 16, "--no-film", "--threads", 1,
        )  # fmt: skip
        assert ran.code == 0, ran.err
        assert all(f"note: {text}" in ran.err for text in sentences)
        measured = Command(capsys)("evaluate", tmp_path / "run")
        assert f"note: {sentences[1]}`{bad[2]}` is damaged" in measured.err
    else:
        done = train(Net(), folder, ONCE, run=tmp_path / "run", film=False, size=12)
        assert all(any(text in note for note in done.notes) for text in sentences)
        assert any(sentences[1] in note for note in done.evaluation.notes)
        assert done.config["data"] == json.loads((tmp_path / "run" / "run.json").read_text())["data"]
    problems = json.loads((tmp_path / "run" / "run.json").read_text())["data"]["problems"]
    assert [next(text for text in problems if text.startswith(start)) for start in sentences] == problems
    assert any(
        f"`{bad[2]}`" in text
        for text in json.loads((tmp_path / "run" / "evaluation.json").read_text())["notes"]
    )


def test_a_run_folder_within_the_data_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "pets", pets(5))
    for data, run in (
        (folder, folder / "runs" / "one"),
        (f"{folder}:cat,dog", folder / "one"),
        (folder, folder),
    ):
        with pytest.raises(UsageError, match="would lie inside the data folder") as caught:
            train(Net(), data, ONCE, run=run, film=False)
        assert str(tmp_path / "runs") in (caught.value.hint or "")
    monkeypatch.chdir(folder)
    with pytest.raises(
        UsageError, match=r"the run folder `runs/Net-pets` would lie inside the data folder `\.`"
    ):
        train(Net(), ".", ONCE, film=False)
    assert sorted(path.name for path in folder.iterdir()) == ["cat", "dog", "owl"]


def test_what_a_test_part_holds_is_never_trained_on_where_it_is_streamed(tmp_path: Path) -> None:
    files = {f"{'ab'[n % 2]}/{n:02}_{k}.png": picture(n) for n in range(40) for k in range(5)}
    dataset = load_dataset(write(tmp_path, files), memory=1000)
    train_part, test_part = (digests(part.read(np.arange(len(part)))) for part in dataset.parts.values())
    assert find_copies(train_part, test_part) == []


def test_evaluate_counts_what_it_reads_and_measures(learned: Callable[..., Path], tmp_path: Path) -> None:
    run = learned(str(write(tmp_path / "pets", pets(20))))
    counts: dict[str, list[tuple[int, int]]] = {"read": [], "measured": []}
    evaluate(
        run,
        on_read=lambda *count: counts["read"].append(count),
        on_batch=lambda *count: counts["measured"].append(count),
    )
    assert counts["read"][-1] == (60, 60)
    assert counts["measured"][-1] == (12, 12)


LONG = "/home/somebody/path/to/a/folder_of_networks/my_networks.py:ALongName on photos_with_a_name:alpha,beta"


@pytest.mark.parametrize("title", ["net on pets", LONG])
def test_what_stands_above_a_picture_of_a_run_is_not_cut_off(title: str) -> None:
    pytest.importorskip("matplotlib", reason="the extra `plots` is not installed")
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    found = Evaluation(0.6693, (0.622, 0.714), 0.6, np.array([[120, 45], [87, 147]]), ("alpha", "beta"))
    row = {"epoch": 1, "train_loss": 0.9, "train_accuracy": 0.5, "test_loss": 0.8, "test_accuracy": 0.6}
    for figure in (confusion_matrix(found, title), curves([row], title)):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        box = figure._suptitle.get_window_extent(canvas.get_renderer())  # type: ignore[attr-defined]
        assert title.replace(" ", "") in figure.get_suptitle().replace("\n", "").replace(" ", "")
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.width


def test_a_single_epoch_is_counted_in_whole_numbers() -> None:
    pytest.importorskip("matplotlib", reason="the extra `plots` is not installed")
    row = {"epoch": 1, "train_loss": 0.9, "train_accuracy": 0.5, "test_loss": 0.8, "test_accuracy": 0.6}
    for axes in curves([row], "net on pets").axes:
        assert list(axes.get_xticks()) == [1]
