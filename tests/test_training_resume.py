"""A training that is stopped, however it is stopped, ends with the very same weights."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from convscope import files
from convscope.errors import DivergedError, OutputError, RunError
from convscope.training import Recipe, Run, train
from convscope.training.state import load, save

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")

NET = """
from torch import nn


class Net(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Dropout(0.2), nn.MaxPool2d(2),
            nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
            nn.Linear(64, 10),
        )
"""
RECIPES = {
    "momentum": Recipe(epochs=3, batch=100),
    "averages": Recipe(
        epochs=3,
        batch=100,
        averaging="ema",
        averaging_every=3,
        flip="alternating",
        translate=2,
        bias_rate=4.0,
    ),
    "bf16": Recipe(
        epochs=2,
        batch=100,
        precision="bf16",
        averaging="lookahead",
        averaging_every=5,
        fast_layers=True,
        whiten=True,
        freeze_first=True,
    ),
    "int8": Recipe(epochs=2, batch=100, precision="auto", int8=True),
    "adam": Recipe(epochs=2, batch=100, optimizer="adamw", learning_rate=0.01, flip="random", whiten=True),
}


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("net") / "net.py"
    path.write_text(NET)
    return f"{path}:Net"


def weights(run: Run) -> bytes:
    return (run.folder / "model.safetensors").read_bytes()


def without_times(run: Run) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if "second" not in key} for row in run.history]


class Killed(Exception):
    """Stands for the death of the process: nothing is saved on the way out."""


@pytest.mark.parametrize("name", RECIPES)
def test_going_on_from_any_step_ends_with_the_same_weights(name: str, spec: str, tmp_path: Path) -> None:
    recipe = RECIPES[name]
    whole = train(spec, "digits", recipe, run=tmp_path / "whole", threads=1, size=16)
    steps = whole.history[-1]["step"]
    deaths = set(random.Random(name).sample(range(1, steps), 3))

    def on_step(step: int, module: nn.Module) -> None:
        if step in deaths:
            deaths.remove(step)
            raise Killed

    options: dict[str, Any] = {"run": tmp_path / "cut", "threads": 1, "on_step": on_step}
    begun = False
    for _ in range(4):
        try:
            if begun:
                done = train(resume=True, **options)
            else:
                done = train(spec, "digits", recipe, size=16, checkpoint_seconds=0, **options)
            break
        except Killed:
            begun = True
    assert not deaths
    assert weights(done) == weights(whole)
    assert without_times(done) == without_times(whole)


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    code = "import sys; from convscope.cli import main; main(sys.argv[1:])"
    return subprocess.Popen(
        [sys.executable, "-c", code, "train", "--run", str(folder), *words],
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    while not path.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def test_a_run_goes_on_with_the_threads_it_was_begun_with(spec: str, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(step: int, _: nn.Module) -> None:
        if step == 3:
            raise Stop

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        counts: list[int] = []
        notes: list[str] = []
        recipe = RECIPES["momentum"]
        with pytest.raises(Stop):
            train(spec, "digits", recipe, run=tmp_path / "run", threads=1, size=16, on_step=stop)
        with pytest.raises(Stop):
            train(run=tmp_path / "run", resume=True, threads=2, on_note=notes.append, on_step=stop)
        assert any("begun with --threads 1, going on with 2" in note for note in notes)
        notes.clear()
        train(
            run=tmp_path / "run",
            resume=True,
            on_note=notes.append,
            on_step=lambda *_: counts.append(torch.get_num_threads()),
        )
        assert set(counts) == {1}
        assert not any("threads" in note for note in notes)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
def test_killed_at_random_moments_and_resumed_it_ends_with_the_same_weights(
    spec: str, tmp_path: Path
) -> None:
    words = [spec, "--data", "digits", "--size", "16", "--epochs", "30", "--set", "averaging=ema"]
    recipe = RECIPES["momentum"].replace(epochs=30, averaging="ema", batch=128)
    whole = train(spec, "digits", recipe, run=tmp_path / "whole", threads=1, size=16)
    folder = tmp_path / "killed"
    chance = random.Random(11)
    process = start(folder, *words, "--threads", "1", "--checkpoint", "0.01")
    kills = 0
    while kills < 4:
        wait_for(folder / "checkpoint.safetensors", process)
        time.sleep(chance.uniform(0.0, 0.4) + (1.5 if kills else 0.0))
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += 1
        process = start(folder, "--resume", "--checkpoint", "0.01")
    assert kills >= 2, "it was over before it could be killed twice"
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    assert (folder / "model.safetensors").read_bytes() == weights(whole)
    assert [path.name for path in folder.iterdir() if path.name.endswith("convscope-tmp")] == []


@pytest.mark.slow
def test_ctrl_c_saves_the_step_it_was_at_and_says_how_to_go_on(spec: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = [spec, "--data", "digits", "--size", "16", "--epochs", "3000", "--checkpoint", "0.5"]
    process = start(folder, *words)
    wait_for(folder / "checkpoint.safetensors", process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "--resume" in errors
    step = load(folder / "checkpoint.safetensors")["step"]
    assert 0 < step < 3000 * 12


def test_a_full_disk_stops_it_and_the_checkpoint_before_stays(
    spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    write = files._Recorder.write

    def failing(self: files._Recorder, data: bytes, /) -> int:
        if "checkpoint" in str(self.name):
            written.append(len(data))
            if len(written) > 3:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(self, data)

    recipe = RECIPES["momentum"]
    whole = train(spec, "digits", recipe, run=tmp_path / "whole", threads=1, size=16)
    monkeypatch.setattr(files._Recorder, "write", failing)
    with pytest.raises(OutputError, match="disk full"):
        train(spec, "digits", recipe, run=tmp_path / "run", threads=1, size=16, checkpoint_seconds=0)
    monkeypatch.undo()
    assert load(tmp_path / "run" / "checkpoint.safetensors")["step"] == 3
    done = train(run=tmp_path / "run", resume=True, threads=1)
    assert weights(done) == weights(whole)


def test_a_run_in_use_names_who_uses_it(spec: str, tmp_path: Path) -> None:
    def on_step(step: int, module: nn.Module) -> None:
        code = f"from convscope.training import train; train(run={str(tmp_path / 'run')!r}, resume=True)"
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        raise Killed(other.stderr)

    with pytest.raises(Killed, match=rf"is used by process {os.getpid()} on ") as stopped:
        train(spec, "digits", RECIPES["adam"], run=tmp_path / "run", size=16, on_step=on_step)
    assert "RunError" in str(stopped.value)


def test_a_checkpoint_of_another_network_is_refused(spec: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"

    def on_step(step: int, module: nn.Module) -> None:
        if step == 3:
            raise Killed

    with pytest.raises(Killed):
        train(spec, "digits", RECIPES["momentum"], run=folder, size=16, checkpoint_seconds=0, on_step=on_step)
    config = json.loads((folder / "run.json").read_text())
    config["model"]["begun_with"] = config["model"]["spec"] = "tutorial_tanh"
    config["data"]["asked_size"] = None
    (folder / "run.json").write_text(json.dumps(config))
    with pytest.raises(RunError, match="not the data the run was begun with") as refused:
        train(run=folder, resume=True)
    assert refused.value.code == "different"
    config["data"]["asked_size"] = 32
    config["data"]["fingerprint"] = _fingerprint(32)
    (folder / "run.json").write_text(json.dumps(config))
    with pytest.raises(RunError, match="is of another network or training") as refused:
        train(run=folder, resume=True)
    assert "missing" in refused.value.hint or "wrong shape" in refused.value.hint


def _fingerprint(size: int) -> str:
    from convscope.datasets import load_dataset
    from convscope.training.plan import fingerprint

    return fingerprint(load_dataset("digits", size=size))


def test_going_on_as_something_else_is_refused(spec: str, tmp_path: Path) -> None:
    def on_step(step: int, module: nn.Module) -> None:
        raise Killed

    with pytest.raises(Killed):
        train(spec, "digits", RECIPES["momentum"], run=tmp_path / "run", size=16, on_step=on_step)
    for other, words in (
        ({"seed": 3}, "begun with seed 0, not 3"),
        ({"model": "resnet18"}, "begun with model .*net.py:Net, not resnet18"),
        ({"recipe": RECIPES["momentum"].replace(batch=50)}, "begun with batch 100, not 50"),
    ):
        with pytest.raises(RunError, match=words):
            train(run=tmp_path / "run", resume=True, **other)


def test_a_damaged_checkpoint_is_said_in_a_sentence(spec: str, tmp_path: Path) -> None:
    place = tmp_path / "checkpoint.safetensors"
    save(place, {"weights": {"a": torch.ones(3)}, "step": 4, "history": [{"loss": 0.5}]})
    assert load(place)["history"] == [{"loss": 0.5}]
    assert torch.equal(load(place)["weights"]["a"], torch.ones(3))
    place.write_bytes(place.read_bytes()[:60])
    with pytest.raises(RunError) as refused:
        load(place)
    assert refused.value.code == "damaged"
    assert refused.value.message.replace(str(place), "").count("damaged") == 1


def test_a_loss_that_is_no_number_stops_it_at_its_step_and_keeps_the_checkpoint(
    spec: str, tmp_path: Path
) -> None:
    def on_step(step: int, module: nn.Module) -> None:
        if step == 5:
            with torch.no_grad():
                next(module.parameters()).fill_(float("nan"))

    with pytest.raises(DivergedError, match=r"became NaN \(not a number\) at step 6 \(epoch 1\)") as stopped:
        train(
            spec,
            "digits",
            RECIPES["momentum"],
            run=tmp_path / "run",
            size=16,
            on_step=on_step,
            checkpoint_seconds=0,
        )
    assert stopped.value.step == 6
    assert "checkpoint of step 4 is kept" in stopped.value.hint
    kept = load(tmp_path / "run" / "checkpoint.safetensors")
    assert kept["step"] == 4
    assert all(bool(torch.isfinite(value).all()) for value in kept["weights"].values())
