"""One op as an entry of the manifest and its arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convscope.scene.quantize import (
    MAXIMUM,
    MEAN,
    MINIMUM,
    SCALE,
    STD,
    Quantized,
    extremes,
    make_strip,
    quantize_maps,
    quantize_vector,
)

if TYPE_CHECKING:
    from convscope.tracing import Op

STRONGEST = 8
_LONGEST_VECTOR = 1 << 18
_TEXT = 80
_SHAPELESS = "not drawn: its shape is neither that of maps nor that of a vector"
_ITEMS = 12


def describe_op(op: Op, groups: list[str]) -> dict[str, Any]:
    """What the trace says of an op, without its values; plain JSON."""
    field = op.field
    return {
        "id": op.index,
        "name": op.name,
        "kind": op.kind,
        "path": op.path,
        "type": op.module_type,
        "groups": groups,
        "inputs": list(op.inputs),
        "shape": list(op.shape),
        "dtype": op.dtype,
        "attributes": {str(key): plain(value) for key, value in op.attributes.items()},
        "parameters": sum(op.parameters.values()),
        "multiply_adds": op.multiply_adds,
        "milliseconds": round(op.seconds * 1000, 4),
        "field": None
        if field is None
        else {"size": list(field.size), "stride": list(field.stride), "start": list(field.start)},
        "view": "none",
        "channels": 0,
        "rows": 0,
        "columns": 0,
        "statistics": None,
        "signed": False,
        "strongest": [],
        "arrays": {},
        "notes": [],
    }


def drawable(op: Op) -> tuple[str, Tensor | None, str]:
    """How the first item of an op's value is drawn: view, values, and why it is not where it is not.

    A ``map`` comes as ``[channels, rows, columns]`` whatever the order of its axes in the
    network, a ``vector`` as ``[channels]``; maps of a single cell are vectors.
    """
    if not op.values or op.values[0] is None:
        return "none", None, "not drawn: its value was not kept in the trace"
    value = op.values[0].detach()
    if value.is_complex() or value.layout is not torch.strided or value.is_quantized:
        return "none", None, f"not drawn: its numbers are {op.dtype}"
    if value.numel() == 0:
        return "none", None, "not drawn: it has no values"
    view, values = arranged(op, value.cpu())
    return view, values, "" if values is not None else _SHAPELESS


def arranged(op: Op, value: Tensor) -> tuple[str, Tensor | None]:
    """A tensor of the op's shape as it is drawn: ``map`` and ``[channels, rows, columns]``, or a vector."""
    if value.ndim == 4 and op.spatial is not None:
        rows, columns = (axis % 4 for axis in op.spatial)
        channels = next(axis for axis in (1, 2, 3) if axis not in (rows, columns))
        first = value[0].permute(channels - 1, rows - 1, columns - 1)
        if first.shape[1:] == (1, 1):
            return "vector", first.flatten()
        return "map", first
    if value.ndim == 2 and value.shape[1] <= _LONGEST_VECTOR:
        return "vector", value[0]
    return "none", None


def add_values(
    node: dict[str, Any], view: str, values: Tensor, *, maps: bool = True
) -> dict[str, NDArray[Any]]:
    """Complete ``node`` with what its values say; gives the arrays named in it, ``maps`` if wanted."""
    index = node["id"]
    exact = values
    values = values.to(torch.float32).contiguous()
    if view == "map" and not maps and (sight := add_sight(node, values)) is not None:
        return sight
    found = quantize_maps(values) if view == "map" else quantize_vector(values)
    channels, rows, columns = found.maps.shape
    node.update(view=view, channels=channels, rows=rows, columns=columns)
    node["statistics"] = summarize(found, view)
    node["signed"] = bool((found.stats[:, MINIMUM] < 0).any())
    node["strongest"] = strongest(found.stats)
    arrays: dict[str, NDArray[Any]] = {"maps": found.maps} if maps else {}
    arrays["stats"] = found.stats
    if view == "map":
        chosen = torch.tensor(node["strongest"], dtype=torch.int64)
        scales = found.stats[node["strongest"], SCALE]
        arrays["strip"] = make_strip(values[chosen], scales)
    if exact.dtype == torch.float64 and bool((torch.isfinite(exact) & ~torch.isfinite(exact.float())).any()):
        node["notes"].append("numbers beyond the range of float32 are shown as infinite")
    node["arrays"] = {name: f"{name}/{index}" for name in arrays}
    return {f"{name}/{index}": array for name, array in arrays.items()}


