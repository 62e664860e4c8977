"""Values that need not be stored, because they can be computed again bit for bit.

Most of what tracing costs is fresh memory for values that stay alive. Batch norm in eval
mode, ReLU, clamping and plain additions give the very same bits whenever they are run on the
same bits: each element is rounded once, or (batch norm) by one fixed loop for each channel.
So their inputs are enough, and an in-place ReLU or ``+=`` needs no copy. What they were
computed from is kept, the learned numbers of batch norm are copied, and for batch norm a
witness, some cells as the network computed them, is held against the result: a value that
does not match its witness is not shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from convscope.errors import TraceError
from convscope.tracing.events import Event, Kept, Slot

Lookup = Callable[[str], Callable[[], Tensor] | None]
# Comparing, clamping and rounding once give the same bits by the rules of floating point, batch
# norm by how it is written: that is held against a witness.
_WITNESSED = frozenset({"batch_norm"})
# Each witness is a cell of its own in memory, so that many would cost more than the op itself.
_WITNESSES = 16
_FLOATS = frozenset({torch.float32, torch.float64, torch.bfloat16, torch.float16})


class Derived:
    """A value computed again when first asked for, from what was kept of its inputs."""

    __slots__ = ("_function", "_inputs", "_name", "_tensor", "_witness", "alias", "version")

    def __init__(
        self,
        name: str,
        function: Callable[..., Tensor],
        inputs: Sequence[Kept | Derived],
        witness: Tensor | None,
    ) -> None:
        self._name = name
        self._function = function
        self._inputs = tuple(inputs)
        self._witness = witness
        self._tensor: Tensor | None = None
        self.alias = False
        self.version = 0

    @property
    def tensor(self) -> Tensor:
        """The value, of the very bits the network computed."""
        if self._tensor is None:
            # Residual stages chain additions: walk the chain rather than recurse along it.
            waiting: list[Derived] = [self]
            while waiting:
                value = waiting[-1]
                missing = [v for v in value._inputs if isinstance(v, Derived) and v._tensor is None]
                if missing:
                    waiting.extend(missing)
                else:
                    value._compute()
                    waiting.pop()
        assert self._tensor is not None
        return self._tensor

    @property
    def untouched(self) -> bool:
        """Whether nobody has written into the value since it was computed, as far as torch counts."""
        return self.tensor.is_inference() or self.tensor._version == self.version

    def _compute(self) -> None:
        if self._tensor is not None:
            return
        if not all(v.untouched for v in self._inputs):
            raise TraceError(
                f"a recorded value was written into, so that `{self._name}`, which is computed from it when "
                "asked for, is lost",
                hint="Clone a value before changing it: trace[...].value.clone().",
            )
        # Wherever it is first asked for, it must be a tensor that can be used anywhere.
        plain = torch.inference_mode(False)
        with plain, torch.no_grad(), torch._C.DisableTorchFunction():
            found = self._function(*(v.tensor for v in self._inputs))
            right = self._witness is None or _same(witness(found), self._witness)
        if not right:
            raise TraceError(
                f"`{self._name}` could not be computed again exactly as the network computed it",
                hint="Was a value of the trace written into? Clone it first: trace[...].value.clone().",
            )
        self._tensor = found
        self.version = 0 if found.is_inference() else found._version


def witness(tensor: Tensor) -> Tensor:
    """Some cells of a value, spread over its channels, from the middle of the maps."""
    if tensor.ndim == 4:
        channels = tensor.shape[1]
        step = channels // _WITNESSES or 1
        return tensor[0, ::step, tensor.shape[2] // 2, tensor.shape[3] // 2].clone()
    for axis in range(tensor.ndim - 1, 1, -1):
        tensor = tensor.select(axis, tensor.shape[axis] // 2)
    return tensor.clone()


def _same(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and bool(((a == b) | (a.isnan() & b.isnan())).all())


def derive(event: Event, tensor: Tensor, parameter: Lookup) -> Derived | None:
    """A way to compute an event's output again, or ``None`` where it must be kept.

    ``parameter`` gives a way to a copy of a parameter or buffer by name, if there is one.
    """
    rule = _RULES.get(event.kind)
    if rule is None or not tensor.is_cpu or tensor.dtype not in _FLOATS or not tensor.numel():
        return None
    if torch.is_autocast_enabled("cpu") or tensor.layout is not torch.strided:
        return None
    found = rule(event, parameter)
    if found is None:
        return None
    function, slots = found
    inputs = []
    for slot in slots:
        stored = _stored(slot)
        if stored is None or slot.event is None or slot.event.outputs[slot.output][1] != tensor.dtype:
            return None
        inputs.append(stored)
    if slots[0].shape != tensor.shape:
        return None
    return Derived(event.name, function, inputs, witness(tensor) if event.kind in _WITNESSED else None)


def _stored(slot: Slot) -> Kept | Derived | None:
    if slot.event is None or slot.output >= len(slot.event.values):
        return None
    return slot.event.values[slot.output]


_Found = tuple[Callable[..., Tensor], list[Slot]] | None


def _argument(event: Event, position: int, name: str, default: Any = None) -> Any:
    if name in event.kwargs:
        return event.kwargs[name]
    return event.args[position] if len(event.args) > position else default


def _one(event: Event) -> Slot | None:
    slot = _argument(event, 0, "input")
    return slot if isinstance(slot, Slot) else None


def _relu(event: Event, parameter: Lookup) -> _Found:
    slot = _one(event)
    return (torch.relu, [slot]) if slot is not None and "out" not in event.kwargs else None


def _relu6(event: Event, parameter: Lookup) -> _Found:
    slot = _one(event)
    return (F.relu6, [slot]) if slot is not None else None


def _hardtanh(event: Event, parameter: Lookup) -> _Found:
    slot, low, high = _one(event), _argument(event, 1, "min_val", -1.0), _argument(event, 2, "max_val", 1.0)
    return (lambda x: F.hardtanh(x, low, high), [slot]) if slot is not None else None


def _add(event: Event, parameter: Lookup) -> _Found:
    left, right = _argument(event, 0, "input"), _argument(event, 1, "other")
    plain = len(event.args) == 2 and not event.kwargs
    if plain and isinstance(left, Slot) and isinstance(right, Slot) and left.shape == right.shape:
        return torch.add, [left, right]
    return None


def _batch_norm(event: Event, parameter: Lookup) -> _Found:
    slot = _one(event)
    names = ("running_mean", "running_var", "weight", "bias")
    given = [_argument(event, i + 1, name) for i, name in enumerate(names)]
    if slot is None or _argument(event, 5, "training", False):
        return None
    numbers: list[Callable[[], Tensor] | None] = []
    for value in given:
        copy = parameter(value.parameter) if isinstance(value, Slot) and value.parameter is not None else None
        if value is not None and copy is None:
            return None
        numbers.append(copy)
    if numbers[0] is None or numbers[1] is None:
        return None
    eps = _argument(event, 7, "eps", 1e-5)

    def again(x: Tensor) -> Tensor:
        mean, variance, weight, bias = (number() if number is not None else None for number in numbers)
        return F.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps)

    return again, [slot]


_RULES: dict[str, Callable[[Event, Lookup], _Found]] = {
    "add": _add,
    "batch_norm": _batch_norm,
    "hardtanh": _hardtanh,
    "relu": _relu,
    "relu6": _relu6,
}
