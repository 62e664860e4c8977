"""One kernel of any network, laid on a photo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convscope.errors import ControlError, nearest
from convscope.lesson.convolve import convolve
from convscope.lesson.geometry import Geometry

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from convscope.lesson.lessons import Tools
    from convscope.lesson.photos import Photo
    from convscope.models import Model


@dataclass(frozen=True, eq=False)
class Answer:
    """A kernel ``(channels, rows, columns)``, the feature map it gives, and what must be said of it."""

    kernel: NDArray[Any]
    response: NDArray[Any]
    geometry: Geometry
    multiply_adds: int
    notes: tuple[str, ...]
    notes_zh: tuple[str, ...] = ()


def network_answer(chosen: tuple[str, str, int], weights: str, photo: Photo, tools: Tools) -> Answer:
    """What one channel of one convolution of a network answers to a photo.

    A kernel that takes pixels is laid on the photo at its own size, normalised as the network's input is; one
    that takes the maps of an earlier layer gets those maps, from a true pass of the photo.

    Raises
    ------
    ControlError
        If the network has no such convolution or channel.
    """
    import torch

    name, layer, channel = chosen
    model = tools.model(name, weights)
    modules = {n: m for n, m in model.module.named_modules() if isinstance(m, torch.nn.Conv2d)}
    if layer not in modules:
        near = nearest(layer, modules)
        some = ", ".join(near or list(modules)[:6])
        raise ControlError(
            f"`{name}` has no convolution `{layer}`", control="kernel", hint=f"It has {some}." if some else ""
        )
    module = modules[layer]
    if not 0 <= channel < module.out_channels:
        raise ControlError(
            f"`{layer}` of `{name}` has channels 0 to {module.out_channels - 1}; got {channel}",
            control="kernel",
        )
    notes = [(f"{name} {layer} channel {channel}", f"{name} {layer} 通道 {channel}")]
    if model.card.random:
        notes.append(
            ("Random weights: this kernel has learned nothing.", "随机权重：这个卷积核什么也没学到。")
        )
    first = module.in_channels == 3 and module.groups == 1 and layer == next(iter(modules))
    if first:
        image = _normalised(photo, model)
        notes.append(
            (
                "The photo at its own size, normalised as the network's input is.",
                "照片保持原尺寸，并按网络输入的方式归一化。",
            )
        )
    else:
        image = _input_of(model, layer, photo)
        notes.append(
            (
                f"Its input are the {image.shape[0]} maps of {image.shape[1]} x {image.shape[2]} that "
                f"the network "
                "computed from the photo before this layer.",
                f"它的输入是网络在此层之前算出的 {image.shape[0]} 张 {image.shape[1]} × "
                f"{image.shape[2]} 特征图。",
            )
        )
    each = module.out_channels // module.groups
    group = channel // each
    part = image[group * module.in_channels // module.groups :][: module.in_channels // module.groups]
    kernel = module.weight[channel].detach().float().cpu().numpy()
    bias = None if module.bias is None else float(module.bias[channel])
    done = convolve(
        part,
        kernel[None],
        stride=module.stride,
        padding=_padding(module),
        padding_mode=module.padding_mode,
        dilation=module.dilation,
        bias=bias,
    )
    return Answer(
        kernel,
        done.maps[0],
        done.geometry,
        done.multiply_adds,
        tuple(en for en, _ in notes),
        tuple(zh for _, zh in notes),
    )


def _padding(module: Any) -> Any:
    return (
        {"valid": "none"}.get(module.padding, module.padding)
        if isinstance(module.padding, str)
        else module.padding
    )


def _normalised(photo: Photo, model: Model) -> NDArray[np.float32]:
    import numpy as np

    preprocessing = model.card.preprocessing
    values = photo.pixels / np.float32(255)
    if preprocessing.mean and preprocessing.std:
        mean, std = (np.array(n, np.float32) for n in (preprocessing.mean, preprocessing.std))
        values = (values - mean) / std
    found: NDArray[np.float32] = np.ascontiguousarray(np.moveaxis(values, 2, 0))
    return found


def _input_of(model: Model, layer: str, photo: Photo) -> NDArray[np.float32]:
    """The maps a layer was given, from a recorded pass."""
    import convscope.tracing as tracing
    from convscope.data import Picture

    trace = tracing.trace(model, Picture(photo.bytes, photo.name))
    op = next((op for op in trace.ops if op.path == layer and op.kind.startswith("conv")), None)
    if op is None or not op.inputs:
        raise ControlError(f"`{layer}` was not run for this photo", control="kernel")
    values: NDArray[np.float32] = trace.ops[op.inputs[0]].value[0].detach().float().cpu().numpy()
    return values
