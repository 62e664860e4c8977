"""A data set out of a folder or a zip file of class folders."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import blake2b
from heapq import nsmallest
from os import fsencode
from typing import TYPE_CHECKING

import numpy as np

from convscope.data.names import printable
from convscope.data.plain_jpeg import decode_quickly
from convscope.datasets.classes import choose_classes, distinct
from convscope.datasets.copies import IN_ONE_PART, file_copies
from convscope.datasets.dataset import Dataset
from convscope.datasets.fitting import choose_size, fit, scaled_note
from convscope.datasets.layout import find_layout
from convscope.datasets.problems import counted
from convscope.datasets.same_files import same_files
from convscope.datasets.settings import Settings
from convscope.datasets.split import Split, in_chunks, unreadable_error, unreadable_problem
from convscope.datasets.splitting import choose_test, parted, split_name
from convscope.datasets.trees import Tree
from convscope.errors import DatasetError, ImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LOOKED_AT = 64  # pictures whose sizes are taken to be everybody's
_SMALL = 128 * 128  # pixels below which threads only get in each other's way
Listing = list[tuple[str, str]]


def read_tree(tree: Tree, name: str, settings: Settings) -> Dataset:
    """Every picture of ``tree`` with its class.

    Raises
    ------
    DatasetError
        ``no_classes``, ``no_such_class``, ``empty``, or ``unreadable`` if none can be read or
        ``settings.strict``.
    """
    layout = find_layout(tree)
    problems = [*tree.problems, *layout.problems]
    if settings.strict and any(problem.code in _REFUSED_IF_STRICT for problem in problems):
        first = next(problem for problem in problems if problem.code in _REFUSED_IF_STRICT)
        raise DatasetError(
            f"{first.message} (asked to be strict)",
            code="unreadable",
            hint="Without `strict` such files are left out, counted and named.",
        )
    classes = choose_classes(settings.classes, layout.classes, tree.name)
    labels = {class_: label for label, class_ in enumerate(classes)}
    parts = {part: [pair for pair in files if pair[1] in labels] for part, files in layout.parts.items()}
    count = sum(map(len, parts.values()))
    made = _made_parts(tree, layout.root, parts, settings) if not parts.get("test") else None
    shapes = _some_shapes(tree, parts["train"] + parts["test"], settings)
    target, note = choose_size(shapes, settings.size, count)
    reader = _Reader(tree, target, settings)
    whole = count * target[0] * target[1] * 3 <= settings.memory
    threads = 1 if max(height * width for height, width in shapes) <= _SMALL else _threads()
    dataset = (_in_memory if whole else _streamed)(parts, labels, reader, threads)
    notes = [*_size_notes(reader, note, whole), *(made.notes if made else ())]
    if not whole:
        notes.append(f"{counted(count, 'picture')} decoded as they are asked for, {threads} at a time")
        problems += file_copies(parts, made.same if made else _same(tree, parts, settings))
    return replace(
        dataset,
        name=name,
        classes=distinct([printable(class_) for class_ in classes]),
        split=split_name(settings.seed) if made else "given",
        notes=tuple(notes),
        found=(*problems, *dataset.found),
    )


@dataclass
class _Made:
    """What making a test part has found: which files are the same, and what there is to say of it."""

    same: dict[str, str]
    notes: list[str]


def _made_parts(tree: Tree, root: str, parts: dict[str, Listing], settings: Settings) -> _Made:
    """Take a test part out of the training part.

    Files are known by their names below ``root``, so that the same pictures elsewhere, or in a zip, are split
    alike. Equal files go into one part, by their bytes, so that the size they are read at changes nothing.
    """
    files = parts["train"]
    same = _same(tree, parts, settings)
    names = [name[len(root) :] for name, _ in files]
    marks = [same.get(name, name) for name, _ in files]
    chosen = choose_test(names, [class_ for _, class_ in files], settings.seed, marks)
    parts["train"], parts["test"] = parted(files, chosen)
    copies = sum(first != name for name, first in same.items())
    if not copies:
        return _Made(same, [])
    word = counted(copies, "picture is a copy of another", "pictures are copies of others")
    return _Made(same, [f"{word}, byte for byte; {IN_ONE_PART}"])


def _same(tree: Tree, parts: dict[str, Listing], settings: Settings) -> dict[str, str]:
    """The first of the same bytes, by name, for each file that has copies."""
    names = [name for files in parts.values() for name, _ in files]
    first = same_files(tree, names, settings.on_progress)
    copied = {place for own, place in enumerate(first) if own != place}
    return {names[own]: names[place] for own, place in enumerate(first) if place in copied}


def _size_notes(reader: _Reader, note: str, whole: bool) -> list[str]:
    """What is said of sizes: of all pictures where all were read, else of those looked at."""
    target, refitted = reader.target, reader.refitted
    if note:
        return [scaled_note(reader.shapes, target) or note if whole else note]
    if not refitted:
        return []
    word = counted(len(refitted), "picture is", "pictures are")
    return [f"{word} not {target[0]} x {target[1]} like the rest, and scaled to it: {refitted[0]}"]


_REFUSED_IF_STRICT = ("unreadable", "not_a_file", "unsafe_name", "packed_too_tightly")


@dataclass
class _Reader:
    """Decodes files of a tree to one size."""

    tree: Tree
    target: tuple[int, int]
    settings: Settings

    def __post_init__(self) -> None:
        self.refitted: list[str] = []
        self.shapes: set[tuple[int, int]] = set()

    def __call__(self, name: str) -> NDArray[np.uint8]:
        shown = printable(name)
        data = self.tree.read(name, self.settings.limits)
        if not data:
            raise ImageError(f"`{shown}` is empty: the file has 0 bytes", code="empty")
        pixels, _ = decode_quickly(data, shown, self.settings.limits)
        self.shapes.add((pixels.shape[0], pixels.shape[1]))
        if pixels.shape[:2] != self.target:
            self.refitted.append(shown)
            return fit(pixels, self.target)
        return pixels


def _some_shapes(tree: Tree, files: Listing, settings: Settings) -> list[tuple[int, int]]:
    """Sizes of some pictures; of the first that can be read if none of those can.

    Which ones follows from a hash of their names: at even distances one might meet every thumbnail.
    """
    names = [name for name, _ in files]
    some = nsmallest(_LOOKED_AT, names, key=lambda name: blake2b(fsencode(name), digest_size=8).digest())
    shapes: list[tuple[int, int]] = []
    first: ImageError | None = None
    for name in [*sorted(some), *names]:
        try:
            data = tree.read(name, settings.limits)
            shapes.append(decode_quickly(data, printable(name), settings.limits)[0].shape[:2])
        except ImageError as error:
            first = first or error
        if len(shapes) >= len(some):
            break
    if not shapes:
        assert first is not None
        raise DatasetError(
            f"none of the {counted(len(files), 'picture')} of `{tree.name}` can be read: {first.message}",
            code="unreadable",
            hint=first.hint,
        )
    return shapes


def _in_memory(parts: dict[str, Listing], labels: dict[str, int], reader: _Reader, threads: int) -> Dataset:
    total = sum(map(len, parts.values()))
    bad: list[tuple[str, str]] = []
    done = 0

    def progress(count: int) -> None:
        reader.settings.on_progress(done + count, total)

    splits = {}
    for part, files in parts.items():
        splits[part] = _filled(files, labels, reader, threads, bad, progress)
        done += len(files)
    if not len(splits["train"]):
        raise DatasetError(
            f"no picture of the training part can be read: {bad[0][1]}", code="unreadable"
        )  # fmt: skip
    found = (unreadable_problem([name for name, _ in bad], [text for _, text in bad]),) if bad else ()
    return Dataset("", (), splits["train"], splits["test"], found=found)


def _filled(
    files: Listing,
    labels: dict[str, int],
    reader: _Reader,
    threads: int,
    bad: list[tuple[str, str]],
    progress: Callable[[int], None],
) -> Split:
    """All files decoded into one array, without a second copy of it at any time."""
    images = np.empty((len(files), *reader.target, 3), np.uint8)
    kept: list[int] = []

    def fill(places: Sequence[int]) -> list[tuple[int, ImageError | None]]:
        outcome: list[tuple[int, ImageError | None]] = []
        for place in places:
            try:
                images[place] = reader(files[place][0])
                outcome.append((place, None))
            except ImageError as error:
                if reader.settings.strict:
                    raise unreadable_error(error) from error
                outcome.append((place, error))
        return outcome

    chunks = in_chunks(len(files), 512 if threads == 1 else 16)
    with ThreadPoolExecutor(threads) as pool:
        try:
            outcomes = map(fill, chunks) if threads == 1 else pool.map(fill, chunks)
            for chunk, outcome in zip(chunks, outcomes, strict=True):
                for place, error in outcome:
                    if error is None:
                        kept.append(place)
                    else:
                        bad.append((printable(files[place][0]), error.message))
                progress(chunk.stop)
        except BaseException:
            pool.shutdown(cancel_futures=True)  # else Ctrl-C would wait for all that is still to do
            raise
    if len(kept) < len(files):
        for new, old in enumerate(kept):
            images[new] = images[old]
        images = images[: len(kept)]
    chosen = [files[place] for place in kept]
    return Split([labels[class_] for _, class_ in chosen], [name for name, _ in chosen], images=images)


def _streamed(parts: dict[str, Listing], labels: dict[str, int], reader: _Reader, threads: int) -> Dataset:
    splits = {}
    for part, files in parts.items():
        names = [name for name, _ in files]
        splits[part] = Split(
            [labels[class_] for _, class_ in files],
            names,
            shape=(*reader.target, 3),
            fetch=lambda index, names=names: reader(names[index]),  # type: ignore[misc]
            threads=threads,
            strict=reader.settings.strict,
        )
    return Dataset("", (), splits["train"], splits["test"])


def _threads() -> int:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(2, min(8, count))
