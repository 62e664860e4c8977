"""The live page: a server on this machine that shows a person's own model on their own photos.

The server process never loads torch: pictures are decoded in one worker process, models run in another
(:mod:`convscope.page.hosts`). Everything that comes in goes through one layer that decides whether it may
(:mod:`convscope.page.shield`). Needs the extra ``page``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convscope.page.app import make_app
    from convscope.page.run import serve
    from convscope.page.settings import Settings

_HOME = {"Settings": "settings", "make_app": "app", "serve": "run"}

__all__ = ["Settings", "make_app", "serve"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
