"""A scene as one file: a zip archive of ``manifest.json`` and one ``.npy`` file for each array."""

from __future__ import annotations

import io
import json
import math
import os
import re
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convscope.errors import OutputError, SceneError
from convscope.scene.scene import SCHEMA, Scene
from convscope.scene.validate import ARRAY_TYPES, array_type, check_manifest

_MANIFEST = "manifest.json"
_HINT = "Make it again from the model and the picture with `convscope look`."
_HEADER = re.compile(
    rb"\{'descr': '([<|][uif][0-9])', 'fortran_order': False, 'shape': \(((?:[0-9]{1,12},? ?){0,8})\), \} *\n"
)
# An earlier date cannot be written; a fixed one makes equal scenes equal files.
_DATE = (1980, 1, 1, 0, 0, 0)


def save_scene(scene: Scene, path: str | os.PathLike[str]) -> Path:
    """Write ``scene`` under a temporary name, flush it to the disk, then rename it; returns the path.

    Raises
    ------
    OutputError
        If the file cannot be written; nothing is left behind then.
    """
    target = Path(path)
    if target.is_dir():
        raise OutputError(f"`{target}` is a folder, not a file", hint="Give the name of a file in it.")
    temporary: str | None = None
    try:
        number, temporary = tempfile.mkstemp(
            prefix=f".{target.name[:80]}.", suffix=".part", dir=target.parent
        )
        with os.fdopen(number, "wb") as file:
            _write(scene, file)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0o077)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, target)
        temporary = None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(
            f"`{target}` cannot be written: {reason}", hint="Write it somewhere else."
        ) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
    return target


def load_scene(path: str | os.PathLike[str], *, limit: int = 1 << 30) -> Scene:
    """Read a scene that :func:`save_scene` wrote; ``limit`` is in bytes, unpacked.

    Raises
    ------
    SceneError
        If it cannot be read, for whatever reason.
    """
    source = Path(path)
    try:
        with zipfile.ZipFile(source) as archive:
            return _read(archive, source, limit)
    except FileNotFoundError:
        raise SceneError(f"there is no scene `{source}`") from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SceneError(f"`{source}` cannot be read: {reason}") from error
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        RuntimeError,  # also what is packed in a way zipfile does not know
        ValueError,
        RecursionError,
    ) as error:
        raise SceneError(f"`{source}` is not a scene, or damaged: {error}", hint=_HINT) from error


def _write(scene: Scene, file: Any) -> None:
    text = json.dumps(scene.manifest, allow_nan=False, ensure_ascii=True, separators=(",", ":"))
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(zipfile.ZipInfo(_MANIFEST, _DATE), text, zipfile.ZIP_DEFLATED, 1)
        for name in sorted(scene.arrays):
            array = scene.arrays[name]
            packed = io.BytesIO()
            np.lib.format.write_array(
                packed,
                np.ascontiguousarray(array, array.dtype.newbyteorder("<")),
                version=(1, 0),
                allow_pickle=False,
            )
            archive.writestr(
                zipfile.ZipInfo(f"{name}.npy", _DATE), packed.getbuffer(), zipfile.ZIP_DEFLATED, 1
            )


def _read(archive: zipfile.ZipFile, source: Path, limit: int) -> Scene:
    members = archive.infolist()
    names = [member.filename for member in members]
    if len(set(names)) != len(names):
        raise SceneError(f"`{source}` holds two parts of the same name", hint=_HINT)
    if _MANIFEST not in names:
        raise SceneError(f"`{source}` is not a scene: it has no {_MANIFEST}", hint=_HINT)
    total = sum(member.file_size for member in members)
    if total > limit:
        raise SceneError(
            f"`{source}` unpacks to {total / 1e6:,.0f} MB, more than the {limit / 1e6:,.0f} MB allowed",
            hint="Load it with a higher `limit` if you trust it.",
        )
    arrays: dict[str, NDArray[Any]] = {}
    manifest: Any = None
    for member in members:
        if member.filename == _MANIFEST:
            manifest = json.loads(archive.read(member), parse_constant=_no_constant)
            continue
        name = member.filename.removesuffix(".npy")
        if name == member.filename or array_type(name) is None:
            raise SceneError(
                f"`{source}` holds a part that is not of a scene: {member.filename[:80]!r}", hint=_HINT
            )
        arrays[name] = _array(archive.read(member), name, source)
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        schema = manifest.get("schema") if isinstance(manifest, dict) else None
        raise SceneError(
            f"`{source}` has the schema {str(schema)[:80]!r}; this version of convscope reads {SCHEMA!r}",
            hint=_HINT,
        )
    problem = check_manifest(manifest, arrays)
    if problem:
        raise SceneError(f"`{source}` is damaged: {problem}", hint=_HINT)
    return Scene(manifest, arrays)


def _no_constant(text: str) -> Any:
    raise ValueError(f"the manifest holds {text}")


def _array(data: bytes, name: str, source: Path) -> NDArray[Any]:
    """An ``.npy`` file as an array; its header is believed only where it fits the number of bytes.

    numpy's own reader would take memory for whatever shape the header promises.
    """
    kind = np.dtype(ARRAY_TYPES[array_type(name) or ""]).newbyteorder("<")
    length = int.from_bytes(data[8:10], "little")
    header = _HEADER.fullmatch(data[10 : 10 + length])
    if data[:8] == b"\x93NUMPY\x01\x00" and header is not None and header[1].decode() == kind.str:
        shape = tuple(int(side) for side in header[2].replace(b",", b" ").split())
        if math.prod(shape) * kind.itemsize == len(data) - 10 - length:
            return np.frombuffer(data, kind, offset=10 + length).reshape(shape)
    raise SceneError(f"`{source}` is damaged: {name} is not what it says", hint=_HINT)
