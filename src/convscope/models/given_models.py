"""A ``torch.nn.Module`` handed over in Python: unwrapped, checked, never changed."""

from __future__ import annotations

import copy
import sys
from typing import Any

from torch import nn

from convscope.errors import ModelError, UsageError
from convscope.models.matching import load_state
from convscope.models.parts import Parts, Request
from convscope.models.preprocessing import Preprocessing
from convscope.models.weights import requested_state


def load_given(module: nn.Module, request: Request) -> Parts:
    """Card parts for ``module``; weights, if asked for, are loaded into a copy of it."""
    if request.kind in ("named", "random"):
        raise UsageError(
            f"a module given in Python has weights of its own; `weights` was {request.name or 'none'!r}",
            hint="Leave `weights` out, or give a file or a state dict to load into a copy.",
        )
    module, notes = unwrap(module)
    label = "given"
    if request.kind in ("file", "given"):
        state, label, file_notes = requested_state(request)
        module = copy.deepcopy(module)
        notes = (*notes, *file_notes, *load_state(module, state, label))
    preprocessing, categories, more = describe_input(module)
    return Parts(
        module,
        source="module",
        weights=label,
        preprocessing=preprocessing,
        categories=categories,
        notes=(*notes, *more),
    )


def unwrap(module: nn.Module) -> tuple[nn.Module, tuple[str, ...]]:
    """The network inside ``torch.compile`` and data-parallel wrappers, and a note for each taken off.

    Raises
    ------
    ModelError
        For TorchScript, whose layers cannot be watched one by one.

    Examples
    --------
    >>> unwrap(nn.DataParallel(nn.ReLU()))
    (ReLU(), ('DataParallel unwrapped: the network inside is looked at',))
    """
    import torch

    notes: list[str] = []
    while True:
        if isinstance(module, torch.jit.ScriptModule):
            raise ModelError(
                "this model is TorchScript, whose layers cannot be watched one by one",
                hint="Give the Python model it was made from, and its state dict as weights.",
            )
        compiled = getattr(sys.modules.get("torch._dynamo.eval_frame"), "OptimizedModule", ())
        if isinstance(module, compiled):
            module = module._orig_mod
            notes.append("torch.compile unwrapped: the network inside is looked at")
        elif type(module).__name__ in ("DataParallel", "DistributedDataParallel") and isinstance(
            getattr(module, "module", None), nn.Module
        ):
            notes.append(f"{type(module).__name__} unwrapped: the network inside is looked at")
            module = module.module  # type: ignore[assignment]
        else:
            return module, tuple(notes)


def describe_input(module: nn.Module) -> tuple[Preprocessing, tuple[str, ...], tuple[str, ...]]:
    """Preprocessing, categories and notes for a network that came without any of them."""
    config: Any = getattr(module, "pretrained_cfg", None)
    if isinstance(config, dict) and "input_size" in config and type(module).__module__.startswith("timm."):
        from convscope.models.timm_models import timm_categories, timm_preprocessing

        return timm_preprocessing(config), timm_categories(config), ()
    channels = next(
        (m.in_channels for m in module.modules() if isinstance(m, nn.Conv1d | nn.Conv2d | nn.Conv3d)), 3
    )
    if channels == 1:
        steps = Preprocessing(mean=(0.5,), std=(0.5,), channels=1)
        return steps, (), (f"preprocessing assumed: {steps.describe()}",)
    steps = Preprocessing()
    notes = [f"preprocessing assumed: {steps.describe()}"]
    if channels != 3:
        notes.append(
            f"the first convolution takes {channels} channels: give it a prepared tensor, not a photo"
        )
    return steps, (), tuple(notes)
