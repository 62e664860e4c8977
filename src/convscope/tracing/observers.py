"""Observers: what is done with each value while the model runs.

The recorder hands every op (and every finished module call) to each observer in turn, so
that nothing else in convscope needs hooks of its own: :class:`Keep` keeps values,
:class:`Reduce` folds them into small results, :class:`StopAfter` ends the pass early,
:class:`Replace` changes a value and everything after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fnmatch import translate
from re import compile as compile_pattern
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from convscope.tracing.events import Call, Event
    from convscope.tracing.recorder import Recorder


class Observer:
    """Sees every op and module call of a pass; the base does nothing.

    ``on_op`` and ``on_call`` get the live tensor: it may be overwritten later, so what
    needs it beyond the call must copy it (or ask the recorder to keep it). Returning a
    tensor of the same shape puts it in the value's place.
    """

    @property
    def watches_calls(self) -> bool:
        """Whether ``on_call`` is to be called; by default if the class has one of its own."""
        return type(self).on_call is not Observer.on_call

    @property
    def wants_names(self) -> bool:
        """Whether names are looked at during the pass; those who do not need them save it time."""
        return True

    def start(self, recorder: Recorder) -> None:
        """Forget earlier passes; called before the model runs."""

    def on_op(self, event: Event, output: int, value: Tensor) -> Tensor | None:
        """See output number ``output`` of an op; return a tensor to replace it."""
        return None

    def on_call(self, call: Call, output: int, value: Tensor) -> Tensor | None:
        """See output number ``output`` of a module call; return a tensor to replace it."""
        return None

    def done(self) -> bool:
        """Whether this observer needs nothing more of this pass."""
        return False

    def finish(self) -> None:
        """Let go of the recorder (so that values are freed with the trace); called after the pass."""


class Names:
    """Names or glob patterns (``layer1.*.conv?``) to match against op and module-call names.

    Examples
    --------
    >>> names = Names(["conv1", "layer[12].*.add"])
    >>> names("conv1"), names("layer1.0.add"), names("layer3.0.add")
    (True, True, False)
    """

    def __init__(self, patterns: str | Iterable[str]) -> None:
        self.patterns = (patterns,) if isinstance(patterns, str) else tuple(patterns)
        self._plain = frozenset(self.patterns)
        globs = [p for p in self.patterns if any(c in p for c in "*?[")]
        self._glob = compile_pattern("|".join(translate(p) for p in globs)) if globs else None

    def __call__(self, name: str) -> bool:
        """Whether ``name`` matches."""
        return name in self._plain or (self._glob is not None and self._glob.match(name) is not None)


class Keep(Observer):
    """Keeps values: all of them, or those whose names match."""

    def __init__(self, names: str | Iterable[str] | None = None) -> None:
        self._names = None if names is None else Names(names)

    @property
    def watches_calls(self) -> bool:
        """Only where names are given: otherwise every op is kept, and a module's output is an op's."""
        return self._names is not None

    @property
    def wants_names(self) -> bool:
        """Only where names are given."""
        return self._names is not None

    def start(self, recorder: Recorder) -> None:
        """Take hold of the recorder, which guards what is kept against in-place writes."""
        self._recorder: Recorder | None = recorder

    def finish(self) -> None:
        """Let go of the recorder."""
        self._recorder = None

    def on_op(self, event: Event, output: int, value: Tensor) -> None:
        """Keep an op's output."""
        if self._recorder is not None and (self._names is None or self._names(event.name)):
            if self._names is None:
                self._recorder.keep_op(event, output, value)
            else:
                self._recorder.memory.keep(event.values, output, value)

    def on_call(self, call: Call, output: int, value: Tensor) -> None:
        """Keep a module's output, under the op that made it."""
        if self._recorder is not None and (self._names is None or self._names(call.name)):
            event, number = call.outputs[output]
            known = event.values[number] if number < len(event.values) else None
            if known is not None:
                _set(call.values, output, known)
            else:
                self._recorder.memory.keep(call.values, output, value)
                if known is None and call.last - 1 == event.index and call.leaf:
                    _set(event.values, number, call.values[output])


