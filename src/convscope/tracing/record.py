"""One recorded forward pass: the way into the recorder, and what comes out."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock
from time import perf_counter
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from convscope.errors import ConvscopeError, ForwardError
from convscope.tracing.changes import Mark, mark
from convscope.tracing.events import Call, Event
from convscope.tracing.guard import ModelGuard
from convscope.tracing.labels import Records
from convscope.tracing.observers import Observer
from convscope.tracing.plan import tensors_in
from convscope.tracing.recorder import Recorder, StopForward, eager

# A model in two threads at once would be given back in the mode the other had set.
_locks: WeakKeyDictionary[nn.Module, RLock] = WeakKeyDictionary()
_locks_lock = RLock()


def _lock(model: nn.Module) -> Any:
    with _locks_lock:
        return _locks.setdefault(model, RLock())


@dataclass(frozen=True)
class Recording:
    """What one pass left behind: ``output`` (``None`` if it was stopped early), events and calls.

    ``stale`` counts kept values that a function overwrote without saying so; record again
    with ``careful=True`` where it is not 0. ``marks`` tells later whether a parameter was changed since.
    What the events do not tell is noted beside them: ``reads`` are the ``(event, output)`` pairs
    whose values went to plain Python, ``loose`` the events that got a tensor of unknown origin,
    ``overwritten`` the names of parameters and buffers written into (and given back).
    """

    output: Any
    records: Records
    stopped: bool
    seconds: float
    stale: int
    marks: Mapping[str, Mark]
    reads: frozenset[tuple[int, int]] = frozenset()
    loose: tuple[int, ...] = ()
    overwritten: frozenset[str] = frozenset()

    @property
    def events(self) -> Sequence[Event]:
        """Every torch function call, in order."""
        return self.records.events

    @property
    def calls(self) -> Sequence[Call]:
        """Every module call, in the order they began."""
        return self.records.calls


def record(
    model: nn.Module,
    inputs: Any,
    observers: Sequence[Observer] = (),
    *,
    training: bool = False,
    grad: bool = False,
    careful: bool = False,
) -> Recording:
    """Run ``model`` once under the eyes of ``observers``, and leave it as it was.

    Parameters
    ----------
    model
        Any module; run in eval mode unless ``training``.
    inputs
        A tensor or list is the one argument; a tuple holds several; a dict holds keyword arguments.
    grad
        Whether gradients are recorded (off by default).
    careful
        Copy every kept value at once, for models that overwrite tensors in ways torch does not announce.

    Raises
    ------
    ForwardError
        If the model raises; the message names the module and the op it had come to.
    """
    args, kwargs = _arguments(inputs)
    names = _input_names(args, kwargs)
    output: Any = None
    stopped = False
    with (
        _lock(model),
        _without_collection(),
        ModelGuard(model, training=training) as guard,
        torch.set_grad_enabled(grad),
        eager(),
    ):
        recorder = Recorder(model, observers, guard, careful=careful)
        for observer in observers:
            observer.start(recorder)
        for name, tensor in names:
            recorder.add_input(name, tensor)
        began = perf_counter()
        try:
            with recorder:
                output = model(*args, **kwargs)
        except StopForward:
            stopped = True
        except ConvscopeError:
            raise
        except (Exception, SystemExit) as error:
            raise _forward_error(recorder, error) from error
        seconds = perf_counter() - began
        stale = recorder.memory.stale()
        recorder.memory.let_go(tensors_in(output))
        for observer in observers:
            observer.finish()
    marks = {name: mark(tensor) for name, tensor in guard.all_named()}
    return Recording(
        output,
        recorder.records(),
        stopped,
        seconds,
        stale,
        marks,
        reads=frozenset(recorder.reads),
        loose=tuple(recorder.sources.loose),
        overwritten=guard.written(),
    )


@contextmanager
def _without_collection() -> Iterator[None]:
    """No search for garbage during the pass: the many small records would set it off again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _arguments(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    return (inputs if isinstance(inputs, tuple) else (inputs,)), {}


def _input_names(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[tuple[str, Tensor]]:
    named: list[tuple[str, Tensor]] = []
    for key, value in [*((str(i), a) for i, a in enumerate(args)), *kwargs.items()]:
        tensors = list(tensors_in(value))
        for number, tensor in enumerate(tensors):
            if not any(tensor is known for _, known in named):
                named.append((f"input.{key}" if len(tensors) == 1 else f"input.{key}.{number}", tensor))
    return [("input", named[0][1])] if len(named) == 1 else named


def _forward_error(recorder: Recorder, error: BaseException) -> ForwardError:
    events = recorder.records().events
    where = f" in {recorder.failed_in}" if recorder.failed_in else ""
    ops = [e for e in events if e.kind != "input"]
    inputs = ", ".join("×".join(map(str, e.outputs[0][0])) for e in events if e.kind == "input")
    text = " ".join(str(error).split()) or "without a message"
    if isinstance(error, SystemExit):
        text = f"the model called sys.exit({error.code!r})"
    if len(text) > 300:
        text = text[:297] + "..."
    after = f"after `{ops[-1].name}` gave {_shape(ops[-1])}" if ops else "before its first op"
    return ForwardError(
        f"the model failed{where}, {after}, on an input of {inputs or 'no tensors'}: "
        f"{type(error).__name__}: {text}",
        hint=""
        if isinstance(error, SystemExit)
        else "Check the input's size and number of channels against what the model expects (`--size`, "
        "or a batch you prepare yourself in Python).",
    )


def _shape(event: Event) -> str:
    return "×".join(map(str, event.outputs[0][0])) if event.outputs else "nothing"
