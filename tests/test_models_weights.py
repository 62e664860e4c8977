"""Weight files: what is read equals torch's own reading; what is not weights is refused in one sentence."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import re
import resource
import struct
import time
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from convscope.errors import WeightsError
from convscope.models.weights import read_weights

safetensors_torch = pytest.importorskip("safetensors.torch")
CANARY = "code-was-run"


def _state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {
        "float": torch.randn(3, 4),
        "view": torch.arange(12.0).view(3, 4).t(),
        "slice": torch.arange(10)[2:5],
        "half": torch.ones(2, dtype=torch.float16),
        "brain": torch.ones(2, dtype=torch.bfloat16),
        "bool": torch.tensor([True, False]),
        "complex": torch.ones(2, dtype=torch.complex64),
        "unsigned": torch.ones(2, dtype=torch.uint16),
        "parameter": nn.Parameter(torch.ones(2)),
        "scalar": torch.tensor(3),
        "empty": torch.ones(0, 3),
    }


def _same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> bool:
    return list(found) == list(expected) and all(
        found[key].dtype == value.dtype and torch.equal(found[key], value) for key, value in expected.items()
    )


@pytest.mark.parametrize("new_format", [True, False])
def test_state_dicts_are_read_as_torch_reads_them(new_format: bool, tmp_path: Path) -> None:
    state = _state()
    if not new_format:
        del state["unsigned"]
    torch.save(state, tmp_path / "a.pt", _use_new_zipfile_serialization=new_format)
    read = read_weights(tmp_path / "a.pt")
    assert _same(read.tensors, torch.load(tmp_path / "a.pt", weights_only=True))
    assert read.notes == ()


@pytest.mark.parametrize("new_format", [True, False])
def test_protocols_torch_cannot_read_safely_are_named(new_format: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save(_state(), path, _use_new_zipfile_serialization=new_format, pickle_protocol=4)
    with pytest.raises(WeightsError, match="was saved with pickle protocol 4"):
        read_weights(path)


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt"])
def test_safetensors_are_recognised_by_content(name: str, tmp_path: Path) -> None:
    state = {"w": torch.randn(3), "b": torch.ones(2, dtype=torch.bfloat16)}
    safetensors_torch.save_file(state, tmp_path / name)
    read = read_weights(tmp_path / name)
    assert sorted(read.tensors) == ["b", "w"]
    assert torch.equal(read.tensors["w"], state["w"])
    assert any("is a safetensors file" in note for note in read.notes) is (name == "a.pt")


@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict"])
def test_nested_state_dicts_are_found_beside_a_training_state(key: str, tmp_path: Path) -> None:
    net = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    saved = {
        "epoch": 3,
        key: net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "best": 0.9,
        "none": None,
    }
    torch.save(saved, tmp_path / "a.pt")
    read = read_weights(tmp_path / "a.pt")
    assert _same(read.tensors, net.state_dict())
    assert read.notes == (f"the weights are those under `{key}` in the file",)


def test_files_without_checksums_are_read(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(_state(), tmp_path / "a.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert len(read_weights(tmp_path / "a.pt").tensors) == len(_state())


class Evil:
    """Pickled, it asks for a file to be made when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path(CANARY),))


class EvilSystem:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch {CANARY}",))


class Bytes:
    def __reduce__(self) -> tuple[Any, ...]:
        return (bytearray, (2_000_000_000,))


def _torch_zip(path: Path, described: bytes, *, compress: bool = False, data: bytes = b"\0" * 16) -> None:
    """An archive as torch.save writes it, around a pickle of our own."""
    kind = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr("archive/data.pkl", described)
        archive.writestr("archive/byteorder", b"little")
        archive.writestr("archive/data/0", data)
        archive.writestr("archive/version", b"3\n")


class _Described:
    """Pickles as a tensor of any shape over storage `0`, whatever that holds."""

    def __init__(
        self, size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0, items: int = 4
    ) -> None:
        self.arguments = (size, stride, offset, items)


class _Pickler(pickle.Pickler):
    def persistent_id(self, value: Any) -> Any:
        return (
            ("storage", torch.FloatStorage, "0", "cpu", value[1])
            if type(value) is tuple and value[:1] == ("S",)
            else None
        )

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, _Described):
            size, stride, offset, items = value.arguments
            rebuild = torch._utils._rebuild_tensor_v2
            return (rebuild, (("S", items), offset, size, stride, False, OrderedDict()))
        return NotImplemented


def _describe(value: Any) -> bytes:
    stream = io.BytesIO()
    _Pickler(stream, protocol=2).dump(value)
    return stream.getvalue()


def _deep(depth: int) -> bytes:
    return b"\x80\x02}X\x01\0\0\0w" + b"]" * depth + b"a" * (depth - 1) + b"s."


def _script(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(nn.Sequential(nn.Linear(2, 2))), str(path))


