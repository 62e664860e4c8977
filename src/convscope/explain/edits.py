"""Edits: what is switched off or scaled, and where in a recorded pass that happens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite

from torch import Tensor

from convscope.errors import TraceError, UsageError
from convscope.tracing import Op, Trace

Change = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Edit:
    """One change of a layer's output: ``channels`` (all where ``None``) multiplied by ``factor``.

    Parameters
    ----------
    node
        Index of an op (place in ``trace.ops``), or the name of an op or module call.
    channels
        Channels of a map, entries of a vector, features of tokens ``[N, L, D]``, counted from 0.
    factor
        Any finite number; 0 switches off (NaN and infinity become 0 too), 1 changes nothing.

    Examples
    --------
    >>> Edit("layer4.0.conv1", (3, 7))
    Edit(node='layer4.0.conv1', channels=(3, 7), factor=0.0)
    """

    node: int | str
    channels: tuple[int, ...] | None = None
    factor: float = 0.0


@dataclass(frozen=True)
class Target:
    """Where an edit goes: an op's output, for the ops from ``first_user`` on; ``name`` is for observers.

    ``plain`` is false where the recording cannot tell who reads the edited value, because a
    module handed on a tensor that others read too.
    """

    index: int
    output: int
    name: str
    plain: bool = True


def locate(trace: Trace, node: int | str) -> Target:
    """The op output that ``node`` stands for.

    Raises
    ------
    UnknownLayerError
        If there is no op or module call of that name.
    UsageError
        If there is no op of that index.
    TraceError
        If the module call gave no tensor.
    """
    if isinstance(node, bool) or not isinstance(node, (int, str)):
        raise UsageError(f"`node` must be the index or the name of a layer; got {type(node).__name__}")
    if isinstance(node, int):
        if not 0 <= node < len(trace.ops):
            raise UsageError(f"`node` must be between 0 and {len(trace.ops) - 1}, the last op; got {node}")
        return Target(node, 0, trace.ops[node].name)
    found = trace[node]
    if isinstance(found, Op):
        return Target(found.index, 0, found.name)
    if not found.outputs:
        raise TraceError(f"`{found.name}` gave no tensor in this pass")
    index, output = found.outputs[0]
    inside = range(found.first, found.last)
    users = [op.index for op in trace.ops if any((o.op, o.output) == (index, output) for o in op.operands)]
    plain = index in inside and not any(user in inside for user in users)
    return Target(index, output, found.name, plain)


def channel_axis(op: Op, output: int = 0) -> int | None:
    """The axis of channels in an op's output; ``None`` for a single number.

    That is the axis of a map which is neither batch, rows nor columns (1 for ``[N, C, H, W]``,
    3 for ``[N, H, W, C]``), axis 1 of a vector ``[N, K]``, the last of tokens ``[N, L, D]``.
    """
    rank = len(op.shapes[output])
    if output == 0 and op.spatial is not None:
        left = [axis for axis in range(rank) if axis not in op.spatial]
        return left[min(1, len(left) - 1)] if left else None
    return {0: None, 1: 0, 3: 2}.get(rank, 1)


def change(trace: Trace, target: Target, edit: Edit) -> Change | None:
    """What ``edit`` does to the value at ``target``; ``None`` where it does nothing.

    Raises
    ------
    UsageError
        If a channel does not exist or the factor is not finite.
    """
    op = trace.ops[target.index]
    if (
        isinstance(edit.factor, bool)
        or not isinstance(edit.factor, (int, float))
        or not isfinite(edit.factor)
    ):
        raise UsageError(f"`factor` must be a finite number; got {edit.factor!r}")
    factor = float(edit.factor)
    if edit.channels is None:
        return None if factor == 1 else _Scaled(None, None, factor)
    axis = channel_axis(op, target.output)
    if axis is None:
        raise UsageError(f"`{target.name}` is a single number and has no channels")
    count = op.shapes[target.output][axis]
    for channel in edit.channels:
        if isinstance(channel, bool) or not isinstance(channel, int) or not 0 <= channel < count:
            raise UsageError(f"`{target.name}` has channels 0 to {count - 1}; got {channel!r}")
    channels = tuple(dict.fromkeys(edit.channels))
    return None if factor == 1 or not channels else _Scaled(axis, channels, factor)


@dataclass(frozen=True)
class _Scaled:
    """Multiplies channels by a factor, on a copy laid out in memory as the value is."""

    axis: int | None
    channels: tuple[int, ...] | None
    factor: float

    def __call__(self, value: Tensor) -> Tensor:
        value = value.clone()
        parts: Sequence[Tensor] = (
            [value]
            if self.axis is None or self.channels is None
            else [value.select(self.axis, channel) for channel in self.channels]
        )
        for part in parts:
            if self.factor == 0:
                part.zero_()
            elif part.is_floating_point() or part.is_complex():
                part.mul_(self.factor)
            else:
                part.copy_((part * self.factor).to(part.dtype))
        return value


def in_turn(changes: Sequence[Change]) -> Change:
    """All ``changes``, one after the other.

    Examples
    --------
    >>> import torch
    >>> in_turn([torch.neg, torch.exp])(torch.zeros(1))
    tensor([1.])
    """

    def apply(value: Tensor) -> Tensor:
        for one in changes:
            value = one(value)
        return value

    return apply
