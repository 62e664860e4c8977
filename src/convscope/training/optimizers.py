"""Torch's optimizers, with a rate of their own for biases and for the shifts of normalisation layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from convscope.errors import TrainingError
from convscope.training.muon import Muon
from convscope.training.recipes import Recipe

_NORMS = (
    nn.modules.batchnorm._BatchNorm,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.modules.instancenorm._InstanceNorm,
)


def make_optimizer(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer over the parameters that ask for gradients.

    Each of its parameter groups has ``rate_share``: its rate is that share of the step's. A group with
    share s has the weight decay divided by s, so that every weight shrinks at the same pace. With
    ``freeze_scales`` the scales of normalisation layers no longer ask for gradients.

    Examples
    --------
    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    >>> made = make_optimizer(net, Recipe(learning_rate=0.5, bias_rate=4.0, weight_decay=0.01))
    >>> [(g["rate_share"], g["weight_decay"], len(g["params"])) for g in made.param_groups]
    [(1.0, 0.01, 2), (4.0, 0.0025, 2)]
    """
    if recipe.freeze_scales:
        for part in module.modules():
            if isinstance(part, _NORMS) and isinstance(part.weight, nn.Parameter):
                part.weight.requires_grad_(False)
    groups = _groups(module, recipe)
    if not groups:
        raise TrainingError("the network has no weights to train: it has none, or all are frozen")
    rate = recipe.learning_rate
    if recipe.optimizer == "muon":
        return Muon(groups, rate)
    for group in groups:
        del group["orthogonal"]
    # On the CPU and on NVIDIA's devices one call changes all weights in one walk through memory.
    every = [p for group in groups for p in group["params"]]
    fusible = all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in every)
    options: dict[str, Any] = {"fused": fusible}
    if recipe.optimizer == "sgd":
        options |= {"momentum": recipe.momentum, "nesterov": recipe.nesterov and recipe.momentum > 0}
        return torch.optim.SGD(groups, rate, **options)
    kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, rate, betas=(recipe.momentum, 0.999), **options)


def _groups(module: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Parameters that are changed alike, in the order of the module's own."""
    shifts = {id(part.bias) for part in module.modules() if getattr(part, "bias", None) is not None}
    linear = [part for part in module.modules() if isinstance(part, nn.Linear)]
    head = id(linear[-1].weight) if linear else None
    filters = [id(part.weight) for part in module.modules() if isinstance(part, nn.Conv2d)][1:]
    found: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for parameter in module.parameters():
        if not parameter.requires_grad:
            continue
        share, turned = 1.0, False
        if recipe.optimizer == "muon" and id(parameter) in filters:
            share, turned = recipe.filter_rate, True
        elif id(parameter) in shifts:
            share = recipe.bias_rate
        elif id(parameter) == head:
            share = recipe.head_rate
        found.setdefault((share, turned), []).append(parameter)
    return [
        {
            "params": parameters,
            "rate_share": share,
            "weight_decay": recipe.weight_decay / share if share and not turned else 0.0,
            "orthogonal": turned,
            **({"momentum": recipe.filter_momentum if turned else recipe.momentum} if muon else {}),
        }
        for (share, turned), parameters in found.items()
        for muon in [recipe.optimizer == "muon"]
    ]
