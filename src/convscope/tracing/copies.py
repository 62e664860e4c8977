"""Copies of many small tensors in one go: one piece of memory for each kind of number."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor


class Copies:
    """Values of small tensors (buffers, biases, the numbers of batch norm) as they were at one moment.

    A copy each would cost more than the copying: they are laid end to end, one flat tensor
    for each dtype and device, and cut out again when asked for.

    Examples
    --------
    >>> import torch
    >>> scale = torch.ones(2)
    >>> copies = Copies([scale, torch.zeros(3)])
    >>> _ = scale.mul_(5)
    >>> copies.get(scale)
    tensor([1., 1.])
    """

    def __init__(self, tensors: list[Tensor], names: list[str] | None = None) -> None:
        self._keys = dict(zip(names, map(id, tensors), strict=True)) if names else {}
        groups: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
        self._single: dict[int, Tensor] = {}
        self._places: dict[int, tuple[Tensor, int, torch.Size]] = {}
        for tensor in tensors:
            if tensor.layout is torch.strided:
                groups.setdefault((tensor.dtype, tensor.device), []).append(tensor)
            else:
                self._single[id(tensor)] = tensor.detach().clone()
        with torch.no_grad():
            for members in groups.values():
                flat = torch._C._nn.flatten_dense_tensors(members) if len(members) > 1 else None
                if flat is None:
                    self._single[id(members[0])] = members[0].detach().clone()
                    continue
                start = 0
                for tensor in members:
                    shape = tensor.shape
                    self._places[id(tensor)] = (flat, start, shape)
                    start += prod(shape)

    def __contains__(self, tensor: Tensor) -> bool:
        return id(tensor) in self._places or id(tensor) in self._single

    def get(self, tensor: Tensor) -> Tensor:
        """The values ``tensor`` had."""
        return self.at(id(tensor))

    def has_name(self, name: str | None) -> bool:
        """Whether there is a copy under this name."""
        return name in self._keys

    def named(self, name: str) -> Tensor:
        """The values of the tensor called ``name``."""
        return self.at(self._keys[name])

    def at(self, key: int) -> Tensor:
        """The values of the tensor whose ``id`` is ``key``."""
        if key in self._single:
            return self._single[key]
        flat, start, shape = self._places[key]
        return flat[start : start + prod(shape)].view(shape)
