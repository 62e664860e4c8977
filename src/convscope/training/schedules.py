"""The learning rate of a step, from the recipe alone: nothing to save, nothing to restore."""

from __future__ import annotations

import math

from convscope.training.recipes import Recipe


def rate_at(recipe: Recipe, step: int, steps: int) -> float:
    """The learning rate of a step.

    It climbs in a straight line from ``initial_rate`` to 1 during ``warmup``, then goes down to
    ``final_rate`` in a straight line or along half a cosine, or stays; all times ``learning_rate``.

    Parameters
    ----------
    recipe
        Its rate, warm-up and schedule.
    step
        Counted from 0.
    steps
        Of the whole training.

    Examples
    --------
    >>> half = Recipe(learning_rate=0.4, warmup=0.5, initial_rate=0.5, schedule="linear", final_rate=0.0)
    >>> [round(rate_at(half, step, 8), 3) for step in range(8)]
    [0.2, 0.25, 0.3, 0.35, 0.4, 0.3, 0.2, 0.1]
    """
    climb = recipe.warmup * steps
    if step < climb:
        return recipe.learning_rate * (recipe.initial_rate + (1 - recipe.initial_rate) * step / climb)
    if recipe.schedule == "constant":
        return recipe.learning_rate
    gone = (step - climb) / max(1.0, steps - climb)
    left = 1 - gone if recipe.schedule == "linear" else (1 + math.cos(math.pi * gone)) / 2
    return recipe.learning_rate * (recipe.final_rate + (1 - recipe.final_rate) * left)
