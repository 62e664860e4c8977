"""How far reading many pictures is, on the terminal, while it takes its time."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from convscope.cli.options import clean

_PATIENCE_SECONDS = 10


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar that the function given moves: called with how many are done, and of how many.

    Where the terminal is none (a log), a line now and then instead.

    Examples
    --------
    >>> with counting("reading digits") as progress:
    ...     progress(1, 2)
    """
    if not sys.stderr.isatty():
        yield _lines(what)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    bars = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
    with bars:
        bar = bars.add_task(clean(what), total=None)
        yield lambda done, total: bars.update(bar, completed=done, total=total)


def _lines(what: str) -> Callable[[int, int], None]:
    said = time.monotonic()

    def move(done: int, total: int) -> None:
        nonlocal said
        if time.monotonic() - said > _PATIENCE_SECONDS:
            said = time.monotonic()
            print(f"{clean(what)}: {done:,} of {total:,}", file=sys.stderr, flush=True)

    return move
