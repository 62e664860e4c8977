"""The film every training makes: some test images through the network as it would be saved at that step."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from convscope.errors import ConvscopeError
from convscope.filming import film
from convscope.filming.schedule import epochs_apart
from convscope.filming.store import discard

if TYPE_CHECKING:
    from convscope.training.engine import Engine
    from convscope.training.plan import Plan

_IMAGES = 6


def filmed(
    run: Path, plan: Plan, engine: Engine, *, resume: bool, say: Callable[[str], None]
) -> Callable[[int, nn.Module], None]:
    """An ``on_step`` that keeps the steps a film should have, the last among them.

    A film that cannot be made, or not be gone on with, is told of once and left; the training goes on.
    """
    if resume and not engine.step:
        # Broken off before its first checkpoint: it begins again, and so does its film.
        discard(run)
    labels = np.asarray(plan.test.labels)
    # A picture that cannot be read is left out.
    images, read = next(plan.test.gather([torch.as_tensor(one_of_each(labels, _IMAGES))]))
    chosen = [int(index) for index in read]
    pixels = images.permute(0, 2, 3, 1).contiguous().numpy()
    inputs = plan.test.normalize(images).contiguous()
    try:
        made = film(
            engine.model,
            inputs,
            run,
            every=engine.steps_per_epoch * epochs_apart(engine.recipe.epochs),
            labels=[int(labels[index]) for index in chosen],
            classes=plan.classes,
            names=[str(plan.dataset.test.names[index]) for index in chosen],
            pictures=np.repeat(pixels, 3, axis=3) if pixels.shape[3] == 1 else pixels,
            title=plan.title,
            resume=resume,
            strict=True,
        )
    except ConvscopeError as error:
        say(f"no film: {error.message}")
        return lambda step, module: None
    broken = False

    def on_step(step: int, module: nn.Module) -> None:
        nonlocal broken
        last = step == engine.steps
        try:
            if broken or not (made.wants(step) or last):
                return
            sums = engine.sums
            known = (
                {"loss": sums.loss / sums.images, "accuracy": sums.right / sums.images} if sums.images else {}
            )
            # What is looked at is what would be saved: the average, where there is one.
            with nullcontext() if engine.average is None else engine.average.applied():
                made.snap(step, force=last, **known)
        except ConvscopeError as error:
            broken = True
            say(f"the film ends before step {step:,}: {error.message}")

    return on_step


def one_of_each(labels: np.ndarray, most: int) -> list[int]:
    """Indices of the first image of each class, of at most ``most`` classes evenly chosen.

    Examples
    --------
    >>> one_of_each(np.array([1, 1, 0, 2, 0]), 6)
    [2, 0, 3]
    """
    kinds, first = np.unique(labels, return_index=True)
    if len(kinds) > most:
        first = first[np.linspace(0, len(kinds) - 1, most).astype(int)]
    return [int(index) for index in first]
