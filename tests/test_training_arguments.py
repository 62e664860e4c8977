"""Arguments of a training, from Python and typed: what is refused in a sentence, and what is taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import convscope
from cli_running import Command
from convscope.errors import OutputError, UsageError, WeightsError
from convscope.files import atomic_write, check_writable
from convscope.models import load_model
from convscope.training import Recipe, Run, evaluate, train
from convscope.training.recipe_values import kinds

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")

ONCE = Recipe(epochs=1, batch=256)


class Net(nn.Sequential):
    def __init__(self, outputs: int = 10) -> None:
        super().__init__(
            nn.Conv2d(3, 4, 5, stride=4), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(196, outputs)
        )


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.chdir(tmp_path)
    return Command(capsys)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(None, "digits:0,1", ONCE, run=tmp_path_factory.mktemp("runs") / "tiny", threads=1)


# --- What goes with a transfer only ---


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"weights": "nope"}, "`--weights` goes with `--transfer`"),
        ({"unfreeze": True}, "`--unfreeze` goes with `--transfer`"),
    ],
)
def test_what_goes_with_a_transfer_is_refused_without_one(
    arguments: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=said):
        train("tutorial_tanh", "digits", ONCE, run=tmp_path / "run", **arguments)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("words", [["--weights", "no/such/file"], ["--unfreeze"]])
def test_the_command_line_refuses_it_in_the_same_sentence(words: list[str], run: Command) -> None:
    ran = run("train", "resnet18", "--epochs", "1", *words)
    assert ran.code == 2
    assert f"`{words[0]}` goes with `--transfer`: without it" in ran.err


# --- Values of a recipe ---


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"crop": "no"}, "`crop` must be True or False; got 'no'"),
        ({"settle": "no"}, "`settle` must be True or False; got 'no'"),
        ({"nesterov": "false"}, "`nesterov` must be True or False; got 'false'"),
        ({"whiten": 1}, "`whiten` must be True or False; got 1"),
        ({"notes": "hello"}, "`notes` must be sentences, one text each in a tuple; got 'hello'"),
        ({"notes": (1,)}, "`notes` must be sentences"),
        ({"name": 5}, "`name` must be a text; got 5"),
        ({"optimizer": None}, "`optimizer` must be one of sgd, adam, adamw, muon; got None"),
        ({"flip": ["none"]}, "`flip` must be one of none, random, alternating"),
        ({"parts": [(24.5, 0.5)]}, r"`parts` must be pairs of a side, a whole number, and a share"),
        ({"parts": 24}, "`parts` must be pairs of .*; got 24"),
        ({"parts": "24:0.5"}, "`parts` must be pairs of .*; got '24:0.5'"),
        ({"parts": [(24, 0.5, 1)]}, "`parts` must be pairs of"),
        ({"parts": [(24, "0.5")]}, "`parts` must be pairs of"),
        ({"batch": True}, "`batch` must be a whole number; got True"),
        ({"momentum": float("nan")}, "`momentum` must be at least 0; got nan|between"),
    ],
)
def test_values_of_a_recipe_of_a_wrong_kind_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Recipe(**values)


def test_numbers_of_numpy_become_pythons_own() -> None:
    recipe = Recipe(
        batch=np.int64(24),
        learning_rate=np.float32(0.5),
        crop=np.True_,
        parts=[[np.int32(24), np.float64(0.5)]],
        notes=["one"],
    )
    assert recipe == Recipe(batch=24, learning_rate=0.5, crop=True, parts=((24, 0.5),), notes=("one",))
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_adam_is_made_with_a_momentum_of_a_whole_number(optimizer: str, tmp_path: Path) -> None:
    chosen = ONCE.replace(optimizer=optimizer, momentum=0, learning_rate=np.float32(0.001))
    made = train("tutorial_tanh", "digits:0,1", chosen, run=tmp_path / "run", seed=np.int64(3), threads=1)
    config = json.loads((made.folder / "run.json").read_text())
    assert (config["seed"], config["recipe"]["momentum"]) == (3, 0)


# --- Arguments of train and evaluate ---


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"seed": True}, "`seed` must be a whole number from 0 to 4,294,967,295; got True"),
        ({"size": "32"}, "`size` must be a whole number, at least 1; got '32'"),
        ({"size": 0}, "`size` must be at least 1; got 0"),
        ({"threads": 1.5}, "`threads` must be a whole number, at least 1; got 1.5"),
        ({"threads": 0}, "`threads` must be at least 1; got 0"),
        ({"processes": "2"}, "`processes` must be a whole number, at least 1; got '2'"),
        ({"nodes": 0}, "`nodes` must be at least 1; got 0"),
        ({"device": None}, "`device` must be a text, such as `auto`; got None"),
        ({"run": 5}, "`run` must be the name of a folder; got 5"),
        ({"root": 5}, "`root` must be the name of a folder; got 5"),
        ({"recipe": {"epochs": 1}}, "`recipe` must be a name or a `Recipe`; got {'epochs': 1}"),
        ({"checkpoint_seconds": -1}, "`checkpoint_seconds` must be a number of seconds, at least 0; got -1"),
        ({"checkpoint_seconds": float("nan")}, "`checkpoint_seconds` must be .*; got nan"),
        ({"checkpoint_seconds": "9"}, "`checkpoint_seconds` must be .*; got '9'"),
        ({"resume": "no"}, "`resume` must be True or False; got 'no'"),
        ({"on_progress": 5}, "`on_progress` must be a function; got 5"),
        ({"transfer": True, "weights": 5}, "`weights` must be a text, such as `default`; got 5"),
    ],
)
def test_arguments_of_a_wrong_kind_are_refused_before_any_work(
    arguments: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=said):
        train("tutorial_tanh", "digits", **{"recipe": ONCE, **arguments})
    assert not list(tmp_path.iterdir())


def test_numpys_numbers_and_torchs_device_are_taken(tmp_path: Path) -> None:
    made = train(
        "tutorial_tanh",
        "digits:0,1",
        ONCE,
        run=tmp_path / "run",
        seed=np.int64(3),
        size=np.int64(32),
        threads=np.int64(1),
        device=torch.device("cpu"),
        film=False,
    )
    assert made.config["seed"] == 3
    assert json.loads((made.folder / "run.json").read_text())["data"]["asked_size"] == 32


def test_the_run_that_training_gave_is_evaluated(done: Run) -> None:
    assert convscope.evaluate(done).accuracy == done.evaluation.accuracy
    assert (evaluate(done).confusion == evaluate(done.folder).confusion).all()


def test_the_run_of_a_module_given_in_python_is_evaluated(tmp_path: Path) -> None:
    torch.manual_seed(0)
    made = train(Net(), "digits", ONCE, run=tmp_path / "run", threads=1)
    assert evaluate(made).accuracy == made.evaluation.accuracy


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"run": 5}, "`run` must be the name of a folder; got 5"),
        ({"strict": "no"}, "`strict` must be True or False; got 'no'"),
        ({"training_mode": "no"}, "`training_mode` must be True or False; got 'no'"),
        ({"root": 5}, "`root` must be the name of a folder; got 5"),
        ({"on_batch": 5}, "`on_batch` must be a function; got 5"),
        ({"views": ["one"]}, "`views` must be one of one, mirror, shifts"),
    ],
)
def test_arguments_of_evaluate_of_a_wrong_kind_are_refused(
    arguments: dict[str, Any], said: str, done: Run
) -> None:
    with pytest.raises(UsageError, match=said):
        evaluate(**{"run": done.folder, **arguments})


# --- The values of a recipe, listed ---


def test_the_values_of_a_recipe_are_listed(run: Command, tmp_path: Path) -> None:
    ran = run("train", "--set", "?")
    assert ran.code == 0, ran.err
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in ran.out.splitlines()[3:]}
    assert list(rows) == list(kinds())
    assert rows["optimizer"] == ["sgd", "sgd, adam, adamw, muon"]
    assert rows["epochs"] == ["20", "a whole number of at least 1"]
    assert rows["warmup"] == ["0.2", "a number from 0 to 1"]
    assert not list(tmp_path.iterdir())


def test_the_values_are_those_of_the_network_with_what_was_typed(run: Command) -> None:
    ran = run("train", "cifar10_small", "--set", "?", "--set", "turn=3", "--batch", "7", "--json")
    assert ran.code == 0, ran.err
    values = {row["name"]: row["value"] for row in ran.json["values"]}
    assert ran.json["recipe"] == "fast"
    assert (values["optimizer"], values["turn"], values["batch"]) == ("muon", 3, 7)
    assert values["parts"] == [[24, 0.54]]


def test_the_values_of_a_run_to_go_on_with_are_its_own(run: Command, done: Run) -> None:
    ran = run("train", "--resume", "--run", done.folder, "--set", "?", "--json")
    assert ran.code == 0, ran.err
    assert {row["name"]: row["value"] for row in ran.json["values"]}["batch"] == 256


@pytest.mark.parametrize("name", ["plain", "fast", "article"])
def test_values_as_listed_can_be_typed_again(name: str) -> None:
    network = {"plain": "", "fast": "cifar10_small", "article": "tutorial_cnn"}[name]
    chosen = convscope.training.recipe(name, network)
    other = Recipe(**dict.fromkeys(("crop", "settle"), True), parts=((20, 0.1),), turn=5)
    assert other.with_text(chosen.to_text()) == chosen.replace(name=other.name, notes=other.notes)


# --- Sentences ---


def test_a_run_whose_file_was_edited_says_whose_weights_do_not_fit(done: Run, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "run.json").write_bytes((done.folder / "run.json").read_bytes())
    weights = load_file(done.folder / "model.safetensors")
    weights.pop(next(iter(weights)))
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(WeightsError) as caught:
        load_model(folder)
    named = f"the weights of `{folder}` (trained on {done.config['data']['name']}) do not fit the model: "
    assert caught.value.message.startswith(named)


def test_given_weights_that_do_not_fit_are_called_so() -> None:
    with pytest.raises(WeightsError, match=r"^the given weights do not fit the model: "):
        load_model("tutorial_tanh", weights={"conv.weight": torch.zeros(1)})


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a folder in which nobody can make anything")
def test_a_place_where_nothing_can_be_made_is_said_to_be_one(run: Command) -> None:
    said = "cannot write /proc/x: no file or folder can be made there"
    with pytest.raises(OutputError, match=said):
        check_writable("/proc/x", folder=True)
    with pytest.raises(OutputError, match="cannot write /proc/x/y: no file or folder can be made there"):
        atomic_write("/proc/x/y", b"")
    assert said in run("train", "--epochs", "1", "--run", "/proc/x").err


# --- What the caller finds ---


class Stops(Exception):
    """Raised in the middle of a training."""


@pytest.mark.parametrize("stops", [False, True])
@pytest.mark.parametrize("how", ["transfer", "scales", "first"])
def test_parameters_ask_for_gradients_as_before(how: str, stops: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = Net()
    net[0].bias.requires_grad_(False)
    before = {name: p.requires_grad for name, p in net.named_parameters()}
    during: list[bool] = []

    def on_step(step: int, module: nn.Module) -> None:
        during.extend(p.requires_grad for p in net.parameters())
        if stops:
            raise Stops

    recipe = ONCE.replace(freeze_scales=how == "scales", freeze_first=how == "first")
    arguments: dict[str, Any] = {"run": tmp_path / "run", "threads": 1, "on_step": on_step, "film": False}
    arguments |= {"transfer": True, "size": 32} if how == "transfer" else {}
    try:
        train(net, "digits", recipe, **arguments)
    except Stops:
        assert stops
    assert during.count(False) > list(before.values()).count(False), "nothing was frozen"
    assert {name: p.requires_grad for name, p in net.named_parameters()} == before


def test_muon_at_a_rate_of_zero_still_brings_filters_to_one_length() -> None:
    """As the recipe's documentation says of it."""
    from convscope.training.optimizers import make_optimizer

    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 8, 3))
    optimizer = make_optimizer(net, Recipe(optimizer="muon", learning_rate=0.0))
    first, second = (net[i].weight for i in (0, 1))
    was: Tensor = first.detach().clone()
    net(torch.ones(1, 3, 8, 8)).sum().backward()
    optimizer.step()
    assert first.equal(was)
    assert float(second.detach().norm()) == pytest.approx(8**0.5, rel=1e-5)
