"""What a data set is like: counts, mean and standard deviation, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convscope.datasets.copies import copies_problem, digests, find_copies, two_classes_problem
from convscope.datasets.dataset import Dataset
from convscope.datasets.problems import Problem
from convscope.datasets.settings import Progress
from convscope.datasets.split import Split, in_chunks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_BY_PIXELS = ("in_train_and_test", "in_two_classes")  # where every picture is looked at
_CHUNK_BYTES, _LARGEST_CHUNK = 8 * 2**20, 256


@dataclass(frozen=True)
class Description:
    """What :func:`describe` finds.

    Parameters
    ----------
    dataset
        The data set.
    counts
        For ``"train"`` and ``"test"`` an ``int64`` array ``(classes,)``: pictures that can be read.
    mean, std
        For each channel, over all pixels of the training part, 0 to 1.
    problems
        Everything wrong that was found.
    """

    dataset: Dataset
    counts: dict[str, NDArray[np.int64]]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    problems: tuple[Problem, ...]

    def as_json(self) -> dict[str, Any]:
        """The description in plain types."""
        height, width, channels = self.dataset.train.shape
        return {
            "name": self.dataset.name,
            "classes": [
                {"name": name, **{part: int(counts[label]) for part, counts in self.counts.items()}}
                for label, name in enumerate(self.dataset.classes)
            ],
            **{part: int(counts.sum()) for part, counts in self.counts.items()},
            "split": self.dataset.split,
            "height": height,
            "width": width,
            "channels": channels,
            "in_memory": self.dataset.train.in_memory,
            "mean": list(self.mean),
            "std": list(self.std),
            "notes": list(self.dataset.notes),
            "problems": [problem.as_json() for problem in self.problems],
        }


def describe(dataset: Dataset, *, on_progress: Progress | None = None) -> Description:
    """Look at every picture of ``dataset`` once.

    Parameters
    ----------
    on_progress
        Called with how many pictures are done, and of how many.

    Raises
    ------
    DatasetError
        ``unreadable``, if the data set is strict and a picture cannot be decoded.

    Examples
    --------
    >>> from convscope.datasets import load_dataset
    >>> found = describe(load_dataset("digits"))
    >>> int(found.counts["train"].sum()), len(found.mean), found.problems
    (1438, 1, ())
    """
    total = len(dataset.train) + len(dataset.test)
    seen = _Histogram(dataset.train.shape[2])
    hashes: dict[str, list[bytes]] = {}
    places: dict[str, list[int]] = {}
    done = 0
    for part, split in dataset.parts.items():
        hashes[part], places[part] = [], []
        for indices, images in _all(split):
            if part == "train":
                seen.add(images)
            hashes[part] += digests(images)
            places[part] += indices
            if on_progress is not None:
                on_progress(done + indices[-1] + 1 if indices else done, total)
        done += len(split)
    counts = {
        part: np.bincount(split.labels[places[part]], minlength=len(dataset.classes)).astype(np.int64)
        for part, split in dataset.parts.items()
    }
    problems = [problem for problem in dataset.problems if problem.code not in _BY_PIXELS]
    copies = find_copies(hashes["train"], hashes["test"])
    if copies:
        pairs = [(places["test"][a], places["train"][b]) for a, b in copies]
        problems.append(copies_problem(pairs, dataset.train, dataset.test))
    trained = places["train"]
    names = [dataset.train.names[place] for place in trained]
    problems += two_classes_problem(hashes["train"], dataset.train.labels[trained].tolist(), names)
    return Description(dataset, counts, *seen.result(), tuple(problems))


def normalization(split: Split, *, most: int | None = None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel over all pixels of ``split``, 0 to 1.

    Parameters
    ----------
    most
        Of how many pictures at most, evenly spread; by default all, or 4,096 where they are not in
        memory.

    Returns
    -------
    Mean and (population) standard deviation, exact but for the rounding of the last division.

    Examples
    --------
    >>> black_and_white = np.array([[[[0]]], [[[255]]]], np.uint8)
    >>> normalization(Split([0, 1], "bw", images=black_and_white))
    ((0.5,), (0.5,))
    """
    seen = _Histogram(split.shape[2])
    limit = most or (len(split) if split.in_memory else 4096)
    for _, images in _all(split, step=max(1, -(-len(split) // limit))):
        seen.add(images)
    return seen.result()


class _Histogram:
    """How often each of the 256 values occurs in each channel: exact, and the same in any order."""

    def __init__(self, channels: int) -> None:
        self.counts = np.zeros((channels, 256), np.int64)

    def add(self, images: NDArray[np.uint8]) -> None:
        for channel, counts in enumerate(self.counts):
            counts += np.bincount(images[..., channel].reshape(-1), minlength=256)

    def result(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        values = np.arange(256)
        means, deviations = [], []
        for counts in self.counts:
            number = int(counts.sum()) or 1
            total, squares = int(counts @ values), int(counts @ values**2)
            means.append(total / number / 255)
            # In whole numbers, where a difference of large squares loses nothing.
            deviations.append(float(np.sqrt((squares * number - total**2) / number**2)) / 255)
        return tuple(means), tuple(deviations)


def _all(split: Split, step: int = 1) -> Iterator[tuple[list[int], NDArray[np.uint8]]]:
    """Every ``step``-th picture that can be read, with its index, chunk by chunk."""
    height, width, channels = split.shape
    size = max(1, min(_LARGEST_CHUNK, _CHUNK_BYTES // max(1, height * width * channels)))
    chunks = [list(chunk)[::step] for chunk in in_chunks(len(split), size * step)]
    for chunk, (images, _) in zip(chunks, split.stream(chunks), strict=True):
        kept = [index for index in chunk if index not in split.unreadable]
        yield kept, images
