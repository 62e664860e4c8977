"""The kernels of convolutions, as bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from convscope.scene.quantize import scales_of, to_bytes

if TYPE_CHECKING:
    from convscope.tracing import Op, Trace

_KINDS = frozenset({"conv2d", "conv_transpose2d"})
_ALL_UP_TO = 4
_MOST = 8


def kernels_of(trace: Trace, op: Op, own: Tensor | None) -> Tensor | None:
    """The weight of a two-dimensional convolution, ``[out, in a group, rows, columns]``; else ``None``.

    ``own`` is the parameter or buffer its weight is, where it is one. Transposed convolutions are
    turned round to the same order of axes.
    """
    if op.kind not in _KINDS:
        return None
    operand = next((o for o in op.operands if o.role == "weight"), None)
    if operand is None:
        return None
    weight = operand.constant
    if operand.parameter is not None:
        weight = own
    elif operand.op is not None:
        values = trace.ops[operand.op].values
        weight = values[operand.output] if operand.output < len(values) else None
    if weight is None or weight.ndim != 4 or weight.is_complex() or weight.numel() == 0:
        return None
    weight = weight.detach().to("cpu", torch.float32)
    if op.kind == "conv_transpose2d":
        groups = int(op.attributes.get("groups", 1))
        parts = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
        weight = parts.transpose(1, 2).reshape(-1, parts.shape[1], *weight.shape[2:])
    return weight


def filter_arrays(weight: Tensor, groups: int) -> dict[str, NDArray[Any]]:
    """The arrays ``filters``, ``filter_scales`` and ``filter_inputs`` of kernels ``[out, in a group, r, c]``.

    All input channels in order where there are at most 4, else the 8 whose kernels have the
    largest L2 norm, strongest first. ``filter_inputs`` is left out where the inputs are
    simply 0, 1, 2, ...

    Examples
    --------
    >>> arrays = filter_arrays(torch.ones(4, 16, 3, 3), groups=1)
    >>> arrays["filters"].shape, arrays["filter_inputs"].shape
    ((4, 8, 3, 3), (4, 8))
    """
    out, inside = weight.shape[:2]
    found: dict[str, NDArray[Any]] = {}
    inputs = None
    if inside > _ALL_UP_TO:
        norms = torch.linalg.vector_norm(weight, dim=(2, 3)).nan_to_num(torch.inf)
        inputs = torch.topk(norms, min(_MOST, inside), dim=1).indices
        weight = weight[torch.arange(out)[:, None], inputs]
    elif groups > 1:
        inputs = torch.arange(inside).expand(out, inside)
    if inputs is not None:
        group = torch.arange(out) // max(1, out // groups)
        found["filter_inputs"] = (inputs + (group * inside)[:, None]).to(torch.int32).numpy()
    largest = torch.where(torch.isfinite(weight), weight.abs(), 0).flatten(1).amax(1)
    scales = scales_of(largest)
    found["filters"] = to_bytes(weight, scales[:, None, None, None]).numpy()
    found["filter_scales"] = scales.numpy()
    return found
