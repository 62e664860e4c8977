"""A microscope for convolutional neural networks.

Public names are resolved on first use, so that ``import convscope`` loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from convscope._version import __version__
from convscope.errors import ConvscopeError

if TYPE_CHECKING:
    from convscope.data import Picture, load_image
    from convscope.models import Model, load_model
    from convscope.scene import Scene, make_scene
    from convscope.tracing import Replace, Trace, trace

_HOME = {
    "Model": "models",
    "Picture": "data",
    "Replace": "tracing",
    "Scene": "scene",
    "Trace": "tracing",
    "load_image": "data",
    "load_model": "models",
    "make_scene": "scene",
    "trace": "tracing",
}

__all__ = [
    "ConvscopeError",
    "Model",
    "Picture",
    "Replace",
    "Scene",
    "Trace",
    "__version__",
    "load_image",
    "load_model",
    "make_scene",
    "trace",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
