"""Kept values and the memory they share: copied only where something is about to write."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from convscope.tracing.derive import Derived
from convscope.tracing.events import Kept, Layout
from convscope.tracing.guard import ModelGuard


class Memory:
    """Which kept values live where, during one pass.

    ``foreign`` is memory that others own and may write into after the pass (inputs, tensors
    made elsewhere); ``leaked`` memory has been handed out, so that writes there go unseen.
    """

    def __init__(self, guard: ModelGuard, *, careful: bool) -> None:
        self.guard = guard
        self.careful = careful
        self.foreign: set[int] = set()
        self.leaked: set[int] = set()
        self._guarded: dict[int, list[Kept]] = {}
        self._overwritten = 0

    def keep(self, values: list[Kept | Derived | None], output: int, tensor: Tensor) -> None:
        """Keep ``tensor`` as it is now, in ``values[output]``."""
        while len(values) <= output:
            values.append(None)
        storage = storage_of(tensor)
        if not storage or self.careful or storage in self.leaked:
            values[output] = Kept(tensor.detach().clone(), 0, alias=False)
            return
        kept = Kept(tensor.detach(), version_of(tensor), alias=True)
        values[output] = kept
        guarded = self._guarded.get(storage)
        if guarded is None:
            self._guarded[storage] = [kept]
        else:
            guarded.append(kept)

    def before_write(self, tensors: Sequence[Tensor]) -> None:
        """Copy every kept value, parameter and buffer that lives where ``tensors`` live."""
        for tensor in tensors:
            storage = storage_of(tensor)
            self.guard.before_write(storage)
            for kept in self._guarded.pop(storage, ()):
                self._overwritten += version_of(kept.tensor) != kept.version
                kept.copy()

    def leak(self, tensor: Tensor) -> None:
        """The memory of ``tensor`` is handed out: nothing kept may live there from now on."""
        self.before_write([tensor])
        self.leaked.add(storage_of(tensor))

    def stale(self) -> int:
        """How many kept values live in memory that was written unseen: 0 unless a function hides it."""
        unseen = sum(version_of(k.tensor) != k.version for kept in self._guarded.values() for k in kept)
        return self._overwritten + unseen

    def let_go(self, outputs: Iterable[Tensor]) -> None:
        """Copy the kept values that live in memory of others, who may write there after the pass.

        Such are the inputs, the output, the weights, tensors made elsewhere, and what the model
        keeps for itself.
        """
        if not self._guarded:
            return
        owners = {storage_of(tensor) for tensor in outputs} | self.guard.owned() | self.foreign
        for storage in owners & self._guarded.keys():
            for kept in self._guarded.pop(storage):
                kept.copy()


def storage_of(tensor: Tensor) -> int:
    """Where the memory of a tensor begins; 0 where it has no single piece of it (sparse)."""
    return tensor.untyped_storage().data_ptr() if tensor.layout is torch.strided else 0


def version_of(tensor: Tensor) -> int:
    """How often the memory of a tensor was written into, as far as torch counts."""
    return 0 if tensor.is_inference() else tensor._version


def layout_of(tensor: Tensor) -> Layout:
    """Where a tensor lies in its memory."""
    return tensor.storage_offset(), tensor.stride()


def overlap(a: Tensor, b: Tensor) -> bool:
    """Whether the stretches of memory from first to last element of two tensors meet."""
    (a_first, a_last), (b_first, b_last) = _stretch(a), _stretch(b)
    return a_first <= b_last and b_first <= a_last


def _stretch(tensor: Tensor) -> tuple[int, int]:
    if not tensor.numel():
        return (1, 0)
    pairs: Iterable[tuple[Any, Any]] = zip(tensor.shape, tensor.stride(), strict=True)
    length = sum((n - 1) * s for n, s in pairs) + 1
    return tensor.data_ptr(), tensor.data_ptr() + int(length) * tensor.element_size() - 1
