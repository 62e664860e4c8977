"""The film of a training: filters, maps and answers of chosen steps, kept beside the run and read again.

Reading one loads no torch; making one does, when it begins.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convscope.filming.making import Film, film
    from convscope.filming.reading import Frame, Strip, open_film
    from convscope.filming.schedule import next_due

_HOME = {
    "Film": "making",
    "Frame": "reading",
    "Strip": "reading",
    "film": "making",
    "next_due": "schedule",
    "open_film": "reading",
}

__all__ = ["Film", "Frame", "Strip", "film", "next_due", "open_film"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
