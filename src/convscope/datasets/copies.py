"""Pictures that are in both parts: they make a test accuracy look better than it is."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from convscope.data.names import printable
from convscope.datasets.problems import Problem, counted, listed
from convscope.datasets.split import Split

if TYPE_CHECKING:
    from numpy.typing import NDArray


IN_ONE_PART = "copies are kept in one part"


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


def copies_problem(
    copies: Sequence[tuple[int, int]], train: Split, test: Split, alike: str = "pixel for pixel"
) -> Problem:
    """The problem of test pictures that are also trained on, of which there is at least one."""
    pairs = [f"{printable(test.names[a])} = {printable(train.names[b])}" for a, b in copies]
    others = sum(int(test.labels[a] != train.labels[b]) for a, b in copies)
    return _shared(pairs, others, alike)


def _shared(pairs: Sequence[str], others: int, alike: str) -> Problem:
    word = counted(len(pairs), "test picture is", "test pictures are")
    text = f"{word} also in the training part, {alike}"
    if others:
        text += f" ({others} under another class)"
    return Problem("in_train_and_test", f"{text}: {listed(pairs)}", tuple(pairs))


def two_classes_problem(
    marks: Iterable[Hashable],
    labels: Iterable[Hashable],
    names: Sequence[str],
    alike: str = "pixel for pixel",
) -> tuple[Problem, ...]:
    """The problem of training pictures that stand in two classes, if there are any.

    Parameters
    ----------
    marks
        For each picture what it has in common with its copies alone.

    Examples
    --------
    >>> two_classes_problem("xyx", "aab", ["1", "2", "3"])[0].message
    '1 training picture stands under another class too, pixel for pixel: 1 = 3'
    """
    first: dict[Hashable, tuple[int, Hashable]] = {}
    pairs = []
    for place, (mark, label) in enumerate(zip(marks, labels, strict=True)):
        before, known = first.setdefault(mark, (place, label))
        if known != label:
            pairs.append(f"{printable(names[before])} = {printable(names[place])}")
    if not pairs:
        return ()
    word = counted(len(pairs), "training picture stands", "training pictures stand")
    text = f"{word} under another class too, {alike}: {listed(pairs)}"
    return (Problem("in_two_classes", text, tuple(pairs)),)


def file_copies(parts: Mapping[str, Sequence[tuple[str, str]]], same: Mapping[str, str]) -> list[Problem]:
    """What there is to say of equal files, where pictures are not all decoded to begin with.

    Parameters
    ----------
    parts
        Files and their classes.
    same
        For each file that has copies the first of them.
    """
    train = [pair for pair in parts["train"] if pair[0] in same]
    test = [pair for pair in parts["test"] if pair[0] in same]
    trained = {same[name]: (name, class_) for name, class_ in reversed(train)}
    both = [(pair, trained[same[pair[0]]]) for pair in test if same[pair[0]] in trained]
    found = []
    if both:
        pairs = [f"{printable(one)} = {printable(other)}" for (one, _), (other, _) in both]
        found.append(_shared(pairs, sum(one[1] != other[1] for one, other in both), _BYTES))
    names = [name for name, _ in train]
    marks = [same[name] for name in names]
    return [*found, *two_classes_problem(marks, [class_ for _, class_ in train], names, _BYTES)]


_BYTES = "byte for byte"


def without_copies(copies: Sequence[tuple[int, int]], test: Split) -> tuple[Split, str]:
    """``test`` without the pictures that are trained on, and a sentence about it, empty if all stay.

    For a test part made here, in memory.
    """
    assert test.images is not None
    if not copies:
        return test, ""
    gone = {index for index, _ in copies}
    kept = [index for index in range(len(test)) if index not in gone]
    word = counted(len(copies), "picture is", "pictures are")
    note = f"{word} kept out of the test part, since the same pixels are trained on"
    names = [test.names[index] for index in kept]
    return Split(test.labels[kept], names, images=test.images[kept]), note
