"""Peaks of sums of products, all channels at once: convolutions, linear layers, poolings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from convscope.numerics import adaptive_rows, sum_tolerance
from convscope.scene.peaks import Doubles, NotCoveredError, Peaks
from convscope.scene.proof_parts import Proof

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convscope.tracing.graph import Operand

# 2 MB of float64: a part of a layer's products that stays in the processor's cache.
_PART = 1 << 18


def convolution(peaks: Peaks, most: int, patched: bool) -> Proof:
    """``Σ input · weight + bias``: one term an input channel, its cell that of the largest product."""
    image, weight = peaks.main(), peaks.operand("weight")
    if weight is None or len(image.shape) != 4 or len(weight.shape) != 4 or image.op is None:
        raise NotCoveredError("it is no plain convolution of a map")
    values, kernel = peaks.tensor(image)[0], peaks.tensor(weight)
    attributes = peaks.op.attributes
    pairs = {name: attributes[name] for name in ("stride", "padding", "dilation")}
    if any(len(pair) != 2 or not all(type(n) is int for n in pair) for pair in pairs.values()):
        raise NotCoveredError("its attributes are no pairs of numbers")
    groups = int(attributes.get("groups", 1))
    windows = _Windows(values, kernel, peaks, pairs, groups)
    keep = min(most, kernel.shape[1])
    parts = [windows.part(first, keep, patched) for first in range(0, len(kernel), windows.many)]
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    bias = peaks.numbers("bias")
    total, tolerance = _finished(peaks, found, bias)
    window = {"kernel": list(kernel.shape[2:]), **{name: list(pair) for name, pair in pairs.items()}}
    each = {"first": windows.inside // groups if groups > 1 else 0, "of": len(kernel) // groups}
    said = {
        "formula": "Σ input · weight" + (" + bias" if bias is not None else ""),
        "reads": "window",
        "label": "channel",
        "terms": kernel.shape[1],
        "operands": [peaks.described(image)],
        "window": window,
        "group": each,
    }
    return Proof(
        rule="sum",
        total=total,
        tolerance=tolerance,
        said=said,
        columns={} if bias is None else {"bias": bias},
        arrays={
            name: found[name] for name in ("terms", "inputs", "weights", "places", "patches") if name in found
        },
    )


class _Windows:
    """The windows of a convolution at the peaks of its channels, gathered in parts."""

    def __init__(
        self, values: Tensor, kernel: Tensor, peaks: Peaks, pairs: dict[str, Any], groups: int
    ) -> None:
        (top, left), (down, across), (apart, aside) = pairs["padding"], pairs["stride"], pairs["dilation"]
        self.inside = values.shape[0]
        self.each = kernel.shape[1]
        self.kernel = kernel
        self.area = kernel.shape[2] * kernel.shape[3]
        self.group = torch.arange(len(kernel)) // (len(kernel) // groups)
        self.rows = peaks.rows[:, None] * down + torch.arange(kernel.shape[2]) * apart
        self.columns = peaks.columns[:, None] * across + torch.arange(kernel.shape[3]) * aside
        bottom = max(0, int(self.rows.max()) + 1 - top - values.shape[1])
        right = max(0, int(self.columns.max()) + 1 - left - values.shape[2])
        padded = top or left or bottom or right
        self.values = functional.pad(values, (left, right, top, bottom)) if padded else values
        # With the channels of a cell side by side, what a window reads is copied in long runs.
        self.cells = self.values.permute(1, 2, 0).reshape(-1, self.inside) if groups == 1 else None
        within = (self.rows >= top) & (self.rows < top + values.shape[1])
        beside = (self.columns >= left) & (self.columns < left + values.shape[2])
        self.known = (within[:, :, None] & beside[:, None, :]).reshape(len(kernel), -1)
        self.many = max(1, _PART // (self.each * self.area))

    def part(self, first: int, keep: int, patched: bool) -> dict[str, NDArray[Any]]:
        """Sums and the ``keep`` largest terms of some channels."""
        part = slice(first, min(first + self.many, len(self.kernel)))
        rows, columns, known = self.rows[part], self.columns[part], self.known[part]
        count = len(rows)
        if self.cells is not None:
            places = (rows[:, :, None] * self.values.shape[2] + columns[:, None, :]).flatten()
            inputs = self.cells.index_select(0, places).reshape(count, self.area, self.inside).transpose(1, 2)
        else:
            channels = self.group[part, None] * self.each + torch.arange(self.each)
            inputs = self.values[
                channels[:, :, None, None], rows[:, None, :, None], columns[:, None, None, :]
            ]
        inputs = inputs.reshape(count, self.each, self.area)
        weights = self.kernel[part].reshape(count, self.each, self.area)
        products = inputs.double() * weights
        if not bool(known.all()):
            # A weight that is infinite meets no input in the padding.
            products.masked_fill_(~known[:, None, :], 0.0)
        sums = products.sum(2)
        sizes = products.abs()
        found = {
            "total": sums.sum(1).numpy(),
            "magnitude": sizes.sum((1, 2)).numpy(),
            "count": (known.sum(1) * self.each).numpy(),
        }
        order = sums.abs().topk(keep, dim=1).indices
        chosen = order[:, :, None].expand(-1, -1, self.area)
        if self.area == 1:
            found["inputs"] = inputs.gather(1, chosen)[..., 0].float().numpy()
            found["weights"] = weights.gather(1, chosen)[..., 0].float().numpy()
        elif patched:
            pair = torch.stack([inputs.gather(1, chosen).float(), weights.gather(1, chosen).float()], dim=2)
            found["patches"] = pair.reshape(count, keep, 2, *self.kernel.shape[2:]).numpy()
        else:
            found["terms"] = sums.gather(1, order).float().numpy()
        spots = sizes.gather(1, chosen).masked_fill_(~known[:, None, :], -1.0).argmax(2)
        places = order * self.area + spots
        places[~known.gather(1, spots)] = -1
        found["places"] = places.to(torch.int32).numpy()
        return found


def linear(peaks: Peaks, most: int, patched: bool) -> Proof:
    """``Σ input · weight + bias`` over the features of the same cell."""
    del patched
    image, weight = peaks.main(), peaks.operand("weight")
    if weight is None or len(weight.shape) != 2 or len(image.shape) != len(peaks.op.shape):
        raise NotCoveredError("it is no plain linear layer")
    kernel, values = peaks.tensor(weight), _lines(peaks, image)
    keep = min(most, kernel.shape[1])
    many = max(1, _PART // kernel.shape[1])
    parts = []
    for first in range(0, len(kernel), many):
        part = slice(first, first + many)
        lines = values[part] if len(values) > 1 else values
        products = lines.double() * kernel[part]
        order = products.abs().topk(keep, dim=1).indices
        parts.append(
            {
                "total": products.sum(1).numpy(),
                "magnitude": products.abs().sum(1).numpy(),
                "count": np.full(len(products), kernel.shape[1]),
                "inputs": lines.expand(len(products), -1).gather(1, order).float().numpy(),
                "weights": kernel[part].gather(1, order).float().numpy(),
                "places": order.to(torch.int32).numpy(),
            }
        )
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    bias = peaks.numbers("bias")
    total, tolerance = _finished(peaks, found, bias)
    said = {
        "formula": "Σ input · weight" + (" + bias" if bias is not None else ""),
        "reads": "window",
        "label": "input",
        "terms": kernel.shape[1],
        "operands": [peaks.described(image)],
        "window": {"kernel": [1, 1], "stride": [1, 1], "padding": [0, 0], "dilation": [1, 1]},
        "group": {"first": 0, "of": len(kernel)},
    }
    return Proof(
        rule="sum",
        total=total,
        tolerance=tolerance,
        said=said,
        columns={} if bias is None else {"bias": bias},
        arrays={name: found[name] for name in ("inputs", "weights", "places")},
    )


def _lines(peaks: Peaks, image: Operand) -> Tensor:
    """What each channel's peak reads: ``[channels, features]``, or ``[1, features]`` if all read the same."""
    values = peaks.tensor(image)
    if values.ndim == 2:
        return values[:1]
    if values.ndim == 4 and peaks.op.spatial == (1, 2):
        lines: Tensor = values[0, peaks.rows, peaks.columns]
        return lines
    raise NotCoveredError("its features are not the last axis of a map")


