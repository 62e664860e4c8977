"""Runs recorded calls again where their inputs changed; everything else is taken from the recording.

Every output of every recorded call is one value that never changes afterwards: a function
that writes in place is given copies of what it overwrites, and tensors that share the
written memory are joined with it again from where they lay in it. So a rerun never writes
into a recorded value, nor into the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from convscope.errors import TraceError
from convscope.explain.edits import Change
from convscope.tracing import Trace
from convscope.tracing.changes import mark
from convscope.tracing.events import Event, Slot
from convscope.tracing.guard import ModelGuard
from convscope.tracing.plan import tensors_in

Place = tuple[int, int]
# What they compute does not depend on the running statistics they update.
_KEEPS_STATISTICS = frozenset(["batch_norm", "instance_norm"])
_RANDOM = frozenset(
    ["bernoulli", "multinomial", "normal", "poisson", "rand_like", "randn_like", "randint_like", "uniform",
     "random", "exponential", "gumbel_softmax", "cauchy", "log_normal", "geometric", "native_dropout"]
)  # fmt: skip


class CannotReplay(Exception):
    """The recording does not say enough to run this again; never leaves this room."""


class Engine:
    """One rerun of ``trace`` with ``changes`` made to the values at their places.

    After :meth:`run`, ``values`` holds every value that was computed again, by
    ``(event, output)``, and ``called`` the events that were called.
    """

    def __init__(self, trace: Trace, changes: Mapping[Place, Change]) -> None:
        self.trace = trace
        self.changes = changes
        self.values: dict[Place, Tensor] = {}
        self.called: list[int] = []
        self._recording = trace._recording
        module = trace.model.module
        self._parameters: dict[str, Tensor] = {
            **dict(module.named_parameters(remove_duplicate=False)),
            **dict(module.named_buffers(remove_duplicate=False)),
        }
        if torch.is_grad_enabled():  # gradients are asked of values, not of parameters
            self._parameters = {name: tensor.detach() for name, tensor in self._parameters.items()}
        self._parameter_ids = {id(tensor) for tensor in self._parameters.values()}
        self._detached = False

    def run(self) -> None:
        """Call what must be called, in the recorded order.

        Raises
        ------
        CannotReplay
            If an op cannot be called again from the recording.
        TraceError
            If parameters were changed since the trace was made.
        """
        if not self.changes:
            return
        first = min(index for index, _ in self.changes)
        if any(index > first for index in self._recording.loose):
            raise CannotReplay("the model uses tensors of unknown origin (compiled or foreign code)")
        changed = {index for index, _ in self.changes}
        for event in self._recording.events[first:]:
            if event.kind == "unseen" and event.index > first and not event.args:
                raise CannotReplay(f"`{event.name}` was made by code the recorder cannot see into")
            if any(self._is_changed(slot) for slot in slots_of(event)):
                self._call(event)
            if event.index in changed:
                self._change(event)
        read = self._recording.reads & self.values.keys()
        if read:
            name = self._recording.events[min(read)[0]].name
            raise CannotReplay(f"the model reads values of `{name}` in plain Python")

    def value(self, place: Place) -> Tensor:
        """A value as it is in this rerun."""
        found = self.values.get(place)
        if found is not None:
            return found
        event = self._recording.events[place[0]]
        stored = event.values[place[1]] if place[1] < len(event.values) else None
        if stored is None:
            raise CannotReplay(f"the value of `{event.name}` was not kept")
        return _usable(stored.tensor)

    def output(self) -> Any:
        """What the model returns in this rerun: the recorded nest with its changed tensors exchanged."""
        root = self._recording.calls[0] if self._recording.calls else None
        if self._recording.output is None or root is None:
            return self._recording.output
        places = [(event.index, number) for event, number in root.outputs]
        if not any(place in self.values for place in places):
            return self._recording.output
        tensors = list(tensors_in(self._recording.output))
        if root.path or len(tensors) != len(places):
            raise CannotReplay("the model's output cannot be put together again")
        fresh = iter([self.values.get(p, t) for p, t in zip(places, tensors, strict=True)])
        return exchange(self._recording.output, fresh)

    # -- one event -------------------------------------------------------------------------

    def _is_changed(self, slot: Slot) -> bool:
        return slot.event is not None and (slot.event.index, slot.output) in self.values

    def _call(self, event: Event) -> None:
        if event.kind in _RANDOM or (event.kind.endswith("dropout") and _training(event)):
            raise CannotReplay(f"`{event.name}` draws random numbers")
        originals = (self._rebuilt(event, event.args), self._rebuilt(event, event.kwargs))
        args, kwargs = originals
        written: list[Tensor] = []
        if event.plan.overwrites is not None:
            written = event.plan.overwrites(args, kwargs)
        outside = [id(t) not in self._parameter_ids for t in written]
        if written:
            copies = {id(t): t.clone() for t in written}
            args, kwargs = _with(args, copies), _with(kwargs, copies)
            written = [copies[id(t)] for t in written]
        outputs = self._outputs(event, args, kwargs)
        for tensor, ours in zip(written, outside, strict=True):
            if ours and not any(tensor is o for o in outputs):
                outputs.append(tensor)
        if event.extra:
            if len(written) != 1:
                raise CannotReplay(f"`{event.name}` writes into memory that others share")
            self._check_memory(event, event.extra)
            pre = [self.value((s.event.index, s.output)) for s in event.extra if s.event is not None]
            joined = _join(event, written[0], pre)
            outputs = [joined[0] if o is written[0] else o for o in outputs] + joined[1:]
        if [(tuple(o.shape), o.dtype) for o in outputs] != [(tuple(s), d) for s, d in event.outputs]:
            raise CannotReplay(f"`{event.name}` gives other shapes when called again")
        for number, tensor in enumerate(outputs):
            self.values[event.index, number] = tensor
        self.called.append(event.index)

    def _outputs(self, event: Event, args: Any, kwargs: Any) -> list[Tensor]:
        module = event.module
        if event.function is not None:
            call = event.function
        elif event.kind not in {"unseen", "input", "replace"} and module is not None:
            if module._forward_hooks or module._forward_pre_hooks:
                raise CannotReplay(f"`{event.name}` has hooks of its own")
            call = module
        else:
            raise CannotReplay(f"`{event.name}` was made by code the recorder cannot see into")
        try:
            if event.function is None:
                # A watched model would run another kernel; it was not watched when recorded.
                with ModelGuard(module), torch._C.DisableTorchFunction():
                    result = call(*args, **kwargs)
            else:
                result = call(*args, **kwargs)
        except Exception as error:
            text = " ".join(str(error).split())[:200]
            raise CannotReplay(f"`{event.name}` could not be called again ({text})") from error
        return [result] if isinstance(result, Tensor) else list(tensors_in(result))

    def _change(self, event: Event) -> None:
        for place, change in self.changes.items():
            if place[0] != event.index:
                continue
            before = self.value(place)
            self.values[place] = after = change(before)
            if not self._in_place(event, place[1]):
                self._detached = True
            elif event.extra:
                # The op wrote into memory that others share, and so does the edit.
                start = len(event.outputs) - len(event.extra)
                numbers = range(start, len(event.outputs))
                joined = _join(event, after, [self.value((event.index, n)) for n in numbers])
                for number, tensor in zip((place[1], *numbers), joined, strict=True):
                    self.values[event.index, number] = tensor

    def _in_place(self, event: Event, output: int) -> bool:
        if event.plan.overwrites is None or event.function is None or output:
            return False
        args, kwargs = self._rebuilt(event, event.args), self._rebuilt(event, event.kwargs)
        written = event.plan.overwrites(args, kwargs)
        return bool(written) and all(id(t) not in self._parameter_ids for t in written)

    def _check_memory(self, event: Event, pre: Sequence[Slot]) -> None:
        """An edited value lies in memory of its own, so writes through it end at what is made of it."""
        written = next(slots_of(event), None)
        sharing = [slot for slot in (written, *pre) if slot is not None and slot.event is not None]
        if self._detached and len({self._is_changed(slot) for slot in sharing}) > 1:
            raise CannotReplay(f"`{event.name}` writes into memory that edited and other values shared")

    # -- arguments -------------------------------------------------------------------------

    def _rebuilt(self, event: Event, value: Any) -> Any:
        if isinstance(value, Slot):
            return self._argument(event, value)
        if isinstance(value, (tuple, list)):
            return type(value)([self._rebuilt(event, item) for item in value])
        if isinstance(value, dict):
            return {key: self._rebuilt(event, item) for key, item in value.items()}
        return value

    def _argument(self, event: Event, slot: Slot) -> Tensor:
        if slot.event is not None:
            return self.value((slot.event.index, slot.output))
        if slot.constant is not None:
            return _usable(slot.constant.tensor)
        assert slot.parameter is not None
        name = slot.parameter
        if name in self._recording.overwritten and event.kind not in _KEEPS_STATISTICS:
            raise CannotReplay(f"`{name}` is written during the pass")
        tensor = self._parameters.get(name)
        if tensor is None or mark(tensor) != self._recording.marks.get(name):
            raise TraceError(
                f"`{name}` has changed since the trace was made, so nothing can be rerun from it",
                hint="Trace the model again.",
            )
        return _usable(tensor)


def slots_of(event: Event) -> Iterator[Slot]:
    """Every slot among what went into an event."""
    waiting: list[Any] = [event.extra, event.kwargs, event.args]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Slot):
            yield value
        elif isinstance(value, (tuple, list)):
            waiting.extend(reversed(value))
        elif isinstance(value, dict):
            waiting.extend(reversed(value.values()))


def _usable(tensor: Tensor) -> Tensor:
    """The tensor itself, or a copy that autograd may save where it was made in inference mode."""
    return tensor.clone() if tensor.is_inference() and torch.is_grad_enabled() else tensor


def _with(value: Any, copies: Mapping[int, Tensor]) -> Any:
    if isinstance(value, Tensor):
        return copies.get(id(value), value)
    if isinstance(value, (tuple, list)):
        return type(value)([_with(item, copies) for item in value])
    if isinstance(value, dict):
        return {key: _with(item, copies) for key, item in value.items()}
    return value


def _training(event: Event) -> bool:
    training = event.kwargs.get("training", event.args[2] if len(event.args) > 2 else True)
    return bool(training) or event.kwargs.get("train", False)


def _join(event: Event, written: Tensor, others: list[Tensor]) -> list[Tensor]:
    """``written``, then each of the ``others`` that share its memory, as they are after the write."""
    joined: list[Tensor] = []
    for slot, other in zip(event.extra, others, strict=True):
        if slot.layouts is None or other.dtype != written.dtype:
            raise CannotReplay(f"`{event.name}` writes into memory that others share")
        (offset, strides), (other_offset, other_strides) = slot.layouts
        base = min(offset, other_offset)
        needed = max(
            offset + _span(written.shape, strides), other_offset + _span(tuple(other.shape), other_strides)
        )
        if len(strides) != written.ndim or len(other_strides) != other.ndim:
            raise CannotReplay(f"`{event.name}` gives memory another shape")
        memory = written.new_zeros(needed - base)
        there = (other.shape, other_strides, other_offset - base)
        here = (written.shape, strides, offset - base)
        # Each view is taken anew after a write, as autograd would have it.
        memory.as_strided(*there).copy_(other)
        memory.as_strided(*here).copy_(written)
        if not joined:
            joined.append(memory.as_strided(*here))
        joined.append(memory.as_strided(*there))
    return joined


def _span(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    return sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) + 1 if all(shape) else 0


def exchange(nest: Any, fresh: Iterator[Tensor]) -> Any:
    """A copy of a nest of tensors, with its tensors exchanged in order.

    Raises
    ------
    CannotReplay
        If the nest holds something else than tuples, lists, dicts and dataclasses.
    """
    if isinstance(nest, Tensor):
        return next(fresh)
    if isinstance(nest, dict):
        items = {key: exchange(item, fresh) for key, item in nest.items()}
        return items if type(nest) is dict else _same_type(nest, lambda: type(nest)(items))
    if isinstance(nest, tuple) and hasattr(nest, "_fields"):
        return type(nest)(*[exchange(item, fresh) for item in nest])
    if type(nest) in (tuple, list):
        return type(nest)([exchange(item, fresh) for item in nest])
    if hasattr(nest, "__dataclass_fields__"):
        fields = {key: exchange(getattr(nest, key), fresh) for key in nest.__dataclass_fields__}
        return _same_type(nest, lambda: type(nest)(**fields))
    if next(tensors_in(nest), None) is not None:
        raise CannotReplay(f"the model returns a {type(nest).__name__}")
    return nest


def _same_type(nest: Any, make: Callable[[], Any]) -> Any:
    try:
        return make()
    except Exception as error:
        raise CannotReplay(f"the model returns a {type(nest).__name__}") from error
