"""Filters that begin where the pictures are: along the principal directions of their patches.

Neighbouring pixels are almost alike, so that random filters all see mostly brightness. Filters along the
principal directions, each as much stronger as its direction is rarer, hand on values that are all of one
size and do not follow from one another (whitening: Page, 2018; Jordan, 2024). A training begins with them,
and changes them like any other weight or leaves them as they are.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from convscope.errors import UsageError
from convscope.tracing import Trace

# Added to every variance, as a share of their mean: rare directions hold JPEG's noise rather than pictures.
_FLOOR = 0.05
# Variance of a patch, added up, below which there is nothing to be seen in the pictures.
_NOTHING = 1e-6
# Places of a picture that are looked at along each side, at most.
_PLACES = 12


def first_convolution(recorded: Trace) -> nn.Conv2d:
    """The convolution that reads the picture itself.

    Raises
    ------
    UsageError
        If none does, or it works in groups of channels.

    Examples
    --------
    >>> from convscope.models import load_model
    >>> from convscope.tracing import blank_input, trace
    >>> model = load_model("tutorial_cnn", weights="none")
    >>> first_convolution(trace(model, blank_input(model), keep=[]))
    Conv2d(3, 32, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
    """
    pictures = {op.index for op in recorded.ops if op.kind == "input"}
    for op in recorded.ops:
        if op.path and pictures.intersection(op.inputs):
            layer = recorded.model.module.get_submodule(op.path)
            if type(layer) is nn.Conv2d and layer.groups == 1:
                return layer
    raise UsageError(
        "no convolution of this network reads the picture itself, and the recipe needs one",
        hint="Begin with random filters and train all: --set whiten=no --set freeze_first=no.",
    )


@torch.no_grad()
def whiten(convolution: nn.Conv2d, inputs: Iterable[Tensor]) -> None:
    """Give a convolution filters whose outputs are uncorrelated, with mean 0 and variance about 1.

    One half of the filters are the strongest directions, the other their opposites: what comes after a ReLU
    would otherwise know but one side of each. Filters beyond twice the number of directions stay as they
    are; all do if the pictures are of one colour.

    Parameters
    ----------
    convolution
        Without groups; weights and bias are changed.
    inputs
        Normalised pictures of shape ``(N, channels, rows, columns)``, some hundreds in all.

    Examples
    --------
    >>> layer, pictures = nn.Conv2d(3, 16, 2), torch.randn(500, 3, 9, 9).cumsum(3)
    >>> whiten(layer, [pictures])
    >>> maps = layer(pictures).transpose(0, 1).flatten(1)[:8]
    >>> bool((maps.cov() - torch.eye(8)).abs().max() < 0.5), bool(maps.mean(1).abs().max() < 0.1)
    (True, True)
    """
    mean, covariance = _moments(convolution, inputs)
    variances, directions = torch.linalg.eigh(covariance)
    if not variances.sum() > _NOTHING:
        return
    variances, directions = variances.flip(0).clamp_min(0), directions.flip(1).t()
    # A direction and its opposite are the same to the arithmetic: the sum of the filter is not below 0.
    directions = directions * torch.where(directions.sum(1, keepdim=True) < 0, -1.0, 1.0)
    filters = directions / (variances + _FLOOR * variances.mean()).sqrt().unsqueeze(1)
    half = -(-convolution.out_channels // 2)
    filters = torch.cat([filters[:half], -filters[:half]])[: convolution.out_channels]
    weight = convolution.weight
    weight[: len(filters)] = filters.view(-1, *weight.shape[1:]).to(weight)
    if convolution.bias is not None:
        convolution.bias[: len(filters)] = -(filters @ mean).to(convolution.bias)


def _moments(convolution: nn.Conv2d, inputs: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and covariance of the patches a filter sees, as ``float64`` on the CPU."""
    size = convolution.weight[0].numel()
    total, squares, count = torch.zeros(size).double(), torch.zeros(size, size).double(), 0
    kernel, dilation = convolution.kernel_size, convolution.dilation
    for pictures in inputs:
        steps = [
            max(1, (side - (k - 1) * d - 1) // _PLACES)
            for side, k, d in zip(pictures.shape[2:], kernel, dilation, strict=True)
        ]
        patches = functional.unfold(pictures.float().cpu(), kernel, dilation, stride=(steps[0], steps[1]))
        rows = patches.transpose(1, 2).reshape(-1, size)
        total += rows.sum(0)
        squares += rows.t() @ rows
        count += len(rows)
    mean = total / max(1, count)
    return mean, squares / max(1, count) - mean.outer(mean)