def _set(values: list[Any], output: int, value: Any) -> None:
    while len(values) <= output:
        values.append(None)
    values[output] = value


class Reduce(Observer):
    """Folds values into small results without keeping them.

    Parameters
    ----------
    function
        Called as ``function(name, tensor)`` for every match, with the live tensor of shape
        ``(N, ...)``; its results are gathered in ``results[name]``, one per pass. Reads only.
    names
        Names or patterns of ops and module calls; everything where ``None`` (ops only).

    Examples
    --------
    >>> import torch
    >>> from convscope.tracing import Reduce, record
    >>> peaks = Reduce(lambda name, value: value.amax().item(), ["0", "1"])
    >>> _ = record(torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Tanh()), torch.zeros(1, 2), [peaks])
    >>> peaks.results
    {'0': [0.0], '1': [0.0]}
    """

    def __init__(
        self, function: Callable[[str, Tensor], Any], names: str | Iterable[str] | None = None
    ) -> None:
        self._function = function
        self._names = None if names is None else Names(names)
        self.results: dict[str, list[Any]] = {}

    def on_op(self, event: Event, output: int, value: Tensor) -> None:
        """Reduce an op's first output."""
        if output == 0 and (self._names is None or self._names(event.name)):
            self.results.setdefault(event.name, []).append(self._function(event.name, value))

    def on_call(self, call: Call, output: int, value: Tensor) -> None:
        """Reduce a module's first output."""
        if output == 0 and self._names is not None and self._names(call.name):
            self.results.setdefault(call.name, []).append(self._function(call.name, value))


class StopAfter(Observer):
    """Ends the pass as soon as every one of ``names`` (plain names) has been seen."""

    def __init__(self, names: str | Iterable[str]) -> None:
        self.names = frozenset((names,) if isinstance(names, str) else names)

    def start(self, recorder: Recorder) -> None:
        """Wait for all of them again."""
        self._waiting = set(self.names)

    def on_op(self, event: Event, output: int, value: Tensor) -> None:
        """Strike an op off the list."""
        self._waiting.discard(event.name)

    def on_call(self, call: Call, output: int, value: Tensor) -> None:
        """Strike a module call off the list."""
        self._waiting.discard(call.name)

    def done(self) -> bool:
        """Whether all were seen."""
        return not self._waiting


class Replace(Observer):
    """Puts other values in the place of computed ones; everything after is computed from them.

    Parameters
    ----------
    replacements
        Function for each name: gets the computed tensor (not to be written into) and returns
        one of the same shape.

    Examples
    --------
    Switch a channel off:

    >>> import torch
    >>> from convscope.tracing import Replace, record
    >>> def without_first(value):
    ...     value = value.clone()
    ...     value[:, 0] = 0
    ...     return value
    >>> net = torch.nn.Sequential(torch.nn.Identity(), torch.nn.Flatten())
    >>> record(net, torch.ones(1, 2, 1), [Replace({"0": without_first})]).output
    tensor([[0., 1.]])
    """

    def __init__(self, replacements: Mapping[str, Callable[[Tensor], Tensor]]) -> None:
        self._replacements = dict(replacements)
        self.used: set[str] = set()

    def start(self, recorder: Recorder) -> None:
        """Forget which were used."""
        self.used = set()

    def _apply(self, name: str, output: int, value: Tensor) -> Tensor | None:
        if output != 0 or name not in self._replacements:
            return None
        self.used.add(name)
        return self._replacements[name](value)

    def on_op(self, event: Event, output: int, value: Tensor) -> Tensor | None:
        """Replace an op's first output."""
        return self._apply(event.name, output, value)

    def on_call(self, call: Call, output: int, value: Tensor) -> Tensor | None:
        """Replace a module's first output."""
        return self._apply(call.name, output, value)
