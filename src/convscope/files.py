"""Files that are whole or absent: written under a temporary name, then renamed.

A reader never sees half a file, a failed run leaves the old file as it was, and what a killed
run left behind is removed by the next one that writes to the same folder.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import secrets
import socket
import stat
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from convscope.errors import OutputError

if TYPE_CHECKING:
    from typing_extensions import Buffer

_ENDING = "convscope-tmp"
_TEMPORARY = re.compile(rf"^\..*\.([0-9a-f]{{8}})-(\d+)-[0-9a-f]{{8}}\.{_ENDING}$", re.DOTALL)
_ABANDONED_SECONDS = 24 * 3600


class _Recorder(io.FileIO):
    """A file that remembers why writing to it failed, whatever its writer makes of the error."""

    fault: OSError | None = None

    def write(self, data: Buffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.fault = error
            raise


def atomic_write(path: str | os.PathLike[str], content: bytes | Callable[[BinaryIO], object]) -> Path:
    """Write a file as a whole or not at all.

    The bytes go to a temporary name in the same folder, reach the disk, and are renamed over
    ``path``. On any failure, Ctrl-C included, the temporary file is removed and a file
    that was there stays as it was. Missing folders are made; links are followed; a
    device or pipe (``/dev/stdout``) is written directly.

    Parameters
    ----------
    path
        Where the file shall be.
    content
        The bytes, or a function that writes them to the binary file it is given.

    Returns
    -------
    ``path``.

    Raises
    ------
    OutputError
        If it cannot be written; the message says why.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     atomic_write(f"{folder}/new/report.html", b"<p>").read_bytes()
    b'<p>'
    """
    target = _checked(path)
    if target.exists() and not target.is_file():
        with _explained(target, content), open(target, "wb", buffering=0) as device:
            _fill(device, content)
        return Path(path)
    with _explained(target, content):
        target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(target)
    with _explained(target, content):
        raw = _Recorder(temporary, "xb")
    try:
        _write_through(raw, target, content)
        with _explained(target, content):
            os.replace(temporary, target)
            _sync_folder(target.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            raw.close()
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    return Path(path)


def check_writable(path: str | os.PathLike[str], *, folder: bool = False) -> Path:
    """Make sure, before any long work, that ``path`` can be written.

    Writes and removes a small file where ``path`` (or, if its folder is still to be made, the
    nearest folder that exists) is. Makes no folder. Removes the temporary files of
    runs that were killed.

    Parameters
    ----------
    folder
        Whether ``path`` is to be a folder of files rather than a file.

    Returns
    -------
    ``path``.

    Raises
    ------
    OutputError
        If it cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     check_writable(f"{place}/out/report.html").name
    'report.html'
    """
    target = _checked(path, folder=folder)
    if target.exists() and not folder and not target.is_file():
        return Path(path)
    nearest = target if folder else target.parent
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        raise OutputError(f"cannot write {target}: {nearest} is a file, not a folder", hint=_ELSEWHERE)
    remove_abandoned(nearest)
    trial = _temporary(nearest / "trial")
    with _explained(target, b""):
        try:
            with open(trial, "xb") as file:
                file.write(b"\n")
        finally:
            with contextlib.suppress(OSError):
                trial.unlink()
    return Path(path)


def remove_abandoned(folder: str | os.PathLike[str]) -> list[Path]:
    """Remove temporary files that killed runs left in ``folder``; other files are not touched.

    A file goes if the process that made it ran on this machine and is gone, or after a day.

    Returns
    -------
    The files removed.
    """
    removed = []
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            match = _TEMPORARY.match(entry.name)
            if not match or not entry.is_file(follow_symlinks=False):
                continue
            age = time.time() - entry.stat().st_mtime
            gone = match[1] == _machine() and not _runs(int(match[2]))
            if gone or age > _ABANDONED_SECONDS:
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)
                    removed.append(Path(entry.path))
    return removed


_ELSEWHERE = "Name another place for the output."


def _checked(path: str | os.PathLike[str], *, folder: bool = False) -> Path:
    """``path`` with links followed, once it is plain that a file (or folder) of that name may exist."""
    text = os.fspath(path)
    if not text or "\0" in text:
        raise OutputError(f"{text!r} is not a file name", hint=_ELSEWHERE)
    with _explained(Path(text), b""):
        target = Path(os.path.realpath(text))
        try:
            found = os.stat(text)
        except FileNotFoundError:
            return target
        # What /dev/stdout links to has no path of its own when it is a pipe.
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
            target = Path(text)
    if stat.S_ISDIR(found.st_mode) and not folder:
        raise OutputError(f"cannot write {text}: it is a folder", hint="Give the name of a file in it.")
    if folder and not stat.S_ISDIR(found.st_mode):
        raise OutputError(f"cannot write into {text}: it is a file, not a folder", hint=_ELSEWHERE)
    if not os.access(target, os.W_OK):
        raise OutputError(f"cannot write {text}: it is read-only", hint=_ELSEWHERE)
    return target


def _write_through(raw: _Recorder, target: Path, content: bytes | Callable[[BinaryIO], object]) -> None:
    try:
        with io.BufferedWriter(raw, 1 << 20) as file:
            _fill(file, content)
            file.flush()
            os.fsync(raw.fileno())
            if target.exists():
                os.chmod(raw.fileno(), stat.S_IMODE(target.stat().st_mode))
    except OutputError:
        raise
    except Exception as error:
        fault = raw.fault or error
        if isinstance(fault, OSError):
            raise _explain(fault, target, content) from error
        raise


def _fill(file: BinaryIO | io.RawIOBase, content: bytes | Callable[[BinaryIO], object]) -> None:
    if callable(content):
        content(file)  # type: ignore[arg-type]
    else:
        rest = memoryview(content)
        while rest:
            rest = rest[file.write(rest) :]


@contextlib.contextmanager
def _explained(target: Path, content: object) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _explain(error, target, content) from error


def _size(count: int) -> str:
    """So many bytes, rounded up.

    Examples
    --------
    >>> _size(1_200), _size(2_000_001)
    ('2 kB', '3 MB')
    """
    return f"{-(-count // 1_000_000)} MB" if count >= 1_000_000 else f"{-(-count // 1000)} kB"


def _explain(error: OSError, target: Path, content: object) -> OutputError:
    place = str(target)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        size = f", {_size(len(content))} needed" if isinstance(content, bytes) else ""
        return OutputError(f"disk full at {place}{size}", hint="Free some space, or name another place.")
    if error.errno == errno.ENAMETOOLONG:
        name = target.name if len(target.name) <= 40 else f"{target.name[:37]}..."
        return OutputError(f"cannot write {name}: the name is too long", hint="Give a shorter name.")
    reasons = {
        errno.EROFS: "the disk is read-only",
        errno.EACCES: "permission denied",
        errno.EPERM: "permission denied",
        errno.ENOTDIR: "a part of the path is a file, not a folder",
        errno.EEXIST: "a part of the path is a file, not a folder",
        errno.ENOENT: "no file or folder can be made there",
        errno.ELOOP: "its links go in a circle",
    }
    reason = reasons.get(error.errno or 0, error.strerror or str(error))
    return OutputError(f"cannot write {place}: {reason}", hint=_ELSEWHERE)


def _temporary(target: Path) -> Path:
    name = f".{target.name[:24]}.{_machine()}-{os.getpid()}-{secrets.token_hex(4)}.{_ENDING}"
    return target.with_name(name)


def _machine() -> str:
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


def _runs(process: int) -> bool:
    # Elsewhere than on POSIX, signal 0 would end the process it asks about.
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _sync_folder(folder: Path) -> None:
    """Let the new name reach the disk too, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
