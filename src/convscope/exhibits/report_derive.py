"""Which maps a report need not hold, since the page can work them out from others.

Batch normalisation, ReLU and addition are arithmetic on maps that are already there. A map is left
out only if working it out from the bytes of its inputs was tried here and came near enough, on
a sample of cells; channels where it did not are kept. All statistics stay exact in any case.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convscope.exhibits.report_coding import coarse, finer

if TYPE_CHECKING:
    from convscope.scene import Scene

#: Cells of each channel that are tried.
_SAMPLE = 48
#: How far a derived byte may be off, in 127ths of the channel's largest value: anywhere, and on average.
_WORST, _USUAL = 4.0, 1.2
#: Longest chain of derived maps, so that looking at one stays quick.
_DEEPEST = 12
#: Share of channels kept above which all are.
_MOST_KEPT = 0.6
#: Maps of fewer cells are not worth it.
_SMALLEST = 1 << 13
_MINIMUM, _MAXIMUM, _MEAN, _SCALE = 0, 1, 2, 7
_CLAMPS: dict[str, tuple[float, float | None]] = {"relu": (0.0, None), "relu6": (0.0, 6.0)}

Values = NDArray[np.float64]


def derivable(scene: Scene, step: int = 1) -> dict[int, dict[str, Any]]:
    """Rules for the maps that can be left out, by op.

    Parameters
    ----------
    step
        How many steps of the scene's bytes make one of the report's.

    Returns
    -------
    For each op ``{"rule": "affine" | "clamp" | "sum", "inputs": [...], "own": [...], ...}``: ``own``
    are the channels to be held after all; a clamp has ``low`` and ``high``, ``None`` where there
    is no such end.
    """
    nodes = {node["id"]: node for node in scene.manifest["nodes"]}
    known: dict[int, Values] = {}
    depth: dict[int, int] = {}
    rules: dict[int, dict[str, Any]] = {}
    for number, node in nodes.items():
        maps, stats = scene.arrays.get(f"maps/{number}"), scene.arrays.get(f"stats/{number}")
        if node["view"] != "map" or maps is None or stats is None or node["statistics"]["not_finite"]:
            continue
        true = _sampled(maps)
        scale = stats[:, _SCALE].astype(np.float64)[:, None]
        values = (finer(coarse(true, step), step).astype(np.float64) - 128) * scale
        rule = _rule_of(node, nodes, known) if maps.size >= _SMALLEST else None
        if rule is not None and max(depth.get(i, 0) for i in rule["inputs"]) < _DEEPEST:
            derived = _apply(rule, known, scene.arrays, stats)
            off = np.abs(_bytes_of(derived, scale) - true)
            own = (off.max(axis=1) > _WORST) | (off.mean(axis=1) > _USUAL)
            if own.mean() <= _MOST_KEPT:
                rules[number] = {**rule, "own": np.flatnonzero(own).tolist()}
                depth[number] = 1 + max(depth.get(i, 0) for i in rule["inputs"])
                values = np.where(own[:, None], values, derived)
        known[number] = values
    return rules


def _sampled(maps: NDArray[np.uint8]) -> NDArray[np.uint8]:
    flat = maps.reshape(len(maps), -1)
    return flat[:, np.unique(np.linspace(0, flat.shape[1] - 1, _SAMPLE).astype(int))]


def _rule_of(
    node: Mapping[str, Any], nodes: Mapping[int, Mapping[str, Any]], known: Mapping[int, Values]
) -> dict[str, Any] | None:
    inputs: list[int] = node["inputs"]
    if not all(i in known and nodes[i]["shape"] == node["shape"] for i in inputs):
        return None
    kind, attributes = node["kind"], node["attributes"]
    if len(inputs) == 2 and kind == "add":
        return {"rule": "sum", "inputs": inputs}
    if len(inputs) == 1 and kind == "batch_norm":
        return {"rule": "affine", "inputs": inputs}
    if len(inputs) == 1 and (kind in _CLAMPS or kind == "hardtanh"):
        ends = _CLAMPS.get(kind, (attributes.get("min_val", -1.0), attributes.get("max_val", 1.0)))
        if all(end is None or isinstance(end, int | float) for end in ends):
            return {"rule": "clamp", "inputs": inputs, "low": ends[0], "high": ends[1]}
    return None


def _apply(
    rule: Mapping[str, Any],
    known: Mapping[int, Values],
    arrays: Mapping[str, Any],
    stats: NDArray[np.float32],
) -> Values:
    first = known[rule["inputs"][0]]
    if rule["rule"] == "sum":
        return first + known[rule["inputs"][1]]
    if rule["rule"] == "clamp":
        return np.clip(first, rule["low"], rule["high"])
    factor, shift = affine_of(arrays[f"stats/{rule['inputs'][0]}"], stats)
    return first * factor[:, None] + shift[:, None]


def affine_of(before: NDArray[np.float32], after: NDArray[np.float32]) -> tuple[Values, Values]:
    """Factor and shift of each channel that turn one table of statistics into another.

    The ends of the range give the factor's size; where the mean lies between them gives its sign.

    Examples
    --------
    >>> before = np.array([[-1, 3, 0, 1, 0, 0, 0, 0]], np.float32)
    >>> after = np.array([[-5, 3, 1, 2, 0, 0, 0, 0]], np.float32)
    >>> [part.tolist() for part in affine_of(before, after)]
    [[-2.0], [1.0]]
    """
    low, high, mean = (before[:, column].astype(np.float64) for column in (_MINIMUM, _MAXIMUM, _MEAN))
    new_low, new_high, new_mean = (
        after[:, column].astype(np.float64) for column in (_MINIMUM, _MAXIMUM, _MEAN)
    )
    width = high - low
    factor = np.divide(new_high - new_low, width, out=np.zeros_like(width), where=width > 0)
    upright = np.abs(new_low + (mean - low) * factor - new_mean)
    turned = np.abs(new_high - (mean - low) * factor - new_mean)
    factor = np.where(turned < upright, -factor, factor)
    return factor, new_mean - mean * factor


def _bytes_of(values: Values, scale: Values) -> Values:
    steps = np.divide(values, scale, out=np.zeros_like(values), where=scale > 0)
    return np.clip(np.floor(steps + 128.5), 1, 255)
