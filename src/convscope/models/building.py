"""Building networks: the same random weights every time, or none where others are loaded next."""

from __future__ import annotations

import random
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

RANDOM_NOTE = "random weights: the answers mean nothing"

_FILLERS = frozenset(
    getattr(torch.Tensor, name)
    for name in ("uniform_", "normal_", "bernoulli_", "exponential_", "geometric_", "erfinv_", "log_normal_")
)

_initial_seed: ContextVar[int] = ContextVar("initial_seed", default=0)


@contextmanager
def initial_seed(seed: int) -> Iterator[None]:
    """Within, networks built with random weights get those of ``seed`` instead of 0.

    Examples
    --------
    >>> with initial_seed(3), seeded():
    ...     first = torch.rand(2)
    >>> with seeded(3):
    ...     bool(torch.equal(first, torch.rand(2)))
    True
    """
    token = _initial_seed.set(seed)
    try:
        yield
    finally:
        _initial_seed.reset(token)


@contextmanager
def seeded(seed: int | None = None) -> Iterator[None]:
    """Within, random numbers start from ``seed``; afterwards the caller's go on undisturbed.

    Without a seed they start from that of ``initial_seed``, or 0. Covers torch on the CPU,
    ``random`` and numpy's global generator.

    Examples
    --------
    >>> before = torch.random.get_rng_state()
    >>> with seeded(3):
    ...     first = torch.rand(2)
    >>> with seeded(3):
    ...     bool(torch.equal(first, torch.rand(2)))
    True
    >>> bool(torch.equal(before, torch.random.get_rng_state()))
    True
    """
    # torch.manual_seed would seed every device's generator, and those could not be put back.
    torch_state = torch.random.get_rng_state()
    python_state = random.getstate()
    numpy_random: Any = getattr(sys.modules.get("numpy"), "random", None)
    numpy_state = numpy_random.get_state() if numpy_random else None
    seed = _initial_seed.get() if seed is None else seed
    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    if numpy_random:
        numpy_random.seed(seed)
    try:
        yield
    finally:
        torch.random.set_rng_state(torch_state)
        random.setstate(python_state)
        if numpy_random:
            numpy_random.set_state(numpy_state)


class _NoRandomFill(TorchFunctionMode):
    """Leaves tensors that would be filled with random numbers as they are."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in _FILLERS:
            return args[0]
        return func(*args, **(kwargs or {}))


@contextmanager
def empty_weights() -> Iterator[None]:
    """Within, networks are built without drawing random numbers: every weight is loaded next.

    Only for networks whose state dict is known to cover all that is random in them.
    """
    with _NoRandomFill(), quiet():
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """Within, warnings that libraries give their own authors while building are not shown."""
    with warnings.catch_warnings():
        # Initialisation of GoogLeNet and Inception, and deprecations inside model libraries:
        # a person who looks at a model can do nothing about either.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", UserWarning)
        yield
