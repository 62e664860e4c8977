"""Checkpoints written by ``torch.save``: looked through first, then loaded.

``weights_only=True`` stops code, but not memory: a file of a few hundred bytes can still
ask for gigabytes (a compressed archive, ``bytearray(2_000_000_000)``, a tensor of stride 0).
A child process with a memory limit would hold that in, and would take the two seconds that
importing torch takes. Instead everything the file asks for is read beforehand without
running any of it (``inert_pickle``) and compared with what the file holds: only
instructions that make dicts of tensors are let through, every entry of the archive is
stored plainly, and no tensor is larger than its bytes in the file. What torch then loads
cannot need more memory than the file has bytes.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any

from convscope.errors import WeightsError
from convscope.models.inert_pickle import BrokenPickle, ForeignCode, Storage, TensorPromise, read_pickle

# A state dict of a thousand tensors takes 0.15 MB; reading is linear, about 2 s for this much.
_MOST_PICKLE_BYTES = 16_000_000
_MOST_DEPTH = 64
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_NESTED = ("state_dict", "model_state_dict", "model", "net", "network", "module", "weights", "params")
_SAVE_HINT = "Save the weights alone: torch.save(model.state_dict(), FILE), or as safetensors."


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name, as read from a checkpoint, and what had to be done to find them."""

    tensors: dict[str, Any]
    notes: tuple[str, ...] = ()


def load_checkpoint(file: IO[bytes], size: int, name: str) -> Checkpoint:
    """The tensors of a file written by ``torch.save``, in its present or its older format.

    Parameters
    ----------
    file
        Open for reading in binary and seekable.
    size
        Bytes of the file.
    name
        As shown to people.

    Raises
    ------
    WeightsError
        ``code_inside``, ``damaged``, ``not_weights``, ``too_large`` or ``torchscript``.
    """
    import torch

    from convscope.models.building import quiet

    file.seek(0)
    start = file.read(4)
    try:
        described = (
            _describe_zip(file, size, name) if start.startswith(b"PK") else _describe_legacy(file, size, name)
        )
    except ForeignCode as error:
        raise _code_inside(name, error.name) from error
    except BrokenPickle as error:
        raise damaged(name, str(error)) from error
    _check_depth(described, name)
    pick_tensors(described, name, lambda value: isinstance(value, TensorPromise))
    file.seek(0)
    try:
        with quiet():
            loaded = torch.load(file, map_location="cpu", weights_only=True)
    except MemoryError as error:
        raise WeightsError(f"`{name}` does not fit the memory", code="too_large") from error
    except Exception as error:
        # A damaged file makes torch raise a dozen classes, from KeyError to struct.error.
        raise damaged(name, "its parts do not fit together") from error
    return pick_tensors(loaded, name, lambda value: isinstance(value, torch.Tensor))


def damaged(name: str, why: str) -> WeightsError:
    """The error for a file that contradicts itself."""
    text = "".join(c if c.isprintable() else "?" for c in why)[:120]
    return WeightsError(
        f"`{name}` is damaged: {text}",
        code="damaged",
        hint="Copy or download it again, and compare its size.",
    )


def pick_tensors(value: Any, name: str, is_tensor: Callable[[Any], bool]) -> Checkpoint:
    """The dict of tensors in ``value``: itself, or under one of the usual keys.

    Examples
    --------
    >>> pick_tensors({"epoch": 3, "state_dict": {"w": 1.0}}, "x.pt", lambda v: isinstance(v, float)).notes
    ('the weights are those under `state_dict` in the file',)
    """
    if _all_tensors(value, is_tensor):
        return Checkpoint(dict(value))
    if isinstance(value, dict):
        for key in _NESTED:
            if _all_tensors(value.get(key), is_tensor):
                return Checkpoint(dict(value[key]), (f"the weights are those under `{key}` in the file",))
    raise WeightsError(
        f"`{name}` does not hold tensors by name, but {_kind(value, is_tensor)}",
        code="not_weights",
        hint=_SAVE_HINT,
    )


