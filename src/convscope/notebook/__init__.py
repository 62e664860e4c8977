"""The live widget of a notebook: the same viewer as the live page, with the kernel as its server.

Nothing listens on any port and nothing comes from the network: what the viewer asks goes through the
notebook's own channel to the kernel (:mod:`convscope.notebook.host`). Needs the extra ``notebook``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convscope.notebook.show import show

_HOME = {"show": "show"}

__all__ = ["show"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
