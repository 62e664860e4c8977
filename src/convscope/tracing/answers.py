"""From a model's output to named classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from convscope.errors import TraceError, UsageError

#: What a network's scores are: ``"logits"``, which softmax makes probabilities; ``"softmax"``, where the
#: network has taken it already; ``"sigmoid"``, a probability for each class by itself.
Scores = Literal["logits", "softmax", "sigmoid"]


@dataclass(frozen=True)
class Prediction:
    """One class of the answer: its ``index``, ``label`` and ``probability``, 0 to 1.

    ``logit`` is the score as the network gave it; where it has taken softmax or sigmoid itself, that is the
    probability.
    """

    index: int
    label: str
    probability: float
    logit: float


def find_logits(output: Any) -> Tensor | None:
    """The class scores ``[N, classes]`` in a model's output, or ``None``.

    A tensor of two axes is taken; in a dict the entry ``logits`` or ``out``, or its only such
    tensor; in a tuple (Inception, GoogLeNet) the first.
    """
    if isinstance(output, Tensor):
        return output if output.ndim == 2 and output.shape[1] > 1 and output.is_floating_point() else None
    if isinstance(output, Mapping):
        if "boxes" in output:  # a detection model's, whose corners are no scores
            return None
        for key in ("logits", "out"):
            if key in output and (found := find_logits(output[key])) is not None:
                return found
        fits = [t for v in output.values() if isinstance(v, Tensor) and (t := find_logits(v)) is not None]
        return fits[0] if len(fits) == 1 else None
    if hasattr(output, "logits"):
        return find_logits(output.logits)
    if isinstance(output, (tuple, list)) and output:
        return find_logits(output[0])
    return None


def kind_of_scores(scores: Tensor, kind: str) -> Scores:
    """What scores ``[N, classes]`` are, that an op of ``kind`` made.

    Rows of no value below 0 that each add up to 1 are probabilities, whatever made them.

    Examples
    --------
    >>> kind_of_scores(torch.tensor([[0.25, 0.75]]), "div")
    'softmax'
    """
    if kind in ("softmax", "sigmoid"):
        return "softmax" if kind == "softmax" else "sigmoid"
    slack = max(1e-4, 4 * torch.finfo(scores.dtype).eps)
    values = scores.detach().double()
    shares = bool((values >= 0).all()) and bool(((values.sum(1) - 1).abs() <= slack).all())
    return "softmax" if len(values) and shares else "logits"


def probabilities(scores: Tensor, kind: Scores) -> Tensor:
    """Scores ``[..., classes]`` as ``float64`` probabilities of 0 to 1, on the CPU.

    Examples
    --------
    >>> probabilities(torch.tensor([0.25, 0.75]), "softmax").tolist()
    [0.25, 0.75]
    """
    values = scores.detach().to("cpu", torch.float64)
    return values.softmax(-1) if kind == "logits" else values


def predict(
    logits: Tensor, categories: Sequence[str], count: int, kind: Scores = "logits"
) -> list[Prediction]:
    """The most probable classes of the first row of ``logits``, most probable first.

    Parameters
    ----------
    kind
        What the scores are, as :func:`kind_of_scores` tells.

    Examples
    --------
    >>> predict(torch.tensor([[10.0, 6.0, 4.0]]), ["cat", "dog", "cow"], 1)
    [Prediction(index=0, label='cat', probability=0.979..., logit=10.0)]

    Raises
    ------
    TraceError
        If the scores hold NaN or infinity, or the batch is empty: no class can be named then.
    UsageError
        If ``count`` is below 1.
    """
    if count < 1:
        raise UsageError(f"`count` must be at least 1; got {count}")
    if not len(logits):
        raise TraceError("the batch is empty, so there is nothing to predict")
    row = logits[0].detach().double().cpu()
    bad = int((~torch.isfinite(row)).sum())
    if bad:
        raise TraceError(
            f"{bad} of the {len(row)} class scores are not finite (NaN, infinity), so no class can be named",
            hint="Check the weights and the input for NaN: `convscope look` marks where they begin.",
        )
    shares = probabilities(row, kind)
    order = torch.sort(shares, descending=True, stable=True).indices[:count].tolist()
    return [
        Prediction(i, categories[i] if i < len(categories) else f"class {i}", float(shares[i]), float(row[i]))
        for i in order
    ]
