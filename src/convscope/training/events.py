"""Event files for TensorBoard, when asked for (the optional extra ``tensorboard``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from convscope.errors import MissingExtraError

Event = Callable[[Mapping[str, Any]], None]


@contextmanager
def events(folder: Path | None) -> Iterator[Event]:
    """Within, each row of metrics given to the function becomes events; nothing without a folder.

    Raises
    ------
    MissingExtraError
        If tensorboard is not installed.
    """
    if folder is None:
        yield lambda row: None
        return
    check()
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder / "events"))

    def event(row: Mapping[str, Any]) -> None:
        for key, value in row.items():
            if key not in ("epoch", "step") and value is not None:
                writer.add_scalar(key, value, int(row["epoch"]))

    try:
        yield event
    finally:
        writer.close()


def check() -> None:
    """Refuse where tensorboard is not installed."""
    if find_spec("tensorboard") is None:
        raise MissingExtraError(
            "TensorBoard events need tensorboard, which is not installed",
            hint="Install it with: pip install 'convscope[tensorboard]', or leave --tensorboard out.",
        )
