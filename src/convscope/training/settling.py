"""Statistics of batch norm taken anew, of the weights a training ends with.

What batch norm keeps while a network learns is a moving average over its last few batches: of weights that
changed meanwhile, of pictures that were moved and turned, and of few of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from convscope.models.mirrored import Pairs
from convscope.training.averaging import Average


@torch.no_grad()
def settle(module: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set the running means and variances of batch norm to their averages over batches.

    The other layers work as in evaluation; the modes of all are left as they were found.

    Parameters
    ----------
    module
        Its batch norms that keep no statistics, or are frozen, stay as they are.
    batches
        Inputs of the network, each of at least two pictures.

    Examples
    --------
    >>> norm, images = nn.BatchNorm2d(1), torch.tensor([1.0, 3.0]).view(2, 1, 1, 1)
    >>> settle(norm, [images, images + 2])
    >>> norm.running_mean, norm.running_var, norm.training
    (tensor([3.]), tensor([2.]), True)
    """
    modes = {part: part.training for part in module.modules()}
    norms = [
        part
        for part in module.modules()
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.track_running_stats and part.training
    ]
    momenta = [norm.momentum for norm in norms]
    module.eval()
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.train()
            norm.momentum = None  # every batch counts alike
        for inputs in batches:
            module(inputs)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for part, training in modes.items():
            part.training = training


def settle_end(
    module: nn.Module, batches: Iterable[Tensor], average: Average | None, pairs: Pairs | None
) -> None:
    """Settle what a training ends with: its last weights, or their average."""
    with nullcontext() if average is None else average.applied():
        settle(module, batches)
        if pairs is not None:
            pairs.average()
        if average is not None:
            kept = average.weights()
            average.restore({name: value for name, value in module.named_buffers() if name in kept})
