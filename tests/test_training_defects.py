"""Networks, recipes and wishes that training once failed on: what it does with each now."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from convscope import film, trace
from convscope.cli import main
from convscope.datasets import load_dataset
from convscope.errors import DivergedError, ModelError, RunError, TrainingError, UsageError
from convscope.models.weights import read_weights
from convscope.training import Recipe, evaluate, train
from convscope.training.batches import Batches
from convscope.training.evaluation import Evaluation, measure
from convscope.training.pictures import Pictures, ready
from convscope.training.plots import draw_run

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")

ONCE = Recipe(epochs=1, batch=256)


class ByView(nn.Module):
    """As the best known tutorial writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 5)
        self.pool = nn.MaxPool2d(4)
        self.fc = nn.Linear(6 * 7 * 7, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.pool(self.conv(x)).view(-1, 6 * 7 * 7))


class FailsInTraining(ByView):
    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            raise ValueError("not today")
        return super().forward(x)


class ChangesItsInput(ByView):
    def forward(self, x: Tensor) -> Tensor:
        x -= 1
        return super().forward(x)


class Deep(nn.Sequential):
    """Numbers grow with every layer."""

    def __init__(self) -> None:
        wide = [nn.Linear(16, 16) for _ in range(5)]
        super().__init__(nn.Flatten(), nn.Linear(3072, 16), *wide, nn.Linear(16, 10))


@pytest.mark.parametrize("length", [0x80, 0x180, 0x8B1F])
def test_a_safetensors_file_is_one_whatever_the_length_of_its_header(tmp_path: Path, length: int) -> None:
    """Its first byte is also that of a pickle, or its first two those of gzip."""
    wanted = {"a": torch.arange(6.0).view(2, 3)}
    save_file(wanted, tmp_path / "plain.safetensors")
    plain = (tmp_path / "plain.safetensors").read_bytes()
    old = int.from_bytes(plain[:8], "little")
    header = plain[8 : 8 + old].rstrip() + b" " * (length - len(plain[8 : 8 + old].rstrip()))
    file = tmp_path / "mine.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header + plain[8 + old :])
    assert load_file(file)["a"].equal(wanted["a"])
    assert read_weights(file).tensors["a"].equal(wanted["a"])


@pytest.mark.parametrize("layout", [True, False])
def test_a_network_that_flattens_by_view_is_trained(tmp_path: Path, layout: bool) -> None:
    torch.manual_seed(0)
    net = ByView()
    before = net.fc.weight.detach().clone()
    run = train(net, "digits", ONCE.replace(channels_last=layout), run=tmp_path / "run")
    assert not net.fc.weight.equal(before)
    assert 0 < run.evaluation.loss < 2.5
    assert "film" in {path.name for path in run.folder.iterdir()}


def test_a_single_image_that_would_be_left_goes_with_the_step_before() -> None:
    images = torch.zeros(9, 3, 4, 4, dtype=torch.uint8)
    batches = Batches(images, torch.arange(9), batch=4)
    assert len(batches) == 2
    steps = [labels for _, labels in batches.epoch(0)]
    assert [len(labels) for labels in steps] == [4, 5]
    assert sorted(torch.cat(steps).tolist()) == list(range(9))
    assert [len(labels) for _, labels in batches.epoch(0, first_step=1)] == [5]
    assert [len(s) for s in Batches(images, torch.arange(9), batch=1).orders(0)] == [1] * 9
    assert len(Batches(images[:1], torch.arange(1), batch=4)) == 1


