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
from convscope.tracing.copies import Copies
from convscope.tracing.events import Event, Kept, Slot
from convscope.tracing.guard import ModelGuard

# Comparing, clamping and rounding once give the same bits by the rules of floating point, batch
# norm by how it is written: that is held against a witness.
_WITNESSED = frozenset({"batch_norm"})
# Each witness is a cell of its own in memory, so that many would cost more than the op itself.
_WITNESSES = 16
_FLOATS = frozenset({torch.float32, torch.float64, torch.bfloat16, torch.float16})


class Derived:
    """A value computed again when first asked for, from what was kept of its inputs."""

    __slots__ = (
        "_args", "_copies", "_inputs", "_kind", "_kwargs", "_tensor", "_witness", "alias", "name", "version",
    )  # fmt: skip

    def __init__(
        self, event: Event, inputs: Sequence[Kept | Derived], copies: Copies, witness: Tensor | None
    ) -> None:
        # Not the event itself: it holds this value, and a circle would outlive the trace.
        self._kind, self.name = event.kind, event.name
        self._args, self._kwargs = event.args, event.kwargs
        self._inputs = inputs
        self._copies = copies
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
                f"a recorded value was written into, so that `{self.name}`, which is computed from it when "
                "asked for, is lost",
                hint="Clone a value before changing it: trace[...].value.clone().",
            )
        # Wherever it is first asked for, it must be a tensor that can be used anywhere.
        plain = torch.inference_mode(False)
        with plain, torch.no_grad(), torch._C.DisableTorchFunction():
            again = _FUNCTIONS[self._kind](self._args, self._kwargs, self._copies)
            found = again(*(v.tensor for v in self._inputs))
            right = self._witness is None or _same(witness(found), self._witness)
        if not right:
            raise TraceError(
                f"`{self.name}` could not be computed again exactly as the network computed it",
                hint="Was a value of the trace written into? Clone it first: trace[...].value.clone().",
            )
        self._tensor = found
        self.version = 0 if found.is_inference() else found._version


def witness(tensor: Tensor) -> Tensor:
    """Some cells of a value, spread over its channels, from the middle of the maps."""
    if tensor.ndim == 4:
        _, channels, rows, columns = tensor.shape
        _, by_channel, by_row, by_column = tensor.stride()
        step = channels // _WITNESSES or 1
        middle = tensor.storage_offset() + rows // 2 * by_row + columns // 2 * by_column
        return tensor.as_strided((-(-channels // step),), (step * by_channel,), middle).clone()
    for axis in range(tensor.ndim - 1, 1, -1):
        tensor = tensor.select(axis, tensor.shape[axis] // 2)
    return tensor.clone()


def _same(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and bool(((a == b) | (a.isnan() & b.isnan())).all())


def derive(event: Event, tensor: Tensor, guard: ModelGuard) -> Derived | None:
    """A way to compute an event's output again, or ``None`` where it must be kept.

    Only what must be known now is looked at now; the rest waits until the value is asked for.
    """
    inputs_of = _INPUTS.get(event.kind)
    if inputs_of is None or not tensor.is_cpu or tensor.dtype not in _FLOATS or not tensor.numel():
        return None
    if torch.is_autocast_enabled("cpu") or tensor.layout is not torch.strided:
        return None
    slots = inputs_of(event.args, event.kwargs, guard)
    if slots is None or slots[0].shape != tensor.shape:
        return None
    inputs = []
    for slot in slots:
        source = slot.event
        stored = source.values[slot.output] if source and slot.output < len(source.values) else None
        if source is None or stored is None or source.outputs[slot.output][1] != tensor.dtype:
            return None
        inputs.append(stored)
    return Derived(event, inputs, guard.copies, witness(tensor) if event.kind in _WITNESSED else None)


_Args = tuple[Any, ...]
_Kwargs = dict[str, Any]
_Again = Callable[..., Tensor]
_NUMBERS = ("running_mean", "running_var", "weight", "bias")


def _argument(args: _Args, kwargs: _Kwargs, position: int, name: str, default: Any = None) -> Any:
    return args[position] if len(args) > position else kwargs.get(name, default)


def _one_input(args: _Args, kwargs: _Kwargs, guard: ModelGuard) -> list[Slot] | None:
    slot = _argument(args, kwargs, 0, "input")
    return [slot] if isinstance(slot, Slot) and "out" not in kwargs else None


def _two_inputs(args: _Args, kwargs: _Kwargs, guard: ModelGuard) -> list[Slot] | None:
    if len(args) != 2 or kwargs or not isinstance(args[0], Slot) or not isinstance(args[1], Slot):
        return None
    return [args[0], args[1]] if args[0].shape == args[1].shape else None


def _normalized(args: _Args, kwargs: _Kwargs, guard: ModelGuard) -> list[Slot] | None:
    if _argument(args, kwargs, 5, "training", False):
        return None
    given = [*args[1:5], *(kwargs[name] for name in _NUMBERS[max(0, len(args) - 1) :] if name in kwargs)]
    if len(given) < 2 or given[0] is None or given[1] is None:
        return None
    for number in given:
        if number is not None and not (isinstance(number, Slot) and guard.has_copy(number.parameter)):
            return None
    return _one_input(args, kwargs, guard)


def _relu(args: _Args, kwargs: _Kwargs, copies: Copies) -> _Again:
    return torch.relu


def _relu6(args: _Args, kwargs: _Kwargs, copies: Copies) -> _Again:
    return F.relu6


def _hardtanh(args: _Args, kwargs: _Kwargs, copies: Copies) -> _Again:
    low, high = _argument(args, kwargs, 1, "min_val", -1.0), _argument(args, kwargs, 2, "max_val", 1.0)
    return lambda x: F.hardtanh(x, low, high)


def _add(args: _Args, kwargs: _Kwargs, copies: Copies) -> _Again:
    return torch.add


def _batch_norm(args: _Args, kwargs: _Kwargs, copies: Copies) -> _Again:
    numbers = []
    for place, name in enumerate(_NUMBERS, 1):
        slot = _argument(args, kwargs, place, name)
        numbers.append(None if slot is None else copies.named(slot.parameter))
    mean, variance, weight, bias = numbers
    eps = _argument(args, kwargs, 7, "eps", 1e-5)
    return lambda x: F.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps)


_INPUTS: dict[str, Callable[[_Args, _Kwargs, ModelGuard], list[Slot] | None]] = {
    "add": _two_inputs,
    "batch_norm": _normalized,
    "hardtanh": _one_input,
    "relu": _one_input,
    "relu6": _one_input,
}
_FUNCTIONS: dict[str, Callable[[_Args, _Kwargs, Copies], _Again]] = {
    "add": _add,
    "batch_norm": _batch_norm,
    "hardtanh": _hardtanh,
    "relu": _relu,
    "relu6": _relu6,
}
