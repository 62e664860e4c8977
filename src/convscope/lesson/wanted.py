"""Long computations that are given up on the way, once nobody wants them any more.

Between their steps they say :func:`still_wanted`, which ends them where whoever runs them was told so. What
is kept from one run to the next is kept when it is whole, so a run given up leaves nothing wrong behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from convscope.errors import GivenUp

_given_up: ContextVar[Callable[[], bool]] = ContextVar("given_up", default=lambda: False)


@contextmanager
def until(given_up: Callable[[], bool]) -> Iterator[None]:
    """Within it, :func:`still_wanted` asks ``given_up``."""
    before = _given_up.set(given_up)
    try:
        yield
    finally:
        _given_up.reset(before)


def still_wanted() -> None:
    """Go on, unless nobody wants the answer any more; costs less than a microsecond.

    Raises
    ------
    GivenUp
        If nobody does.

    Examples
    --------
    >>> still_wanted()
    >>> with until(lambda: True):
    ...     still_wanted()
    Traceback (most recent call last):
    convscope.errors.GivenUp: this was given up
    """
    if _given_up.get()():
        raise GivenUp("this was given up")
