"""Where networks come from, and what belongs to each: weights, preprocessing, categories.

Nothing here loads torch until a model is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convscope.models.card import Card, Geometry, Model, Prepared
    from convscope.models.listing import ModelEntry, list_models
    from convscope.models.load import load_model
    from convscope.models.preprocessing import Preprocessing

_HOME = {
    "Card": "card",
    "Geometry": "card",
    "Model": "card",
    "ModelEntry": "listing",
    "Prepared": "card",
    "Preprocessing": "preprocessing",
    "list_models": "listing",
    "load_model": "load",
}

__all__ = [
    "Card",
    "Geometry",
    "Model",
    "ModelEntry",
    "Prepared",
    "Preprocessing",
    "list_models",
    "load_model",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
