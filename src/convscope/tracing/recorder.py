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
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from convscope.errors import TraceError
from convscope.tracing.derive import derive
from convscope.tracing.events import Call, Event, Slot
from convscope.tracing.guard import ModelGuard
from convscope.tracing.labels import Labels, Records, name_output
from convscope.tracing.leaves import is_plain, others_watch, watch_plain
from convscope.tracing.memory import Memory, storage_of
from convscope.tracing.observers import Keep, Observer
from convscope.tracing.plan import KEEP_IF_UNCHANGED, Plan, make_plan, tensors_in
from convscope.tracing.sources import Sources

# With a mode active these would take another path through the code than they take unwatched
# (`has_torch_function` rules their fused kernel out), so they are run unwatched, as one op.
_OPAQUE = (nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerEncoder)
_plans: dict[Any, Plan] = {}


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
        self.sources = Sources(guard, self.memory, self.events, self._appear)
        self._paths = {id(m): path for path, m in guard.modules}
        self._labels = Labels(self._paths.values())
        self.thread = get_ident()
        self._handles: list[Any] = []
        self._plain: list[nn.Module] = []
        self._opaque: set[int] = set()
        self.failed_in = ""
        self.reads: set[tuple[int, int]] = set()

    # -- around the pass ---------------------------------------------------------------

    def __enter__(self) -> Recorder:
        # Hooks of the modules themselves, registered last, see what a module really returns:
        # global ones run before a module's own, which may still change its output.
        quick = (self._only_keep or not self.observers) and not others_watch()
        opaque: str | None = None
        for path, module in self.guard.modules:
            inside = opaque is not None and path.startswith(opaque)
            if quick and not inside and is_plain(module):
                watch_plain(self, path, module)
                self._plain.append(module)
                continue
            self._handles.append(module.register_forward_pre_hook(self.before_module))
            if isinstance(module, _OPAQUE):
                handle = module.register_forward_hook(self._after_opaque, always_call=True, with_kwargs=True)
                self._opaque.add(id(module))
                opaque = opaque if inside else f"{path}." if path else ""
            else:
                handle = module.register_forward_hook(self._after_known, always_call=True)
            self._handles.append(handle)
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        while self._stack:
            self._leave_opaque(self._stack.pop())
        for handle in self._handles:
            handle.remove()
        for module in self._plain:
            module.__dict__.pop("forward", None)
        self.sources.forget()

    def add_input(self, name: str, tensor: Tensor) -> None:
        """Record a tensor handed to the model as an op of kind ``input``."""
        event = self._new_event(Plan("input"), name=self._labels.op(name))
        self._finish(event, [tensor])
        self.memory.foreign.add(storage_of(tensor))

    # -- module calls ------------------------------------------------------------------

    def before_module(self, module: nn.Module, args: Any) -> None:
        """Note that a module is called."""
        path = self._paths.get(id(module))
        if path is None or get_ident() != self.thread:
            return
        name, number = self._labels.call(path) if self._named else (path, 0)
        call = Call(name, path, number, module, len(self.events), leaf=not module._modules)
        self._stack.append(call)
        self.calls.append(call)
        if id(module) in self._opaque and not torch.is_grad_enabled():
            call.opaque = torch._C.DisableTorchFunction()
            call.opaque.__enter__()

    def _after_opaque(self, module: nn.Module, args: Any, kwargs: dict[str, Any], output: Any) -> Any:
        if get_ident() != self.thread:
            return None
        call = self._stack[-1] if self._stack else None
        if call is not None and call.module is module and self._leave_opaque(call) and output is not None:
            with torch._C.DisableTorchFunction():
                event = self._new_event(Plan(_snake(type(module).__name__)))
                event.args, event.kwargs = self.sources.slots(args), self.sources.named_slots(kwargs)
                self._finish(event, list(tensors_in(output)))
        return self.after_module(module, args, output)

    @staticmethod
    def _leave_opaque(call: Call) -> bool:
        if call.opaque is None:
            return False
        call.opaque.__exit__(None, None, None)
        call.opaque = None
        return True

    def _after_known(self, module: nn.Module, args: Any, output: Any) -> Any:
        stack = self._stack
        if output is None and stack and stack[-1].module is module and get_ident() == self.thread:
            # The forward raised, perhaps for want of stack: nothing here may need more of it.
            call = stack.pop()
            call.last = len(self.events)
            self.failed_in = self.failed_in or f"`{call.name or type(module).__name__}`"
            return None
        source = self.sources.of(output) if not self._watching_calls and not self._stoppers else None
        if source is None or not stack or stack[-1].module is not module or get_ident() != self.thread:
            return self.after_module(module, args, output)
        # What nearly every call comes to, in few steps: one tensor, known, and nobody to ask.
        call = stack.pop()
        call.last = len(self.events)
        call.outputs.append(source)
        if self._named:
            name_output(call)
        self.failed_in = ""
        return None

    def after_module(self, module: nn.Module, args: Any, output: Any) -> Any:
        """Note what a module returned (``None`` if it raised), and return what shall replace it."""
        if get_ident() != self.thread:
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
            source = self.sources.of(tensor)
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
                    call.outputs[number] = source = self.sources.of(tensor) or source
                    call.last = len(self.events)
        if call.outputs and self._named:
            name_output(call)
        self._stop_if_done()
        return replaced

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
        slots = self.sources.slots(args)
        keyword_slots = self.sources.named_slots(kwargs) if kwargs else kwargs
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
                self.sources.put(result, event, 0)
                self.keep_op(event, 0, result)
                return result
            outputs = [result]
        else:
            outputs = [result] if single else list(tensors_in(result))
            for tensor in written:
                if id(tensor) not in self.guard.tensors and not any(tensor is t for t in outputs):
                    outputs.append(tensor)
            if not outputs:
                self._note_reads((*args, *kwargs.values()))
                return result
            if not written and _nothing_new(outputs, args, kwargs) and plan.kind not in KEEP_IF_UNCHANGED:
                return result
            event = self._new_event(plan)
            event.function, event.args, event.kwargs, event.seconds = function, slots, keyword_slots, seconds
            for tensor in written:
                outputs += self.sources.also_written(tensor, event, outputs)
        changed = self._finish(event, outputs)
        self._stop_if_done()
        if changed is None:
            return result
        if written and outputs[0] is written[0]:
            self.memory.before_write(written)
            written[0].copy_(changed)
            self.sources.put(written[0], self.events[-1], 0)
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
            self.sources.put(tensor, event, number)
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
        self.sources.put(new, event, 0)
        for observer in self.observers:
            if observer.on_op(event, 0, new) is not None:
                raise TraceError(f"`{name}` is replaced twice", hint="Give one replacement for each name.")
        return new

    def put(self, event: Event, result: Tensor, *, written: bool) -> None:
        """Note the one output of a plain layer, ``written`` in place or not."""
        outputs = [result, *self.sources.also_written(result, event, [result])] if written else [result]
        if self._only_keep and len(outputs) == 1:
            event.outputs.append((result.shape, result.dtype))
            self.sources.put(result, event, 0)
            self.keep_op(event, 0, result)
        else:
            self._finish(event, outputs)

    # -- keeping values --------------------------------------------------------------------

    def keep_op(self, event: Event, output: int, tensor: Tensor) -> None:
        """Keep an op's output: as what it can be computed from again, where that gives the same bits."""
        if output == 0 and not self.memory.careful:
            derived = derive(event, tensor, self.guard)
            if derived is not None:
                event.values.append(derived)
                return
        self.memory.keep(event.values, output, tensor)

    # -- names and sources -----------------------------------------------------------------

    def _new_event(self, plan: Plan, name: str | None = None) -> Event:
        call = self._stack[-1] if self._stack else None
        path = call.path if call else ""
        if name is None:
            name = self._labels.op(f"{path}.{plan.kind}" if path else plan.kind) if self._named else ""
        event = Event(len(self.events), name, plan, path, call)
        self.events.append(event)
        return event

    def _appear(self, tensor: Tensor, before: Slot) -> None:
        """Record that a tensor is not what it was, by no function that could be seen."""
        event = self._new_event(Plan("unseen"))
        event.args = (before,)
        self._finish(event, [tensor])

    def records(self) -> Records:
        """What was written down."""
        return Records(self.events, self.calls, None if self._named else self._labels)

    def _note_reads(self, values: Sequence[Any]) -> None:
        for tensor in tensors_in(values):
            source = self.sources.of(tensor)
            if source is not None:
                self.reads.add((source[0].index, source[1]))

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
