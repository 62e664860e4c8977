"""Arguments from Python, held against the kind they must be of before any work begins."""

from __future__ import annotations

import os
from numbers import Integral, Real
from typing import Any

import numpy as np

from convscope.errors import UsageError


def whole(name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """A whole number, numpy's too, as Python's own.

    Examples
    --------
    >>> whole("threads", np.int64(3))
    3
    """
    fits = isinstance(value, Integral) and not isinstance(value, bool)
    if most is not None and not (fits and least <= value <= most):
        raise UsageError(f"`{name}` must be a whole number from {least} to {most:,}; got {value!r}")
    if not fits:
        raise UsageError(f"`{name}` must be a whole number, at least {least}; got {value!r}")
    if value < least:
        raise UsageError(f"`{name}` must be at least {least}; got {value}")
    return int(value)


def seconds(name: str, value: Any) -> float:
    """A time that can pass, or infinity for never."""
    if not isinstance(value, Real) or isinstance(value, bool) or not float(value) >= 0:
        raise UsageError(f"`{name}` must be a number of seconds, at least 0; got {value!r}")
    return float(value)


def place(name: str, value: Any) -> str:
    """The name of a file or folder."""
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
        raise UsageError(f"`{name}` must be the name of a folder; got {value!r}")
    return os.fspath(value)


def check_switches(**switches: Any) -> None:
    """Refuse what is neither ``True`` nor ``False``: a text such as ``"no"`` would count as true."""
    for name, value in switches.items():
        if not isinstance(value, bool | np.bool_):
            raise UsageError(f"`{name}` must be True or False; got {value!r}")


def check_called(**functions: Any) -> None:
    """Refuse what cannot be called, where something is given."""
    for name, value in functions.items():
        if value is not None and not callable(value):
            raise UsageError(f"`{name}` must be a function; got {value!r}")
