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
    """A line after a step, and one while pictures are read, at most one in five seconds."""

    def __init__(self) -> None:
        from convscope.training import ProgressLines

        self.step = ProgressLines(_PLAIN_SECONDS)
        self._said = -math.inf

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
            head, numbers = str(progress).split("  ", 1)
            self._bars.update(
                self._task, total=progress.steps, completed=progress.step, description=head, numbers=numbers
            )
        if last:
            self._console.print(str(progress), markup=False)

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
