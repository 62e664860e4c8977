"""How far a training is, as data: what the terminal, a notebook or a person's own function shows."""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Progress:
    """The state of a training after a step.

    Parameters
    ----------
    epoch, epochs
        The epoch it is in, counted from 1, and how many there will be.
    step, steps
        Steps done, and steps in all.
    loss, accuracy
        Of this epoch's training images so far, in training mode: mean loss in nats, share right.
    images_per_second
        Of training, lately.
    seconds_left
        Until the last step at that speed, measurements included as far as they were seen.
    learning_rate
        Of the last step.
    test_accuracy
        When it was last measured, on images never trained on; ``None`` before.

    Examples
    --------
    >>> print(Progress(2, 5, 24, 60, 1.0776, 0.8289, 4705.3, 2.4, 0.04, 0.9136))
    epoch 2/5  loss 1.078  accuracy 82.9 %  test 91.4 %  4,705 images/s  0:02 left
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    images_per_second: float
    seconds_left: float
    learning_rate: float
    test_accuracy: float | None = None

    def __str__(self) -> str:
        parts = [
            f"epoch {self.epoch}/{self.epochs}",
            f"loss {self.loss:.4g}",
            f"accuracy {100 * self.accuracy:.1f} %",
        ]
        if self.test_accuracy is not None:
            parts.append(f"test {100 * self.test_accuracy:.1f} %")
        parts.append(f"{self.images_per_second:,.0f} images/s")
        if self.step < self.steps:
            parts.append(f"{_clock(self.seconds_left)} left")
        return "  ".join(parts)


class ProgressLines:
    """Prints how far a training is, to stderr: give one as ``on_progress``.

    Parameters
    ----------
    seconds
        At least so long between two lines; the last step always gets one.

    Examples
    --------
    >>> lines = ProgressLines(seconds=60)
    >>> lines(Progress(1, 2, 30, 60, 1.2, 0.5, 900.0, 2.4, 0.04))     # to stderr: epoch 1/2  loss 1.2  ...
    """

    def __init__(self, seconds: float = 5.0) -> None:
        self._seconds = seconds
        self._said = -math.inf

    def __call__(self, progress: Progress) -> None:
        """After a step."""
        now = time.monotonic()
        if progress.step == progress.steps or now - self._said >= self._seconds:
            self._said = now
            print(progress, file=sys.stderr, flush=True)


@dataclass
class Sums:
    """What this epoch's steps add up to."""

    loss: float = 0.0
    right: int = 0
    images: int = 0
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """As a checkpoint keeps it."""
        return {"loss": self.loss, "right": self.right, "images": self.images, "seconds": self.seconds}


class Pace:
    """Images and steps a second over the last half minute."""

    def __init__(self, seconds: float = 30.0) -> None:
        self._seconds = seconds
        self._marks: deque[tuple[float, int, int]] = deque([(time.perf_counter(), 0, 0)])
        self._images = 0
        self._steps = 0
        self._paused = 0.0

    def step(self, images: int) -> None:
        """A step of so many images was done."""
        self._images += images
        self._steps += 1
        now = time.perf_counter() - self._paused
        if now - self._marks[-1][0] > 0.1:
            self._marks.append((now, self._images, self._steps))
        while len(self._marks) > 2 and now - self._marks[1][0] > self._seconds:
            self._marks.popleft()

    def pause(self, seconds: float) -> None:
        """So many seconds went into something else, such as measuring."""
        self._paused += seconds

    @property
    def images_per_second(self) -> float:
        """Images trained on a second; 0 before the first step."""
        return self._rate(1)

    @property
    def steps_per_second(self) -> float:
        """Steps a second; 0 before the first."""
        return self._rate(2)

    def _rate(self, which: int) -> float:
        began = self._marks[0]
        passed = time.perf_counter() - self._paused - began[0]
        done = (self._images, self._steps)[which - 1] - began[which]
        return done / passed if passed > 0 and done else 0.0


def _clock(seconds: float) -> str:
    """Hours, minutes and seconds.

    Examples
    --------
    >>> _clock(75), _clock(3675), _clock(float("inf"))
    ('1:15', '1:01:15', '?')
    """
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
