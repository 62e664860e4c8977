"""What a person looks at: a manifest of plain JSON and numpy arrays, made from a trace.

Making a scene needs torch; reading a saved one does not.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convscope.scene.make import make_scene
    from convscope.scene.scene import Scene

_HOME = {"Scene": "scene", "make_scene": "make"}

__all__ = ["Scene", "make_scene"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