def _truncated(path: Path, share: float, *, new_format: bool = True) -> None:
    torch.save({"w": torch.randn(1000)}, path, _use_new_zipfile_serialization=new_format)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def _short_header(path: Path) -> None:
    safetensors_torch.save_file({"w": torch.randn(1000)}, path)
    path.write_bytes(path.read_bytes()[:-100])


def _flipped(path: Path) -> None:
    torch.save({"w": torch.zeros(1000), "v": torch.zeros(10)}, path)
    content = bytearray(path.read_bytes())
    content[1500] ^= 1
    path.write_bytes(content)


def _legacy_lie(path: Path) -> None:
    torch.save({"w": torch.zeros(10)}, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    assert content.count(struct.pack("<q", 10)) == 1
    path.write_bytes(content.replace(struct.pack("<q", 10), struct.pack("<q", 2**40)))


HUGE = struct.pack("<Q", 2**62) + b'{"a":1}'
LIE = json.dumps({"w": {"dtype": "F32", "shape": [10**9], "data_offsets": [0, 16]}}).encode()
BAD: dict[str, tuple[str, str, Callable[[Path], Any]]] = {
    "malicious": (
        "code_inside",
        r"holds code, not only weights.*`\w+\.system`",
        lambda p: torch.save({"w": EvilSystem()}, p),
    ),
    "malicious method": ("code_inside", "holds code", lambda p: torch.save({"w": Evil()}, p)),
    "malicious legacy": (
        "code_inside",
        "holds code",
        lambda p: torch.save({"w": EvilSystem()}, p, _use_new_zipfile_serialization=False),
    ),
    "raw malicious pickle": (
        "code_inside",
        "holds code",
        lambda p: p.write_bytes(pickle.dumps(EvilSystem())),
    ),
    "old malicious pickle": (
        "not_weights",
        "is not a weights file",
        lambda p: p.write_bytes(pickle.dumps(EvilSystem(), 0)),
    ),
    "raw pickle": ("not_weights", "is a plain pickle", lambda p: p.write_bytes(pickle.dumps({"w": 1}))),
    "whole model": (
        "code_inside",
        r"holds code.*torch\.nn\.modules",
        lambda p: torch.save(nn.Sequential(nn.ReLU()), p),
    ),
    "torchscript": ("torchscript", "is a TorchScript archive", _script),
    "empty": ("empty", "is empty", lambda p: p.write_bytes(b"")),
    "one byte": ("not_weights", "is not a weights file", lambda p: p.write_bytes(b"x")),
    "web page": (
        "not_weights",
        "is a web page",
        lambda p: p.write_bytes(b"\n<!DOCTYPE html><html>404</html>"),
    ),
    "lfs pointer": (
        "lfs_pointer",
        "is a Git LFS pointer",
        lambda p: p.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"),
    ),
    "truncated": ("damaged", "the end of its archive is missing", lambda p: _truncated(p, 0.5)),
    "truncated at the end": ("damaged", "is damaged", lambda p: _truncated(p, 0.99)),
    "truncated legacy": ("damaged", "is damaged", lambda p: _truncated(p, 0.5, new_format=False)),
    "truncated early": ("damaged", "is damaged", lambda p: _truncated(p, 0.02, new_format=False)),
    "truncated safetensors": ("damaged", "is damaged", _short_header),
    "huge safetensors header": ("damaged", "its header should have", lambda p: p.write_bytes(HUGE)),
    "safetensors lie": (
        "damaged",
        "is damaged",
        lambda p: p.write_bytes(struct.pack("<Q", len(LIE)) + LIE + b"\0" * 16),
    ),
    "no safetensors": ("not_weights", "holds no tensors", lambda p: safetensors_torch.save_file({}, p)),
    "flipped bit": ("damaged", "1 of .* checksums are wrong", _flipped),
    "numel lie": (
        "damaged",
        "is damaged",
        lambda p: _torch_zip(p, _describe({"w": _Described((400,), (1,), items=400)})),
    ),
    "numel lie, old format": ("damaged", "another length than promised", _legacy_lie),
    "tensor larger than its storage": (
        "damaged",
        r"shape \[5\] does not fit its 4",
        lambda p: _torch_zip(p, _describe({"w": _Described((5,), (1,))})),
    ),
    "tensor past the end": (
        "damaged",
        "does not fit its 4",
        lambda p: _torch_zip(p, _describe({"w": _Described((2,), (1,), offset=3)})),
    ),
    "negative offset": (
        "damaged",
        "impossible shape",
        lambda p: _torch_zip(p, _describe({"w": _Described((2,), (1,), offset=-1)})),
    ),
    "stride 0 giant": (
        "damaged",
        r"shape \[200000, 200000\] does not fit its 4 stored numbers",
        lambda p: _torch_zip(p, _describe({"w": _Described((200_000, 200_000), (0, 0))})),
    ),
    "deflate bomb": (
        "too_large",
        "is compressed: its [0-9,]+ bytes would become 50,",
        lambda p: _torch_zip(
            p, _describe({"w": _Described((4,), (1,))}), compress=True, data=b"\0" * 50_000_000
        ),
    ),
    "bytearray bomb": ("code_inside", r"would run `.*bytearray`", lambda p: torch.save({"w": Bytes()}, p)),
    "deep nesting": ("not_weights", "nested more than 64 deep", lambda p: _torch_zip(p, _deep(100_000))),
    "memo bomb": ("damaged", "is damaged", lambda p: _torch_zip(p, b"\x80\x02}r\xff\xff\xff\xff\x8a\xff.")),
    "tuple": ("not_weights", "but a tuple", lambda p: torch.save((torch.ones(2),), p)),
    "tensor": ("not_weights", "one tensor without a name", lambda p: torch.save(torch.ones(2), p)),
    "numbers": (
        "not_weights",
        r"a dict with other things in it \(lr\)",
        lambda p: torch.save({"lr": 0.1}, p),
    ),
    "empty dict": ("not_weights", "an empty dict", lambda p: torch.save({}, p)),
    "another zip": (
        "not_weights",
        "not one written by torch.save",
        lambda p: zipfile.ZipFile(p, "w").writestr("a", "b"),
    ),
    "keras": ("not_weights", "is an HDF5 file", lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 99)),
    "numpy": ("not_weights", "is a numpy array", lambda p: p.write_bytes(b"\x93NUMPY" + b"\0" * 99)),
    "picture": ("not_weights", "is a PNG picture", lambda p: p.write_bytes(b"\x89PNG\r\n\x1a\n")),
    "folder": ("not_a_file", "is a folder", lambda p: p.mkdir()),
    "pipe": ("not_a_file", "a device or a pipe", os.mkfifo),
    "nothing": ("missing", "there is no file", lambda p: None),
    "dangling link": ("missing", "there is no file", lambda p: p.symlink_to("nowhere")),
    "link loop": ("unreadable", "cannot be read", lambda p: p.symlink_to(p)),
}


