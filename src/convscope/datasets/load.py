"""One door for data sets: a name, a folder, a zip file or a torch Dataset becomes a Dataset."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from convscope.data.names import printable
from convscope.datasets.dataset import Dataset
from convscope.datasets.problems import Problem, counted, listed
from convscope.datasets.settings import MEMORY, Progress, Settings, _silent
from convscope.errors import DatasetError, UsageError, nearest

NAMES = ("cifar10", "digits")


def load_dataset(
    spec: Any,
    *,
    root: str | os.PathLike[str] | None = None,
    size: int | None = None,
    strict: bool = False,
    seed: int = 0,
    classes: Sequence[str] | None = None,
    memory: int = MEMORY,
    on_progress: Progress | None = None,
) -> Dataset:
    """Pictures with classes, read and split into a part to train on and a part kept apart.

    Parameters
    ----------
    spec
        ``"cifar10"``; ``"digits"`` (with scikit-learn, no network); a folder with one folder of
        pictures a class, alone or inside ``train/`` and ``test/`` (or ``val/``); a zip file of
        one. Any of these with ``:`` and class names takes those classes, labelled in that order:
        ``"cifar10:airplane,automobile,ship"``. Or a torch ``Dataset`` of pictures and labels, or
        a pair of them, train and test.
    root
        For ``cifar10``: the release's files (the folder that holds them, or the ``.tar.gz``),
        or a folder or zip file of CIFAR-10 as pictures. Without it they are looked for in the user's
        cache, and fetched by torchvision if they are not there.
    size
        Side of the square every picture is scaled to. By default pictures of one size keep it, and
        mixed ones get a size that the notes name.
    strict
        Let the first picture that cannot be read end the work, instead of counting and naming it.
    seed
        For the test part, a fifth of every class, where none is given.
    classes
        As after the ``:``; for a torch ``Dataset`` the names of its labels.
    memory
        Up to how many bytes of pixels are kept in memory, by default 256 MB; larger sets are
        decoded as they are asked for.
    on_progress
        Called with how many pictures are done, and of how many.

    Raises
    ------
    DatasetError
        For anything that cannot be used; ``code`` says why.
    MissingExtraError
        If the digits are asked for and scikit-learn is not installed.
    UsageError
        If ``spec`` is none of these, or an option does not fit it.

    Examples
    --------
    >>> twos_and_sevens = load_dataset("digits:2,7")
    >>> twos_and_sevens.classes, twos_and_sevens.train.images.shape
    (('2', '7'), (285, 8, 8, 1))
    """
    return guarded(
        read_dataset(
            spec,
            root=root,
            size=size,
            strict=strict,
            seed=seed,
            classes=classes,
            memory=memory,
            on_progress=on_progress,
        )
    )


def read_dataset(
    spec: Any,
    *,
    root: str | os.PathLike[str] | None = None,
    size: int | None = None,
    strict: bool = False,
    seed: int = 0,
    classes: Sequence[str] | None = None,
    memory: int = MEMORY,
    on_progress: Progress | None = None,
) -> Dataset:
    """As ``load_dataset``, before it is looked into which pictures are in both parts (``guarded``)."""
    if size is not None and not 1 <= size <= 4096:
        raise UsageError(f"`size` must be 1 to 4096 pixels; got {size}")
    wanted = tuple(classes) if classes is not None else None
    settings = Settings(wanted, size, strict, seed, memory, on_progress or _silent)
    if not isinstance(spec, (str, os.PathLike)):
        from convscope.datasets.given import read_given

        if root is not None:
            raise UsageError("`root` says where the files of cifar10 are; a torch Dataset needs none")
        return read_given(spec, settings)
    return _named(os.fspath(spec), root, settings)


def guarded(dataset: Dataset) -> Dataset:
    """``dataset``, once pictures in both parts are dealt with: left out of a part made here, else said.

    That needs the pictures in memory; of a large folder the files were compared when it was split. Classes
    that are single, or have no pictures in a part, are said as well.
    """
    from convscope.datasets.copies import (
        copies_problem,
        digests,
        find_copies,
        two_classes_problem,
        without_copies,
    )

    found = list(dataset.found)
    train, test = dataset.train, dataset.test
    if train.images is not None and test.images is not None:
        trained = digests(train.images)
        copies = find_copies(trained, digests(test.images))
        if dataset.split != "given":
            test, note = without_copies(copies, test)
            dataset = replace(dataset, test=test, notes=(*dataset.notes, *([note] if note else [])))
        elif copies:
            found.append(copies_problem(copies, train, test))
        found += two_classes_problem(trained, train.labels.tolist(), train.names)
        different = len(set(zip(trained, train.labels.tolist(), strict=True)))
    else:
        different = len(train)
    found += _class_problems(dataset, different)
    return replace(dataset, found=tuple(found))


def _class_problems(dataset: Dataset, different: int) -> list[Problem]:
    """Classes that are single, or have no pictures in a part, where reading has not said so already.

    ``different`` counts pictures to train on that differ in pixels or class.
    """
    if len(dataset.classes) == 1:
        text = f"there is one class only, nothing to tell it from: {dataset.classes[0]}"
        alone = [Problem("one_class", text, dataset.classes)]
    else:
        alone = []
    said = {name for problem in dataset.found if problem.code == "empty_class" for name in problem.names}
    train, test = dataset.counts(dataset.train), dataset.counts(dataset.test)
    named = list(zip(dataset.classes, train, test, strict=True))
    untrained = tuple(name for name, count, _ in named if not count and name not in said)
    untested = tuple(name for name, count, other in named if count and not other and name not in said)
    if untrained:
        word = counted(len(untrained), "class has", "classes have")
        text = f"{word} no pictures to train on: {listed(untrained)}"
        alone.append(Problem("empty_class", text, untrained))
    if not len(dataset.test):
        text = (
            "no picture is left to test on: what could be kept apart cannot be read or is trained on as well"
        )
        if different <= len(dataset.classes):
            text = "no picture is left to test on: every class has one picture, or copies of one"
        alone.append(Problem("nothing_to_test", text, dataset.classes))
    elif untested:
        word = counted(len(untested), "class has", "classes have")
        text = f"{word} pictures to train on and none to test: {listed(untested)}"
        alone.append(Problem("empty_class", text, untested))
    return alone


def _named(spec: str, root: str | os.PathLike[str] | None, settings: Settings) -> Dataset:
    name, wanted = parse_spec(spec)
    if wanted is not None:
        if settings.classes is not None:
            raise UsageError("classes are named twice: in `spec` and in `classes`")
        settings = replace(settings, classes=wanted)
    if name == "cifar10":
        from convscope.datasets.cifar10 import read_cifar10

        return read_cifar10(spec, root, settings)
    if root is not None:
        raise UsageError(f"`root` says where the files of cifar10 are; `{printable(name)}` needs none")
    if name == "digits":
        from convscope.datasets.digits import read_digits

        return read_digits(spec, settings)
    from convscope.datasets.from_tree import read_tree
    from convscope.datasets.trees import FolderTree
    from convscope.datasets.zip_tree import ZipTree

    if os.path.isdir(name):
        tree = FolderTree(name)
        if os.path.basename(name.rstrip(os.sep)) in ("", os.curdir, os.pardir):
            # A dot says where a folder is seen from, not what it is called.
            spec = tree.name + spec[len(name) :]
        return read_tree(tree, spec, settings)
    if os.path.isfile(name) and zipfile.is_zipfile(name):
        return read_tree(ZipTree(name), spec, settings)
    raise _no_such(name)


def parse_spec(spec: str) -> tuple[str, tuple[str, ...] | None]:
    """Name or place, and the classes named after a colon, ``None`` for all.

    Raises
    ------
    UsageError
        If a colon is followed by no names.

    Examples
    --------
    >>> parse_spec("cifar10:cat,dog"), parse_spec("digits")
    (('cifar10', ('cat', 'dog')), ('digits', None))
    """
    name, colon, after = spec.rpartition(":")
    # A path may hold a colon itself, as those of Windows do.
    if not colon or os.path.exists(spec) or after[:1] in ("/", "\\"):
        return spec, None
    # The name of a class may, too: what is there already ends the place.
    shorter = name
    while ":" in shorter and not (shorter in NAMES or os.path.exists(shorter)):
        shorter = shorter.rpartition(":")[0]
    if shorter in NAMES or os.path.exists(shorter):
        name, after = shorter, spec[len(shorter) + 1 :]
    names = tuple(word.strip() for word in after.split(","))
    if not all(names):
        raise UsageError(f"after the colon of {spec!r} there must be class names with commas between")
    return name, names


def _no_such(name: str) -> DatasetError:
    from convscope.datasets.zip_tree import refuse_cut_zip

    shown = printable(name)
    refuse_cut_zip(name)
    if os.path.isfile(name):
        return DatasetError(
            f"`{shown}` is a file, but not a zip file of pictures",
            code="not_a_dataset",
            hint="Name a folder of class folders, or a zip file of one.",
        )
    near = nearest(name.lower(), NAMES)
    return DatasetError(
        f"there is no data set, folder or zip file `{shown}`",
        code="missing",
        hint=f"Did you mean {', '.join(near)}?" if near else f"Known by name are {' and '.join(NAMES)}.",
    )
