"""Maps of numbers as bytes: 128 is zero, one scale a channel, and statistics of the true values.

Most passes over a map go in blocks small enough for the processor's cache.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Columns of stats/ID.
MINIMUM, MAXIMUM, MEAN, STD, ZEROS, PEAK_ROW, PEAK_COLUMN, SCALE = range(8)
# 128 kB of float32; fewer than torch would share out among threads.
_BLOCK = 32767
_SMALLEST_SCALE = float(torch.finfo(torch.float32).tiny)
_STRIP_SIDE = 28


@dataclass(frozen=True)
class Quantized:
    """A map as bytes.

    ``maps`` is ``uint8 [channels, rows, columns]``, value = (byte - 128) x scale with byte 0 for
    not-a-number and infinity; ``stats`` is ``float32 [channels, 8]``: minimum, maximum, mean,
    standard deviation (population), share of values that are exactly zero, row and column of
    the largest ``|value|`` and scale, all over finite values (a channel without any has NaN for
    the first four and its peak at -1, -1); ``finite`` is ``int64 [channels]``, how many are finite.
    """

    maps: NDArray[np.uint8]
    stats: NDArray[np.float32]
    finite: NDArray[np.int64]


def quantize_maps(values: Tensor) -> Quantized:
    """Bytes and statistics of a map ``[channels, rows, columns]``, one scale a channel.

    The largest ``|value|`` of a channel becomes byte 1 or 255; a channel of zeros has scale 0.

    Examples
    --------
    >>> found = quantize_maps(torch.tensor([[[-1.0, 0.0, 2.0, float("nan")]]]))
    >>> found.maps.tolist(), found.finite.tolist()
    ([[[65, 128, 255, 0]]], [3])
    >>> found.stats[0, :3].tolist(), found.stats[0, 5:7].tolist()
    ([-1.0, 2.0, 0.3333333432674408], [0.0, 2.0])
    """
    channels, rows, columns = values.shape
    flat = values.to(torch.float32).reshape(channels, rows * columns)
    maps = torch.empty(flat.shape, dtype=torch.uint8)
    stats = torch.zeros((channels, 8), dtype=torch.float32)
    finite = torch.full((channels,), flat.shape[1], dtype=torch.int64)
    places = torch.empty(channels, dtype=torch.int64)
    if flat.numel():
        low, high = flat.amin(1), flat.amax(1)
        if math.isfinite(float((high - low).sum())):
            _measure(flat, low, high, stats, maps, places)
        else:
            finite = _measure_damaged(flat, stats, maps, places)
        stats[:, PEAK_ROW] = places.div(columns, rounding_mode="floor").float()
        stats[:, PEAK_COLUMN] = torch.where(places < 0, -1, places % columns).float()
    return Quantized(maps.reshape(channels, rows, columns).numpy(), stats.numpy(), finite.numpy())


def extremes(values: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]] | None:
    """Smallest and largest value and the scale of each channel of a map; ``None`` where any is not finite.

    Examples
    --------
    >>> low, high, scale = extremes(torch.tensor([[[-1.0, 0.0, 127.0]]]))
    >>> low.tolist(), high.tolist(), scale.tolist()
    ([-1.0], [127.0], [1.0])
    """
    flat = values.reshape(len(values), -1)
    if not flat.numel():
        return None
    low, high = flat.amin(1).numpy(), flat.amax(1).numpy()
    largest = np.maximum(high, -low)
    # A sum is finite only if all of it is.
    if not math.isfinite(float(largest.sum(dtype=np.float64)) + float((high - low).sum(dtype=np.float64))):
        return None
    scale = np.where(largest > 0, np.maximum(largest / np.float32(127), np.float32(_SMALLEST_SCALE)), 0)
    return low, high, scale.astype(np.float32)


def quantize_vector(values: Tensor) -> Quantized:
    """Bytes and statistics of a vector ``[channels]``: maps of one cell with one scale for all.

    Examples
    --------
    >>> quantize_vector(torch.tensor([2.0, -1.0, 0.0])).maps.ravel().tolist()
    [255, 65, 128]
    """
    values = values.to(torch.float32)
    whole = quantize_maps(values.reshape(1, 1, -1))
    finite = torch.isfinite(values)
    own = torch.where(finite, values, torch.nan)
    stats = torch.zeros((len(values), 8), dtype=torch.float32)
    stats[:, MINIMUM : MEAN + 1] = own[:, None]
    stats[:, STD] = own * 0
    stats[:, ZEROS] = (values == 0).float()
    stats[:, PEAK_ROW : PEAK_COLUMN + 1] = finite.float()[:, None] - 1
    stats[:, SCALE] = float(whole.stats[0, SCALE]) if len(values) else 0.0
    return Quantized(whole.maps.reshape(-1, 1, 1), stats.numpy(), finite.to(torch.int64).numpy())


def to_bytes(values: Tensor, scales: Tensor) -> Tensor:
    """``uint8`` of the same shape: 128 + value / scale rounded, byte 0 where not finite.

    ``scales`` must broadcast; where a scale is 0 every finite value becomes 128.
    """
    steps = values * _inverse(scales) + 128.5
    return torch.where(torch.isfinite(steps), steps.clamp(1, 255.5), 0).to(torch.uint8)


def scales_of(largest: Tensor) -> Tensor:
    """Scale of a channel whose largest ``|value|`` is given: a 127th of it, 0 for 0."""
    return torch.where(largest > 0, (largest / 127).clamp_min(_SMALLEST_SCALE), 0.0)


def make_strip(values: Tensor, scales: NDArray[np.float32], *, finite: bool = False) -> NDArray[np.uint8]:
    """Maps ``[n, rows, columns]`` area-averaged to at most 28 x 28, as bytes of the given scales.

    A cell over any value that is not finite is byte 0. Where it is known that all are ``finite`` none is
    looked for.
    """
    rows, columns = values.shape[1:]
    shrink = max(1.0, rows / _STRIP_SIDE, columns / _STRIP_SIDE)
    size = (max(1, round(rows / shrink)), max(1, round(columns / shrink)))
    small = values.to(torch.float32)
    if size != (rows, columns):
        small = torch.nn.functional.adaptive_avg_pool2d(small, size)
    if finite:
        inverse = np.divide(1, scales, out=np.zeros_like(scales), where=scales > 0)
        steps = small.mul(torch.from_numpy(inverse)[:, None, None]).add_(128.5).clamp_(1, 255.5)
        return steps.to(torch.uint8).numpy()
    found: NDArray[np.uint8] = to_bytes(small, torch.from_numpy(scales)[:, None, None]).numpy()
    return found


def _inverse(scales: Tensor) -> Tensor:
    return torch.where(scales > 0, 1 / scales, 0.0)


def _measure(flat: Tensor, low: Tensor, high: Tensor, stats: Tensor, maps: Tensor, places: Tensor) -> None:
    """Fill in ``stats``, ``maps`` and the ``places`` of the peaks of finite ``flat [channels, cells]``."""
    channels, cells = flat.shape
    scale = scales_of(torch.maximum(high, -low))
    inverse = _inverse(scale)[:, None]
    nonzero, mean, spread = (torch.empty(channels) for _ in range(3))
    many = max(1, min(channels, _BLOCK // cells))
    buffer = torch.empty((many, cells))
    for first in range(0, channels, many):
        part = slice(first, min(channels, first + many))
        block, steps = flat[part], buffer[: min(channels, first + many) - first]
        torch.abs(block, out=steps)
        torch.argmax(steps, 1, out=places[part])
        torch.sum(steps.ne_(0), 1, out=nonzero[part])
        # In steps of the scale, so that squares of huge or tiny numbers neither overflow nor vanish.
        torch.mul(block, inverse[part], out=steps)
        torch.mean(steps, 1, out=mean[part])
        maps[part].copy_(steps.add_(128.5))
        steps.sub_((mean[part] + 128.5)[:, None])
        torch.linalg.vector_norm(steps, dim=1, out=spread[part])
    stats[:, MINIMUM], stats[:, MAXIMUM], stats[:, SCALE] = low, high, scale
    stats[:, MEAN] = torch.minimum(torch.maximum(mean * scale, low), high)
    stats[:, STD] = spread * (scale / math.sqrt(cells))
    stats[:, ZEROS] = 1 - nonzero / cells


def _measure_damaged(block: Tensor, stats: Tensor, maps: Tensor, places: Tensor) -> Tensor:
    """The same where some values are not finite, in plain steps; gives the counts of finite values."""
    finite = torch.isfinite(block)
    count = finite.sum(1)
    exact = torch.where(finite, block, 0).double()
    largest, place = torch.where(finite, block.abs(), -1.0).max(1)
    scale = scales_of(largest)
    mean = exact.sum(1) / count
    deviation = torch.where(finite, exact - mean[:, None], 0)
    none = torch.tensor(torch.nan)
    stats[:, MINIMUM] = torch.where(count > 0, torch.where(finite, block, torch.inf).amin(1), none)
    stats[:, MAXIMUM] = torch.where(count > 0, torch.where(finite, block, -torch.inf).amax(1), none)
    stats[:, MEAN] = mean.float()
    stats[:, STD] = (deviation.square().sum(1) / count).sqrt().float()
    stats[:, ZEROS] = (block == 0).sum(1) / block.shape[1]
    places.copy_(torch.where(count > 0, place, -1))
    stats[:, SCALE] = scale
    maps.copy_(torch.where(finite, to_bytes(exact.float(), scale[:, None]), 0))
    return count
