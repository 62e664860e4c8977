"""Reading weights from a file: recognised by what is in it, whatever its name says."""

from __future__ import annotations

import os
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from convscope.errors import WeightsError
from convscope.models.checkpoint import damaged, load_checkpoint
from convscope.models.parts import Request

if TYPE_CHECKING:
    from torch import Tensor

_FOREIGN = (
    (b"\x89HDF", "an HDF5 file (Keras?)"),
    (b"\x93NUMPY", "a numpy array"),
    (b"GGUF", "a GGUF file"),
    (b"\x1f\x8b", "a gzip archive: unpack it first"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\x89PNG", "a PNG picture"),
    (b"%PDF", "a PDF document"),
)
_FORMATS = "Weights are read from safetensors files, and from state dicts saved by torch."


@dataclass(frozen=True)
class ReadWeights:
    """Tensors of a weights file by name, on the CPU, and what had to be done to find them."""

    tensors: dict[str, Tensor]
    notes: tuple[str, ...] = ()


def read_weights(path: Path) -> ReadWeights:
    """The tensors of a weights file: safetensors, or a state dict written by ``torch.save``.

    No code in the file is run, and no more memory is used than a small multiple of its size.

    Raises
    ------
    WeightsError
        With a ``code`` and one sentence for each way in which a file is not weights.

    Examples
    --------
    >>> import tempfile, torch, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "mine.pt"
    ...     torch.save({"state_dict": {"fc.weight": torch.ones(2, 3)}}, path)
    ...     read = read_weights(path)
    >>> read.tensors["fc.weight"].shape, read.notes
    (torch.Size([2, 3]), ('the weights are those under `state_dict` in the file',))
    """
    name = _shown(path)
    with _open(path, name) as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(512)
        kind = _recognise(start, size, name, path.suffix.lower())
        if kind == "safetensors":
            tensors = _read_safetensors(path, name)
            notes = () if path.suffix.lower() == ".safetensors" else (f"`{name}` is a safetensors file",)
            return ReadWeights(tensors, notes)
        checkpoint = load_checkpoint(file, size, name)
    return ReadWeights(checkpoint.tensors, checkpoint.notes)


def requested_state(request: Request) -> tuple[dict[str, Tensor], str, tuple[str, ...]]:
    """Tensors, label and notes of weights given as a file or as a state dict."""
    if request.path is None:
        return dict(request.state or {}), "given", ()
    read = read_weights(request.path)
    return read.tensors, request.name, read.notes


def _open(path: Path, name: str) -> IO[bytes]:
    """The file, opened without waiting; only ever a regular one."""
    try:
        # A named pipe would otherwise wait for a writer for ever.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError as error:
        raise WeightsError(f"there is no file `{name}`", code="missing") from error
    except IsADirectoryError as error:
        raise WeightsError(f"`{name}` is a folder, not a weights file", code="not_a_file") from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise WeightsError(f"`{name}` cannot be read: {why}", code="unreadable") from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        what = "a folder" if stat.S_ISDIR(mode) else "a device or a pipe"
        raise WeightsError(f"`{name}` is {what}, not a weights file", code="not_a_file")
    return os.fdopen(descriptor, "rb")


def _recognise(start: bytes, size: int, name: str, suffix: str) -> str:
    """``safetensors`` or ``torch``, from the first bytes of the file."""
    if size == 0:
        raise WeightsError(f"`{name}` is empty", code="empty", hint="Copy or download it again.")
    if start.startswith(b"version https://git-lfs"):
        raise WeightsError(
            f"`{name}` is a Git LFS pointer, not the weights themselves",
            code="lfs_pointer",
            hint="Fetch the real file in its repository with: git lfs pull",
        )
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise WeightsError(
            f"`{name}` is a web page, not weights",
            code="not_weights",
            hint="The download gave an error page or a login form; fetch the file itself.",
        )
    # Before all other kinds: the first byte of the header's length can be that of any of them.
    header = struct.unpack("<Q", start[:8])[0] if start[8:9] == b"{" else None
    if header is not None and header <= size - 8:
        return "safetensors"
    for magic, what in _FOREIGN:
        if start.startswith(magic):
            raise WeightsError(f"`{name}` is {what}, not weights", code="not_weights", hint=_FORMATS)
    if start.startswith((b"PK\x03\x04", b"\x80")) and not (header is not None and suffix == ".safetensors"):
        return "torch"
    if start[257:262] == b"ustar":
        raise WeightsError(f"`{name}` is a tar archive, not weights", code="not_weights", hint=_FORMATS)
    if header is not None:
        raise damaged(name, f"its header should have {header:,} bytes, the file has {size:,}")
    if suffix == ".safetensors":
        raise damaged(name, "it does not start like a safetensors file")
    raise WeightsError(f"`{name}` is not a weights file", code="not_weights", hint=_FORMATS)


def _read_safetensors(path: Path, name: str) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Tensor] = load_file(path, device="cpu")
    except Exception as error:
        # SafetensorError for what its parser finds, KeyError for a type of number torch lacks.
        raise damaged(name, str(error) or type(error).__name__) from error
    if not tensors:
        raise WeightsError(f"`{name}` holds no tensors", code="not_weights")
    return tensors


def _shown(path: Path) -> str:
    """The path as people see it: short enough, no control characters, any bytes."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(character if character.isprintable() else "?" for character in text)
