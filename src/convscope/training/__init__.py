"""From a network and a data set to a trained network, with everything that was measured on the way.

Nothing here loads torch until something is trained.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convscope.training.evaluation import Evaluation
    from convscope.training.measuring import Leak, evaluate, measure_leak
    from convscope.training.progress import Progress, ProgressLines
    from convscope.training.recipes import Recipe, recipe, recipe_names
    from convscope.training.session import Run, train

_HOME = {
    "Evaluation": "evaluation",
    "Leak": "measuring",
    "Progress": "progress",
    "ProgressLines": "progress",
    "Recipe": "recipes",
    "Run": "session",
    "evaluate": "measuring",
    "measure_leak": "measuring",
    "recipe": "recipes",
    "recipe_names": "recipes",
    "train": "session",
}

__all__ = [
    "Evaluation",
    "Leak",
    "Progress",
    "ProgressLines",
    "Recipe",
    "Run",
    "evaluate",
    "measure_leak",
    "recipe",
    "recipe_names",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
