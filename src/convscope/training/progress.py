"""How far a training is, as data: what the terminal, a notebook or a person's own function shows."""

from __future__ import annotations

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
