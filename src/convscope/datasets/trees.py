"""Folders of pictures, seen as zip files are: names with slashes, and the bytes behind a name."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Protocol

from convscope.data import Limits
from convscope.data.names import printable
from convscope.data.reading import read_file
from convscope.datasets.problems import Problem, counted, listed
from convscope.errors import DatasetError, ImageError

HEAD = 64
TAIL, PIECE = 4096, 2**20
_SYSTEM_FILES = frozenset(("thumbs.db", "desktop.ini", "__macosx"))


class Tree(Protocol):
    """A place with files in folders.

    Attributes
    ----------
    name
        What to call it, printable.
    files
        Names from the root, parts joined by ``/``, sorted.
    folders
        The same for folders, empty ones included as far as they are known.
    problems
        What was met while listing.
    """

    name: str
    files: Sequence[str]
    folders: Sequence[str]
    problems: list[Problem]

    def read(self, name: str, limits: Limits) -> bytes:
        """Contents of a file; ImageError if it cannot be read."""
        ...

    def head(self, name: str) -> bytes:
        """The first bytes of a file; none if it cannot be read."""
        ...

    def length(self, name: str) -> int:
        """Bytes of a file; -1 if that is not known."""
        ...

    def mark(self, name: str) -> bytes:
        """Something that files of the same bytes have in common, quickly had; none if it cannot be read."""
        ...

    def pieces(self, name: str) -> Iterator[bytes]:
        """All bytes of a file, piece by piece; OSError if it cannot be read."""
        ...


def is_hidden(name: str) -> bool:
    """Whether a file or folder is the system's own rather than a person's.

    Examples
    --------
    >>> is_hidden(".DS_Store"), is_hidden("Thumbs.db"), is_hidden("cat.jpg")
    (True, True, False)
    """
    return name.startswith(".") or name.lower() in _SYSTEM_FILES


class FolderTree:
    """A folder on disk.

    Links are followed, but no folder is listed twice, so that a link to a folder above ends. Run folders of
    `convscope train` are no part of the data.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self.name = printable(os.path.basename(os.path.abspath(self.path)))
        self.problems: list[Problem] = []
        files: list[str] = []
        folders: list[str] = []
        twice: list[str] = []
        odd: list[str] = []
        closed: list[str] = []
        runs: list[str] = []
        seen: set[tuple[int, int]] = set()
        waiting = [("", self.path)]
        while waiting:
            name, place = waiting.pop()
            try:
                status = os.stat(place)
                with os.scandir(place) as entries:
                    found = sorted(entries, key=lambda entry: entry.name)
            except OSError as error:
                if not name:
                    reason = error.strerror or str(error)
                    raise DatasetError(
                        f"the folder `{printable(place)}` cannot be read: {reason}", code="unreadable"
                    ) from error
                closed.append(printable(name))
                continue
            if (status.st_dev, status.st_ino) in seen:
                twice.append(printable(name))
                continue
            seen.add((status.st_dev, status.st_ino))
            if name and _is_run(found):
                runs.append(name)
                continue
            if name:
                folders.append(name)
            below = []
            for entry in found:
                if is_hidden(entry.name):
                    continue
                inner = f"{name}/{entry.name}" if name else entry.name
                if _leads_to_folder(entry):
                    # Real folders first: a link to one of them must not take its place.
                    below.append((entry.is_symlink(), inner, entry.path))
                elif _leads_to_file(entry):
                    files.append(inner)
                else:
                    odd.append(printable(inner))
            waiting[:0] = [(inner, place) for link, inner, place in reversed(below) if link]
            waiting += [(inner, place) for link, inner, place in reversed(below) if not link]
        self.files: Sequence[str] = sorted(files)
        self.folders: Sequence[str] = _without_empty_above(folders, files, runs)
        say_left_out(
            self.problems, "run_folder", [*map(printable, runs)], "folder", "was", "were",
            "made by `convscope train`",
        )  # fmt: skip
        say_left_out(
            self.problems, "linked_twice", twice, "link", "leads", "lead", "to a folder that was listed"
        )
        say_left_out(self.problems, "not_a_file", odd, "entry", "is", "are", "no ordinary file", "entries")
        say_left_out(self.problems, "unreadable", closed, "folder", "cannot", "cannot", "be listed")

    def read(self, name: str, limits: Limits) -> bytes:
        """Contents of a file; ImageError if it cannot be read."""
        path = self._place(name)
        try:
            return read_file(path, limits)
        except ImageError as error:
            text = error.message.replace(printable(path), printable(name))
            raise ImageError(text, code=error.code, hint=error.hint) from error

    def head(self, name: str) -> bytes:
        """The first bytes of a file; none if it cannot be read."""
        try:
            path = self._place(name)
            if not stat.S_ISREG(os.stat(path).st_mode):
                return b""
            with open(path, "rb", buffering=0) as file:
                return file.read(HEAD) or b""
        except OSError:
            return b""

    def length(self, name: str) -> int:
        """Bytes of a file; -1 if that is not known."""
        try:
            return os.stat(self._place(name)).st_size
        except OSError:
            return -1

    def mark(self, name: str) -> bytes:
        """The last bytes of a file; none if it cannot be read."""
        try:
            with open(self._place(name), "rb", buffering=0) as file:
                file.seek(-min(TAIL, os.fstat(file.fileno()).st_size), os.SEEK_END)
                return blake2b(file.read(TAIL) or b"", digest_size=16).digest()
        except OSError:
            return b""

    def pieces(self, name: str) -> Iterator[bytes]:
        """All bytes of a file, piece by piece; OSError if it cannot be read."""
        with open(self._place(name), "rb", buffering=0) as file:
            while piece := file.read(PIECE):
                yield piece

    def _place(self, name: str) -> str:
        return os.path.join(self.path, *name.split("/"))


def _is_run(entries: Sequence[os.DirEntry[str]]) -> bool:
    """Whether a folder with these entries is one that training made: its pictures are drawings of it."""
    for entry in entries:
        if entry.name == "run.json" and _leads_to_file(entry):
            try:
                with open(entry.path, "rb") as file:
                    return b'"convscope.run/' in file.read(200)
            except OSError:
                return False
    return False


def _without_empty_above(folders: list[str], files: Sequence[str], runs: Sequence[str]) -> list[str]:
    """``folders``, sorted, without those that hold nothing but the run folders left out."""
    kept = {*folders}
    for run in runs:
        above = run.rpartition("/")[0]
        while above and not any(name.startswith(f"{above}/") for name in (*kept, *files)):
            kept.discard(above)
            above = above.rpartition("/")[0]
    return sorted(kept)


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # links in a circle
        return False


def _leads_to_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def say_left_out(
    problems: list[Problem],
    code: str,
    names: list[str],
    thing: str,
    one: str,
    many: str,
    rest: str,
    things: str = "",
) -> None:
    """Add the problem of entries that are left out, if there are any."""
    if names:
        verb = one if len(names) == 1 else many
        text = f"{counted(len(names), thing, things)} {verb} {rest}; left out: {listed(names)}"
        problems.append(Problem(code, text, tuple(names)))
