"""``evaluate``: a trained network on labelled pictures, and a mistake of an article by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from convscope.datasets import Dataset, Split
from convscope.datasets.classes import distinct
from convscope.datasets.copies import IN_ONE_PART, digests, find_copies
from convscope.datasets.load import guarded, parse_spec, read_dataset
from convscope.datasets.problems import counted
from convscope.errors import ConvscopeError, TrainingError, UsageError
from convscope.models import Model, load_model
from convscope.models.building import seeded
from convscope.models.run_models import read_config
from convscope.training.arguments import check_called, check_switches, place
from convscope.training.evaluation import Evaluation, measure
from convscope.training.pictures import Pictures, ready
from convscope.training.plan import fingerprint, lasting_data
from convscope.training.recipe_values import VIEWS
from convscope.training.recipes import Recipe
from convscope.training.session import Run

PARTS = ("test", "train")


@dataclass(frozen=True)
class Leak:
    """What an article calls its test, beside what is one.

    Parameters
    ----------
    as_the_article
        On training images, with dropout on.
    train
        On training images, in evaluation mode.
    test
        On images never trained on, in evaluation mode.
    """

    as_the_article: Evaluation
    train: Evaluation
    test: Evaluation


def evaluate(
    run: str | os.PathLike[str] | Run,
    data: Any = None,
    *,
    part: str = "test",
    root: str | os.PathLike[str] | None = None,
    strict: bool = False,
    training_mode: bool = False,
    views: str | None = None,
    on_batch: Callable[[int, int], None] | None = None,
    on_read: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """How good the network of a run folder is.

    Parameters
    ----------
    run
        A run folder, or the ``Run`` that ``train`` gave.
    data
        Anything ``load_dataset`` takes, whose class names are among the run's; the run's own data if not
        given. Of other data all is measured if it has no test part of its own, but for images that were
        trained on, as far as the run's own data is there to compare with; the notes say so. A ``Dataset`` is
        taken with the parts it has.
    part
        ``test``, which was never trained on, or ``train``.
    root, strict
        As for ``load_dataset``.
    training_mode
        ``True`` leaves dropout on, as one of the articles does: the number is not the network's accuracy.
    views
        What the answer to each image is averaged over: ``one`` look, it and its ``mirror`` image, or it and
        four ``shifts`` by a pixel; the recipe's if not given.
    on_batch, on_read
        Called with the images done and the images there are, as they are measured and as they are read.

    Raises
    ------
    UsageError
        For arguments of a wrong kind, or a ``part`` or ``views`` there is none of.
    TrainingError
        If a class of ``data`` is none of the run's.
    ModelError
        If the folder holds no run.
    """
    if not isinstance(part, str) or part not in PARTS:
        raise UsageError(f"`part` must be {' or '.join(PARTS)}; got {part!r}")
    if views is not None and not (isinstance(views, str) and views in VIEWS):
        raise UsageError(f"`views` must be one of {', '.join(VIEWS)}; got {views!r}")
    check_switches(strict=strict, training_mode=training_mode)
    check_called(on_batch=on_batch, on_read=on_read)
    root = None if root is None else place("root", root)
    folder = Path(run.folder if isinstance(run, Run) else place("run", run)).expanduser()
    config = read_config(folder)
    model = run.model() if isinstance(run, Run) else load_model(folder)
    if data is None and config["data"]["spec"] is None:
        raise UsageError(
            "the run was trained on data given in Python, which its folder cannot name", hint="Give `data`."
        )
    asked = _Asked(config, data, root, strict, on_read)
    chosen = _chosen(asked, part)
    pictures = matched(model, chosen, part)
    with seeded(0):
        found = measure(
            model.module,
            pictures,
            model.card.categories,
            views=views or Recipe.from_json(config["recipe"]).views,
            training_mode=training_mode,
            on_batch=on_batch,
        )
    # Last, since what cannot be read of pictures that are streamed is known only now.
    problems = map(str, chosen.dataset.problems)
    return replace(found, notes=tuple(dict.fromkeys((*chosen.notes, *chosen.dataset.notes, *problems))))


@dataclass(frozen=True)
class _Asked:
    """What is to be measured, as ``evaluate`` was told."""

    config: Mapping[str, Any]
    data: Any
    root: str | os.PathLike[str] | None
    strict: bool
    on_read: Callable[[int, int], None] | None

    @property
    def is_runs_place(self) -> bool:
        """Whether it is where the run's own data was, some classes of it or all."""
        own = self.config["data"]["spec"]
        asked = own if self.data is None else lasting_data(self.data)
        return own is not None and asked is not None and parse_spec(asked)[0] == parse_spec(own)[0]

    def read(self, data: Any = None) -> Dataset:
        """``data``, by default what is asked for, split as the run would split it, copies not looked for."""
        wanted = self.data if data is None else data
        own = self.config["data"]
        at_home = self.root is None and (data is not None or self.is_runs_place)
        return read_dataset(
            own["spec"] if wanted is None else wanted,
            root=own["root"] if at_home else self.root,
            size=own["size"][0],
            strict=self.strict,
            seed=int(self.config["seed"]),
            on_progress=self.on_read,
        )


