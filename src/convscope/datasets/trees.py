"""Folders and zip files of pictures, seen alike: names with slashes, and the bytes behind a name.

Nothing is unpacked to disk and no name inside an archive is ever used as a path, so a hostile archive can
at worst hold pictures that are refused.
"""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

from convscope.data import Limits
from convscope.data.names import printable
from convscope.data.reading import read_file
from convscope.datasets.problems import Problem, counted, listed
from convscope.errors import DatasetError, ImageError


def _lzma_error() -> tuple[type[Exception], ...]:
    try:
        from lzma import LZMAError
    except ImportError:  # Python can be built without it
        return ()
    return (LZMAError,)


_HEAD = 64
_TAIL, _PIECE = 4096, 2**20
_MOST_DIRECTORY_BYTES = 512 * 2**20  # of a zip file: some four million entries
_TIGHT, _TIGHT_FROM = 200, 2**20
_DAMAGED: tuple[type[Exception], ...] = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    *_lzma_error(),
)
_UNREADABLE: tuple[type[Exception], ...] = (*_DAMAGED, RuntimeError)  # locked, or packed in an unknown way
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
        _note(
            self.problems, "run_folder", [*map(printable, runs)], "folder", "was", "were",
            "made by `convscope train`",
        )  # fmt: skip
        _note(self.problems, "linked_twice", twice, "link", "leads", "lead", "to a folder that was listed")
        _note(self.problems, "not_a_file", odd, "entry", "is", "are", "no ordinary file", "entries")
        _note(self.problems, "unreadable", closed, "folder", "cannot", "cannot", "be listed")

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
                return file.read(_HEAD) or b""
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
                file.seek(-min(_TAIL, os.fstat(file.fileno()).st_size), os.SEEK_END)
                return blake2b(file.read(_TAIL) or b"", digest_size=16).digest()
        except OSError:
            return b""

    def pieces(self, name: str) -> Iterator[bytes]:
        """All bytes of a file, piece by piece; OSError if it cannot be read."""
        with open(self._place(name), "rb", buffering=0) as file:
            while piece := file.read(_PIECE):
                yield piece

    def _place(self, name: str) -> str:
        return os.path.join(self.path, *name.split("/"))


