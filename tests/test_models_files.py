"""A person's own network from a Python file; each way it can fail is one sentence."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from convscope.errors import ModelError, WeightsError
from convscope.models import load_model

NET = """
import dataclasses
from torch import nn
from neighbour import WIDTH

@dataclasses.dataclass
class Options:
    width: int = WIDTH

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, Options().width, 3)
    def forward(self, x):
        return self.conv(x)

class Needy(nn.Module):
    def __init__(self, width):
        super().__init__()

class Broken(nn.Module):
    def __init__(self):
        raise RuntimeError("no luck\\nsecond line")

class Leaves(nn.Module):
    def __init__(self):
        raise SystemExit(3)

def make():
    return Net()

ready = Net()
number = 3
def make_number():
    return 3
"""


@pytest.fixture
def net(tmp_path: Path) -> Path:
    (tmp_path / "neighbour.py").write_text("WIDTH = 5\n")
    path = tmp_path / "net.py"
    path.write_text(NET)
    yield path
    sys.modules.pop("neighbour", None)


@pytest.mark.parametrize("name", ["Net", "make", "ready"])
def test_a_class_a_function_or_an_object_can_be_named(name: str, net: Path) -> None:
    before = list(sys.path)
    model = load_model(f"{net}:{name}")
    assert model.module.conv.out_channels == 5
    assert model.card.random
    assert model.card.source == "file"
    assert model.card.preprocessing.channels == 1
    assert not model.module.training
    assert sys.path == before
    again = load_model(f"{net}:{name}", weights="none")
    assert torch.equal(model.module.conv.weight, again.module.conv.weight)


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_weights_are_loaded_into_it(suffix: str, net: Path) -> None:
    from safetensors.torch import save_file

    state = {"conv.weight": torch.full((5, 1, 3, 3), 2.0), "conv.bias": torch.zeros(5)}
    path = net.parent / f"mine.{suffix}"
    if suffix == "pt":
        torch.save(state, path)
    else:
        save_file(state, path)
    model = load_model(f"{net}:Net", weights=str(path))
    assert model.module.conv.weight.unique().tolist() == [2.0]
    assert model.card.weights == str(path)
    assert not model.card.random


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("Nett", "has no class `Nett`", "Did you mean Net"),
        ("Needy", r"`Needy\(\)` in .* failed: TypeError: .*width", "without arguments"),
        ("Broken", r"failed: RuntimeError: no luck \(line \d+\)", ""),
        ("Leaves", "failed: SystemExit: 3", ""),
        ("number", "`number` in .* is not a torch.nn.Module, but a int", ""),
        ("Options", "is not a torch.nn.Module, but a class of another kind", ""),
        ("make_number", r"`make_number\(\)` in .* returned a int", ""),
    ],
)
def test_what_cannot_be_used_is_said_in_one_sentence(name: str, message: str, hint: str, net: Path) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        load_model(f"{net}:{name}")
    assert hint in caught.value.hint
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import nothing_of_this_name", "ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("def broken(:\n", "SyntaxError"),
        ("raise SystemExit(0)", "SystemExit"),
        ("x = 1\n1 / 0\n", r"ZeroDivisionError: division by zero \(line 2\)"),
    ],
)
def test_a_file_that_cannot_be_imported_is_said_in_one_sentence(
    text: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "bad.py"
    path.write_text(text)
    before = set(sys.modules)
    with pytest.raises(ModelError, match=f"cannot be imported: .*{message}"):
        load_model(f"{path}:Net")
    assert not [name for name in set(sys.modules) - before if name.startswith("_convscope_file")]


def test_a_missing_file_folder_or_class_name_is_said(net: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        load_model(f"{net.parent}/other.py:Net")
    with pytest.raises(ModelError, match="does not say which class") as caught:
        load_model(str(net))
    assert f"{net}:Net" in caught.value.hint
    (net.parent / "folder.py").mkdir()
    with pytest.raises(ModelError, match="is a folder"):
        load_model(f"{net.parent}/folder.py:Net")
    with pytest.raises(WeightsError, match="no weights file `IMAGENET1K_V1`"):
        load_model(f"{net}:Net", weights="IMAGENET1K_V1")