@dataclass(frozen=True)
class _Chosen:
    """The data to measure, whether its labels are the run's by number, and what is to be said."""

    dataset: Dataset
    by_label: bool = False
    notes: tuple[str, ...] = ()


def _chosen(asked: _Asked, part: str) -> _Chosen:
    """The run's own data split as it was; of other data, where it has no parts of its own, all of it."""
    own = asked.config["data"]
    if isinstance(asked.data, Dataset):
        return _Chosen(asked.data, list(asked.data.classes) == own["classes"])
    read = asked.read()
    dataset = guarded(read)
    if fingerprint(dataset) == own["fingerprint"]:
        return _Chosen(dataset, by_label=True)
    whole = asked.data is None or lasting_data(asked.data) == own["spec"]
    count = len(dataset.train) + len(dataset.test)
    alike = own["spec"] is None and lasting_data(asked.data) is None and count == own["train"] + own["test"]
    if (asked.is_runs_place and whole) or alike:
        return _Chosen(dataset, len(dataset.classes) == len(own["classes"]), (_CHANGED,))
    if asked.is_runs_place or dataset.split == "given" or part == "train":
        return _Chosen(dataset)
    return _all_of(asked, read)


_CHANGED = (
    "the data have changed since the training: some of these images may have been trained on, and the "
    "accuracy be too high"
)
_UNKNOWN = "whether some of these images were trained on is not known"


def _all_of(asked: _Asked, read: Dataset) -> _Chosen:
    """All pictures of data without parts of its own, but for those that the run was trained on."""
    every = read.train.joined(read.test)
    notes = [f"{read.name} has no test part of its own, so all its images are measured"]
    trained = _trained_on(asked)
    if trained is None or every.images is None:
        notes.append(_UNKNOWN)
    else:
        gone = {index for index, _ in find_copies(trained, digests(every.images))}
        kept = [index for index in range(len(every)) if index not in gone]
        if gone:
            word = counted(len(gone), "of its images was", "of its images were")
            notes.append(f"{word} trained on, pixel for pixel, and left out")
            every = Split(every.labels[kept], [every.names[i] for i in kept], images=every.images[kept])
        if not kept:
            raise TrainingError(
                f"the run was trained on every image of {read.name}",
                hint="Without `data` the part of them that was kept apart is measured.",
            )
    said = tuple(text for text in read.notes if not text.endswith(IN_ONE_PART))
    return _Chosen(replace(read, train=every, test=every, split="given", notes=said), notes=tuple(notes))


def _trained_on(asked: _Asked) -> list[bytes] | None:
    """Hashes of the images the run was trained on; ``None`` where they are not at hand, or too many."""
    own = asked.config["data"]
    if own["spec"] is None or own["split"] == "given":
        return None
    try:
        dataset = replace(asked, root=None).read(own["spec"])
    except ConvscopeError:
        return None
    return None if dataset.train.images is None else digests(dataset.train.images)


def measure_leak(
    run: str | os.PathLike[str] | Run,
    *,
    root: str | os.PathLike[str] | None = None,
    on_batch: Callable[[int, int], None] | None = None,
    on_read: Callable[[int, int], None] | None = None,
) -> Leak:
    """The three accuracies that an article's mistake mixes up, for the network of a run folder.

    Article C's "test" loader reads the training images, and its network is never put into evaluation
    mode: what it prints is ``as_the_article``; what it means to print is ``test``. ``on_batch`` and
    ``on_read`` are called as :func:`evaluate` calls them, for each of the three.
    """
    called: dict[str, Any] = {"root": root, "on_batch": on_batch, "on_read": on_read}
    return Leak(
        as_the_article=evaluate(run, part="train", training_mode=True, **called),
        train=evaluate(run, part="train", **called),
        test=evaluate(run, part="test", **called),
    )


def matched(model: Model, chosen: _Chosen, part: str) -> Pictures:
    """The pictures of one part, labelled with the model's outputs of the same classes."""
    dataset = chosen.dataset
    categories = distinct(model.card.categories)
    missing = [] if chosen.by_label else [name for name in dataset.classes if name not in categories]
    if missing:
        known = [name for name in categories if not name.startswith("(unused output")]
        raise TrainingError(
            f"{model.card.name} knows no class {', '.join(missing[:5])}{' ...' if len(missing) > 5 else ''}",
            hint=f"Its classes are: {', '.join(known[:20])}{' ...' if len(known) > 20 else ''}.",
        )
    split = dataset.parts[part]
    if not len(split):
        raise TrainingError(f"the {part} part of {dataset.name} has no pictures")
    labels = np.asarray(split.labels, np.int64)
    if not chosen.by_label:
        labels = np.array([categories.index(name) for name in dataset.classes], np.int64)[labels]
    return ready(split, model.card.preprocessing, labels)
