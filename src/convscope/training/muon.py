"""Muon: filters are changed along orthogonal directions, all other weights by SGD.

A gradient of a convolution's filters has a few large directions that drown the rest. Muon (Jordan et al.,
2024) takes the nearest matrix whose directions are all of one size instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

# Of the quintic whose repeated use drives singular values of 0..1 to about 1 (Jordan et al., 2024).
_QUINTIC = (3.4445, -4.7750, 2.0315)
_STEPS = 3


class Muon(torch.optim.Optimizer):
    """Groups with ``orthogonal`` are changed by Muon, the others by SGD with Nesterov's momentum.

    A filter bank ``(out, ...)`` is first brought to the length of a bank of unit filters; so its rate is an
    angle, and it needs no weight decay.

    Parameters
    ----------
    groups
        As any optimizer of torch takes them; with ``orthogonal``, ``momentum``, ``weight_decay``.
    lr
        Rate of the groups that have none.

    Examples
    --------
    >>> filters = torch.nn.Parameter(torch.eye(2).view(2, 2, 1, 1))
    >>> muon = Muon([{"params": [filters], "orthogonal": True}], lr=0.1)
    >>> filters.grad = torch.tensor([[1.0, 0.0], [0.0, 0.001]]).view(2, 2, 1, 1)
    >>> muon.step()
    >>> bool(filters[0, 0] < 0.95), filters[0, 0].item() == 1.0
    (True, False)
    """

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float) -> None:
        defaults = {"lr": lr, "momentum": 0.9, "weight_decay": 0.0, "orthogonal": False}
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step; parameters without gradient stay as they are."""
        if closure is not None:
            with torch.enable_grad():
                closure()
        for group in self.param_groups:
            change = _turn if group["orthogonal"] else _descend
            for parameter in group["params"]:
                if parameter.grad is not None:
                    state = self.state[parameter]
                    if "momentum_buffer" not in state:
                        state["momentum_buffer"] = torch.zeros_like(parameter)
                    change(parameter, parameter.grad, state["momentum_buffer"], group)


def _descend(weights: Tensor, gradient: Tensor, momentum: Tensor, group: dict[str, Any]) -> None:
    """SGD with Nesterov's momentum, as torch's own."""
    if group["weight_decay"]:
        gradient = gradient.add(weights, alpha=group["weight_decay"])
    momentum.mul_(group["momentum"]).add_(gradient)
    weights.add_(gradient.add(momentum, alpha=group["momentum"]), alpha=-group["lr"])


def _turn(weights: Tensor, gradient: Tensor, momentum: Tensor, group: dict[str, Any]) -> None:
    """A step of one size in every direction, on a bank of the length of unit filters."""
    momentum.mul_(group["momentum"]).add_(gradient)
    ahead = gradient.add(momentum, alpha=group["momentum"])
    weights.mul_(len(weights) ** 0.5 / (weights.norm() + 1e-7))
    direction = orthogonal(ahead.reshape(len(ahead), -1)).view(weights.shape)
    weights.add_(direction, alpha=-group["lr"])


def orthogonal(matrix: Tensor) -> Tensor:
    """The matrix with its singular values brought to about 1, between 0.5 and 1.2 for all but tiny ones.

    Parameters
    ----------
    matrix
        Of shape ``(m, n)``.

    Returns
    -------
    ``float32`` of that shape, by three steps of a Newton-Schulz iteration in bfloat16.

    Examples
    --------
    >>> orthogonal(torch.diag(torch.tensor([3.0, -2.0]))).shape
    torch.Size([2, 2])
    """
    first, third, fifth = _QUINTIC
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix / (matrix.norm() + 1e-7)).to(torch.bfloat16)
    x = x.t() if tall else x
    for _ in range(_STEPS):
        square = x @ x.t()
        x = first * x + (third * square + fifth * (square @ square)) @ x
    return (x.t() if tall else x).float()
