"""Moving averages of the weights, which answer better than the last ones of a noisy walk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from convscope.training.recipes import Recipe


class Average:
    """The average of a module's weights and of its statistics, renewed every few steps.

    Parameters
    ----------
    module
        Whose weights are averaged.
    recipe
        ``averaging``: with ``ema`` the average stands beside the weights and is what the training ends
        with; with ``lookahead`` (Zhang et al., 2019) the weights go on from the average each time it is
        renewed. ``averaging_decay`` is the share it keeps, ``averaging_every`` the steps between. The
        n-th time ``ema`` keeps at most (n + 1) / (n + 10), so that it soon forgets the random beginning.

    Examples
    --------
    >>> layer = nn.Linear(1, 1, bias=False)
    >>> _ = layer.weight.data.fill_(0.0)
    >>> average = Average(layer, Recipe(averaging="ema", averaging_decay=0.1))
    >>> _ = layer.weight.data.fill_(1.0)
    >>> average.step(1)
    >>> average.weights()["weight"].item(), layer.weight.item()
    (0.899..., 1.0)
    """

    def __init__(self, module: nn.Module, recipe: Recipe) -> None:
        self._module = module
        self._recipe = recipe
        self._kept: dict[str, Tensor] = {}
        # What is used under several names is averaged once, under the first.
        self._names: list[str] = []
        known: dict[tuple[int, torch.Size], Tensor] = {}
        for name, value in module.state_dict().items():
            own = (value.data_ptr() if value.numel() else id(value), value.shape)
            if own not in known:
                known[own] = value.detach().clone()
                self._names.append(name)
            self._kept[name] = known[own]

    @torch.no_grad()
    def step(self, step: int) -> None:
        """After step ``step``, counted from 1."""
        recipe = self._recipe
        if step % recipe.averaging_every:
            return
        decay = recipe.averaging_decay
        if recipe.averaging == "ema":
            times = step // recipe.averaging_every
            decay = min(decay, (times + 1) / (times + 10))
        now = self._module.state_dict()
        for name in self._names:
            value, kept = now[name], self._kept[name]
            if kept.is_floating_point() or kept.is_complex():
                kept.lerp_(value, 1 - decay)
            else:
                kept.copy_(value)
            if recipe.averaging == "lookahead":
                value.copy_(kept)

    def weights(self) -> dict[str, Tensor]:
        """The average, by the names of the module's state dict."""
        return self._kept

    def restore(self, weights: Mapping[str, Any]) -> None:
        """Go on from what ``weights`` gave."""
        for name, value in weights.items():
            self._kept[name].copy_(value)

    @contextmanager
    @torch.no_grad()
    def applied(self) -> Iterator[None]:
        """Within, the module has the average as its weights."""
        own = self._module.state_dict()
        before = {name: value.clone() for name, value in own.items()}
        for name, value in own.items():
            value.copy_(self._kept[name])
        try:
            yield
        finally:
            for name, value in own.items():
                value.copy_(before[name])
