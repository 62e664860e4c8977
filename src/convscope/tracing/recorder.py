"""Records one forward pass, op by op, as it really happens.

Two things are watched: a ``TorchFunctionMode`` sees every torch function called (by modules
and by plain code alike), and forward hooks on the modules say where in the model it was
called. Edges come from the identity of tensors. A kept value is an alias of the live tensor;
only where something is about to write into its memory is it copied (see ``memory.py``), or
it is computed again from what it was computed from (see ``derive.py``), so that recording
costs little and shows nothing stale. Version counters prove the latter afterwards.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from threading import get_ident
from time import perf_counter
from typing import Any, cast
from weakref import ref

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode

from convscope.errors import TraceError
from convscope.tracing.derive import Derived, derive
from convscope.tracing.events import Call, Event, Kept, Slot
from convscope.tracing.guard import ModelGuard
from convscope.tracing.labels import Labels
from convscope.tracing.memory import Memory, layout_of, overlap, storage_of
from convscope.tracing.observers import Keep, Observer
from convscope.tracing.plan import KEEP_IF_UNCHANGED, Plan, make_plan, tensors_in

# With a mode active these would take another path through the code than they take unwatched
# (`has_torch_function` rules their fused kernel out), so they are run unwatched, as one op.
_OPAQUE = (nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerEncoder)
# A living tensor, the event and output it comes from, and how arguments refer to it.
_Source = tuple[ref[Tensor], Event, int, Slot]
_plans: dict[Any, Plan] = {}
_NUMBERS = frozenset({int, float, bool, str, type(None)})


class StopForward(BaseException):
    """Unwinds a forward pass of which nothing more is needed; never leaves this room."""


class Recorder(TorchFunctionMode):
    """Watches a model's forward pass; see :func:`record` for the way in."""

    def __init__(
        self, model: nn.Module, observers: Sequence[Observer], guard: ModelGuard, *, careful: bool = False
    ) -> None:
        super().__init__()
        self.model = model
        self.observers = list(observers)
        self.guard = guard
        # Names are wanted during the pass only by those who choose by name; else they wait until after it.
        self._named = any(o.wants_names for o in self.observers)
        self._only_keep = len(self.observers) == 1 and type(self.observers[0]) is Keep and not self._named
        self._watching_calls = [o for o in self.observers if o.watches_calls]
        self._stoppers = [o for o in self.observers if type(o).done is not Observer.done]
        self.memory = Memory(guard, careful=careful)
        self.events: list[Event] = []
        self.calls: list[Call] = []
        self._stack: list[Call] = []
        self._sources: dict[int, _Source] = {}
        self._living: dict[int, list[int]] = {}
        self._paths = {id(m): path for path, m in guard.modules}
        self._labels = Labels(self._paths.values())
        self._parameters = guard.tensors
        self._thread = get_ident()
        self._handles: list[Any] = []
        self._hooked: set[int] = set()
        self._opaque: set[int] = set()
        self._parameter_slots: dict[int, Slot] = {}
        self.failed_in = ""
        self.reads: set[tuple[int, int]] = set()
        self.loose: list[int] = []

    # -- around the pass ---------------------------------------------------------------

    def __enter__(self) -> Recorder:
        # Global hooks run before a module's own, which may still change its output: there
        # only a hook of the module itself, registered last, sees what the module returns.
        self._handles.append(register_module_forward_pre_hook(self._before_module))
        self._handles.append(register_module_forward_hook(self._after_unhooked, always_call=True))
        for _, module in self.guard.modules:
            if isinstance(module, _OPAQUE):
                handle = module.register_forward_hook(self._after_opaque, always_call=True, with_kwargs=True)
                self._handles.append(handle)
                self._hooked.add(id(module))
                self._opaque.add(id(module))
            elif module._forward_hooks:
                self._handles.append(module.register_forward_hook(self._after_module, always_call=True))
                self._hooked.add(id(module))
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        while self._stack:
            self._leave_opaque(self._stack.pop())
        for handle in self._handles:
            handle.remove()

    def add_input(self, name: str, tensor: Tensor) -> None:
        """Record a tensor handed to the model as an op of kind ``input``."""
        event = self._new_event(Plan("input"), name=self._labels.op(name))
        self._finish(event, [tensor])
        self.memory.foreign.add(storage_of(tensor))

    # -- module calls ------------------------------------------------------------------

    def _before_module(self, module: nn.Module, args: Any) -> None:
        path = self._paths.get(id(module))
        if path is None or get_ident() != self._thread:
            return
        name, number = self._labels.call(path) if self._named else (path, 0)
        call = Call(name, path, number, module, len(self.events), leaf=not module._modules)
        self._stack.append(call)
        self.calls.append(call)
        if id(module) in self._opaque and not torch.is_grad_enabled():
            call.opaque = torch._C.DisableTorchFunction()
            call.opaque.__enter__()

    def _after_opaque(self, module: nn.Module, args: Any, kwargs: dict[str, Any], output: Any) -> Any:
        if get_ident() != self._thread:
            return None
        call = self._stack[-1] if self._stack else None
        if call is not None and call.module is module and self._leave_opaque(call) and output is not None:
            with torch._C.DisableTorchFunction():
                event = self._new_event(Plan(_snake(type(module).__name__)))
                event.args, event.kwargs = self._slots(args), {k: self._slot(v) for k, v in kwargs.items()}
                self._finish(event, list(tensors_in(output)))
        return self._after_module(module, args, output)

    @staticmethod
    def _leave_opaque(call: Call) -> bool:
        if call.opaque is None:
            return False
        call.opaque.__exit__(None, None, None)
        call.opaque = None
        return True

    def _after_unhooked(self, module: nn.Module, args: Any, output: Any) -> Any:
        if id(module) not in self._paths or id(module) in self._hooked:
            return None
        stack = self._stack
        found = self._sources.get(id(output))
        plain = found is not None and found[0]() is output and not self._watching_calls and not self._stoppers
        if (
            plain
            and found is not None
            and stack
            and stack[-1].module is module
            and get_ident() == self._thread
        ):
            # What nearly every call comes to, in few steps: one tensor, known, and nobody to ask.
            call = stack.pop()
            call.last = len(self.events)
            call.outputs.append((found[1], found[2]))
            if self._named:
                self._name_output(call)
            self.failed_in = ""
            return None
        return self._after_module(module, args, output)

    def _after_module(self, module: nn.Module, args: Any, output: Any) -> Any:
        if get_ident() != self._thread:
            return None
        while self._stack and self._stack[-1].module is not module:
            self._leave_opaque(self._stack.pop())
        if not self._stack:
            return None
        if output is None:  # the forward raised (or returned nothing): remember where, innermost first
            self.failed_in = self.failed_in or f"`{self._stack[-1].name or type(module).__name__}`"
        else:
            self.failed_in = ""
        with torch._C.DisableTorchFunction():
            return self._finish_call(self._stack.pop(), output)

    def _finish_call(self, call: Call, output: Any) -> Any:
        call.last = len(self.events)
        tensors = [output] if isinstance(output, Tensor) else list(tensors_in(output))
        replaced: Tensor | None = None
        for number, tensor in enumerate(tensors):
            source = self._source(tensor)
            if source is None:
                event = self._new_event(Plan("unseen"), name=None)
                self._finish(event, [tensor])
                call.last = len(self.events)
                source = (event, 0)
            call.outputs.append(source)
            for observer in self._watching_calls:
                change = observer.on_call(call, number, tensor)
                if change is not None:
                    if not isinstance(output, Tensor):
                        raise TraceError(
                            f"the output of `{call.name}` is a {type(output).__name__}, and only a single "
                            "tensor can be replaced",
                            hint="Replace the value of an op inside it instead.",
                        )
                    tensor = replaced = self._replaced(call.name, tensor, change, source)
                    call.outputs[number] = source = self._source(tensor) or source
                    call.last = len(self.events)
        if call.outputs and self._named:
            self._name_output(call)
        self._stop_if_done()
        return replaced

    @staticmethod
    def _name_output(call: Call) -> None:
        """The op that gave a leaf module's output goes by the module's name."""
        event = call.outputs[0][0]
        if call.leaf and call.name and call.first <= event.index < call.last and event.kind != "replace":
            event.name = call.name

    # -- torch functions -----------------------------------------------------------------

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        plan = _plans.get(function)
        if plan is None:
            plan = _plans[function] = make_plan(function)
        kwargs = kwargs or {}
        if plan.silent:
            if plan.reads:
                self._note_reads(args)
            if plan.leaky and args and isinstance(args[0], Tensor):
                self.memory.leak(args[0])
            return function(*args, **kwargs)
        slots = self._slots(args)
        keyword_slots = {k: self._slot(v) for k, v in kwargs.items()} if kwargs else kwargs
        written = plan.overwrites(args, kwargs) if plan.overwrites is not None else ()
        if written:
            self.memory.before_write(written)
        began = perf_counter()
        result = function(*args, **kwargs)
        seconds = perf_counter() - began
        single = isinstance(result, Tensor)
        if single and not written:
            # What nearly every call comes to, in few steps.
            if result is (args[0] if args else None) and plan.kind not in KEEP_IF_UNCHANGED:
                return result
            event = self._new_event(plan)
            event.function, event.args, event.kwargs, event.seconds = function, slots, keyword_slots, seconds
            if self._only_keep:
                event.outputs.append((result.shape, result.dtype))
                self._set_source(result, event, 0)
                self.keep_op(event, 0, result)
                return result
            outputs = [result]
        else:
            outputs = [result] if single else list(tensors_in(result))
            for tensor in written:
                if id(tensor) not in self._parameters and not any(tensor is t for t in outputs):
                    outputs.append(tensor)
            if not outputs:
                self._note_reads((*args, *kwargs.values()))
                return result
            if not written and _nothing_new(outputs, args, kwargs) and plan.kind not in KEEP_IF_UNCHANGED:
                return result
            event = self._new_event(plan)
            event.function, event.args, event.kwargs, event.seconds = function, slots, keyword_slots, seconds
            for tensor in written:
                if len(self._living.get(storage_of(tensor), ())) > 1:
                    outputs += self._also_written(tensor, event, outputs)
        changed = self._finish(event, outputs)
        self._stop_if_done()
        if changed is None:
            return result
        if written and outputs[0] is written[0]:
            self.memory.before_write(written)
            written[0].copy_(changed)
            self._set_source(written[0], self.events[-1], 0)
            return result
        if not isinstance(result, Tensor):
            raise TraceError(
                f"`{event.name}` gives a {type(result).__name__}, and only a single tensor can be replaced",
                hint="Replace the value of the op that uses it instead.",
            )
        return changed

    def _finish(self, event: Event, tensors: list[Tensor]) -> Tensor | None:
        """Note the outputs of an event and show them to the observers."""
        changed: Tensor | None = None
        for number, tensor in enumerate(tensors):
            event.outputs.append((tensor.shape, tensor.dtype))
            self._set_source(tensor, event, number)
            for observer in self.observers:
                change = observer.on_op(event, number, tensor)
                if change is not None:
                    tensor = changed = self._replaced(event.name, tensor, change, (event, number))
        return changed

    def _replaced(self, name: str, old: Tensor, new: Tensor, source: tuple[Event, int]) -> Tensor:
        if not isinstance(new, Tensor) or new.shape != old.shape:
            got = tuple(new.shape) if isinstance(new, Tensor) else type(new).__name__
            raise TraceError(f"the replacement for `{name}` must have shape {tuple(old.shape)}; got {got}")
        event = self._new_event(Plan("replace"), name=f"{name}.replaced")
        event.args = (Slot(tuple(old.shape), source[0], source[1]),)
        event.outputs.append((tuple(new.shape), new.dtype))
        new = new.to(old.dtype) if new is not old else new.clone()
        self._set_source(new, event, 0)
        for observer in self.observers:
            if observer.on_op(event, 0, new) is not None:
                raise TraceError(f"`{name}` is replaced twice", hint="Give one replacement for each name.")
        return new

    # -- keeping values --------------------------------------------------------------------

    def keep_op(self, event: Event, output: int, tensor: Tensor) -> None:
        """Keep an op's output: as what it can be computed from again, where that gives the same bits."""
        if output == 0 and not self.memory.careful:
            derived = derive(event, tensor, self.guard)
            if derived is not None:
                event.values.append(derived)
                return
        self.memory.keep(event.values, output, tensor)

    def _also_written(self, tensor: Tensor, event: Event, outputs: Sequence[Tensor]) -> list[Tensor]:
        """Other living tensors in the memory that ``event`` wrote through ``tensor``: they changed too."""
        found: list[Tensor] = []
        storage = storage_of(tensor)
        for key in self._living.get(storage, ()):
            live, source, number, _ = self._sources[key]
            other = live()
            if other is None or other is tensor or storage_of(other) != storage or not overlap(other, tensor):
                continue
            if not any(other is o for o in outputs):
                layouts = (layout_of(tensor), layout_of(other))
                event.extra.append(Slot(other.shape, source, number, layouts=layouts))
                found.append(other)
        return found

    # -- names and sources -----------------------------------------------------------------

    def _new_event(self, plan: Plan, name: str | None = None) -> Event:
        call = self._stack[-1] if self._stack else None
        path = call.path if call else ""
        if name is None:
            name = self._labels.op(f"{path}.{plan.kind}" if path else plan.kind) if self._named else ""
        event = Event(len(self.events), name, plan, path, call)
        self.events.append(event)
        return event

    def name_all(self) -> None:
        """Give names in the order things happened, where that could wait until after the pass."""
        if not self._named:
            self._named = True
            began: dict[int, list[Call]] = {}
            for call in self.calls:
                began.setdefault(call.first, []).append(call)
            for index in range(len(self.events) + 1):
                for call in began.get(index, ()):
                    call.name, call.number = self._labels.call(call.path)
                event = self.events[index] if index < len(self.events) else None
                if event is not None and not event.name:
                    event.name = self._labels.op(f"{event.path}.{event.kind}" if event.path else event.kind)
            for call in self.calls:
                if call.outputs:
                    self._name_output(call)
        for event in self.events:
            # Calls hold their outputs' events: a circle would outlive the trace.
            event.call = event.caller.name if event.caller is not None else event.call
            event.caller = None
            for value in event.values:
                if isinstance(value, Derived):
                    value.name = event.name

    def _set_source(self, tensor: Tensor, event: Event, number: int) -> None:
        self._sources[id(tensor)] = (ref(tensor), event, number, Slot(tensor.shape, event, number))
        storage = storage_of(tensor)
        living = self._living.get(storage)
        if living is None:
            self._living[storage] = [id(tensor)]
        elif id(tensor) not in living:
            living.append(id(tensor))

    def _source(self, tensor: Tensor) -> tuple[Event, int] | None:
        found = self._sources.get(id(tensor))
        return (found[1], found[2]) if found is not None and found[0]() is tensor else None

    def _slots(self, args: Sequence[Any]) -> tuple[Any, ...]:
        return tuple([a if type(a) in _NUMBERS else self._slot(a) for a in args])

    def _slot(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            found = self._sources.get(id(value))
            if found is not None and found[0]() is value:
                leaked = self.memory.leaked
                if value.shape != found[3].shape or (leaked and storage_of(value) in leaked):
                    found = self._reread(value, found)
                return found[3]
            slot = self._parameter_slots.get(id(value))
            if slot is not None:
                return slot
            parameter = self._parameters.get(id(value))
            if parameter is not None:
                slot = self._parameter_slots[id(value)] = Slot(value.shape, parameter=parameter)
                return slot
            kept: list[Kept | Derived | None] = []
            self.memory.keep(kept, 0, value)
            self.memory.foreign.add(storage_of(value))
            if storage_of(value) not in self.guard.owned():
                self.loose.append(len(self.events))
            return Slot(value.shape, constant=cast(Kept, kept[0]))
        if isinstance(value, list):  # indexing tells a list from a tuple
            return [self._slot(v) for v in value]
        if isinstance(value, tuple):
            return tuple([self._slot(v) for v in value])
        if isinstance(value, dict):
            return {k: self._slot(v) for k, v in value.items()}
        return value

    def _note_reads(self, values: Sequence[Any]) -> None:
        for tensor in tensors_in(values):
            source = self._source(tensor)
            if source is not None:
                self.reads.add((source[0].index, source[1]))

    def _reread(self, tensor: Tensor, source: _Source) -> _Source:
        """Source of a tensor that was written from outside torch, or given other memory (``set_``)."""
        _, event, number, _ = source
        kept = event.values[number] if number < len(event.values) else None
        shape = event.outputs[number][0]
        if shape != tensor.shape or (kept is not None and not torch.equal(kept.tensor, tensor)):
            unseen = self._new_event(Plan("unseen"))
            unseen.args = (Slot(shape, event, number),)
            self._finish(unseen, [tensor])
        return self._sources[id(tensor)]

    def _stop_if_done(self) -> None:
        for observer in self._stoppers:
            if observer.done():
                raise StopForward


def _nothing_new(outputs: Sequence[Tensor], args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
    """Whether a call handed back nothing but tensors it was given."""
    for tensor in outputs:
        for given in (*args, *kwargs.values()):
            if tensor is given:
                break
        else:
            return False
    return True


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


@contextlib.contextmanager
def eager() -> Iterator[None]:
    """Runs compiled parts of a model uncompiled, so that they can be watched."""
    import sys

    compiler: Callable[..., Any] | None = getattr(torch.compiler, "set_stance", None)
    if "torch._dynamo" in sys.modules and compiler is not None:
        with compiler("force_eager"):
            yield
    else:
        yield
