"""Whether parameters are still what they were when a trace was made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

Mark = tuple[int, int]


def mark(tensor: Tensor) -> Mark:
    """What changes when a tensor is written into or replaced: its memory and its version."""
    version = 0 if tensor.is_inference() else tensor._version
    return (tensor.data_ptr() if tensor.layout is torch.strided else 0), version


def mark_parameters(model: nn.Module) -> dict[str, Mark]:
    """A mark of every parameter and buffer, to be kept with a trace.

    Examples
    --------
    >>> import torch
    >>> net = torch.nn.Linear(2, 1)
    >>> before = mark_parameters(net)
    >>> with torch.no_grad():
    ...     _ = net.weight.mul_(2)
    >>> changed_parameters(net, before)
    ('weight',)
    """
    tensors = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    return {name: mark(tensor) for name, tensor in tensors}


def changed_parameters(
    model: nn.Module, marks: Mapping[str, Mark], names: Iterable[str] | None = None
) -> tuple[str, ...]:
    """Names of the parameters (of ``names``, or of all) that are not as they were when marked."""
    now = mark_parameters(model)
    wanted = marks if names is None else [n for n in names if n in marks]
    return tuple(name for name in wanted if now.get(name) != marks[name])
