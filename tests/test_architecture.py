"""The house stays as ARCHITECTURE.md describes it."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import convscope

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src" / "convscope").rglob("*.py"))
ROOMS = ["data", "explain", "models", "raster", "scene", "tracing", "training"]


def fresh(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_rooms_import_downward_only() -> None:
    code = "from importlinter.cli import lint_imports; import sys; sys.exit(lint_imports())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


@pytest.mark.parametrize("statement", ["convscope", "convscope.cli.app", "convscope.data"])
def test_importing_loads_neither_torch_nor_a_plotting_library(statement: str) -> None:
    heavy = "{'torch', 'torchvision', 'timm', 'matplotlib', 'skimage', 'captum'}"
    assert fresh(f"import {statement}, sys; print(sorted({heavy} & set(sys.modules)))") == "[]"


def test_help_loads_neither_torch_nor_numpy() -> None:
    code = (
        "import sys, convscope.cli\nsys.argv = ['convscope', '--help']\n"
        "try: convscope.cli.main()\nexcept SystemExit: pass\n"
        "print('loaded:', sorted({'torch', 'numpy', 'PIL'} & set(sys.modules)))"
    )
    assert fresh(code).endswith("loaded: []")


@pytest.mark.parametrize("room", ["", *[f".{room}" for room in ROOMS]])
def test_public_names_are_there_and_described(room: str) -> None:
    module = importlib.import_module(f"convscope{room}")
    assert len(set(module.__all__)) == len(module.__all__) > 0
    for name in module.__all__:
        value = getattr(module, name)
        assert isinstance(value, str) or value.__doc__, f"{name} has no docstring"


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = convscope.nothing


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT / "src")))
def test_every_file_says_what_lives_there_and_stays_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith('"""'), "no module docstring"
    assert len(text.splitlines()) <= 600


def test_the_viewer_needs_nothing_from_the_network() -> None:
    for path in sorted((ROOT / "src" / "convscope" / "viewer").iterdir()):
        text = path.read_text(encoding="utf-8")
        for word in ("http://", "https://", "//cdn", "eval(", "innerHTML", "document.write"):
            assert word not in text.replace("http://www.w3.org/2000/svg", ""), f"{path.name} has {word}"
