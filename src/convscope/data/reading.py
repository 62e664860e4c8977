"""The bytes of a file that a person named, whatever lies there.

A path may lead to a pipe that never ends or to a device that never stops; both are refused
before a byte is read.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from convscope.data.limits import Limits
from convscope.data.names import printable
from convscope.errors import ImageError, nearest

# Opening a pipe blocks until somebody writes to it, unless O_NONBLOCK says otherwise.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)
_NAMES_LOOKED_AT = 2000


def read_file(path: str | os.PathLike[str], limits: Limits) -> bytes:
    """Contents of the ordinary file at ``path``; links are followed.

    Raises
    ------
    ImageError
        ``missing``, ``not_a_file``, ``unreadable``, ``too_many_bytes`` or ``empty``.
    """
    shown = printable(path)
    try:
        _check_regular(os.stat(path), shown)
        descriptor = os.open(path, _FLAGS)
        with open(descriptor, "rb", buffering=0) as file:
            status = os.fstat(descriptor)  # what was opened may not be what was looked at before
            _check_regular(status, shown)
            limits.check_bytes(status.st_size, shown)
            data = _read_at_most(file.fileno(), limits.file_bytes + 1)
    except ValueError as error:  # a name that holds a null character
        raise ImageError(f"there is no file `{shown}` ({error})", code="missing") from error
    except OSError as error:
        raise _read_error(path, shown, error) from error
    limits.check_bytes(len(data), shown)
    if not data:
        raise ImageError(f"`{shown}` is empty: the file has 0 bytes", code="empty")
    return data


def _read_at_most(descriptor: int, count: int) -> bytes:
    parts: list[bytes] = []
    while count > 0 and (part := os.read(descriptor, min(count, 1 << 20))):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _check_regular(status: os.stat_result, shown: str) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    kind = next((name for test, name in _KINDS if test(status.st_mode)), "not an ordinary file")
    hint = "Name one picture inside it." if kind == "a folder" else ""
    raise ImageError(f"`{shown}` is {kind}, expected a picture file", code="not_a_file", hint=hint)


def _read_error(path: str | os.PathLike[str], shown: str, error: OSError) -> ImageError:
    reason = error.strerror or str(error)
    if error.errno not in (errno.ENOENT, errno.ENOTDIR):
        return ImageError(f"`{shown}` cannot be read: {reason}", code="unreadable")
    if os.path.islink(path):
        target = printable(os.readlink(path))
        return ImageError(f"`{shown}` is a link to `{target}`, which does not exist", code="missing")
    if not shown:
        return ImageError("no picture is named: its path is empty", code="missing")
    why = f" ({reason})" if error.errno == errno.ENOTDIR else ""
    return ImageError(f"there is no file `{shown}`{why}", code="missing", hint=_way_out(path))


def _way_out(path: str | os.PathLike[str]) -> str:
    from convscope.data.sample_files import samples

    place = Path(path)
    if "://" in os.fspath(path):
        return "Addresses are not fetched: download the picture and give the path of the file."
    if os.fspath(path) in samples():
        return f"Did you mean sample:{path}?"
    names: list[str] = []
    try:
        with os.scandir(place.parent) as entries:
            for entry, _ in zip(entries, range(_NAMES_LOOKED_AT), strict=False):
                names.append(entry.name)
    except OSError:
        return f"There is no folder `{printable(place.parent)}` either."
    near = nearest(place.name, names, count=3)
    return f"Did you mean {', '.join(printable(name) for name in near)}?" if near else ""
