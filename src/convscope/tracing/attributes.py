"""Arguments of a torch function under their documented names: tensors as operands, the rest as attributes.

Convolutions and poolings get ``kernel_size``, ``stride``, ``padding`` and ``dilation`` as
pairs (rows, columns), whatever form they were given in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from convscope.tracing.events import Event, Slot
from convscope.tracing.graph import Operand
from convscope.tracing.plan import argument_names

_SHAPED = frozenset(
    [
        "conv1d",
        "conv2d",
        "conv3d",
        "conv_transpose1d",
        "conv_transpose2d",
        "conv_transpose3d",
        "max_pool1d",
        "max_pool2d",
        "max_pool3d",
        "avg_pool1d",
        "avg_pool2d",
        "avg_pool3d",
        "lp_pool1d",
        "lp_pool2d",
        "convolution",
    ]
)


def bind(event: Event) -> tuple[tuple[Operand, ...], dict[str, Any]]:
    """Operands and attributes of a recorded call."""
    names = argument_names(event.function) if event.function is not None else ()
    operands: list[Operand] = []
    attributes: dict[str, Any] = {}
    given = [(_role(names, i, value), value) for i, value in enumerate(event.args)]
    for role, value in [*given, *event.kwargs.items()]:
        found = list(_slots(role, value))
        if found:
            operands += [_operand(name, slot) for name, slot in found]
        elif value is not None and role != "out":
            attributes[role] = _plain(value)
    operands += [_operand(f"memory.{i}", slot) for i, slot in enumerate(event.extra)]
    if event.kind in _SHAPED:
        attributes.update(_windows(event.kind, operands, attributes))
    return tuple(operands), attributes


def _role(names: Sequence[str], place: int, value: Any) -> str:
    name = names[place] if place < len(names) else str(place)
    # `x.max(1)` is documented as `max(input, out=None)`: a number there is an axis.
    return "dim" if name == "out" and isinstance(value, (int, tuple)) else name


def _slots(role: str, value: Any) -> Iterator[tuple[str, Slot]]:
    if isinstance(value, Slot):
        yield role, value
    elif isinstance(value, (tuple, list)):
        for i, item in enumerate(value):
            yield from _slots(f"{role}.{i}", item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _slots(f"{role}.{key}", item)


def _operand(role: str, slot: Slot) -> Operand:
    return Operand(
        role,
        tuple(slot.shape),
        op=slot.event.index if slot.event is not None else None,
        output=slot.output,
        parameter=slot.parameter,
        constant=slot.constant.tensor if slot.constant is not None else None,
    )


def _plain(value: Any) -> Any:
    """The value itself where it is data, its text where it is something else (a dtype, a device)."""
    if isinstance(value, (bool, int, float, str, slice)) or value is Ellipsis:
        return value
    if isinstance(value, (tuple, list, torch.Size)):
        return tuple(_plain(v) for v in value)
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    return None if value is None else str(value)


def _windows(kind: str, operands: list[Operand], attributes: Mapping[str, Any]) -> dict[str, Any]:
    rank = int(kind[-2]) if kind[-2:] in {"1d", "2d", "3d"} else 2
    weight = next((o for o in operands if o.role == "weight"), None)
    size = tuple(weight.shape[2:]) if weight is not None else as_tuple(attributes.get("kernel_size", 1), rank)
    stride = attributes.get("stride")
    steps = as_tuple(stride if stride not in (None, ()) else (size if weight is None else 1), rank)
    dilation = as_tuple(attributes.get("dilation", 1), rank)
    padding = attributes.get("padding", 0)
    windows: dict[str, Any] = {"kernel_size": size, "stride": steps, "dilation": dilation}
    if padding == "valid":
        padding = 0
    if padding == "same":
        total = tuple(d * (k - 1) for d, k in zip(dilation, size, strict=True))
        windows["padding"] = tuple(t // 2 for t in total)
        windows["padding_end"] = tuple(t - t // 2 for t in total)
    else:
        windows["padding"] = as_tuple(padding, rank)
    if weight is not None:
        windows["groups"] = int(attributes.get("groups", 1))
    return windows


def as_tuple(value: Any, rank: int) -> tuple[int, ...]:
    """``value`` as ``rank`` whole numbers: one number stands for all.

    Examples
    --------
    >>> as_tuple(3, 2), as_tuple((1, 2), 2)
    ((3, 3), (1, 2))
    """
    if isinstance(value, Tensor):
        value = value.tolist()
    if isinstance(value, (tuple, list)):
        return tuple(int(v) for v in value) if len(value) == rank else (int(value[0]),) * rank
    return (int(value),) * rank