def test_a_loss_that_is_no_number_after_the_last_step_stops_it_and_nothing_stays(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=r"the loss on the test images became NaN after step 1 \(epoch 1"):
        train(Deep(), "digits", ONCE.replace(batch=2000, learning_rate=1e9), run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_network_that_fails_in_training_is_told_as_that_and_nothing_stays(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"failed in training mode, at step 1, .*: ValueError: not today"):
        train(FailsInTraining(), "digits", ONCE, run=tmp_path / "run")
    with pytest.raises(UsageError, match="no convolution"):
        train("tutorial_mlp", "digits", ONCE.replace(whiten=True), run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_stopped_before_its_first_step_leaves_nothing_and_can_be_begun_again(tmp_path: Path) -> None:
    class Stopped(Deep):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if self.training and (tmp_path / "run" / "run.json").exists():
                raise KeyboardInterrupt
            return super().forward(images)

    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        train(Stopped(), "digits", ONCE, run=tmp_path / "run", on_note=said.append)
    assert said[-1] == "stopped before anything was saved; no run was begun"
    assert not (tmp_path / "run").exists()
    assert train(Deep(), "digits", ONCE, run=tmp_path / "run").history


def test_a_network_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no weights to train"):
        train(ByView().requires_grad_(False), "digits", ONCE, run=tmp_path / "run")


def test_more_looks_are_at_the_pictures_though_the_network_changes_its_input() -> None:
    torch.manual_seed(0)
    net = ChangesItsInput().eval()
    images = torch.randint(256, (8, 3, 32, 32), dtype=torch.uint8)
    labels = torch.arange(8)
    inputs = Pictures(images, labels).normalize(images)
    wider = nn.functional.pad(inputs, (1, 1, 1, 1), "reflect")
    looks = {
        "mirror": [inputs, inputs.flip(3)],
        "shifts": [inputs, *(wider[..., a : a + 32, b : b + 32] for a in (0, 2) for b in (0, 2))],
    }
    for views, seen in looks.items():
        with torch.no_grad():
            scores = torch.stack([net(look.clone()) for look in seen]).mean(0)
        expected = float(nn.functional.cross_entropy(scores, labels))
        found = measure(net, Pictures(images, labels), [str(i) for i in range(10)], views=views)
        assert found.loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5])
def test_seeds_out_of_range_are_refused(seed: Any) -> None:
    with pytest.raises(UsageError, match="`seed` must be a whole number from 0 to"):
        train("tutorial_tanh", "digits", ONCE, seed=seed)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"epochs": "3"}, "`epochs` must be a whole number; got '3'"),
        ({"batch": 8.5}, "`batch` must be a whole number; got 8.5"),
        ({"momentum": None}, "`momentum` must be a number; got None"),
        ({"optimizer": "adam", "momentum": 1.0}, "`momentum` must be below 1 for adam"),
    ],
)
def test_values_of_a_wrong_kind_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Recipe(**values)
    assert Recipe(batch=np.int64(8), momentum=np.float32(0.5)).batch == 8


def test_a_run_with_data_from_python_is_gone_on_with_from_python(tmp_path: Path) -> None:
    digits = load_dataset("digits:0,1")

    def stop(progress: Any) -> None:
        if progress.step > 1:
            raise KeyboardInterrupt

    few = ONCE.replace(batch=64)
    with pytest.raises(KeyboardInterrupt):
        train("tutorial_tanh", digits, few, run=tmp_path / "run", on_progress=stop, checkpoint_seconds=0)
    with pytest.raises(RunError, match="data given in Python"):
        train(run=tmp_path / "run", resume=True)
    assert train(data=digits, run=tmp_path / "run", resume=True).evaluation.images > 0


def test_what_is_transferred_must_have_been_learned(tmp_path: Path) -> None:
    options: dict[str, Any] = {"transfer": True, "size": 32}
    run = train("tutorial_tanh", "digits:0,1", run=tmp_path / "run", **options)
    assert "tutorial_tanh has random weights here, so there is no learning to transfer" in run.notes
    with pytest.raises(UsageError, match="as it learned to"):
        train("tutorial_tanh", "digits", ONCE.replace(inputs="unit"), run=tmp_path / "other", **options)


