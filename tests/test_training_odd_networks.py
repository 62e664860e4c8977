"""Networks that share, compute, draw or keep what most do not: trained, averaged and gone on with rightly."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from convscope.errors import TrainingError, UsageError
from convscope.training import Recipe, Run, train

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")

QUICK = Recipe(epochs=1, batch=240, learning_rate=0.05)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.a = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.end = nn.Linear(3, 10)

    def middle(self, x: Tensor) -> Tensor:
        return x

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.middle(self.norm(self.a(x)).relu()).mean((2, 3)))


class Shared(Net):
    """One layer under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.b, self.again = self.a, self.norm

    def middle(self, x: Tensor) -> Tensor:
        return self.again(self.b(x))


class Tied(Net):
    """Two layers with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.b = nn.Conv2d(3, 3, 3, padding=1)
        self.b.weight = self.a.weight

    def middle(self, x: Tensor) -> Tensor:
        return self.b(x)


class PythonChance(Net):
    def middle(self, x: Tensor) -> Tensor:
        return x * 2 if self.training and random.random() < 0.5 else x


class NumpyChance(Net):
    def middle(self, x: Tensor) -> Tensor:
        return x * float(np.random.normal()) if self.training else x


class Unkept(Net):
    """A buffer that is no part of the state dict, and changes in training."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("times", torch.zeros(()), persistent=False)

    def middle(self, x: Tensor) -> Tensor:
        if self.training:
            self.times += 1
        return x * (1 + 0.1 * self.times)


class Complex(Net):
    def __init__(self) -> None:
        super().__init__()
        self.turn = nn.Parameter(torch.ones(3, 1, 1, dtype=torch.complex64))

    def middle(self, x: Tensor) -> Tensor:
        return (x * self.turn).real


class Extra(Net):
    def get_extra_state(self) -> Any:
        return {"note": 1}

    def set_extra_state(self, state: Any) -> None:
        pass


class Apart(Net):
    """Its first output has the shape of scores and depends on nothing."""

    def forward(self, x: Tensor) -> Any:
        return x.detach().mean((2, 3)).repeat(1, 4)[:, :10], super().forward(x)


class FailsBackwards(Net):
    def middle(self, x: Tensor) -> Tensor:
        if x.requires_grad:
            x.register_hook(lambda gradient: (_ for _ in ()).throw(ValueError("no way back")))
        return x


def trained(net: nn.Module, folder: Path, recipe: Recipe = QUICK, **more: Any) -> Run:
    return train(net, "digits", recipe, run=folder, size=16, threads=1, film=False, **more)


@pytest.mark.parametrize("kind", [Shared, Tied])
def test_shared_weights_train_in_bfloat16_and_stay_float32(kind: type[Net], tmp_path: Path) -> None:
    net = kind()
    before = net.a.weight.detach().clone()
    trained(net, tmp_path / "run", QUICK.replace(precision="bf16"))
    assert all(p.dtype == torch.float32 for p in net.parameters())
    assert not torch.equal(net.a.weight, before)
    kept = load_file(tmp_path / "run" / "model.safetensors")
    assert torch.equal(kept["a.weight"], kept["b.weight"])


@pytest.mark.parametrize("kind", [Shared, Tied])
@pytest.mark.parametrize("averaging", ["ema", "lookahead"])
def test_shared_weights_are_averaged_once(kind: type[Net], averaging: str, tmp_path: Path) -> None:
    """One step: the average moves by the share the recipe says, under every name."""
    recipe = QUICK.replace(batch=1437, averaging=averaging, averaging_decay=0.5, momentum=0.0, nesterov=False)
    plain, averaged = kind(), kind()
    before = plain.a.weight.detach().clone()
    trained(plain, tmp_path / "plain", recipe.replace(averaging="none"))
    trained(averaged, tmp_path / "averaged", recipe)
    whole = load_file(tmp_path / "plain" / "model.safetensors")
    half = load_file(tmp_path / "averaged" / "model.safetensors")
    # The first time an ema keeps 2 / 11.
    share = 1 - 2 / 11 if averaging == "ema" else 0.5
    expected = before + share * (whole["a.weight"] - before)
    for name in ("a.weight", "b.weight"):
        assert torch.allclose(half[name], expected, atol=1e-7), name
    assert not torch.equal(whole["a.weight"], before)


