"""How a job speaks to its host while it runs; loads nothing, so that every worker may know it."""

from __future__ import annotations

from typing import Any, Protocol


class Line(Protocol):
    """How a job speaks to its host while it runs."""

    def emit(self, head: dict[str, Any], blob: bytes | memoryview = b"") -> None:
        """Send something before the answer."""

    def cancelled(self) -> bool:
        """Whether nobody wants the answer any more."""
