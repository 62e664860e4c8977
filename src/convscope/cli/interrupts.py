"""Ctrl-C and requests to end: no traceback, nothing half-written, the exit code shells expect.

A signal becomes an exception, so that whatever is being written removes its temporary
file on the way out.
"""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any, Self

_WATCHED = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """While entered, remembers the first signal seen and raises ``KeyboardInterrupt`` for each.

    Attributes
    ----------
    seen
        Number of the first signal, ``None`` if there was none.
    """

    def __init__(self) -> None:
        self.seen: int | None = None
        self._before: list[tuple[int, Any]] = []
        self._hook: Any = None

    def __enter__(self) -> Self:
        # Only the main thread may do so; elsewhere (a notebook's worker) signals stay whose they are.
        if threading.current_thread() is threading.main_thread():
            for number in _WATCHED:
                # Started in the background of a script, a process is told to ignore Ctrl-C.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before.append((number, signal.signal(number, self._arrived)))
            self._hook = sys.unraisablehook
            sys.unraisablehook = self._unraisable
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        for number, before in self._before:
            signal.signal(number, before)
        if self._hook is not None:
            sys.unraisablehook = self._hook

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        if self.seen is None:
            self.seen = number
        raise KeyboardInterrupt

    def _unraisable(self, event: Any) -> None:
        # Raised where Python can only ignore it (a finalizer), so it has to come again.
        if issubclass(event.exc_type, KeyboardInterrupt):
            _thread.interrupt_main()
        else:
            self._hook(event)


def leave_at(number: int | None) -> int:
    """Say that the job was broken off; the exit code."""
    ended = number == signal.SIGTERM
    text = "told to end" if ended else "interrupted"
    print(f"{text}; every file is whole or was not written", file=sys.stderr, flush=True)
    return 128 + (signal.SIGTERM if ended else signal.SIGINT)