@pytest.mark.parametrize("case", BAD)
def test_files_that_are_not_weights_are_refused_in_one_sentence(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, message, make = BAD[case]
    monkeypatch.chdir(tmp_path)
    path = tmp_path / ("weights.safetensors" if "safetensors" in case else "weights.pt")
    made = make(path)
    if hasattr(made, "close"):
        made.close()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    with pytest.raises(WeightsError, match=message) as caught:
        read_weights(path)
    assert caught.value.code == code
    assert time.perf_counter() - start < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 300_000
    assert not (tmp_path / CANARY).exists()
    assert "\n" not in caught.value.message
    assert "\x1b" not in str(caught.value)
    assert "weights_only" not in str(caught.value)


def test_the_bait_would_bite_a_plain_unpickler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(EvilSystem()))
    assert (tmp_path / CANARY).exists()


@pytest.mark.parametrize("kind", ["zip", "pickle", "legacy", "safetensors"])
def test_mutated_files_are_read_or_refused_and_never_anything_else(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    state = {"conv.weight": torch.randn(4, 3, 3, 3), "conv.bias": torch.zeros(4)}
    if kind == "safetensors":
        safetensors_torch.save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind != "legacy")
    original = path.read_bytes()
    if kind == "pickle":
        with zipfile.ZipFile(path) as archive:
            inner = archive.read("a/data.pkl")
            stored = archive.read("a/data/0")
    rng = random.Random(4)
    outcomes = set()
    for _ in range(250):
        content = bytearray(inner if kind == "pickle" else original)
        for _ in range(rng.choice([1, 1, 2, 8])):
            content[rng.randrange(len(content))] = rng.randrange(256)
        if kind == "pickle":
            _torch_zip(path, bytes(content), data=stored)
        else:
            path.write_bytes(content)
        try:
            read = read_weights(path)
        except WeightsError as error:
            outcomes.add(error.code)
        else:
            outcomes.add("read")
            assert all(isinstance(value, torch.Tensor) for value in read.tensors.values())
    assert "damaged" in outcomes


def test_names_from_files_are_shown_without_control_characters(tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[31m\nb.pt"
    path.write_bytes(b"")
    with pytest.raises(WeightsError, match=re.escape("a?[31m?b.pt` is empty")):
        read_weights(path)


def test_looking_through_costs_little_beside_loading(tmp_path: Path) -> None:
    torch.save({f"layer{i}.weight": torch.zeros(10, 10) for i in range(1000)}, tmp_path / "a.pt")
    read_weights(tmp_path / "a.pt")
    start = time.process_time()
    read_weights(tmp_path / "a.pt")
    assert time.process_time() - start < 2
