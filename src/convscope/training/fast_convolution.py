"""Convolutions computed in 8-bit whole numbers in a training step, with the weights of the network's own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from convscope.training.int8 import LEAST_MAPS, convolve_int8, has_int8

_LAST = torch.channels_last
_TYPES = (torch.bfloat16, torch.float32)


def fits(layer: nn.Module) -> bool:
    """Whether a layer can be exchanged: a plain convolution of stride 1, no groups, 16 maps or more.

    Examples
    --------
    >>> [fits(nn.Conv2d(maps, 32, 3, padding=1)) for maps in (3, 16)]
    [False, True]
    """
    return (
        type(layer) is nn.Conv2d
        and min(layer.in_channels, layer.out_channels) >= LEAST_MAPS
        and layer.groups == 1
        and layer.stride == layer.dilation == (1, 1)
        and layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
        and all(side < kernel for side, kernel in zip(layer.padding, layer.kernel_size, strict=True))
    )


class FastConv2d(nn.Module):
    """A convolution with the weights of another, computed in 8-bit whole numbers where the processor can.

    So are the gradients that go back to the maps. The gradient of the weights, which the optimizer adds up
    over the whole training, is worked out from maps and gradients before rounding. Maps that are neither
    float32 nor bfloat16, and values that are not finite, take torch's own convolution.

    Parameters
    ----------
    layer
        A convolution that ``fits``; it is not changed, and its weights stay its own.

    Examples
    --------
    >>> layer = nn.Conv2d(16, 32, 3, padding=1)
    >>> maps = torch.rand(2, 16, 8, 8).to(memory_format=torch.channels_last)
    >>> exact = layer(maps)
    >>> bool((FastConv2d(layer)(maps) - exact).abs().max() < 0.05 * exact.abs().max())
    True
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self.padding = tuple(int(side) for side in layer.padding)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps ``(N, filters, H, W)`` of maps ``(N, channels, H, W)``."""
        usual = maps.dim() == 4 and maps.device.type == "cpu" and maps.dtype in _TYPES
        if not usual or self.weight.dtype != maps.dtype or not has_int8():
            return functional.conv2d(maps, self.weight, self.bias, padding=self.padding)
        result: Tensor = _Convolution.apply(maps.contiguous(memory_format=_LAST), self.weight, self.padding)
        return result if self.bias is None else result + self.bias.view(-1, 1, 1)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, padding: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(maps, weight)
        ctx.padding = padding
        result = convolve_int8(maps, weight, padding)
        return functional.conv2d(maps, weight, padding=padding) if result is None else result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        maps, weight = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=_LAST)
        to_maps, to_weight, _ = ctx.needs_input_grad
        back = None
        if to_maps:
            # What a convolution sends back is a convolution with its filters turned about.
            sides = zip(weight.shape[2:], ctx.padding, strict=True)
            rest = tuple(kernel - 1 - side for kernel, side in sides)
            back = convolve_int8(gradient, weight.flip(2, 3).transpose(0, 1), rest, by_chance=True)
        wanted = [to_maps and back is None, to_weight, False]
        exact, of_weight, _ = torch.ops.aten.convolution_backward(
            gradient, maps, weight, None, [1, 1], ctx.padding, [1, 1], False, [0, 0], 1, wanted
        )
        return (exact if back is None else back), of_weight, None
