"""A training as it goes, on the terminal: one line that lives, or plain lines where it is no terminal."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from convscope.cli.options import clean, note

if TYPE_CHECKING:
    from convscope.training import Progress

_PLAIN_SECONDS = 5.0


class PlainProgress:
    """A line at the end of epochs, at most one in five seconds."""

    def __init__(self) -> None:
        self._said = -math.inf

    def step(self, progress: Progress) -> None:
        """After a step."""
        now = time.monotonic()
        last = progress.step == progress.steps
        if last or now - self._said >= _PLAIN_SECONDS:
            self._said = now
            print(describe(progress), file=sys.stderr, flush=True)

    def read(self, done: int, total: int) -> None:
        """Pictures are being read."""
        now = time.monotonic()
        if now - self._said >= _PLAIN_SECONDS:
            self._said = now
            print(f"reading pictures: {done:,} of {total:,}", file=sys.stderr, flush=True)

    def note(self, text: str) -> None:
        """A sentence for people."""
        note(text)


class LiveProgress:
    """A bar with the numbers beside it, drawn again ten times a second."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bars

        self._console = Console(stderr=True, highlight=False)
        self._bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[numbers]}", markup=False),
            console=self._console,
            transient=True,
        )
        self._task: Any = None
        self._drawn = 0.0

    def start(self) -> None:
        """Begin to draw."""
        self._bars.start()
        self._task = self._bars.add_task("preparing", total=None, numbers="")

    def stop(self) -> None:
        """Draw no more."""
        self._bars.stop()

    def step(self, progress: Progress) -> None:
        """After a step."""
        now = time.monotonic()
        last = progress.step == progress.steps
        if last or now - self._drawn > 0.1:
            self._drawn = now
            head, numbers = describe(progress).split("  ", 1)
            self._bars.update(
                self._task, total=progress.steps, completed=progress.step, description=head, numbers=numbers
            )
        if last:
            self._console.print(describe(progress), markup=False)

    def read(self, done: int, total: int) -> None:
        """Pictures are being read."""
        self._bars.update(
            self._task,
            total=total,
            completed=done,
            description="reading pictures",
            numbers=f"{done:,} of {total:,}",
        )

    def note(self, text: str) -> None:
        """A sentence for people, above the bar."""
        self._console.print(f"note: {clean(text)}", markup=False)


@contextmanager
def shown_progress() -> Iterator[PlainProgress | LiveProgress]:
    """Within, what is given to it is shown on stderr."""
    if not sys.stderr.isatty():
        yield PlainProgress()
        return
    live = LiveProgress()
    live.start()
    try:
        yield live
    finally:
        live.stop()


def describe(progress: Progress) -> str:
    """One line of numbers.

    Examples
    --------
    >>> from convscope.training import Progress
    >>> describe(Progress(2, 5, 24, 60, 1.0776, 0.8289, 4705.3, 2.4, 0.04, 0.9136))
    'epoch 2/5  loss 1.078  accuracy 82.9 %  test 91.4 %  4,705 images/s  0:02 left'
    """
    parts = [
        f"epoch {progress.epoch}/{progress.epochs}",
        f"loss {progress.loss:.4g}",
        f"accuracy {100 * progress.accuracy:.1f} %",
    ]
    if progress.test_accuracy is not None:
        parts.append(f"test {100 * progress.test_accuracy:.1f} %")
    parts.append(f"{progress.images_per_second:,.0f} images/s")
    if progress.step < progress.steps:
        parts.append(f"{clock(progress.seconds_left)} left")
    return "  ".join(parts)


def clock(seconds: float) -> str:
    """Hours, minutes and seconds.

    Examples
    --------
    >>> clock(75), clock(3675), clock(float("inf"))
    ('1:15', '1:01:15', '?')
    """
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
