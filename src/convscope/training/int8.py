"""Convolutions in 8-bit whole numbers.

Processors with VNNI multiply bytes at twice the rate of bfloat16. Maps and filters are rounded to bytes; one
scale holds for all values of the maps, and one for each filter.

A gradient is rounded up or down by chance, so that on average it is what it was (Gupta et al., 2015):
rounded to the nearest byte, most of it would become 0 and what is left would lean to one side, which a batch
norm before it then learns.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

_LAST = torch.channels_last
# With fewer maps there is little to multiply, and as much to round.
LEAST_MAPS = 16
# Values worked on at a time, so that what is worked out on the way stays in the cache.
_SOME = 2**18
_CENTRE = 128


@lru_cache(maxsize=1)
def has_int8() -> bool:
    """Whether this processor multiplies bytes in hardware, and this torch lets it and does it right."""
    random = torch.Generator().manual_seed(0)
    maps = torch.rand(2, LEAST_MAPS, 5, 5, generator=random).contiguous(memory_format=_LAST)
    weight = torch.randn(8, LEAST_MAPS, 3, 3, generator=random)
    try:
        found = convolve_int8(maps, weight, (1, 1)) if torch.cpu._is_vnni_supported() else None
    except (RuntimeError, AttributeError, TypeError):
        return False
    exact = functional.conv2d(maps, weight, padding=1)
    return found is not None and float((found - exact).abs().max()) < 0.05 * float(exact.abs().max())


def convolve_int8(
    maps: Tensor, weight: Tensor, padding: tuple[int, ...], *, by_chance: bool = False
) -> Tensor | None:
    """A convolution of stride 1, without bias, computed in 8-bit whole numbers.

    Parameters
    ----------
    maps
        ``(N, channels, H, W)``, float32 or bfloat16, on the CPU, channels last in memory.
    weight
        ``(filters, channels, rows, columns)``.
    padding
        Rows and columns of zeros on each side, fewer than the filters have.
    by_chance
        Whether the maps are rounded up or down by chance, with numbers that follow from torch's default
        generator, so that the result does not lean, rather than to the nearest.

    Returns
    -------
    Maps of the type of ``maps``; ``None`` where a value is not finite, or all maps are 0.

    Examples
    --------
    >>> maps = torch.rand(2, 16, 8, 8).to(memory_format=torch.channels_last)
    >>> weight = torch.randn(32, 16, 3, 3)
    >>> exact = functional.conv2d(maps, weight, padding=1)
    >>> found = convolve_int8(maps, weight, (1, 1)) if has_int8() else exact
    >>> bool((found - exact).abs().max() < 0.05 * exact.abs().max())
    True
    """
    values = maps.permute(0, 2, 3, 1).reshape(-1)
    if not len(values):
        return None
    low, high = (float(value) for value in torch.aminmax(values))
    if by_chance:
        # A value goes up or down by less than 1: from -127 to 127, around 128.
        scale, zero = max(-low, high) / 126, _CENTRE
    elif low < 0:
        # The coarse type of the maps rounds once more: with room for one at both ends, no byte goes round.
        scale, zero = (max(high, 0.0) - low) / 252, 1
    else:
        scale, zero = high / 255, 0
    scales = weight.abs().amax((1, 2, 3)).float().clamp_min_(1e-30) / 127
    inverse = 1 / scale if scale > 0 else math.inf
    if not math.isfinite(scale) or not math.isfinite(inverse) or not bool(scales.isfinite().all()):
        return None
    if zero == 1:
        zero += round(-low * inverse)
    filters = (weight.float() / scales.view(-1, 1, 1, 1)).round_().to(torch.int8)
    counted = _bytes(values, inverse, zero, by_chance).view(maps.permute(0, 2, 3, 1).shape)
    ones, sides = [1, 1], list(padding)
    packed = torch.ops.onednn.qconv_prepack(
        filters, scales, scale, zero, ones, sides, ones, 1, list(maps.shape)
    )
    # Zero points of the filters, none of which is moved.
    zeros = torch.zeros(len(scales), dtype=torch.int32)
    result: Tensor = torch.ops.onednn.qconv2d_pointwise(
        counted.permute(0, 3, 1, 2), scale, zero, packed, scales, zeros, None, ones, sides, ones, 1, 1.0, 0,
        maps.dtype, "none", [], "",
    )  # fmt: skip
    return result


def _bytes(values: Tensor, inverse: float, zero: int, by_chance: bool) -> Tensor:
    """``values * inverse + zero`` as bytes, rounded to the nearest or, without lean, by chance."""
    result = torch.empty(len(values), dtype=torch.uint8)
    places = iter(torch.randint(_SOME, (-(-len(values) // _SOME),)).tolist()) if by_chance else None
    # Torch turns neither bfloat16 nor float32 into bytes fast, but both into 16 bits, and these into bytes.
    for some, out in zip(values.split(_SOME), result.split(_SOME), strict=True):
        if places is None:
            scaled = some * inverse
        else:
            start = next(places)
            scaled = torch.add(_noise(values.dtype)[start : start + len(some)], some, alpha=inverse)
        out.copy_(scaled.round_().to(torch.int16))
    # Whole numbers of 8 bits go round: -1 is 255.
    return result.add_(zero) if zero else result


@lru_cache(maxsize=2)
def _noise(dtype: torch.dtype) -> Tensor:
    """Even random numbers from -0.5 to 0.5, the same always; where to begin in them is drawn each time."""
    random = torch.Generator().manual_seed(0)
    return torch.rand(2 * _SOME, generator=random).sub_(0.5).to(dtype)
