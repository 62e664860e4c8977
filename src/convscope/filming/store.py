"""The files of a film: ``film.json``, ``images.npz`` and one ``step-N.npz`` a frame, each whole or absent.

A frame is a zip archive of ``.npy`` arrays (``numpy.load`` opens it) with the numbers of its step in
``numbers.json``. Which frames there are is what the folder holds, so that no list can be wrong about it.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convscope.errors import FilmError
from convscope.files import atomic_write

SCHEMA = "convscope.film/1"
FOLDER = "film"
MANIFEST = "film.json"
IMAGES = "images.npz"
_NUMBERS = "numbers.json"
#: Steps are below this.
MOST_STEPS = 10**15
_FRAME = re.compile(r"step-(\d{9,15})\.npz")
_MOST_BYTES = 256 << 20

Arrays = dict[str, NDArray[Any]]


def frame_path(folder: Path, step: int) -> Path:
    """Where the frame of ``step`` is."""
    return folder / f"step-{step:09d}.npz"


def frame_steps(folder: Path) -> list[int]:
    """The steps that have a frame, in order."""
    if not folder.is_dir():
        return []
    found = (_FRAME.fullmatch(entry.name) for entry in folder.iterdir())
    return sorted(int(match[1]) for match in found if match)


def discard(run: Path) -> None:
    """Remove the film of a run; nothing else in its folder."""
    folder = run / FOLDER
    for step in frame_steps(folder):
        frame_path(folder, step).unlink(missing_ok=True)
    for name in (MANIFEST, IMAGES):
        (folder / name).unlink(missing_ok=True)


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], numbers: Mapping[str, float] | None) -> None:
    """Write arrays, and numbers beside them, as one file.

    Raises
    ------
    OutputError
        If it cannot be written; the files that were there before stay.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in arrays.items():
            packed = io.BytesIO()
            little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            np.lib.format.write_array(packed, little, version=(1, 0), allow_pickle=False)
            archive.writestr(_member(f"{name}.npy"), packed.getbuffer(), zipfile.ZIP_DEFLATED, 1)
        if numbers is not None:
            archive.writestr(_member(_NUMBERS), json.dumps(dict(numbers), allow_nan=False))
    atomic_write(path, buffer.getvalue())


def _member(name: str) -> zipfile.ZipInfo:
    # A fixed date, so that equal frames are equal files.
    return zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))


def read_arrays(
    path: Path, expected: Mapping[str, tuple[str, tuple[int, ...]]]
) -> tuple[Arrays, dict[str, float]]:
    """The arrays of one file, each of the type and shape expected, and its numbers.

    Raises
    ------
    FilmError
        ``damaged`` if it is anything else.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {member.filename: member.file_size for member in archive.infolist()}
            if sum(sizes.values()) > _MOST_BYTES:
                raise ValueError("it is far too large")
            arrays = {
                name: _array(archive.read(f"{name}.npy"), np.dtype(kind).newbyteorder("<"), shape)
                for name, (kind, shape) in expected.items()
            }
            numbers = json.loads(archive.read(_NUMBERS)) if _NUMBERS in sizes else {}
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        hint = "Remove that file to see the others." if _FRAME.fullmatch(path.name) else "The film needs it."
        raise FilmError(f"`{path}` cannot be read: {error}", code="damaged", hint=hint) from error
    kept = {key: float(value) for key, value in numbers.items() if isinstance(value, int | float)}
    return arrays, kept


def frame_types(manifest: Mapping[str, Any]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Type and shape of each array of a frame."""
    images = len(manifest["images"])
    found: dict[str, tuple[str, tuple[int, ...]]] = {}
    for number, layer in enumerate(manifest["layers"]):
        if layer["kernels"] is not None:
            found[f"kernels_{number}"] = ("float32", tuple(layer["kernels"]))
        found[f"maps_{number}"] = ("uint8", (images, *layer["maps"]))
        found[f"scales_{number}"] = ("float32", (images, layer["maps"][0]))
    if manifest["outputs"]:
        found["probabilities"] = ("float32", (images, manifest["outputs"]))
    return found


def _array(data: bytes, kind: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise ValueError("it holds an array of an unknown form")
    found, turned, dtype = np.lib.format.read_array_header_1_0(stream)
    if turned or dtype != kind or found != shape:
        raise ValueError(f"an array of {dtype} {found} was found where {kind} {shape} belongs")
    return np.frombuffer(data, kind, offset=stream.tell()).reshape(shape)


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """``film.json``, whole or not at all."""
    text = json.dumps(manifest, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    atomic_write(folder / MANIFEST, text.encode("utf-8", "surrogateescape"))


def read_manifest(folder: Path) -> dict[str, Any]:
    """What ``film.json`` says.

    Raises
    ------
    FilmError
        ``missing`` or ``damaged``.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8", errors="surrogateescape"))
    except (FileNotFoundError, NotADirectoryError):
        raise FilmError(
            f"`{folder.parent}` holds no film of a training",
            code="missing",
            hint="`convscope train` makes one of a network with convolutions; in a loop of your own: "
            "with convscope.film(model, images, FOLDER) as film: ... film.snap(step)",
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise FilmError(f"`{path}` cannot be read: {error}", code="damaged") from error
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        found = manifest.get("schema") if isinstance(manifest, dict) else None
        raise FilmError(f"`{path}` should be of schema {SCHEMA}; it says {found!r}", code="damaged")
    problem = _wrong(manifest)
    if problem:
        raise FilmError(f"`{path}` is damaged: {problem}", code="damaged", hint="The film cannot be shown.")
    return manifest


_KINDS: dict[str, Any] = {
    "title": str,
    "classes": list,
    "images": list,
    "picture": list,
    "layers": list,
    "outputs": int,
}
_LAYER: dict[str, Any] = {
    "name": str,
    "kernels": (list, type(None)),
    "map_shape": list,
    "maps": list,
    "reads_image": bool,
}


def _wrong(manifest: Mapping[str, Any]) -> str:
    """The first thing wrong with a manifest, in words; ``""`` where all is well."""
    for key, kind in _KINDS.items():
        if not isinstance(manifest.get(key), kind):
            return f"its `{key}` is missing or of another kind"
    if not manifest["layers"] or not manifest["images"]:
        return "it names no layers or no images"
    for layer in manifest["layers"]:
        lacks = [key for key, kind in _LAYER.items() if not isinstance(layer.get(key, ...), kind)]
        if (
            lacks
            or len(layer["map_shape"]) != 3
            or len(layer["maps"]) != 3
            or len(layer["kernels"] or [0] * 4) != 4
        ):
            return f"a layer of it is not as it should be{f' ({lacks[0]})' if lacks else ''}"
    sizes = [size for layer in manifest["layers"] for size in (*layer["maps"], *(layer["kernels"] or []))]
    if not all(type(size) is int and size > 0 for size in (*sizes, *manifest["picture"])):
        return "a size in it is no whole number above 0"
    if len(manifest["picture"]) != 2 or manifest["outputs"] < 0:
        return "a size in it is not as it should be"
    if not all(isinstance(image.get("name"), str) and "label" in image for image in manifest["images"]):
        return "an image of it is not as it should be"
    if not all(isinstance(name, str) for name in manifest["classes"]):
        return "its `classes` are no names"
    return ""
