"""What is told along a film: loss and accuracy as curves over its frames, and what was known at each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from convscope.filming import Strip

#: What the numbers of a frame and of an epoch are called beside the curves, and in which order.
CURVES = (
    ("loss", "train_loss", "training loss"),
    ("accuracy", "train_accuracy", "training accuracy"),
    ("test_accuracy", "test_accuracy", "test accuracy"),
)

Points = list[tuple[float, float]]


class Told(Protocol):
    """A frame, or what is left of it without its arrays."""

    @property
    def step(self) -> int:
        """Steps done."""

    @property
    def numbers(self) -> Mapping[str, float]:
        """What was known of the step."""


def curves(strip: Strip, frames: Sequence[Told]) -> dict[str, Points]:
    """Loss and accuracy along the film: points ``(place, value)``, places counted in frames from 0.

    A step between two frames has a place between theirs. Numbers of ended epochs go before those told of
    single steps within the same epoch's end. The line breaks at values that are not finite.
    """
    steps = np.array([frame.step for frame in frames], np.float64)
    found: dict[str, Points] = {}
    for own, of_epoch, words in CURVES:
        points: dict[float, float] = {f.step: f.numbers[own] for f in frames if own in f.numbers}
        points |= {step: value for step, row in _rows(strip) if (value := row.get(of_epoch)) is not None}
        kept = {step: value for step, value in points.items() if steps[0] <= step <= steps[-1]}
        if any(map(math.isfinite, kept.values())):
            places = np.interp(sorted(kept), steps, np.arange(len(steps)))
            found[words] = [(float(p), kept[step]) for p, step in zip(places, sorted(kept), strict=True)]
    return found


def curve_range(words: str, points: Points) -> tuple[float, float]:
    """The values at the bottom and the top of a curve: all of them, 0, and of an accuracy 1.

    Examples
    --------
    >>> curve_range("training loss", [(0, -2.0), (1, 4.0)]), curve_range("test accuracy", [(0, 0.5)])
    ((-2.0, 4.0), (0.0, 1.0))
    """
    values = [value for _, value in points if math.isfinite(value)]
    low, high = min(0.0, *values), max(0.0 if "loss" in words else 1.0, *values)
    return low, high if high > low else low + 1


def pieces(points: Points) -> list[Points]:
    """The parts of a curve between values that are not finite.

    Examples
    --------
    >>> pieces([(0, 1.0), (1, float("nan")), (2, 3.0), (3, 4.0)])
    [[(0, 1.0)], [(2, 3.0), (3, 4.0)]]
    """
    found: list[Points] = [[]]
    for place, value in points:
        if math.isfinite(value):
            found[-1].append((place, value))
        elif found[-1]:
            found.append([])
    return [piece for piece in found if piece]


def told(strip: Strip, frame: Told) -> dict[str, float]:
    """What is known at a frame, by the words of the curves, and ``"epoch"`` where the run counts them.

    The test accuracy is the one measured last; training's are of the step, or of an epoch that ends there.
    """
    found: dict[str, float] = {}
    before = [(step, row) for step, row in _rows(strip) if step <= frame.step]
    for own, of_epoch, words in CURVES:
        value = frame.numbers.get(own)
        if own == "test_accuracy":
            measured = [row[of_epoch] for _, row in before if row.get(of_epoch) is not None]
            value = measured[-1] if value is None and measured else value
        elif before and before[-1][0] == frame.step and before[-1][1].get(of_epoch) is not None:
            value = before[-1][1][of_epoch]
        if value is not None:
            found[words] = value
    epoch = _epoch(strip, frame.step)
    return found if epoch is None else {**found, "epoch": epoch}


def said(words: str, value: float) -> str:
    """A value of a curve in words.

    Examples
    --------
    >>> said("training loss", 1.2345), said("test accuracy", 0.5), said("test accuracy", float("nan"))
    ('1.23', '50.0 %', 'not finite')
    """
    if not math.isfinite(value):
        return "not finite"
    return f"{value:.3g}" if "loss" in words else f"{100 * value:.1f} %"


def _rows(strip: Strip) -> list[tuple[float, Mapping[str, float | None]]]:
    """The epochs with the step each ended at; a row without one is left out."""
    return [
        (step, row) for row in strip.rows if (step := row.get("step")) is not None and math.isfinite(step)
    ]


def _epoch(strip: Strip, step: int) -> float | None:
    """How many epochs a step is from the beginning, by the first epoch's end."""
    first = next(iter(_rows(strip)), None)
    if first is None or first[0] <= 0:
        return None
    epoch = first[1].get("epoch")
    return step / (first[0] / epoch) if epoch and math.isfinite(epoch) else None
