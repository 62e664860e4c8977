"""Turns what the recorder wrote down into ops and module calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from torch import nn

from convscope.tracing.attributes import bind
from convscope.tracing.cost import multiply_adds
from convscope.tracing.events import Call, Event
from convscope.tracing.fields import spatial_and_field
from convscope.tracing.graph import ModuleCall, Op, Stored


def build_ops(
    events: Sequence[Event], model: nn.Module, learned: Mapping[str, tuple[int, ...]]
) -> tuple[Op, ...]:
    """Every event as an op, in call order; ``learned`` gives the shape of each parameter (not buffer)."""
    ops: list[Op] = []
    for event in events:
        operands, attributes = bind(event)
        shapes = tuple(tuple(shape) for shape, _ in event.outputs)
        parameters = {
            o.parameter: prod(learned[o.parameter])
            for o in operands
            if o.parameter is not None and o.parameter in learned
        }
        spatial, field = spatial_and_field(event.kind, operands, attributes, shapes, ops)
        ops.append(
            Op(
                index=event.index,
                name=event.name,
                kind=event.kind,
                path=event.path,
                module_type=type(event.module if event.module is not None else model).__name__,
                shapes=shapes,
                dtype=str(event.outputs[0][1]).removeprefix("torch.") if event.outputs else "",
                operands=operands,
                attributes=attributes,
                parameters=parameters,
                multiply_adds=multiply_adds(event.kind, operands, attributes, shapes),
                seconds=event.seconds,
                spatial=spatial,
                field=field,
                stored=tuple(event.values),
            )
        )
    return tuple(ops)


def build_calls(calls: Sequence[Call]) -> tuple[ModuleCall, ...]:
    """Every module call that returned, in the order they began."""
    return tuple(
        ModuleCall(
            name=call.name,
            path=call.path,
            module_type=type(call.module).__name__,
            number=call.number,
            first=call.first,
            last=call.last,
            outputs=tuple((event.index, output) for event, output in call.outputs),
            leaf=call.leaf,
            stored=tuple(call.values) or tuple(_stored(event, output) for event, output in call.outputs),
        )
        for call in calls
    )


def _stored(event: Event, output: int) -> Stored | None:
    return event.values[output] if output < len(event.values) else None
