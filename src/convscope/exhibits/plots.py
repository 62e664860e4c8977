"""Plots of a network's answer, drawn by matplotlib (the optional extra ``plots``).

Figures are made object by object, without pyplot: nothing global changes, no window opens, and
nothing else of convscope imports this file.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convscope.errors import MissingExtraError, UsageError
from convscope.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINE = "#1f5fae"
_MARK = "#b3372f"
_INK = "#20242c"


def line_plot(
    values: ArrayLike,
    *,
    title: str = "",
    labels: Sequence[str] = (),
    top: int = 5,
    note: str = "",
) -> Figure:
    """Class scores as a line, such as the 1000 of a classifier for ImageNet.

    Parameters
    ----------
    values
        Array of shape ``(values,)``; gaps show where one is not finite.
    labels
        Names of the values, or nothing; the ``top`` largest are named in the plot.
    note
        Stands under the title ("random weights").

    Returns
    -------
    A matplotlib figure, to be restyled or saved with ``save_plot``.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    UsageError
        If ``values`` is not a vector of at least one value, or ``labels`` are of another length.

    Examples
    --------
    >>> len(line_plot([0.1, 3.0, -1.0], labels=["cat", "dog", "car"]).axes)
    1
    """
    array = _vector(values, labels)
    figure, axes = _figure((9.0, 3.6), title, note)
    drawn = np.where(np.isfinite(array), array, np.nan)
    axes.axhline(0, color="#9aa0aa", linewidth=0.7)
    axes.plot(np.arange(len(array)), drawn, color=_LINE, linewidth=0.8)
    for index in _largest(array, top):
        axes.plot([index], [array[index]], "o", color=_MARK, markersize=4)
    lines = [
        f"{index}  {_plain(labels[index]) if labels else ''}  {array[index]:.4g}"
        for index in _largest(array, top)
    ]
    if lines:
        axes.text(1.01, 1.0, "\n".join(lines), transform=axes.transAxes, va="top", fontsize=9, color=_INK)
    axes.set_xlim(-0.5, len(array) - 0.5)
    axes.set_xlabel("index")
    axes.set_ylabel("logit")
    return figure


def save_plot(path: str | os.PathLike[str], figure: Figure) -> Path:
    """Write a figure as PNG, SVG or PDF (by the name's ending), whole or not at all.

    Raises
    ------
    OutputError
        If it cannot be written.
    UsageError
        If the ending is none of the three.
    """
    ending = Path(path).suffix.lower().lstrip(".")
    if ending not in ("png", "svg", "pdf"):
        raise UsageError(f"a plot is written as .png, .svg or .pdf; got {Path(path).name!r}")
    buffer = io.BytesIO()
    figure.savefig(buffer, format=ending, dpi=130)
    return atomic_write(path, buffer.getvalue())


def _vector(values: ArrayLike, labels: Sequence[str]) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not array.size:
        raise UsageError(f"`values` must be a vector of at least one value; got shape {array.shape}")
    if labels and len(labels) != len(array):
        raise UsageError(f"`labels` must name all {len(array)} values; got {len(labels)}")
    return array


def _largest(array: NDArray[np.float64], top: int) -> list[int]:
    order = np.argsort(-array, kind="stable")
    return [index for index in order.tolist() if np.isfinite(array[index])][: max(0, top)]


def _plain(text: str) -> str:
    """``text`` as it is: a dollar sign would otherwise start a formula."""
    return text.replace("$", r"\$")


def _figure(inches: tuple[float, float], title: str, note: str) -> tuple[Figure, Axes]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(
            "plots need matplotlib, which is not installed",
            hint="Install it with: pip install 'convscope[plots]'",
        ) from error
    figure = Figure(figsize=inches, layout="constrained")
    axes = figure.add_subplot()
    lines = [_plain(line) for line in (title, note) if line]
    if lines:
        axes.set_title("\n".join(lines), loc="left", fontsize=11, color=_INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes
