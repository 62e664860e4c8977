"""The random numbers a training draws on: torch's, Python's and numpy's, kept, put back, left undisturbed."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

_WORDS = 625  # of Python's generator and numpy's: 624 and a place in them


def other_states() -> Tensor:
    """Where Python's and numpy's generators are, as ``int64``; torch's own has a state of its own.

    Examples
    --------
    >>> before = other_states()
    >>> first = random.random(), random.gauss(), np.random.normal()
    >>> put_back(before)
    >>> first == (random.random(), random.gauss(), np.random.normal())
    True
    """
    _, words, gauss = random.getstate()
    _, keys, place, has_gauss, cached = np.random.get_state(legacy=True)
    python = [*words, gauss is not None, _bits(gauss or 0.0)]
    return torch.tensor([*python, *map(int, keys), int(place), int(has_gauss), _bits(float(cached))])


def put_back(states: Tensor) -> None:
    """Put both generators where :func:`other_states` found them."""
    values = states.tolist()
    python, theirs = values[: _WORDS + 2], values[_WORDS + 2 :]
    gauss = _number(python[-1]) if python[-2] else None
    random.setstate((3, tuple(python[:_WORDS]), gauss))
    keys = np.array(theirs[: _WORDS - 1], np.uint32)
    np.random.set_state(("MT19937", keys, theirs[-3], theirs[-2], _number(theirs[-1])))


@contextmanager
def undisturbed() -> Iterator[None]:
    """Within, random numbers may be drawn; afterwards all three generators go on as if none had been.

    Examples
    --------
    >>> before = torch.get_rng_state()
    >>> with undisturbed():
    ...     _ = torch.rand(3)
    >>> torch.equal(before, torch.get_rng_state())
    True
    """
    own, python, theirs = torch.get_rng_state(), random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        torch.set_rng_state(own)
        random.setstate(python)
        np.random.set_state(theirs)


def _bits(number: float) -> int:
    found: int = struct.unpack("<q", struct.pack("<d", number))[0]
    return found


def _number(bits: int) -> float:
    found: float = struct.unpack("<d", struct.pack("<q", bits))[0]
    return found
