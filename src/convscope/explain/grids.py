"""Where the cells of a map lie on the picture: one tile of pixels for each, without gaps or overlaps.

A cell stands for the pixels nearest to the middle of what it sees, so a map's tiles divide the
picture among its cells. The middle comes from the receptive field in closed form; where there
is none (squeeze-and-excite multiplies each channel by a number that saw everything; pooling
with uneven windows), from the cells looked at on the way back, cell by cell, leaving out what
is looked at as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convscope.tracing import Op
from convscope.tracing.fields import looks_of
from convscope.tracing.fields_windows import Along, Everything, Table, Window, rows_in

Centers = NDArray[np.floating[Any]]


class Grids:
    """The middles of the cells of each map of a pass, in pixels of the first picture given to the model.

    Parameters
    ----------
    ops
        Every op of the pass.

    Attributes
    ----------
    size
        Rows and columns of the picture; ``None`` if no input is a picture.
    """

    def __init__(self, ops: Sequence[Op]) -> None:
        self._ops = ops
        image = next((op for op in ops if op.kind == "input" and op.field is not None), None)
        self.size: tuple[int, int] | None = None
        if image is not None and image.spatial is not None:
            self.size = (image.shape[image.spatial[0]], image.shape[image.spatial[1]])
        self._known: dict[tuple[int, int], tuple[Centers, Centers] | None] = {}

    def centers(self, index: int) -> tuple[Centers, Centers] | None:
        """Middles of the rows and of the columns of an op's output; pixel 0 has its middle at 0.5.

        ``None`` where the output is not a map of the picture.
        """
        waiting = [(index, 0)]
        while waiting:
            place = waiting[-1]
            sources = [] if place in self._known else self._sources(*place)
            missing = [source for source, _ in sources if source not in self._known]
            if missing and place not in self._known:
                waiting.extend(missing)
                continue
            if place not in self._known:
                self._known[place] = self._centers(*place, sources)
            waiting.pop()
        return self._known[index, 0]

    def _sources(self, index: int, output: int) -> list[tuple[tuple[int, int], tuple[Along, Along]]]:
        op = self._ops[index]
        if op.kind == "input" or (output == 0 and (op.field is not None or op.spatial is None)):
            return []
        looks = looks_of(self._ops, index, output)
        return [
            ((operand.op, operand.output), look)
            for operand, look in zip(op.operands, looks, strict=True)
            if operand.op is not None
            and look is not None
            and not any(isinstance(along, Everything) for along in look)
        ]

    def _centers(
        self, index: int, output: int, sources: list[tuple[tuple[int, int], tuple[Along, Along]]]
    ) -> tuple[Centers, Centers] | None:
        op = self._ops[index]
        if self.size is None or (output == 0 and op.spatial is None):
            return None
        if output == 0 and op.field is not None and op.spatial is not None:
            field, spatial = op.field, op.spatial
            found = [
                field.center[i] + 0.5 + field.stride[i] * np.arange(op.shape[spatial[i]]) for i in (0, 1)
            ]
            return found[0], found[1]
        best: tuple[Centers, Centers] | None = None
        most = 0
        shape = self._ops[index].shapes[output]
        for place, look in sources:
            known = self._known[place]
            if known is None:
                continue
            sizes = (shape[op.spatial[0]], shape[op.spatial[1]]) if output == 0 and op.spatial else None
            counts = sizes or (len(known[0]), len(known[1]))
            here = (_middles(look[0], known[0], counts[0]), _middles(look[1], known[1], counts[1]))
            # Of several maps that meet, the one of most cells says most about where they are.
            if len(known[0]) * len(known[1]) > most:
                best, most = here, len(known[0]) * len(known[1])
        if best is None and op.spatial is not None and output == 0:
            spread = [
                (np.arange(n) + 0.5) * self.size[i] / n
                for i, n in enumerate((shape[op.spatial[0]], shape[op.spatial[1]]))
            ]
            return spread[0], spread[1]
        return best


def _middles(along: Along, source: Centers, count: int) -> Centers:
    """Middles of ``count`` cells, from the middles of the cells they look at."""
    if isinstance(along, Window):
        places = along.start + along.stride * np.arange(count) + along.dilation * (along.size - 1) / 2
    elif isinstance(along, Table):
        places = np.zeros(count)
        for cell, rows in enumerate(along.rows[:count]):
            members = rows_in(rows)
            places[cell] = (members[0] + members[-1]) / 2 if members else cell
    else:
        places = np.full(count, (len(source) - 1) / 2)
    return _at(source, places)


def _at(source: Centers, places: Centers) -> Centers:
    """``source`` between and beyond its entries, in straight lines."""
    if len(source) == 1:
        return np.full(len(places), source[0])
    low = np.clip(np.floor(places).astype(int), 0, len(source) - 2)
    return source[low] + (places - low) * (source[low + 1] - source[low])


def edges(centers: Centers, size: int) -> Centers:
    """Borders of the tiles, ``len(centers) + 1`` of them, from 0 to ``size``: halfway between middles.

    Examples
    --------
    >>> edges(np.array([0.5, 4.5, 8.5]), 8).tolist()
    [0.0, 2.5, 6.5, 8.0]
    """
    inner = np.clip((centers[:-1] + centers[1:]) / 2, 0, size)
    return np.concatenate([[0.0], np.maximum.accumulate(inner), [float(size)]])


def shares(borders: Centers, low: float, high: float) -> Centers:
    """The part of each tile, 0 to 1, between ``low`` and ``high``; empty tiles have none.

    Examples
    --------
    >>> shares(np.array([0.0, 2.5, 6.5, 8.0]), 2.0, 4.5).tolist()
    [0.2, 0.5, 0.0]
    """
    width = np.diff(borders)
    inside = np.clip(np.minimum(borders[1:], high) - np.maximum(borders[:-1], low), 0, None)
    return np.divide(inside, width, out=np.zeros_like(inside), where=width > 0)