def _all_tensors(value: Any, is_tensor: Callable[[Any], bool]) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(key, str) and is_tensor(item) for key, item in value.items())
    )


def _kind(value: Any, is_tensor: Callable[[Any], bool]) -> str:
    if is_tensor(value):
        return "one tensor without a name"
    if isinstance(value, dict):
        odd = [str(key)[:40] for key, item in value.items() if not is_tensor(item)]
        keys = ", ".join("".join(c if c.isprintable() else "?" for c in key) for key in odd[:4])
        return f"a dict with other things in it ({keys})" if value else "an empty dict"
    return f"a {type(value).__name__}"


def _code_inside(name: str, what: str) -> WeightsError:
    shown = "".join(c if c.isprintable() else "?" for c in what)[:80]
    return WeightsError(
        f"`{name}` holds code, not only weights: loading it would run `{shown}`",
        code="code_inside",
        hint=_SAVE_HINT,
    )


def _check_depth(value: Any, name: str) -> None:
    """Refuse nesting that no checkpoint has; walked level by level, so that depth costs nothing."""
    level, seen = [value], set[int]()
    for _ in range(_MOST_DEPTH):
        following: list[Any] = []
        for item in level:
            if isinstance(item, dict | list | tuple) and id(item) not in seen:
                seen.add(id(item))
                following.extend(item.values() if isinstance(item, dict) else item)
        if not following:
            return
        level = following
    raise WeightsError(
        f"`{name}` does not hold tensors by name, but values nested more than {_MOST_DEPTH} deep",
        code="not_weights",
        hint=_SAVE_HINT,
    )


def _describe_zip(file: IO[bytes], size: int, name: str) -> Any:
    """What a checkpoint of the present format holds; raises where its archive is not plain."""
    file.seek(max(0, size - 22))
    # Two programs find the same entries only if nothing follows or precedes the archive.
    ends_plainly = file.read(4) == b"PK\x05\x06"
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, OSError, EOFError) as error:
        raise damaged(name, "the end of its archive is missing or wrong") from error
    names = [entry.filename for entry in entries]
    if any("/code/" in entry or entry.endswith("/constants.pkl") for entry in names):
        raise WeightsError(
            f"`{name}` is a TorchScript archive: a program, not weights alone",
            code="torchscript",
            hint="Save the state dict of the Python model: torch.save(model.state_dict(), FILE).",
        )
    pickles = [
        entry for entry in entries if entry.filename.count("/") == 1 and entry.filename.endswith("/data.pkl")
    ]
    if not pickles:
        raise WeightsError(
            f"`{name}` is a zip archive, but not one written by torch.save",
            code="not_weights",
            hint=_SAVE_HINT,
        )
    if len(set(names)) < len(names) or len(pickles) > 1 or not ends_plainly or entries[0].header_offset != 0:
        raise damaged(name, "its archive has entries that no torch.save writes")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > size or any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise WeightsError(
            f"`{name}` is compressed: its {size:,} bytes would become {unpacked:,}",
            code="too_large",
            hint="torch.save stores weights plainly. If you packed the file, save it again.",
        )
    _check_sums(file, entries, name)
    pickle_bytes = b"".join(_content(file, pickles[0], name, _MOST_PICKLE_BYTES))
    described = read_pickle(io.BytesIO(pickle_bytes))
    _refuse_newer_protocol(pickle_bytes[:2], name)
    prefix = pickles[0].filename.removesuffix("data.pkl") + "data/"
    held = {entry.filename.removeprefix(prefix): entry.file_size for entry in entries}
    for storage in _storages(described):
        if storage.items * storage.item_bytes > held.get(storage.key, -1):
            raise BrokenPickle(f"{storage.items} numbers are promised, fewer are in the file")
    return described


