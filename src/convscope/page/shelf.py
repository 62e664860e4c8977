"""Bytes kept on disk in files without a name, bounded; the least recently used go first.

The files vanish with the server, however it ends, and memory stays where it was.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import OrderedDict
from threading import Lock
from weakref import finalize

from convscope.desk.answers import PageError


class Parcel:
    """Named pieces of bytes in one unnamed file."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the parcel
        # A parcel nobody holds any more gives its space back, closed or not.
        finalize(self, self._file.close)
        self._lock = Lock()
        self.parts: dict[str, tuple[int, int]] = {}
        self.size = 0

    def add(self, name: str, data: bytes) -> None:
        """Keep ``data`` under ``name``."""
        with self._lock:
            self._file.seek(self.size)
            self._file.write(data)
            self._file.flush()
            self.parts[name] = (self.size, len(data))
            self.size += len(data)

    def read(self, name: str, start: int = 0, count: int | None = None) -> bytes:
        """The piece ``name``, or ``count`` bytes of it from ``start``.

        Raises
        ------
        PageError
            404 if it is not there, or no longer.
        """
        with self._lock:
            if name not in self.parts or self._file.closed:
                raise PageError(404, "gone", "this is no longer kept", hint="Look at the photo again.")
            offset, size = self.parts[name]
            self._file.seek(offset + start)
            return self._file.read(size - start if count is None else min(count, size - start))

    def close(self) -> None:
        """Give the space back."""
        with self._lock:
            self._file.close()


class Shelf:
    """Parcels by key, at most ``count`` of them and ``size`` bytes.

    Examples
    --------
    >>> shelf = Shelf(size=10, count=4)
    >>> for key in "abc":
    ...     parcel = Parcel()
    ...     parcel.add("data", bytes(4))
    ...     _ = shelf.put(key, parcel)
    >>> [key for key in "abc" if shelf.get(key)]
    ['b', 'c']
    >>> shelf.close()
    """

    def __init__(self, *, size: int, count: int, free_disk: int = 0) -> None:
        self._size = size
        self._count = count
        self._free_disk = free_disk
        self._kept: OrderedDict[str, Parcel] = OrderedDict()

    def check_disk(self) -> None:
        """Refuse to keep more where the disk is nearly full.

        Raises
        ------
        PageError
            507.
        """
        free = shutil.disk_usage(tempfile.gettempdir()).free
        if free < self._free_disk:
            told = f"the disk has {free / 1e6:,.0f} MB left, too few to keep more"
            raise PageError(507, "disk_full", told)

    def put(self, key: str, parcel: Parcel) -> list[str]:
        """Keep a parcel; the keys of those that had to go, never its own."""
        self._kept[key] = parcel
        gone = []
        while len(self._kept) > 1 and (len(self._kept) > self._count or self.size > self._size):
            other, old = self._kept.popitem(last=False)
            old.close()
            gone.append(other)
        return gone

    def get(self, key: str) -> Parcel | None:
        """The parcel of a key, from now on the most recently used."""
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def drop(self, key: str) -> None:
        """Forget a key, if it is there."""
        parcel = self._kept.pop(key, None)
        if parcel is not None:
            parcel.close()

    @property
    def size(self) -> int:
        """Bytes kept."""
        return sum(parcel.size for parcel in self._kept.values())

    def close(self) -> None:
        """Forget everything."""
        for key in list(self._kept):
            self.drop(key)
