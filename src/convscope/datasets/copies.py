"""Pictures that are in both parts: they make a test accuracy look better than it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from convscope.data.names import printable
from convscope.datasets.problems import Problem, counted, listed
from convscope.datasets.split import Split

if TYPE_CHECKING:
    from numpy.typing import NDArray


def digests(images: NDArray[np.uint8]) -> list[bytes]:
    """A hash of the pixels of each picture of ``uint8 (pictures, height, width, channels)``.

    Examples
    --------
    >>> one, two, three = digests(np.array([[[[1]]], [[[2]]], [[[1]]]], np.uint8))
    >>> one == three, one == two
    (True, False)
    """
    return [blake2b(image.tobytes(), digest_size=16).digest() for image in images]


def find_copies(train: Iterable[bytes], test: Sequence[bytes]) -> list[tuple[int, int]]:
    """Index in ``test`` and in ``train`` of the pictures whose hash is in both; the first in ``train``.

    Examples
    --------
    >>> find_copies([b"a", b"b", b"b"], [b"c", b"b"])
    [(1, 1)]
    """
    wanted = set(test)
    first: dict[bytes, int] = {}
    for index, digest in enumerate(train):
        if digest in wanted:
            first.setdefault(digest, index)
    return [(index, first[digest]) for index, digest in enumerate(test) if digest in first]


def copies_problem(copies: Sequence[tuple[int, int]], train: Split, test: Split) -> Problem:
    """The problem of test pictures that are also trained on, of which there is at least one."""
    pairs = [f"{printable(test.names[a])} = {printable(train.names[b])}" for a, b in copies]
    others = sum(int(test.labels[a] != train.labels[b]) for a, b in copies)
    word = counted(len(copies), "test picture is", "test pictures are")
    text = f"{word} also in the training part, pixel for pixel"
    if others:
        text += f" ({others} under another class)"
    return Problem("in_train_and_test", f"{text}: {listed(pairs)}", tuple(pairs))


def without_copies(train: Split, test: Split) -> tuple[Split, str]:
    """``test`` without the pictures that are in ``train``, and a sentence about it, empty if all stay.

    For a test part made here, both in memory; what lies in memory is moved, not copied.
    """
    assert train.images is not None
    assert test.images is not None
    copies = find_copies(digests(train.images), digests(test.images))
    if not copies:
        return test, ""
    gone = {index for index, _ in copies}
    kept = [index for index in range(len(test)) if index not in gone]
    for new, old in enumerate(kept):
        test.images[new] = test.images[old]
    word = counted(len(copies), "picture is", "pictures are")
    note = f"{word} kept out of the test part, since the same pixels are trained on"
    names = [test.names[index] for index in kept]
    return Split(test.labels[kept], names, images=test.images[: len(kept)]), note