def test_settled_statistics_are_kept_under_every_name(tmp_path: Path) -> None:
    trained(Shared(), tmp_path / "run", QUICK.replace(averaging="ema", settle=True))
    kept = load_file(tmp_path / "run" / "model.safetensors")
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        assert torch.equal(kept[f"norm.{name}"], kept[f"again.{name}"]), name
    trained(Unkept(), tmp_path / "unkept", QUICK.replace(averaging="ema", settle=True))


@pytest.mark.parametrize("kind", [PythonChance, NumpyChance, Unkept])
def test_going_on_ends_with_the_same_weights_whatever_it_draws_on(kind: type[Net], tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(step: int, module: nn.Module) -> None:
        if step == 4:
            raise Killed

    path = tmp_path / "net.py"
    path.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        f"from test_training_odd_networks import {kind.__name__} as Net\n"
    )
    recipe = QUICK.replace(epochs=2)
    whole = trained(f"{path}:Net", tmp_path / "whole", recipe)  # type: ignore[arg-type]
    with pytest.raises(Killed):
        trained(f"{path}:Net", tmp_path / "run", recipe, on_step=kill, checkpoint_seconds=0)  # type: ignore[arg-type]
    again = train(run=tmp_path / "run", resume=True)
    names = ("model.safetensors", "metrics.csv")
    assert (whole.folder / names[0]).read_bytes() == (again.folder / names[0]).read_bytes()


def test_numbers_drawn_in_a_callback_change_nothing(tmp_path: Path) -> None:
    def draw(*_: Any) -> None:
        torch.rand(3)
        random.random()
        np.random.rand()

    plain = trained(NumpyChance(), tmp_path / "plain")
    drawn = trained(NumpyChance(), tmp_path / "drawn", on_step=draw, on_progress=draw)
    name = "model.safetensors"
    assert (plain.folder / name).read_bytes() == (drawn.folder / name).read_bytes()


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "muon"])
def test_complex_weights_train(optimizer: str, tmp_path: Path) -> None:
    net = Complex()
    trained(net, tmp_path / "run", QUICK.replace(optimizer=optimizer, averaging="ema"))
    assert not torch.equal(net.turn, Complex().turn)


@pytest.mark.parametrize(
    ("net", "changes", "message"),
    [
        (Extra, {}, "keeps a state that is no tensor"),
        (Extra, {"averaging": "ema"}, "keeps a state that is no tensor"),
        (Apart, {}, "the class scores do not depend on any weight that is trained"),
        (FailsBackwards, {}, "failed in training mode, at step 1, on inputs of .*: ValueError: no way back"),
        (
            Net,
            {"averaging": "ema", "averaging_every": 1000},
            "`averaging_every` is 1,000, but the training has 6",
        ),
    ],
)
def test_what_cannot_be_trained_or_kept_is_said_and_leaves_nothing(
    net: type[Net], changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises((TrainingError, UsageError), match=message):
        trained(net(), tmp_path / "run", QUICK.replace(**changes))
    assert not (tmp_path / "run").exists()


def test_the_way_out_is_that_of_the_failure(tmp_path: Path) -> None:
    with pytest.raises(TrainingError) as failed:
        trained(FailsBackwards(), tmp_path / "run")
    assert failed.value.hint == ""
    with pytest.raises(TrainingError, match="--precision fp32"):
        trained(FailsBackwards(), tmp_path / "run", QUICK.replace(precision="bf16"))


@pytest.mark.parametrize(
    ("end", "word"), [(nn.Softmax(1), "softmax"), (nn.Sigmoid(), "sigmoid"), (nn.Identity(), "")]
)
def test_a_network_that_ends_in_probabilities_is_told_of(end: nn.Module, word: str, tmp_path: Path) -> None:
    run = trained(nn.Sequential(Net(), end), tmp_path / "run")  # type: ignore[arg-type]
    told = [text for text in run.notes if "takes softmax of that again" in text]
    assert told == [text for text in told if f"ends in a {word}," in text]
    assert bool(told) == bool(word)