def pooling(peaks: Peaks, most: int, patched: bool) -> Proof:
    """The mean or the largest of a window of the same channel."""
    del patched
    kind, image = peaks.op.kind, peaks.main()
    if len(image.shape) != 4 or image.op is None or peaks.op.shape[:2] != image.shape[:2]:
        raise NotCoveredError("it does not pool maps channel by channel")
    if kind == "mean" and not _over_maps(peaks):
        raise NotCoveredError("its mean is not over whole maps")
    values = peaks.tensor(image)[0].double()
    largest = kind in ("max_pool2d", "adaptive_max_pool2d")
    windows = [_window(peaks, image, axis) for axis in range(2)]
    rows, columns = (torch.tensor([line for line, _ in axis]) for axis in windows)
    sizes = [torch.tensor([size for _, size in axis]) for axis in windows]
    inside = [
        (lines >= 0) & (lines < side) for lines, side in zip((rows, columns), image.shape[2:], strict=True)
    ]
    known = (inside[0][:, :, None] & inside[1][:, None, :]).reshape(peaks.channels, -1)
    at = rows.clamp(0, image.shape[2] - 1), columns.clamp(0, image.shape[3] - 1)
    channels = torch.arange(peaks.channels)
    taken = values[channels[:, None, None], at[0][:, :, None], at[1][:, None, :]].reshape(peaks.channels, -1)
    places = (channels[:, None, None] * image.shape[2] + at[0][:, :, None]) * image.shape[3] + at[1][
        :, None, :
    ]
    places = places.reshape(peaks.channels, -1)
    counts = known.sum(1)
    if not bool((counts > 0).all()):
        raise NotCoveredError("a window lies in the padding altogether")
    keep = min(most, taken.shape[1]) if not largest else min(max(most, 9), taken.shape[1])
    ranked = (taken if largest else taken.abs()).masked_fill(~known, -torch.inf)
    order = ranked.sort(stable=True, dim=1, descending=True).indices[:, :keep]
    kept = known.gather(1, order)
    arrays = {
        "inputs": taken.gather(1, order).masked_fill(~kept, 0).float().numpy(),
        "places": places.gather(1, order).masked_fill(~kept, -1).to(torch.int32).numpy(),
    }
    said: dict[str, Any] = {"reads": "whole", "label": "at", "operands": [peaks.described(image)]}
    columns_: dict[str, Doubles] = {"terms": counts.double().numpy()}
    if largest:
        said["formula"] = "the largest of the window's values"
        total: Doubles = ranked.max(1).values.numpy()
        tolerance = np.zeros(peaks.channels)
    else:
        divisor = _divisor(peaks, counts, sizes)
        said["formula"] = "Σ input / divisor"
        columns_["divisor"] = divisor
        total = taken.masked_fill(~known, 0).sum(1).numpy() / divisor
        magnitude = taken.masked_fill(~known, 0).abs().sum(1).numpy() / np.abs(divisor)
        tolerance = np.array(
            [
                sum_tolerance(int(n) + 2, m, t, peaks.dtype, one_by_one="pool" in kind)
                for n, m, t in zip(counts.tolist(), magnitude.tolist(), total.tolist(), strict=True)
            ]
        )
    rule = "pick" if largest else "sum"
    return Proof(rule=rule, total=total, tolerance=tolerance, said=said, columns=columns_, arrays=arrays)


