"""Checks on every parameter and buffer before anything is computed with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convscope.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn


def refuse_unfilled(module: nn.Module) -> None:
    """Refuse parameters that have no numbers: on the meta device, or lazy and never used.

    A convolution whose weights are on the meta device can return uninitialised memory without
    any error, so this must be found before the first pass.

    Raises
    ------
    ModelError
        Naming the first of them.
    """
    from torch.nn.parameter import is_lazy

    for name, tensor in _named(module):
        if is_lazy(tensor):
            raise ModelError(
                f"`{name}` of the model has no shape yet: it is lazy and was never run",
                hint="Run the model once on an input before looking at it.",
            )
        if tensor.is_meta:
            raise ModelError(
                f"`{name}` of the model has no numbers: it is on the meta device",
                hint="Load weights into it first: model.to_empty(device='cpu'), then load_state_dict.",
            )


def not_finite(module: nn.Module) -> tuple[str, ...]:
    """Names of the parameters and buffers with NaN or infinity in them.

    Examples
    --------
    >>> import torch
    >>> layer = torch.nn.Linear(2, 1)
    >>> _ = layer.weight.data.fill_(float("nan"))
    >>> not_finite(layer)
    ('weight',)
    """
    return tuple(name for name, tensor in _named(module) if _has_not_finite(tensor))


def _has_not_finite(tensor: Tensor) -> bool:
    import torch

    if not (tensor.is_floating_point() or tensor.is_complex()) or tensor.numel() == 0:
        return False
    values = tensor.detach()
    if values.dtype in (torch.float32, torch.float64) and values.device.type == "cpu":
        # One sum clears almost every tensor, and numpy's is many times faster than torch's here.
        with np.errstate(all="ignore"):
            if np.isfinite(values.numpy().sum()):
                return False
    elif values.dtype.itemsize < 2:
        values = values.float()
    return not bool(torch.isfinite(values).all())


def _named(module: nn.Module) -> list[tuple[str, Tensor]]:
    return [*module.named_parameters(), *module.named_buffers()]
