"""``evaluate``: a trained network on labelled pictures, and a mistake of an article by name."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convscope.datasets import Dataset, load_dataset
from convscope.errors import TrainingError, UsageError
from convscope.models import Model, load_model
from convscope.models.building import seeded
from convscope.models.run_models import read_config
from convscope.training.evaluation import Evaluation, measure
from convscope.training.pictures import Pictures, ready
from convscope.training.recipe_values import VIEWS
from convscope.training.recipes import Recipe

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
    run: str | os.PathLike[str],
    data: Any = None,
    *,
    part: str = "test",
    root: str | os.PathLike[str] | None = None,
    strict: bool = False,
    training_mode: bool = False,
    views: str | None = None,
    on_batch: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """How good the network of a run folder is.

    Parameters
    ----------
    run
        A run folder.
    data
        Anything ``load_dataset`` takes, whose class names are among the run's; the run's own data if not
        given.
    part
        ``test``, which was never trained on, or ``train``.
    root, strict
        As for ``load_dataset``.
    training_mode
        ``True`` leaves dropout on, as one of the articles does: the number is not the network's accuracy.
    views
        What the answer to each image is averaged over: ``one`` look, it and its ``mirror`` image, or it and
        four ``shifts`` by a pixel; the recipe's if not given.
    on_batch
        Called with the images done and the images there are.

    Raises
    ------
    UsageError
        For a ``part`` or ``views`` there is none of.
    TrainingError
        If a class of ``data`` is none of the run's.
    ModelError
        If the folder holds no run.
    """
    if part not in PARTS:
        raise UsageError(f"`part` must be {' or '.join(PARTS)}; got {part!r}")
    if views is not None and views not in VIEWS:
        raise UsageError(f"`views` must be one of {', '.join(VIEWS)}; got {views!r}")
    folder = Path(run).expanduser()
    config = read_config(folder)
    model = load_model(folder)
    own = data is None
    if own and config["data"]["spec"] is None:
        raise UsageError(
            "the run was trained on data given in Python, which its folder cannot name", hint="Give `data`."
        )
    dataset = (
        data
        if isinstance(data, Dataset)
        else load_dataset(
            config["data"]["spec"] if own else data,
            root=config["data"]["root"] if own and root is None else root,
            size=config["data"]["size"][0],
            strict=strict,
            seed=int(config["seed"]),
        )
    )
    pictures = matched(model, dataset, part)
    with seeded(0):
        return measure(
            model.module,
            pictures,
            model.card.categories,
            views=views or Recipe.from_json(config["recipe"]).views,
            training_mode=training_mode,
            on_batch=on_batch,
        )


def measure_leak(run: str | os.PathLike[str], *, root: str | os.PathLike[str] | None = None) -> Leak:
    """The three accuracies that an article's mistake mixes up, for the network of a run folder.

    Article C's "test" loader reads the training images, and its network is never put into evaluation
    mode: what it prints is ``as_the_article``; what it means to print is ``test``.
    """
    return Leak(
        as_the_article=evaluate(run, part="train", training_mode=True, root=root),
        train=evaluate(run, part="train", root=root),
        test=evaluate(run, part="test", root=root),
    )


def matched(model: Model, dataset: Dataset, part: str) -> Pictures:
    """The pictures of one part, labelled with the model's outputs of the same class names."""
    categories = model.card.categories
    missing = [name for name in dataset.classes if name not in categories]
    if missing:
        known = [name for name in categories if not name.startswith("(unused output")]
        raise TrainingError(
            f"{model.card.name} knows no class {', '.join(missing[:5])}{' ...' if len(missing) > 5 else ''}",
            hint=f"Its classes are: {', '.join(known[:20])}{' ...' if len(known) > 20 else ''}.",
        )
    split = dataset.parts[part]
    if not len(split):
        raise TrainingError(f"the {part} part of {dataset.name} has no pictures")
    places = np.array([categories.index(name) for name in dataset.classes], np.int64)
    return ready(split, model.card.preprocessing, places[np.asarray(split.labels, np.int64)])
