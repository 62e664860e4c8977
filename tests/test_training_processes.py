"""Two processes train as one with the doubled batch."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from convscope.errors import UsageError
from convscope.training import Recipe, train
from convscope.training.together import Together, check, is_helper

pytest.importorskip("lightning_fabric", reason="several processes need Lightning Fabric")
pytest.importorskip("sklearn", reason="the digits come with scikit-learn")

PROGRAM = """
import sys

from convscope.cli import main

if __name__ == "__main__":
    main(sys.argv[1:])
"""


def start(place: Path, *words: str) -> subprocess.Popen[str]:
    program = place / "program.py"
    program.write_text(PROGRAM)
    return subprocess.Popen(
        [sys.executable, str(program), "train", "tutorial_tanh", "--threads", "1", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=place,
        start_new_session=True,
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_file(folder / "model.safetensors")
    return found


@pytest.mark.slow
def test_two_processes_give_what_one_gives_with_the_doubled_batch(tmp_path: Path) -> None:
    # 1438 images and 64 a step leave 30 for the last: its halves are not those of a whole batch.
    recipe = Recipe(epochs=2, batch=64, learning_rate=0.01, flip="random", translate=2, label_smoothing=0.1)
    one = train("tutorial_tanh", "digits", recipe, run=tmp_path / "one", threads=1)
    words = [
        "--epochs",
        "2",
        "--batch",
        "32",
        "--learning-rate",
        "0.01",
        "--set",
        "flip=random",
        "--set",
        "translate=2",
    ]
    process = start(
        tmp_path, *words, "--set", "label_smoothing=0.1", "--processes", "2", "--run", str(tmp_path / "two")
    )
    out, errors = process.communicate(timeout=250)
    assert process.returncode == 0, errors
    assert out.count("test images right") == 1
    assert errors.count("epoch 2/2") == 1
    assert "GLOBAL_RANK" not in errors
    alone, together = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name, value in alone.items():
        # Sums in another order differ in the last digit of a float, which every step makes a little more.
        assert float((value - together[name]).norm() / value.norm()) < 1e-4, name
    with (tmp_path / "two" / "metrics.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row, expected in zip(rows, one.history, strict=True):
        assert float(row["train_loss"]) == pytest.approx(expected["train_loss"], rel=1e-5)
        assert float(row["train_accuracy"]) == expected["train_accuracy"]


@pytest.mark.slow
def test_two_processes_stop_after_the_same_step_and_go_on(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = ["--epochs", "2000", "--processes", "2", "--run", str(folder)]
    process = start(tmp_path, *words, "--checkpoint", "0.3")
    while not (folder / "checkpoint.safetensors").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 130
    assert "saved after step" in errors
    assert "Traceback" not in errors
    alone = subprocess.run(
        [sys.executable, str(tmp_path / "program.py"), "train", "--resume", "--run", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert alone.returncode == 1
    assert "begun with processes 2, not 1" in alone.stderr


@pytest.mark.slow
def test_two_processes_that_go_on_end_with_the_weights_of_two_never_stopped(tmp_path: Path) -> None:
    words = ["--epochs", "120", "--batch", "300", "--processes", "2", "--threads", "1"]
    whole = start(tmp_path, *words, "--run", str(tmp_path / "whole"))
    _, errors = whole.communicate(timeout=250)
    assert whole.returncode == 0, errors
    folder = tmp_path / "run"
    stopped = start(tmp_path, *words, "--checkpoint", "0", "--run", str(folder))
    while not (folder / "checkpoint.safetensors").exists():
        assert stopped.poll() is None, stopped.communicate()
        time.sleep(0.02)
    stopped.send_signal(signal.SIGINT)
    _, errors = stopped.communicate(timeout=100)
    assert stopped.returncode == 130
    assert f"--resume --run {folder} --processes 2" in errors
    again = start(tmp_path, "--resume", "--run", str(folder), "--processes", "2")
    _, errors = again.communicate(timeout=250)
    assert again.returncode == 0, errors
    assert "going on after step" in errors
    one, other = weights(tmp_path / "whole"), weights(folder)
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_the_parts_of_a_batch_are_all_of_it_in_order() -> None:
    for count in (1, 2, 3, 7):
        for images in (0, 1, 2, 13, 32):
            parts = []
            for rank in range(count):
                one = Together()
                one.rank, one.count = rank, count
                parts += list(range(images))[one.part(images)]
            assert parts == list(range(images))


def test_one_process_needs_no_fabric() -> None:
    alone = Together()
    assert alone.add([1.0, 2.0]) == [1.0, 2.0]
    assert alone.tell("all") == "all"
    assert alone.stack(torch.arange(3, dtype=torch.uint8)).tolist() == [[0, 1, 2]]
    assert not is_helper()


def test_what_cannot_be_started_again_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="must be at least 1"):
        check(0, 1)
    monkeypatch.setattr(sys, "argv", ["-c"])
    with pytest.raises(UsageError, match="from a program in a file"):
        check(2, 1)
    monkeypatch.setattr(sys, "argv", [os.fspath(Path(__file__))])
    options: dict[str, Any] = {"processes": 2, "nodes": 1}
    check(**options)


@pytest.mark.slow
def test_ctrl_c_while_the_processes_start_ends_them_and_leaves_nothing(tmp_path: Path) -> None:
    process = start(tmp_path, "--processes", "2", "--run", str(tmp_path / "run"))
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + 100
    while not (helpers := [int(pid) for pid in children.read_text().split() if is_helper_process(int(pid))]):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as the terminal does it: to both
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "interrupted; every file is whole or was not written"
    assert "Traceback" not in errors
    assert "frame #" not in errors
    assert not (tmp_path / "run").exists()
    for pid in helpers:
        while Path(f"/proc/{pid}").exists():
            assert time.monotonic() < deadline + 100
            time.sleep(0.1)


def is_helper_process(pid: int) -> bool:
    try:
        return b"LOCAL_RANK=1" in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        # Another child of a moment, which has ended since it was listed.
        return False
