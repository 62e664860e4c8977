"""What a training calls on its way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from convscope.training.progress import Progress


@dataclass
class Hooks:
    """What is called on the way.

    ``on_step(step, module)`` after each step, counted from 1, and with 0 before the first;
    ``on_progress`` with each step's ``Progress``; ``on_epoch`` with each finished row of metrics;
    ``save`` whenever the state should reach the disk.
    """

    on_step: Callable[[int, nn.Module], None] | None = None
    on_progress: Callable[[Progress], None] | None = None
    on_epoch: Callable[[dict[str, Any]], None] | None = None
    save: Callable[[], None] | None = None
