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
    wanted = marks if names is None else [n for n in names if n in marks]
    now = {name: find_tensor(model, name) for name in wanted}
    return tuple(n for n, tensor in now.items() if tensor is None or mark(tensor) != marks[n])


def find_tensor(model: nn.Module, name: str) -> Tensor | None:
    """A parameter or buffer by its qualified name, whichever of its names that is; ``None`` if none.

    Examples
    --------
    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 1))
    >>> find_tensor(net, "0.weight") is net[0].weight, find_tensor(net, "1.weight")
    (True, None)
    """
    *path, leaf = name.split(".")
    module: nn.Module | None = model
    for part in path:
        module = module._modules.get(part) if module is not None else None
    if module is None:
        return None
    found = module._parameters.get(leaf)
    return found if found is not None else module._buffers.get(leaf)
