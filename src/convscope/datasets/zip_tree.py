"""Zip files of pictures, read where they lie.

Nothing is unpacked to disk and no name inside an archive is ever used as a path, so a hostile archive can
at worst hold pictures that are refused.
"""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from convscope.data import Limits
from convscope.data.names import printable
from convscope.datasets.problems import Problem, counted, listed
from convscope.datasets.trees import HEAD, PIECE, is_hidden, say_left_out
from convscope.errors import DatasetError, ImageError

_MOST_DIRECTORY_BYTES = 512 * 2**20  # of a zip file: some four million entries
_TIGHT, _TIGHT_FROM = 200, 2**20


def _lzma_error() -> tuple[type[Exception], ...]:
    try:
        from lzma import LZMAError
    except ImportError:  # Python can be built without it
        return ()
    return (LZMAError,)


_DAMAGED: tuple[type[Exception], ...] = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    *_lzma_error(),
)
_UNREADABLE: tuple[type[Exception], ...] = (*_DAMAGED, RuntimeError)  # locked, or packed in an unknown way


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
        say_left_out(self.problems, "unsafe_name", unsafe, "name", "leads", "lead", "out of the archive")
        say_left_out(
            self.problems, "not_a_file", linked, "entry", "is", "are", "a link, not a file", "entries"
        )
        if twice:
            text = f"{counted(len(twice), 'entry has', 'entries have')} the name of an earlier one, which is"
            text += f" not read: {listed(twice)}"
            self.problems.append(Problem("repeated_name", text, tuple(twice)))
        say_left_out(
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
            return self._read(self._entries[name], name, HEAD)
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
                while piece := file.read(PIECE):
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


def refuse_cut_zip(path: str | os.PathLike[str]) -> None:
    """Refuse a file that begins as a zip file does but has no end.

    Raises
    ------
    DatasetError
        ``damaged``.
    """
    try:
        with open(path, "rb") as file:
            cut = file.read(4) == b"PK\x03\x04" and not zipfile.is_zipfile(path)
    except OSError:
        return
    if cut:
        raise DatasetError(
            f"`{printable(path)}` is a damaged or incomplete zip file: its end is missing",
            code="damaged",
            hint="Get it again.",
        )


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
