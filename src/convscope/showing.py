"""How things show themselves in a notebook.

A trace knows nothing of reports: those are made further up the house. What can be shown asks here, and the
package itself, which knows every room, has said who draws.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_drawers: list[Callable[[Any], str | None]] = []


def drawn_by(drawer: Callable[[Any], str | None]) -> None:
    """Let ``drawer`` give the HTML of whatever shows itself; ``None`` from it means: as text.

    Examples
    --------
    >>> class Dot(Shown):
    ...     pass
    >>> before = list(_drawers)
    >>> drawn_by(lambda thing: f"<b>{type(thing).__name__}</b>")
    >>> Dot()._repr_html_()
    '<b>Dot</b>'
    >>> _drawers[:] = before
    """
    _drawers[:] = [drawer]


class Shown:
    """Shows itself where it is the last expression of a notebook's cell."""

    def _repr_html_(self) -> str | None:
        return _drawers[0](self) if _drawers else None
