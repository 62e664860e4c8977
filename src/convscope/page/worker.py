"""A worker process: ``python -m convscope.page.worker``.

It reads jobs from its standard input and answers on its standard output, one at a time; it
ends when the server does. What prints goes to standard error.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from queue import SimpleQueue
from typing import Any, BinaryIO

from convscope.desk.answers import describe
from convscope.desk.line import Line
from convscope.page.frames import read_frame, write_frame

#: Which module does a kind of worker's jobs; each has ``make_handler(hello)``.
KINDS = {
    "decode": "convscope.page.decode_jobs",
    "model": "convscope.page.model_jobs",
    "light": "convscope.page.light_jobs",
}


#: ``handler(op, payload, blob, line)`` gives the answer's head and blob.
Handler = Callable[[str, dict[str, Any], bytes, Line], tuple[dict[str, Any], "bytes | memoryview"]]


class _JobLine:
    def __init__(self, job: int, out: BinaryIO, given_up: set[int]) -> None:
        self.job = job
        self._out = out
        self._given_up = given_up

    def emit(self, head: dict[str, Any], blob: bytes | memoryview = b"") -> None:
        write_frame(self._out, {"job": self.job, "event": head}, blob)

    def cancelled(self) -> bool:
        return self.job in self._given_up


def main() -> None:
    """Serve jobs until standard input ends."""
    source = os.fdopen(os.dup(0), "rb")
    out = os.fdopen(os.dup(1), "wb")
    # Whatever a model or a library prints must not mix with the answers.
    os.dup2(2, 1)
    hello, _ = read_frame(source)
    jobs: SimpleQueue[tuple[dict[str, Any], bytes]] = SimpleQueue()
    given_up: set[int] = set()
    threading.Thread(target=_listen, args=(source, jobs, given_up), daemon=True).start()
    limit_memory(int(hello.get("memory", 0)))
    handler: Handler = import_module(KINDS[hello["kind"]]).make_handler(hello)
    write_frame(out, {"ready": True})
    while True:
        head, blob = jobs.get()
        line = _JobLine(head["job"], out, given_up)
        try:
            answer, data = handler(head["op"], head["payload"], blob, line)
            reply: dict[str, Any] = {"job": line.job, "answer": answer}
        except BaseException as error:  # a model may raise anything, SystemExit too
            reply, data = {"job": line.job, "error": describe(error)}, b""
            if os.environ.get("CONVSCOPE_DEBUG"):
                sys.excepthook(type(error), error, error.__traceback__)
        given_up.discard(line.job)
        del head, blob
        write_frame(out, reply, data)
        del data, reply


def _listen(source: BinaryIO, jobs: SimpleQueue[tuple[dict[str, Any], bytes]], given_up: set[int]) -> None:
    while True:
        try:
            head, blob = read_frame(source)
        except (EOFError, OSError, ValueError):
            os._exit(0)  # the server is gone, whatever the main thread is busy with
        if "cancel" in head:
            given_up.add(head["cancel"])
        else:
            jobs.put((head, blob))


def limit_memory(size: int) -> None:
    """Hold this process to ``size`` bytes of address space, where the system can; 0 for no limit."""
    if not size:
        return
    try:
        import resource
    except ImportError:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        size = min(size, hard)
    resource.setrlimit(resource.RLIMIT_AS, (size, hard))


def limit_beyond(size: int) -> None:
    """The same, beyond what this process has taken already, where the system tells that."""
    taken = address_space()
    if taken:
        limit_memory(taken + size)


def address_space() -> int:
    """Bytes of address space this process has taken; 0 where the system does not tell."""
    try:
        import resource

        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except (ImportError, OSError):
        return 0


if __name__ == "__main__":
    main()
