"""Edits of a trace, done a second and plainer way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

import convscope
from convscope.tracing import Keep, Replace, record
from tracing_models import batch
from tracing_oracles import fill, no_initialisation


def scaled(axis: int, channels: tuple[int, ...] | None, factor: float) -> Callable[[Tensor], Tensor]:
    """What an edit is to do, written plainly with an index."""

    def change(value: Tensor) -> Tensor:
        value = value.clone()
        index = (slice(None),) * axis + ((list(channels),) if channels is not None else ())
        value[index] = value[index] * factor if factor else torch.zeros_like(value[index])
        return value

    return change


def oracle(
    trace: convscope.Trace, inputs: Any, changes: dict[str, Callable[[Tensor], Tensor]]
) -> convscope.Trace:
    """A full pass with `Replace`, every value kept."""
    replacing = Replace(changes)
    recording = record(trace.model.module, inputs, [replacing, Keep()])
    assert replacing.used == set(changes)
    return convscope.Trace(recording, trace.model, inputs, None, None)


def build(name: str) -> tuple[nn.Module, Tensor]:
    size = {"inception_v3": 75}.get(name, 64)
    options: dict[str, Any] = {"image_size": size} if name.startswith("vit") else {}
    if name in {"googlenet", "inception_v3"}:
        options["init_weights"] = False
    with no_initialisation():
        model = torchvision.models.get_model(name, weights=None, **options)
    return fill(model).eval(), batch(1, 3, size, size, seed=1)
