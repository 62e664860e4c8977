"""A torch Dataset, or anything with a length and items of a picture and a label, as a Dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from convscope.data.names import printable
from convscope.datasets.classes import distinct
from convscope.datasets.copies import IN_ONE_PART, copies_problem, digests, find_copies, two_classes_problem
from convscope.datasets.dataset import Dataset
from convscope.datasets.fitting import choose_size, fit, scaled_note
from convscope.datasets.given_items import Items
from convscope.datasets.problems import Problem, counted
from convscope.datasets.settings import Settings
from convscope.datasets.split import Split, unreadable_error, unreadable_problem
from convscope.datasets.splitting import choose_test, parted, split_name
from convscope.errors import DatasetError, ImageError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read_given(spec: Any, settings: Settings) -> Dataset:
    """A Dataset of ``spec``, or of its pair (train, test).

    Items are read once, or each time they are asked for where they do not fit in memory; transforms that
    draw at random are drawn then. Training does its own augmentation and normalisation.

    Raises
    ------
    DatasetError
        ``not_a_dataset`` if an item is no pair of a picture and a whole number; ``bad_label`` if a
        label is not one of the classes; ``empty``; ``unreadable``.
    UsageError
        If it has no length or no numbered items.
    """
    pair = isinstance(spec, tuple) and len(spec) == 2
    given = [Items(one, settings) for one in (spec if pair else (spec,))]
    count = sum(map(len, given))
    target, note = choose_size([shape for items in given for shape in items.shapes()], settings.size, count)
    channels = max(items.channels() for items in given)
    whole = count * target[0] * target[1] * channels <= settings.memory
    done = 0
    parts: list[_Part] = []
    for items in given:
        offset = done
        report = lambda number, offset=offset: settings.on_progress(offset + number, count)  # noqa: E731
        parts.append(_read(items, (*target, channels), whole, settings, report))
        done += len(items)
    coloured = max(part.shape[2] for part in parts)
    for part in parts:
        part.repeat(coloured)
    classes = _class_names(settings, given, parts)
    for items, part in zip(given, parts, strict=True):
        _check_labels(items, part, classes)
    bad = [problem for items in given for problem in items.bad]
    found = [unreadable_problem([name for name, _ in bad], [text for _, text in bad])] if bad else []
    notes = [_size_note(note, parts, target)] if note else []
    split = "given"
    if not pair:
        split = split_name(settings.seed)
        parts, copies = _split_in_two(parts[0], settings.seed)
        notes += copies
    train, test = (part.split(settings.strict) for part in parts)
    if not whole:
        known = None not in (parts[0].digests, parts[1].digests)
        notes.append(f"{count:,} pictures, read as they are asked for" + _NOT_COMPARED * (not known))
        found += _copies(parts, train, test)
    name = type(spec[0] if pair else spec).__name__
    return Dataset(name, classes, train, test, split, tuple(notes), tuple(found))


_NOT_COMPARED = ", so equal ones are not looked for: a test picture may be a copy of one that is trained on"


def _split_in_two(part: _Part, seed: int) -> tuple[list[_Part], list[str]]:
    """A part to train on and one to test, copies of a picture in one of them, and what is said of copies."""
    same = digests(part.images) if part.images is not None else part.digests
    chosen = choose_test([str(index) for index in part.places], part.labels, seed, same)
    copies = len(same) - len(set(same)) if same is not None else 0
    word = counted(copies, "picture is a copy of another", "pictures are copies of others")
    return part.parted(chosen), [f"{word}, pixel for pixel; {IN_ONE_PART}"] if copies else []


def _size_note(note: str, parts: Sequence[_Part], target: tuple[int, int]) -> str:
    """What is said of sizes: of all pictures where all were read, else of those looked at."""
    shapes = {shape for part in parts for shape in part.shapes}
    return scaled_note(shapes, target) or note if all(part.shapes for part in parts) else note


def _copies(parts: Sequence[_Part], train: Split, test: Split) -> list[Problem]:
    """What there is to say of equal pictures that are not in memory, as far as all were read once."""
    trained, tested = (part.digests for part in parts)
    if trained is None:
        return []
    copies = find_copies(trained, tested or ())
    both = [copies_problem(copies, train, test)] if copies else []
    return [*both, *two_classes_problem(trained, train.labels.tolist(), train.names)]


class _Part:
    """Labels and pictures of some items, before it is known which are for testing.

    ``digests`` are of the pictures where all were read and none kept; ``shapes`` are those they had.
    """

    def __init__(self, items: Items, shape: tuple[int, int, int], whole: bool) -> None:
        self.items, self.shape = items, shape
        self.places: list[int] = []
        self.labels: list[int] = []
        self.images = np.empty((len(items), *shape), np.uint8) if whole else None
        self.digests: list[bytes] | None = None if whole else []
        self.shapes: set[tuple[int, int]] = set()

    def add(self, place: int, pixels: NDArray[np.uint8], label: int) -> None:
        """One item; the first that is coloured makes all of them so."""
        self.shapes.add((pixels.shape[0], pixels.shape[1]))
        if pixels.shape[2] > self.shape[2]:
            self.repeat(pixels.shape[2])
        if self.images is not None:
            self.images[len(self.places)] = _formed(pixels, self.shape)
        elif self.digests is not None:
            self.digests += digests(_formed(pixels, (*self.shape[:2], 3))[np.newaxis])
        self.places.append(place)
        self.labels.append(label)

    def repeat(self, channels: int) -> None:
        """Grey pictures in three equal channels, if so many are wanted."""
        if channels > self.shape[2]:
            self.shape = (*self.shape[:2], channels)
            if self.images is not None:
                self.images = np.repeat(self.images, channels, axis=3)

    def parted(self, chosen: Sequence[bool]) -> list[_Part]:
        """Those not chosen and those chosen; of the many pictures not chosen there is no second copy."""
        parts: list[_Part] = []
        for rows in reversed(parted(range(len(chosen)), chosen)):
            part = _Part(self.items, self.shape, whole=False)
            part.places = [self.places[row] for row in rows]
            part.labels = [self.labels[row] for row in rows]
            part.digests = [self.digests[row] for row in rows] if self.digests is not None else None
            if self.images is not None:
                part.images = self.images[rows] if not parts else self._moved(rows)
            parts.append(part)
        return parts[::-1]

    def _moved(self, rows: Sequence[int]) -> NDArray[np.uint8]:
        assert self.images is not None
        for new, old in enumerate(rows):
            self.images[new] = self.images[old]
        return self.images[: len(rows)]

    def split(self, strict: bool) -> Split:
        names = [f"item {place}" for place in self.places]
        if self.images is not None:
            return Split(self.labels, names, images=self.images[: len(names)])

        def fetch(index: int) -> NDArray[np.uint8]:
            return _formed(self.items.picture(self.places[index])[0], self.shape)

        # One at a time: nothing is known of what else the object's code touches.
        return Split(self.labels, names, shape=self.shape, fetch=fetch, threads=1, strict=strict)


def _read(
    items: Items,
    shape: tuple[int, int, int],
    whole: bool,
    settings: Settings,
    report: Callable[[int], None],
) -> _Part:
    known = None if whole else items.known_labels()
    if known is not None:
        # Grey or coloured is not known of all, and three equal channels are right for both.
        part = _Part(items, (*shape[:2], 3), whole)
        part.places, part.labels, part.digests = list(range(len(items))), known, None
        return part
    part = _Part(items, shape, whole)
    for index in range(len(items)):
        try:
            part.add(index, *items.picture(index))
        except ImageError as error:
            if settings.strict:
                raise unreadable_error(error) from error
            items.bad.append((f"item {index}", error.message))
            continue
        if index % 256 == 255 or index == len(items) - 1:
            report(index + 1)
    if not part.places:
        raise DatasetError(f"no item can be read: {items.bad[0][1]}", code="unreadable")
    if part.images is not None:
        part.images = part.images[: len(part.places)]
    return part


def _formed(pixels: NDArray[np.uint8], shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    if pixels.shape[2] < shape[2]:
        pixels = np.repeat(pixels, shape[2], axis=2)
    elif pixels.shape[2] > shape[2]:
        # Read once it was grey: its code gives something else each time.
        raise ImageError("it is coloured, and was grey when all were read", code="not_an_image")
    return fit(pixels, (shape[0], shape[1]))


def _class_names(settings: Settings, given: Sequence[Items], parts: Sequence[_Part]) -> tuple[str, ...]:
    if settings.classes is not None:
        twice = [name for name, number in Counter(settings.classes).items() if number > 1]
        if twice:
            raise UsageError(f"the class `{printable(twice[0])}` is named twice")
        return distinct([printable(name) for name in settings.classes])
    owner = given[0].given
    while owner is not None:
        names = getattr(owner, "classes", None)
        if isinstance(names, (list, tuple)) and names:
            return distinct([printable(str(name)) for name in names])
        owner = getattr(owner, "dataset", None)  # a Subset keeps what it was taken from
    largest = max((max(part.labels, default=0) for part in parts), default=0)
    return tuple(str(label) for label in range(min(largest, _MOST_CLASSES) + 1))


_MOST_CLASSES = 1_000_000


def _check_labels(items: Items, part: _Part, classes: Sequence[str]) -> None:
    for place, label in zip(part.places, part.labels, strict=True):
        if not 0 <= label < len(classes):
            raise DatasetError(
                f"item {place} has the label {label}, but the labels of {len(classes):,} classes are "
                f"0 to {len(classes) - 1:,}",
                code="bad_label",
            )