def test_evaluate_refuses_what_it_would_not_look_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train("tutorial_tanh", "digits:0,1", ONCE, run=tmp_path / "run")
    with pytest.raises(SystemExit, match="2"):
        main(["evaluate", str(run.folder), "--leak", "--part", "train"])
    assert "Leave `--data`, `--part` and `--views` out" in capsys.readouterr().err
    for name in ("0", "1"):
        (tmp_path / "few" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8), (100 * int(name),) * 3).save(tmp_path / "few" / name / "a.png")
        (tmp_path / "given" / "train" / name).mkdir(parents=True)
        (tmp_path / "given" / "test" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8), (90 * int(name),) * 3).save(tmp_path / "given" / "train" / name / "a.png")
    with pytest.raises(TrainingError, match=r"the test part of .* has no pictures"):
        evaluate(run.folder, load_dataset(tmp_path / "few"))
    assert evaluate(run.folder, tmp_path / "few").images == 2


def test_class_names_that_a_font_lacks_are_no_matter(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `plots` is not installed")
    found = Evaluation(0.5, (0.1, 0.9), 1.0, np.eye(2, dtype=np.int64), ("猫", "кот"))
    row = dict.fromkeys(("epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy"), 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert draw_run(tmp_path, [row], found, "猫") == ()
    assert (tmp_path / "confusion.png").is_file()


def test_a_class_without_test_pictures_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for place in ("train/a", "train/b", "train/c", "test/a", "test/b"):
        (tmp_path / "set" / place).mkdir(parents=True)
        shade = sum(map(ord, place)) % 200
        Image.new("RGB", (8, 8), (shade, 0, 0)).save(tmp_path / "set" / place / "x.png")
    told = [str(problem) for problem in load_dataset(tmp_path / "set").problems]
    assert "1 class has pictures to train on and none to test: c" in told
    with pytest.raises(SystemExit, match="2"):
        main(["data", str(tmp_path / "set"), "--sheet", str(tmp_path / "sheet.jpg")])
    assert "a picture is written as .png; got 'sheet.jpg'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("step", "numbers"), [("1", {}), (1.5, {}), (1, {"loss": "x"}), (1, {"loss": torch.ones(3)})]
)
def test_a_film_refuses_what_is_no_number(tmp_path: Path, step: Any, numbers: dict[str, Any]) -> None:
    made = film(nn.Sequential(nn.Conv2d(1, 2, 3)), torch.zeros(1, 1, 8, 8), tmp_path / "film")
    with pytest.raises(UsageError, match="number"):
        made.snap(step, **numbers)
    assert not (tmp_path / "film").exists()
    assert made.snap(np.int64(0), loss=torch.tensor(1.0))


@pytest.mark.parametrize("averaging", ["none", "ema"])
def test_the_run_of_a_module_from_python_gives_it_back_as_it_was_measured(
    tmp_path: Path, averaging: str
) -> None:
    torch.manual_seed(0)
    net, digits = ByView(), load_dataset("digits", size=32)
    run = train(net, digits, ONCE.replace(averaging=averaging), run=tmp_path / "run")
    model = run.model()
    assert model.module is net
    assert model.card.categories == digits.classes
    for name, value in load_file(run.folder / "model.safetensors").items():
        assert value.equal(net.state_dict()[name])
    right = 0
    for pixels, label in zip(digits.test.read(range(60)), digits.test.labels[:60], strict=True):
        answers = trace(model, pixels[..., 0]).predictions(1)
        right += answers[0].label == digits.classes[int(label)]
    found = measure(net, ready(digits.test, model.card.preprocessing).subset(range(60)), digits.classes)
    assert right == int(np.trace(found.confusion))


@pytest.mark.parametrize("key", ["classes", "recipe", "data"])
def test_a_record_with_a_value_of_another_kind_is_damaged(tmp_path: Path, key: str) -> None:
    run = train("tutorial_tanh", "digits:0,1", ONCE, run=tmp_path / "run")
    record = run.folder / "run.json"
    record.write_text(
        json.dumps({**json.loads(record.read_text(encoding="utf-8")), key: 3}), encoding="utf-8"
    )
    with pytest.raises(ModelError, match=f"is damaged: its `{key}` is missing or of another kind"):
        evaluate(run.folder)
