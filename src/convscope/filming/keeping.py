"""What a film keeps of a network: its convolutions' kernels, their maps, and the answers, within bounds.

What is kept is chosen once, from the first pass, and stays the same to the last frame. Kernels are kept
as they are (``float32``); maps as bytes with a scale each, as a scene has them: 128 is exactly zero,
value = (byte - 128) x scale, byte 0 marks what is not finite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convscope.errors import UsageError, nearest
from convscope.tracing.answers import probabilities

if TYPE_CHECKING:
    from convscope.tracing import Op, Trace

#: Images, and of each convolution filters, kernels of each filter, and channels of maps.
MOST_IMAGES, _FILTERS, _KERNELS, _CHANNELS = 8, 64, 8, 32
#: Convolutions kept of a deep network, evenly chosen, the first among them.
_LAYERS = 24
#: Side of the maps kept, larger ones being averaged down: of the first convolution, and of the others.
_FIRST_SIDE, _SIDE = 56, 28
#: Bytes of maps in a frame.
_MAP_BYTES = 2 << 20


def choose_layers(trace: Trace, images: int, wanted: Sequence[str] = ()) -> tuple[list[dict[str, Any]], int]:
    """The convolutions kept, as the manifest describes them, and how many there are.

    Parameters
    ----------
    wanted
        Names of those to keep; some, evenly chosen, if not given.

    Raises
    ------
    UsageError
        If one that is wanted is not there.

    Examples
    --------
    >>> import convscope
    >>> from torch import nn
    >>> trace = convscope.trace(nn.Sequential(nn.Conv2d(3, 40, 5)), torch.zeros(2, 3, 64, 64))
    >>> (layer,), count = choose_layers(trace, 2)
    >>> layer["name"], layer["kernels"], layer["maps"], count
    ('0', [40, 3, 5, 5], [32, 56, 56], 1)
    """
    every = [op for op in trace.ops if op.kind in ("conv2d", "conv_transpose2d") and len(op.shape) == 4]
    found = every
    if wanted:
        by_name = {op.name: op for op in every}
        missing = next((name for name in wanted if name not in by_name), None)
        if missing is not None:
            near = nearest(str(missing), list(by_name)) or list(by_name)
            raise UsageError(
                f"the network has no convolution `{missing}`", hint=f"It has {', '.join(near[:8])}."
            )
        found = [op for op in every if op.name in wanted]
    if len(found) > _LAYERS:
        found = [found[i] for i in np.unique(np.linspace(0, len(found) - 1, _LAYERS).astype(int))]
    layers = [_described(op, trace, first=number == 0) for number, op in enumerate(found)]
    while images * sum(np.prod(layer["maps"]) for layer in layers) > _MAP_BYTES:
        if all(layer["maps"][0] <= 1 for layer in layers[1:]):
            break
        for layer in layers[1:]:
            layer["maps"][0] = max(1, layer["maps"][0] // 2)
    return layers, len(every)


def _described(op: Op, trace: Trace, *, first: bool) -> dict[str, Any]:
    channels, rows, columns = op.shape[1:]
    shrink = max(1.0, rows / (_FIRST_SIDE if first else _SIDE), columns / (_FIRST_SIDE if first else _SIDE))
    operand = next((o for o in op.operands if o.role == "weight"), None) if op.kind == "conv2d" else None
    weight = operand.parameter if operand is not None else None
    # Weights that are computed, of their direction and length say.
    source = trace.ops[operand.op].name if operand is not None and operand.op is not None else None
    shape = list(operand.shape) if operand is not None and (weight or source) else None
    reads = trace.ops[op.inputs[0]] if op.inputs else None
    return {
        "name": op.name,
        "weight": weight,
        **({"weight_op": source} if source is not None else {}),
        "weight_shape": shape,
        "kernels": shape and [min(_FILTERS, shape[0]), min(_KERNELS, shape[1]), *shape[2:]],
        "map_shape": [channels, rows, columns],
        "maps": [min(channels, _CHANNELS), max(1, round(rows / shrink)), max(1, round(columns / shrink))],
        "reads_image": reads is not None and reads.kind == "input",
    }


def kept_names(layers: Sequence[Mapping[str, Any]]) -> list[str]:
    """The ops whose values a frame is made of."""
    return [name for layer in layers for name in (layer["name"], layer.get("weight_op")) if name]


def frame_arrays(trace: Trace, layers: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
    """The arrays of one frame, from a pass of the network as it is now."""
    found: dict[str, NDArray[Any]] = {}
    for number, layer in enumerate(layers):
        if layer["kernels"] is not None:
            filters, inputs = layer["kernels"][:2]
            computed = layer.get("weight_op")
            weight = trace.op(computed).value if computed else trace.parameter(layer["weight"])
            kernels = weight.detach()[:filters, :inputs]
            found[f"kernels_{number}"] = kernels.to("cpu", torch.float32).numpy().copy()
        channels, *size = layer["maps"]
        maps = trace.op(layer["name"]).value[:, :channels].detach().to("cpu", torch.float32)
        if maps.shape[2:] != torch.Size(size):
            maps = torch.nn.functional.adaptive_avg_pool2d(maps, size)
        found[f"maps_{number}"], found[f"scales_{number}"] = as_bytes(maps)
    if trace.logits is not None:
        shares = probabilities(trace.logits, trace.scores_are)
        found["probabilities"] = shares.to(torch.float32).numpy()
    return found


def as_bytes(maps: Tensor) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Maps ``(images, channels, rows, columns)`` as bytes, and the scale of each ``(images, channels)``.

    Examples
    --------
    >>> bytes_, scales = as_bytes(torch.tensor([[[[-1.0, 0.0, 2.0, float("nan")]]]]))
    >>> bytes_.tolist(), scales.tolist()
    ([[[[64, 128, 255, 0]]]], [[0.015748031437397003]])
    """
    finite = torch.isfinite(maps)
    scales = torch.where(finite, maps.abs(), 0).amax((2, 3)) / 127
    steps = torch.where(scales > 0, 1 / scales, 0)[:, :, None, None] * maps + 128
    bytes_ = torch.where(finite, steps.round().clamp(1, 255), 0).to(torch.uint8)
    return bytes_.numpy(), scales.numpy()
