"""Every training makes a film: of the network it would save, at no cost to its weights, resumed or not."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

import convscope
from cli_running import Command
from convscope.errors import FilmError
from convscope.filming import open_film
from convscope.training import Recipe, Run, train

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")

SHORT = Recipe(epochs=3, batch=256)


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train("tutorial_tanh", "digits", SHORT, run=tmp_path_factory.mktemp("runs") / "filmed", threads=1)


def test_a_training_with_a_film_saves_the_very_same_weights(filmed: Run, tmp_path: Path) -> None:
    plain = train("tutorial_tanh", "digits", SHORT, run=tmp_path / "plain", threads=1, film=False)
    names = ("model.safetensors", "metrics.csv")
    assert (filmed.folder / names[0]).read_bytes() == (plain.folder / names[0]).read_bytes()
    assert [row["test_accuracy"] for row in filmed.history] == [row["test_accuracy"] for row in plain.history]
    with pytest.raises(FilmError, match="holds no film"):
        open_film(plain.folder)


def test_the_last_frame_is_the_network_that_was_saved(filmed: Run) -> None:
    strip = open_film(filmed.folder)
    assert strip.steps == (0, 1, 2, 3, 4, 6, 12, 18)
    model = convscope.load_model(filmed.folder)
    last = strip[-1]
    assert last.kernels[0] is not None
    assert torch.equal(torch.from_numpy(last.kernels[0].copy()), model.module[0].weight.detach())
    data = convscope.load_dataset("digits", size=32)
    for number, image in enumerate(strip.manifest["images"]):
        index = list(map(str, data.test.names)).index(image["name"])
        assert int(data.test.labels[index]) == image["label"]
        picture = np.repeat(data.test.images[index], 3, axis=2)
        assert np.array_equal(strip.pictures[number], picture)
        with torch.no_grad():
            scores = model.module(model.card.preprocessing.apply(picture).tensor)
        assert last.probabilities is not None
        assert np.allclose(last.probabilities[number], scores.softmax(1)[0].numpy(), atol=1e-5)


def test_a_training_that_averages_is_filmed_as_it_would_be_saved(tmp_path: Path) -> None:
    run = train(
        "tutorial_tanh", "digits", SHORT.replace(epochs=1, averaging="ema"), run=tmp_path / "run", threads=1
    )
    kernels = open_film(run.folder)[-1].kernels[0]
    assert kernels is not None
    assert torch.equal(torch.from_numpy(kernels.copy()), run.model().module[0].weight.detach())


def test_a_training_broken_off_goes_on_with_its_film(filmed: Run, tmp_path: Path) -> None:
    def stop(step: int, module: torch.nn.Module) -> None:
        if step == 9:
            raise KeyboardInterrupt

    # Killed after step 9, with its last checkpoint at step 7 or before: the steps after it are done again.
    with pytest.raises(KeyboardInterrupt):
        train(
            "tutorial_tanh",
            "digits",
            SHORT,
            run=tmp_path / "r",
            threads=1,
            on_step=stop,
            checkpoint_seconds=0,
        )
    assert open_film(tmp_path / "r").steps == (0, 1, 2, 3, 4, 6)
    train(run=tmp_path / "r", resume=True, threads=1)
    again, whole = open_film(tmp_path / "r"), open_film(filmed.folder)
    assert again.steps == whole.steps
    for one, other in zip(again, whole, strict=True):
        for a, b in zip((*one.kernels, *one.maps), (*other.kernels, *other.maps), strict=True):
            assert np.array_equal(a, b)


def test_a_network_without_convolutions_is_trained_and_why_there_is_no_film_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    train("tutorial_mlp", "digits", SHORT.replace(epochs=1), run=tmp_path / "r", on_note=said.append)
    assert any("no convolution over pictures" in text for text in said)
    assert not (tmp_path / "r" / "film").exists()


def test_a_full_disk_ends_the_film_and_not_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filmed: Run
) -> None:
    from convscope.errors import OutputError
    from convscope.filming import store

    write = store.write_arrays

    def full(path: Path, *rest: object) -> None:
        if "step-000000004" in path.name:
            raise OutputError(f"disk full at {path}")
        write(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "write_arrays", full)
    said: list[str] = []
    run = train("tutorial_tanh", "digits", SHORT, run=tmp_path / "r", threads=1, on_note=said.append)
    assert [text for text in said if text.startswith("the film ends before step 4: disk full")]
    assert open_film(run.folder).steps == (0, 1, 2, 3)
    assert (run.folder / "model.safetensors").read_bytes() == (
        filmed.folder / "model.safetensors"
    ).read_bytes()


def test_the_command_animates_and_the_report_of_the_run_has_the_film(
    filmed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = Command(capsys)
    done = command("train", "--epochs", 1, "--run", "r", "--animate", "film.gif")
    assert done.code == 0
    assert f"animation of {len(open_film('r'))} steps: film.gif" in done.out
    assert "convscope film r" in done.out
    assert (tmp_path / "film.gif").read_bytes()[:4] == b"GIF8"
    assert command("look", "sample:cat", "--model", "r", "-o", "report.html").code == 0
    text = (tmp_path / "report.html").read_text()
    assert (
        len(re.findall(r'<script [^>]*data-chunk="film/\d|<script [^>]*data-chunk="film/pictures', text))
        == len(open_film("r")) + 1
    )
    (tmp_path / "r" / "film" / "step-000000001.npz").write_bytes(b"x")
    done = command("look", "sample:cat", "--model", "r", "-o", "report.html")
    assert done.code == 0
    assert "without the film of the training" in done.err
    refused = command("train", "--animate", "film.gif", "--no-film")
    assert refused.code == 2
    assert "`--no-film` makes none" in refused.err


def test_the_gallery_script_makes_films(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = Path(__file__).parents[1] / "examples" / "plot_film.py"
    monkeypatch.setattr("sys.argv", [script.name, "--output", str(tmp_path), "--epochs", "1"])
    runpy.run_path(str(script), run_name="__main__")
    steps = open_film(tmp_path / "run").steps
    assert f"kept steps: {', '.join(map(str, steps))}" in capsys.readouterr().out
    assert {p.name for p in tmp_path.iterdir()} >= {
        "film.gif",
        "film.html",
        "own.gif",
        "step-0.png",
        f"step-{steps[-1]}.png",
    }


def test_a_run_that_begins_again_without_a_checkpoint_makes_its_film_anew(tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(step: int, module: torch.nn.Module) -> None:
        if step == 4:
            raise Killed

    folder = tmp_path / "run"
    with pytest.raises(Killed):
        train("tutorial_tanh", "digits", SHORT, run=folder, threads=1, on_step=kill)
    assert open_film(folder).steps[:3] == (0, 1, 2)
    said: list[str] = []
    train(run=folder, resume=True, threads=1, on_note=said.append)
    assert open_film(folder).steps == (0, 1, 2, 3, 4, 6, 12, 18)
    assert not [text for text in said if "film" in text]
