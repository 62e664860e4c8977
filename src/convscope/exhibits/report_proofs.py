"""How a report writes the terms of the peaks: what follows from the rest is written as nearly nothing.

A peak's value follows from the channel's statistics, an operand from the value and the other
numbers of the rule (up to rounding), a difference from all operands. Each such column is
written as its bits less those that are expected, which the page works out in the same float64 steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MINIMUM, _MAXIMUM = 0, 1
#: The column that follows from the value, by rule.
_FOLLOWING = {"norm": ("x",), "function": ("x",), "joined": ("x",), "cells": ("1",)}
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


def proof_coded(table: Floats, entry: Mapping[str, Any], stats: Floats) -> NDArray[np.uint32]:
    """Bits of ``proof/ID``, each expected column less its expectation.

    Examples
    --------
    >>> stats = np.array([[0, 3, 1, 1, 0, 0, 0, 1]], np.float32)
    >>> entry = {"rule": "function", "columns": ["value", "difference", "tolerance", "x"]}
    >>> proof_coded(np.array([[3, 0, 0, 3]], np.float32), entry, stats).tolist()
    [[0, 0, 0, 0]]
    """
    bits = np.array(table, np.float32).view(np.uint32)
    coded = bits.copy()
    for column in expected_columns(entry):
        coded[:, column] = bits[:, column] ^ _bits(expectation(table, entry, stats, column))
    return coded


def proof_decoded(coded: NDArray[np.uint32], entry: Mapping[str, Any], stats: Floats) -> Floats:
    """The table :func:`proof_coded` was given."""
    bits = coded.copy()
    table = bits.view(np.float32)
    for column in expected_columns(entry):
        bits[:, column] ^= _bits(expectation(table, entry, stats, column))
    return table


def expected_columns(entry: Mapping[str, Any]) -> list[int]:
    """Columns that have an expectation, in the order in which they can be worked out."""
    names = entry["columns"]
    wanted = ["value", *_FOLLOWING.get(entry["rule"], ())]
    if entry["rule"] in ("norm", "cells"):
        wanted.append("difference")
    return [names.index(name) for name in wanted]


def expectation(table: Floats, entry: Mapping[str, Any], stats: Floats, column: int) -> Doubles:
    """What a column should be by those before it in :func:`expected_columns`."""
    names: list[str] = entry["columns"]
    rule, name = entry["rule"], names[column]
    given = {key: table[:, place].astype(np.float64) for place, key in enumerate(names)}
    with np.errstate(all="ignore"):
        if name == "value":
            low, high = stats[:, _MINIMUM].astype(np.float64), stats[:, _MAXIMUM].astype(np.float64)
            return np.where(np.abs(high) >= np.abs(low), high, low)
        if rule == "norm":
            scale = given.get("weight", 1.0) / np.sqrt(given["var"] + entry["quantities"]["eps"])
            bias = given.get("bias", 0.0)
            if name == "x":
                return (given["value"] - bias) / scale + given["mean"]
            exact = (given["x"] - given["mean"]) * scale + bias - given["value"]
            return _shortened(exact)
        if rule == "cells":
            weights = entry.get("weights")
            left, value = given["0"], given["value"]
            if name == "1":
                return value / left if weights is None else (value - weights[0] * left) / weights[1]
            right = given["1"]
            total = left * right if weights is None else weights[0] * left + weights[1] * right
            return _shortened(total - value)
        return given["value"]


def _shortened(numbers: Doubles) -> Doubles:
    """To the nearest float32 with 8 bits of mantissa, as a scene writes differences."""
    bits = numbers.astype(np.float32).view(np.uint32).astype(np.uint64)
    kept = ((bits + (1 << 15)) & 0xFFFF0000).astype(np.uint32)
    found: Doubles = kept.view(np.float32).astype(np.float64)
    return found


def _bits(numbers: Doubles) -> NDArray[np.uint32]:
    """Bits of the nearest float32, 0 for what is not finite."""
    with np.errstate(all="ignore"):
        near = numbers.astype(np.float32)
    return np.where(np.isfinite(near), near, np.float32(0)).astype(np.float32).view(np.uint32)
