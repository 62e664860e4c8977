"""Torch's own plain layers, recorded in one step each.

Most ops of most networks come from a handful of layers (convolution, batch norm, ReLU, linear)
of which everything is known beforehand. Watched like any other code each would pass through two
hooks and be handed to the mode, which is where tracing spent most of its time. While nothing but
values is asked for, such a layer's ``forward`` is replaced during the pass by one that makes the one
call torch's own would make, and writes down what both watchers together would: the same op and call.

A layer is taken this way only if it is of the very class torch defines, has no hooks, and nobody else
watches torch functions or modules; whatever is unusual about a call is left to the two watchers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from operator import is_, itemgetter
from threading import get_ident
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules import module as modules

from convscope.tracing.events import Call, Event
from convscope.tracing.guard import has_hooks
from convscope.tracing.plan import make_plan

if TYPE_CHECKING:
    from convscope.tracing.recorder import Recorder

_Table = dict[str, Any]
_Recorded = tuple[tuple[Any, ...], _Table]
_CALL = nn.Module._call_impl.__code__
_getframe = sys._getframe


def _convolution(own: _Table, learned: _Table, held: _Table) -> _Recorded | None:
    if own["padding_mode"] != "zeros":
        return None
    geometry = (own["stride"], own["padding"], own["dilation"], own["groups"])
    return (learned["weight"], learned["bias"], *geometry), {}


def _batch_norm(own: _Table, learned: _Table, held: _Table) -> _Recorded | None:
    if own["training"] or held["running_mean"] is None or held["running_var"] is None:
        return None
    momentum = 0.0 if own["momentum"] is None else own["momentum"]
    return (held["running_mean"], held["running_var"]), {
        "weight": learned["weight"],
        "bias": learned["bias"],
        "training": False,
        "momentum": momentum,
        "eps": own["eps"],
    }


def _activation(own: _Table, learned: _Table, held: _Table) -> _Recorded | None:
    return (), {"inplace": own["inplace"]}


def _clamp(own: _Table, learned: _Table, held: _Table) -> _Recorded | None:
    return (), {"min_val": own["min_val"], "max_val": own["max_val"], "inplace": own["inplace"]}


def _linear(own: _Table, learned: _Table, held: _Table) -> _Recorded | None:
    return (learned["weight"], learned["bias"]), {}


_Known = Callable[[_Table, _Table, _Table], _Recorded | None]
_GEOMETRY = itemgetter("padding_mode", "stride", "padding", "dilation", "groups")
# What each layer calls, the settings this depends on, and its arguments after the input.
_LAYERS: dict[type[nn.Module], tuple[Any, Callable[[_Table], Any], _Known]] = {
    nn.Conv2d: (F.conv2d, _GEOMETRY, _convolution),
    nn.BatchNorm2d: (F.batch_norm, itemgetter("training", "momentum", "eps"), _batch_norm),
    nn.ReLU: (F.relu, itemgetter("inplace"), _activation),
    nn.ReLU6: (F.hardtanh, itemgetter("min_val", "max_val", "inplace"), _clamp),
    nn.Linear: (F.linear, itemgetter("in_features"), _linear),
}
# Where somebody has put another function in place of torch's, nothing is known.
_CODE = {layer: layer.forward for layer in _LAYERS}
_PLANS = {layer: make_plan(function) for layer, (function, _, _) in _LAYERS.items()}


def others_watch() -> bool:
    """Whether anybody else watches torch functions or modules just now."""
    return bool(modules._has_any_global_hook()) or torch._C._len_torch_function_stack() > 0


def is_plain(module: nn.Module) -> bool:
    """Whether everything about a layer is known beforehand."""
    kind = type(module)
    return (
        kind in _LAYERS
        and kind.forward is _CODE[kind]
        and "forward" not in module.__dict__
        and not has_hooks(module)
        and all(type(p) in (nn.Parameter, type(None)) for p in module._parameters.values())
        and all(type(b) in (Tensor, type(None)) for b in module._buffers.values())
    )


def watch_plain(recorder: Recorder, path: str, module: nn.Module) -> None:
    """Record the calls of a plain layer from now on; taking ``forward`` out of its attributes ends it."""
    module.__dict__["forward"] = _watched_forward(recorder, path, module)


class _Layer:
    """What is known of one layer before it is called: worked out at one go, before the pass."""

    __slots__ = (
        "args",
        "held",
        "kwargs",
        "learned",
        "module",
        "own",
        "settings",
        "slots",
        "state",
        "tensors",
    )

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.own, self.learned, self.held = module.__dict__, module._parameters, module._buffers
        _, self.settings, _ = _LAYERS[type(module)]

    def read(self, known: Callable[..., _Recorded | None], slot: Callable[[Any], Any]) -> bool:
        """Look at settings and parameters; whether a call of them is a plain one."""
        self.state = self.settings(self.own)
        self.tensors = (*self.learned.values(), *self.held.values())
        given = known(self.own, self.learned, self.held)
        if given is None:
            return False
        self.args, self.kwargs = given
        named = {k: slot(v) if isinstance(v, Tensor) else v for k, v in self.kwargs.items()}
        self.slots = tuple([slot(a) if isinstance(a, Tensor) else a for a in self.args]), named
        return True

    def unchanged(self) -> bool:
        """Whether settings and parameters are still those that were read."""
        now = (*self.learned.values(), *self.held.values())
        same = len(now) == len(self.tensors) and all(map(is_, now, self.tensors))
        return same and bool(self.settings(self.own) == self.state)


def _watched_forward(recorder: Recorder, path: str, module: nn.Module) -> Callable[..., Any]:
    kind = type(module)
    function, _, known = _LAYERS[kind]
    plan, forward = _PLANS[kind], _CODE[kind]
    events, calls, slot, thread = recorder.events, recorder.calls, recorder.sources.slot, recorder.thread
    written_parameters = recorder.guard.overwritten
    in_place = bool(module.__dict__.get("inplace", False))
    layer = _Layer(module)
    plain = layer.read(known, slot)
    unwatched = torch._C.DisableTorchFunction

    def watched(*args: Any, **kwargs: Any) -> Any:
        if len(args) != 1 or kwargs or type(args[0]) is not Tensor or _getframe(1).f_code is not _CALL:
            return _unusual(recorder, module, forward, args, kwargs)
        if not plain or written_parameters or not layer.unchanged() or get_ident() != thread:
            return _unusual(recorder, module, forward, args, kwargs)
        with unwatched():
            value = args[0]
            call = Call(path, path, 0, module, len(events), leaf=True)
            calls.append(call)
            source = slot(value)
            if in_place:
                recorder.memory.before_write(args)
            began = perf_counter()
            try:
                result = function(value, *layer.args, **layer.kwargs)
            except BaseException:
                recorder.failed_in = recorder.failed_in or f"`{path or kind.__name__}`"
                raise
            seconds = perf_counter() - began
            event = Event(len(events), "", plan, path, call)
            events.append(event)
            event.function = function
            event.args, event.kwargs = (source, *layer.slots[0]), layer.slots[1]
            event.seconds = seconds
            recorder.put(event, result, written=in_place)
            call.last = len(events)
            call.outputs.append((event, 0))
            recorder.failed_in = ""
            return result

    return watched


def _unusual(
    recorder: Recorder, module: nn.Module, forward: Any, args: Sequence[Any], kwargs: dict[str, Any]
) -> Any:
    """What is not a plain call of a plain layer, seen by the two watchers as any other code is."""
    if _getframe(2).f_code is not _CALL:  # called by its forward, which is no call of a module
        return forward(module, *args, **kwargs)
    recorder.before_module(module, args)
    try:
        output = forward(module, *args, **kwargs)
    except BaseException:
        recorder.after_module(module, args, None)
        raise
    recorder.after_module(module, args, output)
    return output
