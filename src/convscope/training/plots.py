"""Pictures of a run: its curves and its confusion matrix, drawn by matplotlib (the extra ``plots``)."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from convscope.files import atomic_write
from convscope.training.evaluation import Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TRAIN = "#1f5fae"
_TEST = "#b3372f"
_INK = "#20242c"
_MOST_NUMBERED = 20
_LEAST_WIDTH = 5.2  # inches


def draw_run(
    folder: Path, history: Sequence[Mapping[str, Any]], found: Evaluation, title: str
) -> tuple[str, ...]:
    """``curves.png`` and ``confusion.png``; a sentence where they cannot be drawn."""
    if find_spec("matplotlib") is None:
        return (
            "curves.png and confusion.png are not drawn: matplotlib is not installed "
            "(pip install 'convscope[plots]')",
        )
    _save(curves(history, title), folder / "curves.png")
    _save(confusion_matrix(found, title), folder / "confusion.png")
    return ()


def curves(history: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """Loss and accuracy by epoch: training as it went, and the test images."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    figure.suptitle(_wrapped(title, 9, 12), color=_INK, fontsize=12)
    axes = figure.subplots(1, 2)
    _curve(axes[0], history, "loss", "cross entropy (nats)")
    _curve(axes[1], history, "accuracy", "accuracy (%)", scale=100)
    return figure


def _curve(axes: Axes, history: Sequence[Mapping[str, Any]], key: str, name: str, scale: float = 1) -> None:
    from matplotlib.ticker import MaxNLocator

    lines = (("train", "training images, as they were trained on", _TRAIN), ("test", "test images", _TEST))
    for part, label, colour in lines:
        points = [(row["epoch"], row[f"{part}_{key}"]) for row in history if row[f"{part}_{key}"] is not None]
        if not points:
            continue
        epochs, values = zip(*points, strict=True)
        heights = [scale * value for value in values]
        marker = "o" if len(points) < 3 else None
        axes.plot(epochs, heights, color=colour, label=f"{label}: {heights[-1]:.3g}", marker=marker)
    axes.set_xlabel("epoch")
    axes.set_ylabel(name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    every = [row["epoch"] for row in history]
    if every and min(every) == max(every):
        # Around a single one the axis would be counted in parts of an epoch.
        axes.set_xlim(every[0] - 1, every[0] + 1)
        axes.set_xticks(every[:1])
    axes.grid(alpha=0.25, linewidth=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, fontsize=9)


def confusion_matrix(found: Evaluation, title: str) -> Figure:
    """Rows are true classes, columns answers; shades are shares of a row, numbers are images."""
    from matplotlib.figure import Figure

    used = np.flatnonzero(found.confusion.sum(0) + found.confusion.sum(1))
    counts = found.confusion[np.ix_(used, used)]
    names = [_short(found.classes[i]) for i in used]
    size = max(4.0, min(14.0, 1.8 + 0.5 * len(names)))
    # Two classes need little room, but the words above them as much as ever.
    wide = max(size, _LEAST_WIDTH)
    figure = Figure(figsize=(wide, size * 0.95), layout="constrained")
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(names) <= _MOST_NUMBERED:
        for row, column in np.ndindex(*counts.shape):
            if counts[row, column]:
                colour = "white" if shares[row, column] > 0.55 else _INK
                axes.text(
                    column,
                    row,
                    f"{counts[row, column]:,}",
                    ha="center",
                    va="center",
                    color=colour,
                    fontsize=8,
                )
    if len(names) <= 120:
        axes.set_xticks(range(len(names)), names, fontsize=8)
        if max(map(len, names)) > 3:
            axes.tick_params(axis="x", rotation=90)
        axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_xlabel("answer")
    axes.set_ylabel("true class")
    low, high = (100 * end for end in found.interval)
    right = f"{100 * found.accuracy:.2f} % of {found.images:,} test images right"
    head = _wrapped(title, wide, 10) + "\n" + _wrapped(f"{right} (95 %: {low:.1f} to {high:.1f})", wide, 10)
    figure.suptitle(head, color=_INK, fontsize=10)
    return figure


def _wrapped(text: str, width: float, size: int) -> str:
    """``text`` in lines that fit a figure so many inches wide, in letters of so many points.

    Examples
    --------
    >>> _wrapped("tutorial_tanh on digits", 1.5, 10)
    'tutorial_tanh\\non digits'
    """
    shown = "".join(c if c.isprintable() else "?" for c in text)
    lines = wrap(shown, max(8, int((width - 0.2) * 72 / (0.62 * size))))
    return "\n".join(lines).replace("$", r"\$") or " "


def _short(name: str) -> str:
    shown = "".join(c if c.isprintable() else "?" for c in name).replace("$", r"\$")
    return shown if len(shown) <= 24 else f"{shown[:23]}…"


def _save(figure: Figure, path: Path) -> None:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # Letters that matplotlib's own font lacks are drawn as boxes.
        warnings.filterwarnings("ignore", "Glyph")
        figure.savefig(buffer, format="png", dpi=130, metadata={"Software": None})
    atomic_write(path, buffer.getvalue())