def _over_maps(peaks: Peaks) -> bool:
    dims = peaks.op.attributes.get("dim", peaks.op.attributes.get("axis"))
    return isinstance(dims, (list, tuple)) and sorted(d % 4 for d in dims) == [2, 3]


def _window(peaks: Peaks, image: Operand, axis: int) -> list[tuple[list[int], int]]:
    """Of every peak the rows (columns) its window reads, made equally long by -1, and how many count."""
    attributes, side = peaks.op.attributes, image.shape[2 + axis]
    cells = (peaks.rows, peaks.columns)[axis].tolist()
    if peaks.op.kind in ("max_pool2d", "avg_pool2d"):
        size, stride, padding, dilation = (
            attributes[name][axis] for name in ("kernel_size", "stride", "padding", "dilation")
        )
        lines = [[cell * stride - padding + step * dilation for step in range(size)] for cell in cells]
        return [(line, sum(place < side + padding for place in line)) for line in lines]
    out = 1 if peaks.op.kind == "mean" else peaks.op.shape[2 + axis]
    found: Sequence[Sequence[int]] = [adaptive_rows(cell, side, out) for cell in cells]
    longest = max(len(line) for line in found)
    return [([*line, *[-1] * (longest - len(line))], len(line)) for line in found]


def _divisor(peaks: Peaks, counts: Tensor, sizes: Sequence[Tensor]) -> Doubles:
    attributes = peaks.op.attributes
    override = attributes.get("divisor_override")
    if type(override) is int:
        return np.full(peaks.channels, float(override))
    # Cells that only ceil_mode reaches, beyond the padding, never count.
    padded = peaks.op.kind == "avg_pool2d" and attributes.get("count_include_pad", True)
    divisor: Doubles = (sizes[0] * sizes[1] if padded else counts).double().numpy()
    return divisor


def _finished(peaks: Peaks, found: dict[str, NDArray[Any]], bias: Doubles | None) -> tuple[Doubles, Doubles]:
    """Totals with their bias, and how far rounding may take them."""
    added = np.zeros(peaks.channels) if bias is None else bias
    total: Doubles = found.pop("total") + added
    magnitude = found.pop("magnitude") + np.abs(added)
    counts = found.pop("count") + (bias is not None)
    columns = zip(counts.tolist(), magnitude.tolist(), total.tolist(), strict=True)
    return total, np.array([sum_tolerance(n, m, t, peaks.dtype) for n, m, t in columns])


SUMS = {
    "conv2d": convolution,
    "linear": linear,
    **dict.fromkeys(
        ("max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d", "mean"), pooling
    ),
}
