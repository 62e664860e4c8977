"""Numbers as JSON can say them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def plain(value: Any) -> Any:
    """``value`` made of dicts, lists, texts and finite numbers; not-a-number and infinity become ``None``.

    Examples
    --------
    >>> plain({"a": (1.0, float("nan"))})
    {'a': [1.0, None]}
    """
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return [plain(inner) for inner in value]


def plain_json(value: Any) -> bytes:
    """The same as text."""
    try:
        # Where every number is finite, as nearly always, there is nothing to go through one by one.
        text = json.dumps(value, allow_nan=False, separators=(",", ":"), default=_unfolded)
    except ValueError:
        text = json.dumps(plain(value), allow_nan=False, separators=(",", ":"))
    return text.encode("ascii")


def _unfolded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return value.tolist() if hasattr(value, "tolist") else list(value)
