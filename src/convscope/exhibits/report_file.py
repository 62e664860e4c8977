"""Writes a file whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from convscope.errors import OutputError


def write_whole(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write ``data`` to ``path`` under a temporary name, then rename it; returns the path.

    A reader sees the old file or the new one, never a part; on failure nothing is left behind.

    Raises
    ------
    OutputError
        If the folder does not exist or cannot be written to, ``path`` is a folder, or the disk is full.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(Path(folder, "report.html"), b"hello").read_bytes()
    b'hello'
    """
    target = Path(path)
    if target.is_dir():
        raise OutputError(f"`{target}` is a folder, not a file", hint="Give the name of a file in it.")
    temporary: str | None = None
    try:
        descriptor, temporary = tempfile.mkstemp(
            prefix=f".{target.name[:80]}.", suffix=".part", dir=target.parent
        )
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
        temporary = None
    except OSError as cause:
        raise _explained(target, len(data), cause) from cause
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
    return target


def _umask() -> int:
    """The permissions new files go without (read by setting and setting back)."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _explained(target: Path, size: int, cause: OSError) -> OutputError:
    if cause.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(
            f"the disk is full: `{target}` needs {size / 1e6:.1f} MB",
            hint="Free some space, or write elsewhere.",
        )
    if cause.errno in (errno.ENOENT, errno.ENOTDIR):
        return OutputError(f"there is no folder `{target.parent}`", hint="Make it first, or write elsewhere.")
    reason = (cause.strerror or str(cause)).lower()
    return OutputError(f"`{target}` cannot be written: {reason}", hint="Choose another place with --output.")
