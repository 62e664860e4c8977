"""Looks as a notebook keeps them: in memory, drawn in a thread, forgotten when there are too many."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable
from queue import PriorityQueue
from secrets import token_urlsafe
from typing import Any

from convscope.desk.answers import PageError

#: Bytes of all scenes that all widgets of a kernel keep; one that went is drawn again when it is looked at.
MOST_BYTES = 512 * 1024 * 1024
#: A question about a pass goes before a new pass.
ASK_FIRST, LOOK_NEXT = 1, 5


class Worker:
    """One thread that does everything torch has to do, so that no two passes run at once.

    It starts with the first job and ends with the kernel.

    Examples
    --------
    >>> worker, done = Worker(), threading.Event()
    >>> worker.submit(ASK_FIRST, done.set)
    >>> done.wait(5)
    True
    """

    def __init__(self) -> None:
        self._jobs: PriorityQueue[tuple[int, int, Callable[[], None]]] = PriorityQueue()
        self._count = itertools.count()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def submit(self, priority: int, job: Callable[[], None]) -> None:
        """Do ``job`` when its turn comes; it must not raise."""
        self._jobs.put((priority, next(self._count), job))
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="convscope", daemon=True)
                self._thread.start()

    @property
    def idle(self) -> bool:
        """Whether no job is being done and none waits."""
        return self._jobs.unfinished_tasks == 0

    def _work(self) -> None:
        while True:
            self._jobs.get()[2]()
            self._jobs.task_done()


class Look:
    """One look: the parts that have come, and how far the rest is.

    ``stage`` is ``waiting``, ``loading``, ``running``, ``drawing``, ``first``, ``done`` or ``failed``. It is
    the line (:class:`convscope.desk.line.Line`) of the job that draws it.
    """

    def __init__(self, spec: dict[str, Any]) -> None:
        self.key = token_urlsafe(9)
        self.spec = spec
        self.stage = "waiting"
        self.fraction = 0.0
        self.error: dict[str, Any] | None = None
        self.index: list[dict[str, Any]] = []
        self.parts: dict[str, bytes | memoryview] = {}
        self.given_up = False
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], bool]] = []

    @property
    def size(self) -> int:
        """Bytes of its parts."""
        return sum(memoryview(part).nbytes for part in self.parts.values())

    @property
    def over(self) -> bool:
        """Whether it is done or has failed."""
        return self.stage in ("done", "failed")

    def emit(self, head: dict[str, Any], blob: bytes | memoryview = b"") -> None:
        """Take what the job sends: a part, how far it is, or both."""
        if "part" in head:
            self.parts[head["part"]] = blob
            self.index = head.get("index", self.index)
        if "stage" in head:
            self.stage, self.fraction = str(head["stage"]), float(head["fraction"])
        self._tell()

    def cancelled(self) -> bool:
        """Whether nobody wants it any more."""
        return self.given_up

    def fail(self, error: dict[str, Any]) -> None:
        """Note why it came to nothing."""
        self.error, self.stage = error, "failed"
        self._tell()

    def line(self) -> dict[str, Any]:
        """How far it is, as the viewer is told."""
        if self.stage == "failed":
            return {"error": self.error}
        if self.stage == "done":
            return {"stage": "done", "fraction": 1.0, "done": True}
        return {"stage": self.stage, "fraction": round(self.fraction, 4)}

    def part(self, name: str) -> bytes | memoryview | None:
        """The part ``name``; ``None`` while it is still to come.

        Raises
        ------
        PageError
            If the look failed before, or has no such part.
        """
        found = self.parts.get(name)
        if found is None and self.error is not None:
            raise PageError(409, self.error["code"], self.error["message"], hint=self.error["hint"])
        if found is None and self.stage == "done":
            raise PageError(404, "no_such_part", "the look has no such part")
        return found

    def listen(self, listener: Callable[[], bool]) -> None:
        """Call ``listener`` now and after each change, until it says it has heard enough."""
        with self._lock:
            if not listener():
                self._listeners.append(listener)

    def _tell(self) -> None:
        with self._lock:
            self._listeners = [listener for listener in self._listeners if not listener()]


class LookShelf:
    """Looks by key, at most ``most`` bytes of them; those longest unused go first, never the newest.

    Examples
    --------
    >>> shelf = LookShelf(most=5)
    >>> looks = [Look({}) for _ in range(3)]
    >>> for look in looks:
    ...     look.emit({"part": "scene"}, bytes(4))
    ...     look.emit({"stage": "done", "fraction": 1})
    ...     shelf.put(look)
    >>> [look.key in shelf.looks for look in looks]
    [False, False, True]
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self.looks: OrderedDict[str, Look] = OrderedDict()
        self._most = most
        self._lock = threading.Lock()

    def put(self, look: Look) -> None:
        """Keep a look; call it again once its parts have come."""
        with self._lock:
            self.looks[look.key] = look
            self.looks.move_to_end(look.key)
            size = sum(other.size for other in self.looks.values())
            for other in [other for other in self.looks.values() if other.over and other is not look]:
                if size <= self._most:
                    return
                size -= self.looks.pop(other.key).size

    def get(self, key: str) -> Look | None:
        """The look of a key, from now on the most recently used."""
        with self._lock:
            if key in self.looks:
                self.looks.move_to_end(key)
            return self.looks.get(key)

    def drop(self, key: str) -> None:
        """Give a look up and forget it."""
        with self._lock:
            look = self.looks.pop(key, None)
        if look is not None:
            look.given_up = True
