"""Nothing in the package can run code from a weights file: a look at the source itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import convscope

FORBIDDEN = {
    "weights_only=False": r"weights_only\s*=\s*False",
    "pickle.load": r"(?<![\w.])pickle\.loads?\b",
    "an unpickler": r"\bUnpickler\b",
    "torch.jit.load": r"\bjit\.load\b",
    "eval(": r"(?<![\w.])eval\(",
    "exec(": r"(?<![\w.])exec\(",
    "yaml.load(": r"\byaml\.load\(",
    "strict=False": r"load_state_dict\([^)]*strict\s*=\s*False",
}


def _sources() -> list[Path]:
    return sorted(Path(convscope.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("name", FORBIDDEN)
def test_the_source_never_uses(name: str) -> None:
    pattern = re.compile(FORBIDDEN[name])
    found = [f"{path.name}: {m[0]}" for path in _sources() for m in pattern.finditer(path.read_text("utf-8"))]
    assert found == []


def test_every_torch_load_says_weights_only() -> None:
    calls = [
        m[0] for path in _sources() for m in re.finditer(r"torch\.load\([^)]*\)", path.read_text("utf-8"))
    ]
    assert calls
    assert all("weights_only=True" in call and 'map_location="cpu"' in call for call in calls)


@pytest.mark.parametrize(
    ("text", "name"),
    [("torch.load(f, weights_only = False)", "weights_only=False"), ("x = eval(text)", "eval(")],
)
def test_the_patterns_find_what_they_look_for(text: str, name: str) -> None:
    assert re.search(FORBIDDEN[name], text)
    assert not re.search(FORBIDDEN["eval("], "model.eval()")
