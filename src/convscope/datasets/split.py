"""One part of a data set: labels, names, and pictures held in memory or decoded as they are asked for."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from convscope.datasets.problems import Problem, listed
from convscope.errors import ConvscopeError, DatasetError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Pictures: TypeAlias = "NDArray[np.uint8]"
Labels: TypeAlias = "NDArray[np.int64]"

CANNOT_BE_READ = "cannot be read; left out"


class Split:
    """Labelled pictures of one size.

    Parameters
    ----------
    labels
        ``int64`` array of shape ``(pictures,)``, indices into the data set's classes.
    names
        A name for each picture, as the data set has it.
    images
        ``uint8`` array of shape ``(pictures, height, width, channels)``, where all are in memory.
    shape
        ``(height, width, channels)`` of the pictures, where they are not.
    fetch
        Decodes picture ``index`` to ``uint8 (height, width, channels)``, where they are not in
        memory; a ConvscopeError if it cannot.
    threads
        How many ``fetch`` may run at a time.
    strict
        Whether an unreadable picture ends the work.
    """

    def __init__(
        self,
        labels: ArrayLike,
        names: Sequence[str],
        *,
        images: Pictures | None = None,
        shape: tuple[int, int, int] | None = None,
        fetch: Callable[[int], Pictures] | None = None,
        threads: int = 2,
        strict: bool = False,
    ) -> None:
        self.labels: Labels = np.asarray(labels, np.int64)
        self.names = names
        self.images = images
        self.strict = strict
        self.unreadable: dict[int, str] = {}
        self._fetch = fetch
        self._threads = threads
        self._lock = threading.Lock()
        height, width, channels = images.shape[1:] if images is not None else shape or (0, 0, 0)
        self.shape: tuple[int, int, int] = (height, width, channels)

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        held = "in memory" if self.in_memory else "streamed"
        return f"Split({len(self):,} pictures of {self.shape[0]} x {self.shape[1]}, {held})"

    @property
    def in_memory(self) -> bool:
        """Whether all pictures are in :attr:`images`."""
        return self.images is not None

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What streaming has met so far; nothing where pictures are in memory."""
        with self._lock:
            found = sorted(self.unreadable.items())
        return (unreadable_problem([self.names[i] for i, _ in found], [text for _, text in found]),)[
            : len(found)
        ]

    def joined(self, other: Split) -> Split:
        """The pictures of both, these first.

        Examples
        --------
        >>> one = Split([0], ["a"], images=np.zeros((1, 2, 2, 1), np.uint8))
        >>> one.joined(Split([1], ["b"], images=np.ones((1, 2, 2, 1), np.uint8))).labels.tolist()
        [0, 1]
        """
        labels = np.concatenate([self.labels, other.labels])
        names = [*self.names, *other.names]
        if self.images is not None and other.images is not None:
            return Split(labels, names, images=np.concatenate([self.images, other.images]))

        def fetch(index: int) -> Pictures:
            part, place = (self, index) if index < len(self) else (other, index - len(self))
            return part.one(place)

        return Split(
            labels, names, shape=self.shape, fetch=fetch, threads=self._threads, strict=self.strict
        )  # fmt: skip

    def one(self, index: int) -> Pictures:
        """The picture at ``index``, ``uint8 (height, width, channels)``; ConvscopeError if it is bad."""
        if self.images is not None:
            return self.images[index]
        assert self._fetch is not None
        return self._fetch(index)

    def read(self, indices: ArrayLike) -> Pictures:
        """The pictures at ``indices``, as ``uint8 (len(indices), height, width, channels)``, a copy.

        A picture that cannot be decoded is black, and its index stands in :attr:`unreadable` from then on.
        :meth:`batch` and :meth:`stream` leave such pictures out.

        Raises
        ------
        DatasetError
            ``unreadable``, for the first such picture, if the split is strict.
        """
        wanted = np.asarray(indices, np.int64).reshape(-1)
        if self.images is not None:
            return self.images[wanted]
        with ThreadPoolExecutor(self._threads) as pool:
            return self._gather(wanted, pool)

    def batch(self, indices: ArrayLike) -> tuple[Pictures, Labels]:
        """Pictures and labels at ``indices``; those that cannot be decoded are left out of both."""
        return next(self.stream([indices]))

    def stream(self, batches: Iterable[ArrayLike], *, ahead: int = 3) -> Iterator[tuple[Pictures, Labels]]:
        """Pictures and labels of each batch of indices in turn, decoded ahead of being asked for.

        While a network works on one batch, the next ``ahead`` are being decoded by threads, so that
        it need not wait. At most ``ahead + 1`` batches are in memory.

        Raises
        ------
        DatasetError
            ``unreadable``, for the first such picture, if the split is strict.

        Examples
        --------
        >>> split = Split([0, 1, 1], "abc", images=np.zeros((3, 2, 2, 1), np.uint8))
        >>> [(images.shape, labels.tolist()) for images, labels in split.stream([[0, 2], [1]])]
        [((2, 2, 2, 1), [0, 1]), ((1, 2, 2, 1), [1])]
        """
        orders = (np.asarray(batch, np.int64).reshape(-1) for batch in batches)
        if self.images is not None:
            for order in orders:
                yield self.images[order], self.labels[order]
            return
        with ThreadPoolExecutor(self._threads) as pool:
            waiting: deque[tuple[NDArray[np.int64], Pictures, list[Future[None]]]] = deque()
            try:
                for order in orders:
                    waiting.append((order, *self._begin(order, pool)))
                    if len(waiting) > ahead:
                        yield self._end(*waiting.popleft())
                while waiting:
                    yield self._end(*waiting.popleft())
            finally:
                for _, _, jobs in waiting:
                    for job in jobs:
                        job.cancel()

    def _begin(
        self, wanted: NDArray[np.int64], pool: ThreadPoolExecutor
    ) -> tuple[Pictures, list[Future[None]]]:
        room = np.empty((len(wanted), *self.shape), np.uint8)
        pieces = np.array_split(np.arange(len(wanted)), min(len(wanted), 4 * self._threads) or 1)
        return room, [pool.submit(self._fill, room, wanted, piece) for piece in pieces]

    def _end(
        self, order: NDArray[np.int64], room: Pictures, jobs: list[Future[None]]
    ) -> tuple[Pictures, Labels]:
        for job in jobs:
            job.result()
        with self._lock:
            bad = [place for place, index in enumerate(order.tolist()) if index in self.unreadable]
        if bad:
            room, order = np.delete(room, bad, axis=0), np.delete(order, bad)
        return room, self.labels[order]

    def _gather(self, wanted: NDArray[np.int64], pool: ThreadPoolExecutor) -> Pictures:
        room, jobs = self._begin(wanted, pool)
        for job in jobs:
            job.result()
        return room

    def _fill(self, room: Pictures, wanted: NDArray[np.int64], places: NDArray[np.intp]) -> None:
        assert self._fetch is not None
        for place in places.tolist():
            index = int(wanted[place])
            try:
                room[place] = self._fetch(index)
            except ConvscopeError as error:
                if self.strict:
                    raise unreadable_error(error) from error
                room[place] = 0
                with self._lock:
                    self.unreadable[index] = error.message


def unreadable_problem(names: Sequence[str], reasons: Sequence[str]) -> Problem:
    """The problem of pictures that cannot be decoded, of which there is at least one."""
    word = "picture" if len(names) == 1 else "pictures"
    text = f"{len(names):,} {word} {CANNOT_BE_READ}: {listed(reasons)}"
    return Problem("unreadable", text, tuple(names))


def unreadable_error(error: ConvscopeError) -> DatasetError:
    """What ends a strict reading."""
    return DatasetError(
        f"{error.message} (asked to be strict)",
        code="unreadable",
        hint="Without `strict` such pictures are left out, counted and named.",
    )


def in_chunks(count: int, size: int = 512) -> list[range]:
    """Ranges that together count from 0 to ``count``.

    Examples
    --------
    >>> in_chunks(5, 2)
    [range(0, 2), range(2, 4), range(4, 5)]
    """
    return [range(start, min(start + size, count)) for start in range(0, count, size)]
