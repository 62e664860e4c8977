"""What a lesson gives: numbers, maps, charts and tables, and which of them stand side by side.

Pictures, the page and animations draw these and compute nothing of their own. Every text is in English
(``en``) and Simplified Chinese (``zh``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convscope.lesson.convolution import Convolution

#: A text in each language: ``{"en": ..., "zh": ...}``.
Text = Mapping[str, str]
LANGUAGES = ("en", "zh")
#: How a map is coloured: about zero; from zero up; as grey; as the picture it is.
ROLES = ("signed", "sequential", "grey", "rgb")


def both(en: str, zh: str) -> dict[str, str]:
    """A text in both languages.

    Examples
    --------
    >>> both("stride", "步长")
    {'en': 'stride', 'zh': '步长'}
    """
    return {"en": en, "zh": zh}


@dataclass(frozen=True)
class Mark:
    """Something drawn on a map: a ``box`` around cells, or a ``cross`` on one.

    Rows and columns count cells of the map, ends exclusive. ``tone`` is ``"accent"``, ``"second"`` or
    ``"faint"``; ``label`` is short, a number or a letter.
    """

    kind: str
    top: int
    left: int
    bottom: int
    right: int
    tone: str = "accent"
    label: str = ""


@dataclass(frozen=True, eq=False)
class Map:
    """An array to be drawn.

    Parameters
    ----------
    values
        ``(rows, columns)``, or ``uint8 (rows, columns, 3)`` for the role ``"rgb"``.
    role
        One of ``ROLES``.
    caption
        One line.
    marks
        What is drawn on it.
    limits
        Values at the ends of the colours; by default the map's own (about zero for ``"signed"``).
    cells
        Whether the numbers themselves are to be written into the cells.
    """

    values: NDArray[Any] = field(repr=False)
    role: str
    caption: Text
    marks: tuple[Mark, ...] = ()
    limits: tuple[float, float] | None = None
    cells: bool = False

    def range(self) -> tuple[float, float]:
        """Values at the two ends of the colours, symmetric for ``"signed"``; for ``"rgb"`` 0 and 255.

        Examples
        --------
        >>> import numpy as np
        >>> Map(np.array([[-1.0, 3.0]]), "signed", both("a", "b")).range()
        (-3.0, 3.0)
        """
        import numpy as np

        if self.limits is not None:
            return self.limits
        if self.role == "rgb":
            return 0.0, 255.0
        seen = np.isfinite(self.values)
        finite = self.values if seen.all() else self.values[seen]
        if not finite.size:
            return 0.0, 0.0
        low, high = float(finite.min()), float(finite.max())
        if self.role == "signed":
            return -max(-low, high), max(-low, high)
        return (0.0, high) if self.role == "sequential" else (low, high)


@dataclass(frozen=True)
class Series:
    """One line or set of bars of a chart: ``x`` and ``y``, equally long."""

    label: Text
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True)
class Chart:
    """A chart: ``kind`` is ``"lines"``, ``"bars"`` or ``"histogram"`` (``x`` are then the bins' left edges).

    ``names`` are what stands below the bars instead of numbers. ``marker`` is a place on the horizontal axis
    that is marked (a threshold); ``log`` says which axes are logarithmic: ``""``, ``"y"`` or ``"xy"``.
    """

    kind: str
    caption: Text
    across: Text
    up: Text
    series: tuple[Series, ...]
    names: tuple[Text, ...] = ()
    marker: float | None = None
    log: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of numbers or texts below a head."""

    caption: Text
    head: tuple[Text, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True, eq=False)
class LessonResult:
    """What one run of a lesson gave.

    Parameters
    ----------
    lesson
        Its name.
    values
        What its controls stood on, as plain JSON.
    numbers
        The numbers of the lesson, as plain JSON.
    maps, charts, tables
        What there is to draw, by name.
    layout
        Rows of names of maps, charts and tables that stand side by side.
    sentences
        What the numbers say, in each language.
    player
        A convolution to be played step by step, where the lesson has one.
    preview
        Whether the picture was made smaller, to answer at once.
    """

    lesson: str
    values: Mapping[str, Any]
    numbers: Mapping[str, Any]
    maps: Mapping[str, Map]
    sentences: Mapping[str, Sequence[str]]
    layout: tuple[tuple[str, ...], ...]
    charts: Mapping[str, Chart] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    player: Convolution | None = None
    preview: bool = False

    def to_json(self, *, arrays: bool = False) -> dict[str, Any]:
        """The result as plain JSON, the maps' arrays left out unless asked for.

        Numbers that are not finite are ``null``.
        """
        found: dict[str, Any] = {
            "lesson": self.lesson,
            "values": dict(self.values),
            "numbers": dict(self.numbers),
            "sentences": {language: list(lines) for language, lines in self.sentences.items()},
            "layout": [list(row) for row in self.layout],
            "maps": {name: _map(one, arrays) for name, one in self.maps.items()},
            "charts": {name: _chart(one) for name, one in self.charts.items()},
            "tables": {
                name: {"caption": dict(one.caption), "head": [dict(h) for h in one.head], "rows": one.rows}
                for name, one in self.tables.items()
            },
            "steps": 0 if self.player is None else len(self.player),
            "preview": self.preview,
        }
        plain: dict[str, Any] = finite(found)
        return plain


def _map(one: Map, arrays: bool) -> dict[str, Any]:
    found = {
        "role": one.role,
        "shape": list(one.values.shape),
        "range": list(one.range()),
        "caption": dict(one.caption),
        "marks": [vars(mark) for mark in one.marks],
        "cells": one.cells,
    }
    return {**found, "values": one.values.tolist()} if arrays else found


def _chart(one: Chart) -> dict[str, Any]:
    return {
        **{name: getattr(one, name) for name in ("kind", "marker", "log")},
        **{name: dict(getattr(one, name)) for name in ("caption", "across", "up")},
        "series": [{"label": dict(s.label), "x": list(s.x), "y": list(s.y)} for s in one.series],
        "names": [dict(name) for name in one.names],
    }


def finite(value: Any) -> Any:
    """``value`` with every NaN and infinity replaced by ``None``, and numpy's numbers by Python's."""
    import numpy as np

    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, Mapping):
        return {str(k): finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(v) for v in value]
    return value


def number(value: float) -> str:
    """A value with four figures, whole numbers with their thousands set apart.

    Examples
    --------
    >>> number(1234567), number(0.123456), number(-12.0)
    ('1,234,567', '0.1235', '-12')
    """
    if value == value and abs(value) < 1e15 and float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
