"""A torch Dataset, or anything with a length and items of a picture and a label, as a Dataset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from convscope.data.names import printable
from convscope.datasets.dataset import Dataset
from convscope.datasets.fitting import choose_size, fit
from convscope.datasets.given_items import Items
from convscope.datasets.settings import Settings
from convscope.datasets.split import Split, unreadable_error, unreadable_problem
from convscope.datasets.splitting import choose_test, parted, split_name
from convscope.errors import DatasetError, ImageError

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
    target, note = choose_size([shape for items in given for shape in items.shapes()], settings.size)
    channels = given[0].channels()
    count = sum(map(len, given))
    whole = count * target[0] * target[1] * channels <= settings.memory
    done = 0
    parts: list[_Part] = []
    for items in given:
        offset = done
        report = lambda number, offset=offset: settings.on_progress(offset + number, count)  # noqa: E731
        parts.append(_read(items, (*target, channels), whole, settings, report))
        done += len(items)
    classes = _class_names(settings, given, parts)
    for items, part in zip(given, parts, strict=True):
        _check_labels(items, part, classes)
    split = "given"
    if not pair:
        split = split_name(settings.seed)
        names = [str(index) for index in parts[0].places]
        chosen = choose_test(names, parts[0].labels, settings.seed)
        parts = parts[0].parted(chosen)
    bad = [problem for items in given for problem in items.bad]
    found = (unreadable_problem([name for name, _ in bad], [text for _, text in bad]),) if bad else ()
    notes = [note] if note else []
    if not whole:
        notes.append(f"{count:,} pictures, read as they are asked for")
    train, test = (part.split(settings.strict) for part in parts)
    name = type(spec[0] if pair else spec).__name__
    return Dataset(name, classes, train, test, split, tuple(notes), found)


class _Part:
    """Labels and pictures of some items, before it is known which are for testing."""

    def __init__(
        self,
        places: list[int],
        labels: list[int],
        images: NDArray[np.uint8] | None,
        shape: tuple[int, int, int],
        fetch: Callable[[int], NDArray[np.uint8]],
    ) -> None:
        self.places, self.labels, self.images = places, labels, images
        self.shape, self.fetch = shape, fetch

    def parted(self, chosen: Sequence[bool]) -> list[_Part]:
        """Those not chosen and those chosen; of the many pictures not chosen there is no second copy."""
        groups = parted(range(len(chosen)), chosen)
        images: list[NDArray[np.uint8] | None] = [None, None]
        if self.images is not None:
            images[1] = self.images[groups[1]]
            for new, old in enumerate(groups[0]):
                self.images[new] = self.images[old]
            images[0] = self.images[: len(groups[0])]
        return [
            _Part(
                [self.places[i] for i in rows], [self.labels[i] for i in rows], some, self.shape, self.fetch
            )
            for rows, some in zip(groups, images, strict=True)
        ]

    def split(self, strict: bool) -> Split:
        names = [f"item {place}" for place in self.places]
        if self.images is not None:
            return Split(self.labels, names, images=self.images)
        # One at a time: nothing is known of what else the object's code touches.
        return Split(
            self.labels,
            names,
            shape=self.shape,
            fetch=lambda index: self.fetch(self.places[index]),
            threads=1,
            strict=strict,
        )


def _read(
    items: Items,
    shape: tuple[int, int, int],
    whole: bool,
    settings: Settings,
    report: Callable[[int], None],
) -> _Part:
    def fetch(index: int) -> NDArray[np.uint8]:
        return _formed(items.picture(index)[0], shape)

    known = items.known_labels()
    if not whole and known is not None:
        return _Part(list(range(len(items))), known, None, shape, fetch)
    images = np.empty((len(items) if whole else 0, *shape), np.uint8)
    places: list[int] = []
    labels: list[int] = []
    for index in range(len(items)):
        try:
            pixels, label = items.picture(index)
            if whole:
                images[len(places)] = _formed(pixels, shape)
        except ImageError as error:
            if settings.strict:
                raise unreadable_error(error) from error
            items.bad.append((f"item {index}", error.message))
            continue
        places.append(index)
        labels.append(label)
        if index % 256 == 255 or index == len(items) - 1:
            report(index + 1)
    if not places:
        raise DatasetError(f"no item can be read: {items.bad[0][1]}", code="unreadable")
    return _Part(places, labels, images[: len(places)] if whole else None, shape, fetch)


def _formed(pixels: NDArray[np.uint8], shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    if pixels.shape[2] < shape[2]:
        pixels = np.repeat(pixels, shape[2], axis=2)
    elif pixels.shape[2] > shape[2]:
        raise ImageError("it is coloured, and the others are grey", code="not_an_image")
    return fit(pixels, (shape[0], shape[1]))


def _class_names(settings: Settings, given: Sequence[Items], parts: Sequence[_Part]) -> tuple[str, ...]:
    if settings.classes is not None:
        return tuple(printable(name) for name in settings.classes)
    owner = given[0].given
    while owner is not None:
        names = getattr(owner, "classes", None)
        if isinstance(names, (list, tuple)) and names:
            return tuple(printable(str(name)) for name in names)
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
