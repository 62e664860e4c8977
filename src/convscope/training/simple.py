"""Batches, optimizer and rate in their plainest form."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from convscope.training.recipes import Recipe


class Batches:
    """Batches of an epoch in an order that follows from the seed and the epoch's number alone."""

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        batch: int,
        flip: str = "none",
        translate: int = 0,
        seed: int = 0,
    ) -> None:
        self.images, self.labels, self.batch, self.seed = images, labels, batch, seed

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch)

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Pixels and labels of each step, from ``first_step`` on."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        order = torch.randperm(len(self.labels), generator=generator)
        for start in range(first_step * self.batch, len(order), self.batch):
            chosen = order[start : start + self.batch]
            yield self.images[chosen], self.labels[chosen]


def make_optimizer(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Torch's optimizer of that name."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    rate, decay = recipe.learning_rate, recipe.weight_decay
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            parameters,
            rate,
            momentum=recipe.momentum,
            nesterov=recipe.nesterov,
            weight_decay=decay,
            fused=True,
        )
    kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
    return kind(parameters, rate, betas=(recipe.momentum, 0.999), weight_decay=decay, fused=True)


def rate_at(recipe: Recipe, step: int, steps: int) -> float:
    """The learning rate of a step, counted from 0."""
    climb = recipe.warmup * steps
    if step < climb:
        share = recipe.initial_rate + (1 - recipe.initial_rate) * step / climb
    else:
        gone = (step - climb) / max(1.0, steps - climb)
        if recipe.schedule == "constant":
            share = 1.0
        elif recipe.schedule == "linear":
            share = 1 - (1 - recipe.final_rate) * gone
        else:
            share = recipe.final_rate + (1 - recipe.final_rate) * (1 + math.cos(math.pi * gone)) / 2
    return recipe.learning_rate * share