def add_sight(
    node: dict[str, Any], values: Tensor, *, most: int = STRONGEST
) -> dict[str, NDArray[Any]] | None:
    """What is seen first of a map, as :func:`add_values` gives it; ``None`` where not all of it is finite.

    The strip has at most ``most`` channels. Looks at every value twice, not a dozen times: mean and
    deviation are ``None``, NaN in ``stats``.
    """
    found = extremes(values)
    if found is None:
        return None
    low, high, scale = found
    channels, rows, columns = values.shape
    same = low == high
    silent = int(np.count_nonzero(same & (low == 0)))
    order = np.argsort(-np.maximum(high, -low), kind="stable")[:most]
    stats = np.full((channels, 8), np.nan, np.float32)
    stats[:, MINIMUM], stats[:, MAXIMUM], stats[:, SCALE] = low, high, scale
    index = node["id"]
    node.update(
        view="map",
        channels=channels,
        rows=rows,
        columns=columns,
        statistics={
            "min": float(low.min()),
            "max": float(high.max()),
            "mean": None,
            "std": None,
            "not_finite": 0,
            "silent": silent,
            "constant": int(np.count_nonzero(same)) - silent if rows * columns > 1 else 0,
        },
        signed=bool(low.min() < 0),
        strongest=order.tolist(),
        arrays={"stats": f"stats/{index}", "strip": f"strip/{index}"},
    )
    strip = make_strip(values[torch.from_numpy(order)], scale[order], finite=True)
    return {f"stats/{index}": stats, f"strip/{index}": strip}


def summarize(found: Quantized, view: str) -> dict[str, Any]:
    """Statistics of a whole layer over its finite values; ``None`` where it has none.

    ``silent`` counts channels whose every value is exactly zero, ``constant`` those whose every
    value is the same other number.
    """
    cells = found.maps.shape[1] * found.maps.shape[2]
    count = found.finite.astype(np.float64)
    total = float(count.sum())
    stats = found.stats.astype(np.float64)
    whole = found.finite == cells
    low, high = stats[:, MINIMUM], stats[:, MAXIMUM]
    silent = whole & (low == 0) & (high == 0)
    constant = whole & (low == high) & ~silent if view == "map" and cells > 1 else np.zeros_like(whole)
    summary: dict[str, Any] = {
        "min": None,
        "max": None,
        "mean": None,
        "std": None,
        "not_finite": int(found.maps.size - total),
        "silent": int(silent.sum()),
        "constant": int(constant.sum()),
    }
    if total:
        some = count > 0
        weight = count[some] / total
        mean = float((weight * stats[some, MEAN]).sum())
        spread = (weight * (stats[some, STD] ** 2 + (stats[some, MEAN] - mean) ** 2)).sum()
        summary.update(
            min=float(low[some].min()), max=float(high[some].max()), mean=mean, std=math.sqrt(float(spread))
        )
    return summary


def strongest(stats: NDArray[np.float32]) -> list[int]:
    """At most 8 channels with the largest ``|value|``, largest first; ties in order."""
    largest = np.maximum(stats[:, MAXIMUM], -stats[:, MINIMUM])
    order = np.argsort(-np.nan_to_num(largest, nan=-1.0), kind="stable")
    return [int(channel) for channel in order[:STRONGEST]]


def plain(value: Any) -> Any:
    """An attribute as short, printable JSON.

    Examples
    --------
    >>> plain((1, slice(0, None, 2), float("inf"), ...))
    [1, '0::2', 'inf', '...']
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, slice):
        return ":".join(
            "" if part is None else str(part) for part in (value.start, value.stop, value.step)
        ).removesuffix(":")
    if value is Ellipsis:
        return "..."
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in list(value.items())[:_ITEMS]}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value[:_ITEMS]] + (["..."] if len(value) > _ITEMS else [])
    text = str(value)
    return text if len(text) <= _TEXT else text[: _TEXT - 1] + "…"
