"""CIFAR-10 as it was released: six pickles, read without running them.

Their checksums are compared first, so what is parsed is known to the byte; the pixels are then one
run of bytes in the file, and the labels a list of small numbers.
"""

from __future__ import annotations

import pickletools
import re
from collections.abc import Iterable
from hashlib import md5
from typing import TYPE_CHECKING

import numpy as np

from convscope.datasets.classes import choose_classes
from convscope.datasets.dataset import Dataset
from convscope.datasets.fitting import choose_size, fit
from convscope.datasets.settings import Settings
from convscope.datasets.split import Split
from convscope.errors import DatasetError

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
TRAIN_FILES = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST_FILES = ("test_batch",)
FILES = (*TRAIN_FILES, *TEST_FILES)
_SHAPE = (3, 32, 32)
_FILE_PICTURES = 10_000
_STRING = re.compile(rb"T(....)", re.DOTALL)  # a string of up to 4 GB, in the notation of pickles


def checksums() -> dict[str, str]:
    """MD5 of each file of the release, as torchvision knows them."""
    from torchvision.datasets import CIFAR10

    return {name: str(digest) for name, digest in (*CIFAR10.train_list, *CIFAR10.test_list)}


def read_release(files: Iterable[tuple[str, bytes]], name: str, settings: Settings) -> Dataset:
    """The release from its files, in the order of the release, with its own split.

    Parameters
    ----------
    files
        Names and contents; only one is held in memory at a time.

    Raises
    ------
    DatasetError
        ``checksum`` for a file that is not the release's, ``missing`` if one is not there.
    """
    known = checksums()
    classes = choose_classes(settings.classes, CLASSES, "cifar10")
    target, note = choose_size([_SHAPE[1:]], settings.size)
    fillers = {part: _Filler(part, target) for part in (TRAIN_FILES, TEST_FILES)}
    for done, (file, data) in enumerate(files):
        if md5(data, usedforsecurity=False).hexdigest() != known[file]:
            raise DatasetError(
                f"`{file}` is not the file of the CIFAR-10 release: its checksum differs",
                code="checksum",
                hint="Get it again; it is damaged or was changed.",
            )
        filler = next(filler for part, filler in fillers.items() if file in part)
        filler.put(file, read_batch(data, file), classes)
        settings.on_progress(min(done + 1, len(FILES)), len(FILES))
    train, test = (filler.split() for filler in fillers.values())
    return Dataset(name, classes, train, test, notes=(note,) if note else ())


class _Filler:
    """One array for all files of a part, filled in the order of the release, whatever order they come in."""

    def __init__(self, files: tuple[str, ...], target: tuple[int, int]) -> None:
        self.files = files
        # Memory is taken by the system only when it is first written to.
        self.images = np.empty((len(files), _FILE_PICTURES, *target, 3), np.uint8)
        self.labels: dict[str, list[int]] = {}
        self.names: dict[str, list[str]] = {}

    def put(
        self, file: str, batch: tuple[NDArray[np.uint8], list[int], list[str]], classes: tuple[str, ...]
    ) -> None:
        pixels, labels, names = batch
        new = {CLASSES.index(class_): label for label, class_ in enumerate(classes)}
        rows = [row for row, label in enumerate(labels) if label in new]
        place = self.images[self.files.index(file)]
        if place.shape[1:3] == _SHAPE[1:] and len(rows) == len(pixels):
            place[: len(rows)] = pixels.transpose(0, 2, 3, 1)
        else:
            for at, row in enumerate(rows):
                place[at] = fit(np.ascontiguousarray(pixels[row].transpose(1, 2, 0)), place.shape[1:3])
        self.labels[file] = [new[labels[row]] for row in rows]
        self.names[file] = [names[row] for row in rows]

    def split(self) -> Split:
        missing = [file for file in self.files if file not in self.labels]
        if missing:
            raise DatasetError(f"CIFAR-10 is incomplete: there is no `{missing[0]}`", code="missing")
        flat = self.images.reshape(-1, *self.images.shape[2:])
        end = 0
        for place, file in enumerate(self.files):
            count, start = len(self.labels[file]), place * _FILE_PICTURES
            if start != end:
                flat[end : end + count] = flat[start : start + count]
            end += count
        images = flat[:end] if 2 * end > len(flat) else flat[:end].copy()
        labels = [label for file in self.files for label in self.labels[file]]
        return Split(labels, [name for file in self.files for name in self.names[file]], images=images)


def read_batch(data: bytes, file: str) -> tuple[NDArray[np.uint8], list[int], list[str]]:
    """Pixels ``(pictures, 3, 32, 32)`` sharing memory with ``data``, labels and names of one pickle.

    Raises
    ------
    DatasetError
        ``damaged``, if it is not a pickle of that form.
    """
    start, length = _pixel_string(data, file)
    row = int(np.prod(_SHAPE))
    if length % row or not length or length > _FILE_PICTURES * row:
        raise DatasetError(f"`{file}` is not a part of CIFAR-10", code="damaged")
    pixels = np.frombuffer(data, np.uint8, length, start).reshape(-1, *_SHAPE)
    lists: dict[str, list[int | str]] = {"labels": [], "filenames": []}
    into: list[int | str] | None = None
    for opcode, argument, _ in pickletools.genops(data[: start - 5] + b"U\0" + data[start + length :]):
        if isinstance(argument, str) and argument in lists:
            into = lists[argument]
        elif opcode.name in ("APPENDS", "APPEND", "EMPTY_LIST", "MARK", "BINPUT", "LONG_BINPUT", "PUT"):
            continue
        elif into is not None and type(argument) is (int if into is lists["labels"] else str):
            into.append(argument)
        else:
            into = None
    labels = [label for label in lists["labels"] if isinstance(label, int)]
    names = [name for name in lists["filenames"] if isinstance(name, str)][: len(labels)]
    if not len(pixels) == len(labels) == len(names) or max(labels) >= len(CLASSES):
        raise DatasetError(f"`{file}` is not a part of CIFAR-10", code="damaged")
    return pixels, labels, names


def _pixel_string(data: bytes, file: str) -> tuple[int, int]:
    """Where the pixels lie in the pickle: start and length, of the one string that is most of it."""
    for match in _STRING.finditer(data):
        length = int.from_bytes(match[1], "little")
        if 2 * length > len(data) and match.end() + length <= len(data):
            return match.end(), length
    raise DatasetError(f"`{file}` is not a part of CIFAR-10", code="damaged")
