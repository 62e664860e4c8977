"""What a network's failure in training is called, and what to try."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from convscope.errors import ConvscopeError, TrainingError
from convscope.training.recipes import Recipe


@contextmanager
def told_in_a_sentence(step: int, shape: Sequence[int], recipe: Recipe, *, half: bool) -> Iterator[None]:
    """Within, what a network raises becomes one sentence, with what to try.

    That it works in evaluation mode, on whole pictures, was seen before the first step.

    Parameters
    ----------
    step
        The step that is being made, from 1.
    shape
        Of the inputs.
    half
        Whether the arithmetic is in bfloat16.

    Raises
    ------
    TrainingError
        If it fails. Running out of memory is told elsewhere.

    Examples
    --------
    >>> with told_in_a_sentence(3, (8, 3, 32, 32), Recipe(), half=False):
    ...     raise ValueError("no such thing")
    Traceback (most recent call last):
    ...
    convscope.errors.TrainingError: the network failed in training mode, at step 3, on inputs of 8 x 3 ...
    """
    try:
        yield
    except (ConvscopeError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if "allocate memory" in str(error):
            raise
        told = f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"
        size = " x ".join(map(str, shape))
        raise TrainingError(
            f"the network failed in training mode, at step {step}, on inputs of {size}: {told}",
            hint=_way_out(shape[0], recipe, half),
        ) from error


def _way_out(images: int, recipe: Recipe, half: bool) -> str:
    if images == 1:
        return "Batch norm needs more than one image a step: choose another batch size."
    if recipe.parts:
        return "Some networks take one size of input only: leave out `parts` (--set parts=none)."
    return "It may not take bfloat16: --precision fp32." if half else ""