class ZipTree:
    """A zip file, read where it lies.

    Entries that could only do harm (names that lead out of the archive, links, entries packed more tightly
    than any picture is) are left out and counted. Of entries with one name the last is read, which is said.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = printable(Path(path).name)
        self.problems: list[Problem] = []
        shown = printable(path)
        try:
            if _directory_bytes(path) > _MOST_DIRECTORY_BYTES:
                raise DatasetError(f"`{shown}` lists more entries than are read", code="too_large")
            self._zip = zipfile.ZipFile(path)
        except OSError as error:
            reason = error.strerror or str(error)
            raise DatasetError(f"`{shown}` cannot be read: {reason}", code="unreadable") from error
        except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
            raise DatasetError(
                f"`{shown}` is not a zip file that can be read: {error}",
                code="damaged",
                hint="Get the file again, or unpack it and name the folder.",
            ) from error
        self._entries: dict[str, zipfile.ZipInfo] = {}
        folders: set[str] = set()
        unsafe: list[str] = []
        linked: list[str] = []
        tight: list[str] = []
        twice: list[str] = []
        for entry in self._zip.infolist():
            name = _plain(entry.filename)
            parts = name.rstrip("/").split("/")
            if not name:
                continue  # the archive's own folder, `./`
            if not _is_safe(name, parts):
                unsafe.append(printable(entry.filename))
            elif any(is_hidden(part) for part in parts):
                continue
            elif name.endswith("/"):
                folders.add("/".join(parts))
            elif stat.S_ISLNK(entry.external_attr >> 16):
                linked.append(printable(name))
            elif entry.file_size > max(_TIGHT_FROM, _TIGHT * entry.compress_size):
                tight.append(printable(name))
            else:
                if name in self._entries:
                    twice.append(printable(name))
                self._entries[name] = entry
        # What is kept here is enough; a second list of all entries would take megabytes.
        self._zip.filelist.clear()
        self._zip.NameToInfo.clear()
        for name in self._entries:
            above = name.rpartition("/")[0]
            while above and above not in folders:
                folders.add(above)
                above = above.rpartition("/")[0]
        self.files: Sequence[str] = sorted(self._entries)
        self.folders: Sequence[str] = sorted(folders)
        _note(self.problems, "unsafe_name", unsafe, "name", "leads", "lead", "out of the archive")
        _note(self.problems, "not_a_file", linked, "entry", "is", "are", "a link, not a file", "entries")
        if twice:
            text = f"{counted(len(twice), 'entry has', 'entries have')} the name of an earlier one, which is"
            text += f" not read: {listed(twice)}"
            self.problems.append(Problem("repeated_name", text, tuple(twice)))
        _note(
            self.problems, "packed_too_tightly", tight, "entry", "would", "would",
            f"unpack to more than {_TIGHT} times its size", "entries",
        )  # fmt: skip

    def read(self, name: str, limits: Limits) -> bytes:
        """Contents of an entry; ImageError if it cannot be read."""
        shown = printable(name)
        entry = self._entries[name]
        limits.check_bytes(entry.file_size, shown)
        data = self._read(entry, shown, limits.file_bytes + 1)
        limits.check_bytes(len(data), shown)  # what the directory says of an entry need not be so
        return data

    def head(self, name: str) -> bytes:
        """The first bytes of an entry; none if it cannot be read."""
        try:
            return self._read(self._entries[name], name, _HEAD)
        except ImageError:
            return b""

    def length(self, name: str) -> int:
        """Bytes of an entry, as the directory says."""
        return self._entries[name].file_size

    def mark(self, name: str) -> bytes:
        """The checksum of an entry, as the directory says."""
        return self._entries[name].CRC.to_bytes(4, "little")

    def pieces(self, name: str) -> Iterator[bytes]:
        """All bytes of an entry, piece by piece; OSError if it cannot be read."""
        try:
            with self._zip.open(self._entries[name]) as file:
                while piece := file.read(_PIECE):
                    yield piece
        except _UNREADABLE as error:
            raise OSError(str(error)) from error

    def _read(self, entry: zipfile.ZipInfo, shown: str, most: int) -> bytes:
        try:
            with self._zip.open(entry) as file:
                data = file.read(most)
                if len(data) < most:
                    file.read(1)  # only the end of an entry has its checksum compared
                return data
        except _DAMAGED as error:
            raise ImageError(f"`{shown}` cannot be unpacked: {error}", code="damaged") from error
        except NotImplementedError as error:
            raise ImageError(f"`{shown}` is packed in a way that is not read", code="unreadable") from error
        except RuntimeError as error:  # how zipfile says that a password is asked for
            raise ImageError(
                f"`{shown}` is locked with a password",
                code="unreadable",
                hint="Unpack the zip file with its password, and name the folder.",
            ) from error


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


def _plain(name: str) -> str:
    """The name of an entry as others write it: with slashes, and nothing that stands for the same folder.

    Examples
    --------
    >>> _plain("./cat//1.png"), _plain("cat\\\\1.png"), _plain("cat/"), _plain("/cat/..")
    ('cat/1.png', 'cat/1.png', 'cat/', '/cat/..')
    """
    parts = name.replace("\\", "/").split("/")
    kept = [part for part in parts[1:-1] if part not in ("", ".")]
    return "/".join([*([] if parts[0] == "." else parts[:1]), *kept, *parts[1:][-1:]])


def _is_safe(name: str, parts: list[str]) -> bool:
    drive = len(parts[0]) == 2 and parts[0][0].isalpha() and parts[0][1] == ":"
    return not (drive or name.startswith("/") or "\0" in name or {"..", ".", ""} & {*parts})


def is_cut_zip(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins as a zip file does but has no end."""
    try:
        with open(path, "rb") as file:
            return file.read(4) == b"PK\x03\x04" and not zipfile.is_zipfile(path)
    except OSError:
        return False


def _directory_bytes(path: str | os.PathLike[str]) -> int:
    """Bytes of a zip file's directory as its end record says; 0 where there is none."""
    with open(path, "rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(-min(file.tell(), 22 + 0xFFFF), os.SEEK_END)
        tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0:
        return 0
    size = int.from_bytes(tail[at + 12 : at + 16], "little")
    big = tail.rfind(b"PK\x06\x06", 0, at)
    return int.from_bytes(tail[big + 40 : big + 48], "little") if size == 0xFFFFFFFF and big >= 0 else size


def _note(
    problems: list[Problem],
    code: str,
    names: list[str],
    thing: str,
    one: str,
    many: str,
    rest: str,
    things: str = "",
) -> None:
    if names:
        verb = one if len(names) == 1 else many
        text = f"{counted(len(names), thing, things)} {verb} {rest}; left out: {listed(names)}"
        problems.append(Problem(code, text, tuple(names)))
