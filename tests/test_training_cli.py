"""``convscope train`` and ``convscope evaluate`` as a person types them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from cli_running import NETS, Command

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")

QUICK = ("--epochs", "1", "--batch", "256", "--threads", "1")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.chdir(tmp_path)
    return Command(capsys)


def test_what_is_trained_goes_straight_under_the_microscope(run: Command, tmp_path: Path) -> None:
    trained = run("train", "--epochs", "3", "--threads", "1", "--json", "--tensorboard")
    assert trained.code == 0, trained.err
    found = trained.json
    assert found["run"] == "runs/tutorial_tanh-digits"
    assert found["images"] == 359
    assert found["interval"][0] < found["accuracy"] < found["interval"][1]
    assert [row["epoch"] for row in found["history"]] == [1, 2, 3]
    assert "epoch 3/3  loss" in trained.err
    again = run("evaluate", found["run"], "--json")
    assert again.json["accuracy"] == found["accuracy"]
    assert sum(map(sum, again.json["confusion"])) == 359
    table = run("evaluate", found["run"])
    assert f"{100 * found['accuracy']:.2f} % of 359 test images right" in table.out
    layers = run("layers", found["run"])
    assert "18,354 parameters" in layers.out
    looked = run("look", "sample:cat", "--model", found["run"], "-o", "cat.html")
    assert looked.code == 0, looked.err
    assert "weights: trained on digits" in looked.out
    leak = run("evaluate", found["run"], "--leak")
    assert "training images, dropout on (as the article measures)" in leak.out
    pytest.importorskip("tensorboard")
    assert list((tmp_path / found["run"] / "events").glob("events.out.*"))
    refused = run("train", "--run", found["run"])
    assert (refused.code, "holds a finished run already" in refused.err) == (1, True)
    second = run("train", *QUICK)
    assert "run: runs/tutorial_tanh-digits-2" in second.out


def test_events_say_what_the_metrics_say(run: Command, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert run("train", *QUICK, "--tensorboard", "--run", "r").code == 0
    events = EventAccumulator(str(tmp_path / "r" / "events")).Reload()
    (loss,) = events.Scalars("test_loss")
    row = (tmp_path / "r" / "metrics.csv").read_text().splitlines()
    expected = dict(zip(row[0].split(","), row[1].split(","), strict=True))["test_loss"]
    assert loss.value == pytest.approx(float(expected))


def test_what_is_wrong_with_a_folder_is_said_in_sentences(run: Command, tmp_path: Path) -> None:
    for kind, shade in (("cats", 40), ("dogs", 200)):
        (tmp_path / "pets" / kind).mkdir(parents=True)
        for i in range(6):
            Image.new("RGB", (32, 32), (shade, i, 0)).save(tmp_path / "pets" / kind / f"{i}.png")
    (tmp_path / "pets" / "cats" / "3.png").write_bytes(b"no picture")
    ran = run("train", "tutorial_tanh", "--data", "pets", *QUICK, "--run", "r")
    assert ran.code == 0, ran.err
    (problem,) = json.loads((tmp_path / "r" / "run.json").read_text())["data"]["problems"]
    assert problem.startswith("1 picture cannot be read; left out: ")
    assert f"note: {problem}\n" in ran.err
    shutil.rmtree(tmp_path / "pets" / "dogs")
    (tmp_path / "pets" / "dogs").mkdir()
    refused = run("train", "tutorial_tanh", "--data", "pets", *QUICK, "--run", "some/where/one")
    expected = "error: pets has pictures of one class only, cats, and nothing to tell it from\n"
    assert (refused.code, expected in refused.err) == (1, True)
    assert not (tmp_path / "some").exists()


def test_every_value_of_a_recipe_can_be_set(run: Command, tmp_path: Path) -> None:
    words = [
        "--set",
        "momentum=0.5",
        "--set",
        "flip=random",
        "--precision",
        "bf16",
        "--learning-rate",
        "0.01",
    ]
    ran = run("train", "tutorial_tanh", "--data", "digits:0,1", *QUICK, *words, "--seed", "4", "--run", "r")
    assert ran.code == 0, ran.err
    config = json.loads((tmp_path / "r" / "run.json").read_text())
    recipe = config["recipe"]
    chosen = (recipe["momentum"], recipe["flip"], recipe["precision"], recipe["learning_rate"])
    assert chosen == (0.5, "random", "bf16", 0.01)
    assert (config["seed"], config["classes"], config["model"]["parameters"]) == (4, ["0", "1"], 18090)


def test_a_net_of_ones_own_is_trained_by_its_file(run: Command, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NETS)
    ran = run("train", "net.py:Small", *QUICK, "--run", "r")
    assert ran.code == 0, ran.err
    assert run("classify", "r", "sample:cat").code == 0
    (tmp_path / "elsewhere").mkdir()
    config = json.loads((tmp_path / "r" / "run.json").read_text())
    assert config["model"]["spec"] == f"{tmp_path / 'net.py'}:Small"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["train", "--set", "momentum"], 2, "takes NAME=VALUE"),
        (["train", "--set", "momentun=1"], 2, "Did you mean momentum"),
        (["train", "--epochs", "0"], 2, "`epochs` must be at least 1"),
        (["train", "--learning-rate", "1e20"], 2, "`learning_rate` must be between 0 and 1e+09; got 1e+20"),
        (["train", "--set", "outputs=10000000"], 2, "`outputs` must be between 0 and 100000; got 1e+07"),
        (["train", "--recipe", "articel"], 2, "there is no recipe `articel`"),
        (["train", "tutorial_cnnn"], 1, "Did you mean tutorial_cnn"),
        (["train", "--data", "nowhere"], 1, "nowhere"),
        (["train", "--data", "digits:0,x"], 1, "x"),
        (["train", "--unfreeze"], 2, "goes with `--transfer`"),
        (["train", "resnet18", "--transfer", "alexnet"], 2, "takes the place of MODEL"),
        (["train", "--device", "abacus"], 2, "the device `abacus` cannot be used here; there "),
        (["train", "--device", "meta"], 2, "the device `meta` cannot be used here; there "),
        (["train", "--device", "cpu:x"], 2, "cannot be used here (Invalid device string: 'cpu:x'); there "),
        (["train", "--resume"], 2, "no unfinished run under runs/"),
        (["train", "--resume", "--run", "none"], 1, "there is no run in `none`"),
        (["train", "--resume", "--run", "none", "--epochs", "3"], 2, "epochs cannot change now"),
        (["train", "--run", "net.py/x", *QUICK], 1, "is a file, not a folder"),
        (["evaluate", "none"], 1, "not a run folder"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(
    words: list[str], code: int, said: str, run: Command, tmp_path: Path
) -> None:
    (tmp_path / "net.py").write_text(NETS)
    ran = run(*words)
    assert ran.code == code, ran.err
    assert said in ran.err
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


def test_a_damaged_run_is_said_in_a_sentence(run: Command, tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "run.json").write_text("{")
    assert "is damaged: it does not hold JSON" in run("evaluate", "r").err
    (tmp_path / "r" / "run.json").write_text('{"schema": "convscope.run/9"}')
    assert "should be of schema convscope.run/1" in run("evaluate", "r").err


def test_a_run_broken_off_before_its_first_checkpoint_has_no_weights(run: Command, tmp_path: Path) -> None:
    assert run("train", *QUICK, "--run", "r").code == 0
    for name in ("model.safetensors", "checkpoint.safetensors"):
        (tmp_path / "r" / name).unlink()
    assert "holds no weights yet" in run("classify", "r", "sample:cat").err
    resumed = run("train", "--resume", "--run", "r", "--threads", "1")
    assert resumed.code == 0, resumed.err
    assert "beginning with the first step" in resumed.err


def test_a_run_at_its_checkpoint_can_be_looked_at(run: Command, tmp_path: Path) -> None:
    assert run("train", *QUICK, "--set", "averaging=ema", "--run", "r").code == 0
    whole = run("classify", "r", "sample:cat", "--json").json
    (tmp_path / "r" / "model.safetensors").unlink()
    ran = run("classify", "r", "sample:cat", "--json")
    assert "not at its end" in ran.out + ran.err
    assert _probabilities(ran.json) == _probabilities(whole)


def _probabilities(found: object) -> list[float]:
    """Every number under the key ``probability``, wherever it stands."""
    if isinstance(found, dict):
        own = [float(found["probability"])] if "probability" in found else []
        return own + [p for value in found.values() for p in _probabilities(value)]
    return [p for value in found for p in _probabilities(value)] if isinstance(found, list) else []