def _content(file: IO[bytes], entry: zipfile.ZipInfo, name: str, most: int) -> Iterator[bytes]:
    """The stored bytes of an entry, in pieces."""
    if entry.file_size > most:
        raise WeightsError(f"`{name}` describes its weights in {entry.file_size:,} bytes", code="too_large")
    file.seek(entry.header_offset)
    header = file.read(30)
    if len(header) < 30 or not header.startswith(b"PK\x03\x04"):
        raise damaged(name, "an entry of its archive is not where it should be")
    name_bytes, extra_bytes = struct.unpack("<HH", header[26:30])
    if file.read(name_bytes).decode("utf-8", "replace") != entry.orig_filename:
        raise damaged(name, "an entry of its archive has two names")
    file.seek(extra_bytes, io.SEEK_CUR)
    left = entry.file_size
    while left:
        piece = file.read(min(left, 1 << 22))
        if not piece:
            raise damaged(name, "an entry of its archive is cut off")
        left -= len(piece)
        yield piece


def _check_sums(file: IO[bytes], entries: list[zipfile.ZipInfo], name: str) -> None:
    """Compare the checksum of every entry, unless all disagree: torch can be told not to write any."""
    wrong = right = 0
    for entry in entries:
        total = 0
        for piece in _content(file, entry, name, entry.file_size):
            total = zlib.crc32(piece, total)
        if entry.file_size:
            wrong, right = (wrong, right + 1) if total == entry.CRC else (wrong + 1, right)
    if wrong and right:
        raise damaged(name, f"{wrong} of {wrong + right} checksums are wrong")


def _describe_legacy(file: IO[bytes], size: int, name: str) -> Any:
    """What a checkpoint of the format before torch 1.6 holds: five pickles, then the numbers."""
    file.seek(0)
    stream = io.BytesIO(file.read(_MOST_PICKLE_BYTES))
    if read_pickle(stream) != _LEGACY_MAGIC:
        raise WeightsError(
            f"`{name}` is a plain pickle, not weights written by torch.save",
            code="not_weights",
            hint=_SAVE_HINT,
        )
    read_pickle(stream)
    system = read_pickle(stream)
    if isinstance(system, dict) and system.get("little_endian") is False:
        raise WeightsError(f"`{name}` was written on a big-endian machine", code="not_weights")
    protocol = stream.getvalue()[stream.tell() : stream.tell() + 2]
    described = read_pickle(stream)
    _refuse_newer_protocol(protocol, name)
    keys = read_pickle(stream)
    promised: dict[str, Storage] = {}
    for storage in _storages(described):
        if promised.setdefault(storage.key, storage) != storage:
            raise BrokenPickle("a storage is described twice")
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(promised):
        raise BrokenPickle("the list of storages is wrong")
    position = stream.tell()
    for key in keys:
        file.seek(position)
        count = file.read(8)
        storage = promised[key]
        if len(count) < 8 or struct.unpack("<q", count)[0] != storage.items:
            raise BrokenPickle("a storage has another length than promised, or is cut off")
        position += 8 + storage.items * storage.item_bytes
    if position > size:
        raise BrokenPickle("its end is missing")
    return described


def _refuse_newer_protocol(start: bytes, name: str) -> None:
    """torch's safe reader knows pickle protocol 2, the one torch.save uses unless told otherwise."""
    if start[:1] == b"\x80" and start[1:] > b"\x02":
        raise WeightsError(
            f"`{name}` was saved with pickle protocol {start[1]}, which torch does not read safely",
            code="not_weights",
            hint="Save it again with torch.save(state, FILE) and no `pickle_protocol`, or as safetensors.",
        )


def _storages(value: Any) -> list[Storage]:
    """Every storage that any tensor in ``value`` refers to."""
    found, waiting, seen = [], [value], set[int]()
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, TensorPromise):
            found.append(item.storage)
        elif isinstance(item, Storage):
            found.append(item)
        elif isinstance(item, dict | list | tuple):
            waiting.extend(item.values() if isinstance(item, dict) else item)
    return found
