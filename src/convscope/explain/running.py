"""A recorded pass with something switched off or scaled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from convscope.errors import TraceError, UsageError
from convscope.explain.edits import Change, Edit, Target, change, in_turn, locate
from convscope.explain.engine import CannotReplay, Engine, Place, exchange, slots_of
from convscope.tracing import Keep, Observer, Replace, Trace, record
from convscope.tracing.changes import changed_parameters
from convscope.tracing.events import Call, Event, Kept
from convscope.tracing.graph import ModuleCall, Op, Stored
from convscope.tracing.plan import tensors_in
from convscope.tracing.record import Recording


class EditedTrace(Trace):
    """An ordinary trace, of a pass in which layers were edited.

    Attributes
    ----------
    base
        The trace it was made from; ``edited.ops[i]`` is ``base.ops[i]`` with other values
        wherever ``whole_pass`` is false.
    edits
        The edits, in the order in which they are applied.
    recomputed
        Indices of the ops that were called again; the edited ops themselves only where something
        before them was edited too.
    whole_pass
        Whether the model had to be run again from the start, because the recording does not
        say enough; ``reason`` then says why.
    """

    base: Trace
    edits: tuple[Edit, ...]
    recomputed: tuple[int, ...]
    whole_pass: bool
    reason: str


def rerun(trace: Trace, edits: Iterable[Edit]) -> EditedTrace:
    """The pass of ``trace`` with ``edits`` made: only calls whose inputs changed are made again.

    Values that do not change are shared with ``trace``; nothing is written into them, nor into
    the model. The result is, bit for bit, what the model computes when the edited values are put
    in the place of its own (:class:`~convscope.tracing.Replace`). Where the recording does not
    say enough for that (code the recorder cannot see into, values read in plain Python that
    changed, random numbers, values that were not kept), the whole model is run once more, and
    the result says so: ``whole_pass`` and ``reason``.

    Parameters
    ----------
    trace
        Any trace; one that is itself the result of a rerun keeps its edits.
    edits
        Applied in order; several may name the same layer.

    Raises
    ------
    UnknownLayerError
        If there is no layer of that name.
    UsageError
        If an index, a channel or a factor is out of range.
    TraceError
        If parameters were changed since the trace was made.

    Examples
    --------
    >>> import torch, convscope
    >>> net = torch.nn.Sequential(torch.nn.Identity(), torch.nn.ReLU(), torch.nn.Flatten())
    >>> trace = convscope.trace(net, torch.ones(1, 2, 1, 1))
    >>> rerun(trace, [Edit("1", (0,))]).output
    tensor([[0., 1.]])
    >>> rerun(trace, [Edit("1", factor=0.5)]).output
    tensor([[0.5000, 0.5000]])
    """
    edits = tuple(edits)
    if not all(isinstance(edit, Edit) for edit in edits):
        raise UsageError("`edits` must be a list of `Edit` objects")
    if isinstance(trace, EditedTrace):
        edits = tuple(_by_name(trace, edit) for edit in trace.edits) + tuple(
            _by_name(trace, e) for e in edits
        )
        trace = trace.base
    began = perf_counter()
    wanted = wanted_changes(trace, edits)
    try:
        with torch.inference_mode(False), torch.no_grad():
            engine = Engine(trace, by_place(wanted))
            engine.run()
            output = engine.output()
    except CannotReplay as why:
        return _whole_pass(trace, edits, wanted, str(why))
    seconds = perf_counter() - began
    recording = replace(trace._recording, output=output, seconds=seconds)
    edited = EditedTrace(recording, trace.model, trace.inputs, trace.picture, trace.geometry)
    _adopt(edited, trace, engine)
    edited.base, edited.edits, edited.recomputed = trace, edits, tuple(engine.called)
    edited.whole_pass, edited.reason = False, ""
    return edited


def wanted_changes(trace: Trace, edits: Iterable[Edit]) -> dict[Target, list[Change]]:
    """The changes that ``edits`` make to ``trace``, by where they are made; see :func:`rerun` for errors."""
    wanted: dict[Target, list[Change]] = {}
    for edit in edits:
        target = locate(trace, edit.node)
        one = change(trace, target, edit)
        if one is not None:
            wanted.setdefault(target, []).append(one)
    return wanted


def by_place(wanted: Mapping[Target, list[Change]]) -> dict[Place, Change]:
    """The changes by the op output they go to.

    Raises
    ------
    CannotReplay
        If the recording cannot tell who reads an edited value.
    """
    places: dict[Place, list[Change]] = {}
    for target, changes in wanted.items():
        if not target.plain:
            raise CannotReplay(f"`{target.name}` hands on a value that others read too")
        places.setdefault((target.index, target.output), []).extend(changes)
    return {place: in_turn(changes) for place, changes in places.items()}


def _by_name(trace: EditedTrace, edit: Edit) -> Edit:
    """The edit in terms of the base, whose ops may be counted otherwise after a whole pass."""
    if isinstance(edit.node, int) and trace.whole_pass and 0 <= edit.node < len(trace.ops):
        return replace(edit, node=trace.ops[edit.node].name)
    return edit


def _adopt(edited: EditedTrace, trace: Trace, engine: Engine) -> None:
    """Ops and calls of ``trace``, with the values of the rerun where they changed."""
    fresh: dict[int, dict[int, Stored]] = {}
    for (index, number), tensor in engine.values.items():
        fresh.setdefault(index, {})[number] = Kept(tensor, 0, alias=False)

    def stored(old: tuple[Stored | None, ...], places: list[Place]) -> tuple[Stored | None, ...]:
        known = dict(enumerate(old))
        return tuple(fresh.get(i, {}).get(n, known.get(k)) for k, (i, n) in enumerate(places))

    ops = list(trace.ops)
    for index in fresh:
        op: Op = ops[index]
        ops[index] = replace(op, stored=stored(op.stored, [(index, n) for n in range(len(op.shapes))]))
    calls: list[ModuleCall] = []
    for call in trace.calls:
        touched = any(n in fresh.get(i, {}) for i, n in call.outputs)
        calls.append(replace(call, stored=stored(call.stored, list(call.outputs))) if touched else call)
    edited.__dict__["ops"] = tuple(ops)
    edited.__dict__["calls"] = tuple(calls)


# -- the whole pass again --------------------------------------------------------------------


def _whole_pass(
    trace: Trace, edits: tuple[Edit, ...], wanted: Mapping[Target, list[Change]], reason: str
) -> EditedTrace:
    recording = run_whole(trace, wanted, [Keep()])
    edited = EditedTrace(recording, trace.model, trace.inputs, trace.picture, trace.geometry)
    edited.base, edited.edits, edited.reason, edited.whole_pass = trace, edits, reason, True
    edited.recomputed = tuple(e.index for e in recording.events if e.kind != "input")
    return edited


def run_whole(
    trace: Trace, wanted: Mapping[Target, list[Change]], observers: list[Observer], *, grad: bool = False
) -> Recording:
    """The model run again on what it was given, with other values put in the place of its own.

    Raises
    ------
    TraceError
        If parameters were changed since the trace was made, or an edited layer is not reached.
    """
    module = trace.model.module
    moved = changed_parameters(module, trace.parameter_marks)
    if moved:
        raise TraceError(
            f"`{moved[0]}` has changed since the trace was made, so nothing can be rerun from it",
            hint="Trace the model again.",
        )
    by_name: dict[str, list[Change]] = {}
    given: dict[int, list[Change]] = {}
    for target, changes in wanted.items():
        if trace.ops[target.index].kind == "input" and target.plain:
            given.setdefault(target.index, []).extend(changes)
        else:
            by_name.setdefault(target.name, []).extend(changes)
    replacing = Replace({name: in_turn(changes) for name, changes in by_name.items()})
    recording = record(module, _inputs(trace, given), [replacing, *observers], grad=grad)
    missed = sorted(by_name.keys() - replacing.used)
    if missed:
        raise TraceError(f"`{missed[0]}` was not reached when the model was run again")
    _fold(recording)
    return recording


def _inputs(trace: Trace, changes: Mapping[int, list[Change]]) -> Any:
    """What the model was given, as it was then: a model may write into its input."""
    seen: dict[int, Tensor] = {}
    ops = iter([op for op in trace.ops if op.kind == "input"])
    fresh: list[Tensor] = []
    for tensor in tensors_in(trace.inputs):
        if id(tensor) not in seen:
            op = next(ops, None)
            kept = op.values[0] if op is not None and op.values else None
            value = (kept if kept is not None else tensor).clone()
            seen[id(tensor)] = in_turn(changes.get(op.index, []))(value) if op is not None else value
        fresh.append(seen[id(tensor)])
    return exchange(trace.inputs, iter(fresh))


def _fold(recording: Recording) -> None:
    """Let each replaced op hold the value put in its place, so that ops are counted as before."""
    events: list[Event] = list(recording.events)
    users: dict[Place, int] = {}
    for event in events:
        for slot in _slots(event):
            users[slot.event.index, slot.output] = users.get((slot.event.index, slot.output), 0) + 1
    gone: dict[int, tuple[Event, int]] = {}
    for event in events:
        if event.kind != "replace":
            continue
        slot = event.args[0]
        if users[slot.event.index, slot.output] == 1:
            gone[event.index] = (slot.event, slot.output)
            if slot.output < len(slot.event.values) and event.values:
                slot.event.values[slot.output] = event.values[0]
    if not gone:
        return
    for event in events:
        for slot in _slots(event):
            if slot.event.index in gone:
                slot.event, slot.output = gone[slot.event.index]
    for call in recording.calls:
        call.outputs = [gone.get(e.index, (e, number)) for e, number in call.outputs]
        if call.leaf and call.name and call.outputs and call.first <= call.outputs[0][0].index < call.last:
            call.outputs[0][0].name = call.name
    kept = [event for event in events if event.index not in gone]
    before = [0]
    for event in events:
        before.append(before[-1] + (event.index not in gone))
    for call in recording.calls:
        _recount(call, before)
    for place, event in enumerate(kept):
        event.index = place
    assert isinstance(recording.events, list)
    recording.events[:] = kept


def _recount(call: Call, before: list[int]) -> None:
    call.first, call.last = before[call.first], before[call.last]


def _slots(event: Event) -> list[Any]:
    return [slot for slot in slots_of(event) if slot.event is not None]
