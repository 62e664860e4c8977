"""Plots: the figures hold the numbers given, nothing global is touched."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path

import numpy as np
import pytest

from convscope.errors import MissingExtraError, UsageError
from convscope.exhibits.plots import line_plot, save_plot

pytest.importorskip("matplotlib", reason="the extra `plots` is not installed")


def test_the_line_holds_every_value_and_marks_the_largest() -> None:
    values = np.random.default_rng(0).normal(size=1000)
    axes = line_plot(values, title="fc", top=3).axes[0]
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), values)
    assert [line.get_xdata()[0] for line in axes.lines[2:]] == sorted(range(1000), key=lambda i: -values[i])[
        :3
    ]


def test_the_largest_are_named_in_falling_order_as_they_are_written() -> None:
    axes = line_plot([0.1, np.nan, 0.5, 0.4], labels=["a", "b", "c$", "d_{2}"], top=3).axes[0]
    assert axes.texts[0].get_text().split() == ["2", "c\\$", "0.5", "3", "d_{2}", "0.4", "0", "a", "0.1"]


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_plots_are_written_whole(tmp_path: Path, ending: str) -> None:
    path = save_plot(
        tmp_path / f"answer.{ending}", line_plot([0.2, 0.8], labels=["$x$", "a $ b <c>"], title="$")
    )
    assert path.read_bytes()[:4] == {"png": b"\x89PNG", "svg": b"<?xm", "pdf": b"%PDF"}[ending]
    if ending == "svg":
        assert xml.etree.ElementTree.parse(path).getroot().tag.endswith("svg")


def test_values_without_anything_finite_are_drawn_as_nothing(tmp_path: Path) -> None:
    for figure in (line_plot([np.nan, np.inf]), line_plot([np.nan])):
        assert save_plot(tmp_path / "none.png", figure).stat().st_size > 0


def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"vector of at least one value; got shape \(1, 2\)"):
        line_plot([[1.0, 2.0]])
    with pytest.raises(UsageError, match="must name all 2 values; got 1"):
        line_plot([1.0, 2.0], labels=["a"])
    with pytest.raises(UsageError, match=r"\.png, \.svg or \.pdf; got 'a\.exe'"):
        save_plot(tmp_path / "a.exe", line_plot([1.0]))


def test_without_matplotlib_the_install_line_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(
        MissingExtraError, match=r"plots need matplotlib.*\n.*pip install 'convscope\[plots\]'"
    ):
        line_plot([1.0])


def test_pyplot_stays_unloaded(tmp_path: Path) -> None:
    code = (
        "import sys; from convscope.exhibits.plots import *; save_plot(sys.argv[1], line_plot([1.0]));"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.png")], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "False"
