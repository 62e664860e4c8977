"""Signals that wait for the end of a step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def deferred_signals(*, deaf: bool = False) -> Iterator[Callable[[], bool]]:
    """Within, Ctrl-C and a request to end only make the function given say ``True``; a second one acts.

    Between two updates of one step the weights are neither those before it nor those after it. Afterwards
    what was asked for happens.

    Parameters
    ----------
    deaf
        Leave it to another process to hear them: those that train together must stop after the same step.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    came: list[tuple[int, Any]] = []
    before: dict[int, Any] = {}

    def arrived(number: int, frame: Any) -> None:
        if deaf:
            return
        came.append((number, frame))
        if len(came) > 1:
            before[number](number, frame)

    for number in (signal.SIGINT, signal.SIGTERM):
        handler = signal.getsignal(number)
        # Outside the command line a request to end ends the process at once, as its owner chose.
        if callable(handler):
            before[number] = handler
            signal.signal(number, arrived)
    try:
        yield lambda: bool(came)
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)
        if len(came) == 1:
            before[came[0][0]](*came[0])
