"""What every way of reading a data set is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from convscope.data import Limits

#: Told how many pictures are done, of how many.
Progress: TypeAlias = Callable[[int, int], None]

MEMORY = 256 * 2**20


def _silent(done: int, total: int) -> None:
    pass


@dataclass(frozen=True)
class Settings:
    """How to read a data set.

    Parameters
    ----------
    classes
        The classes to take, in the order of their labels; ``None`` for all.
    size
        Side of the square every picture is brought to; ``None`` to keep or choose it.
    strict
        Whether an unreadable picture ends the work.
    seed
        For the test part where there is none.
    memory
        Up to how many bytes of pixels, both parts together, are kept in memory.
    on_progress
        Called now and then while pictures are read.
    """

    classes: tuple[str, ...] | None = None
    size: int | None = None
    strict: bool = False
    seed: int = 0
    memory: int = MEMORY
    on_progress: Progress = _silent
    limits: Limits = field(default_factory=Limits)
