"""The arithmetic of one value as the page shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from convscope.desk.answers import PageError

if TYPE_CHECKING:
    from convscope.tracing import Trace
    from convscope.tracing.arithmetic import Arithmetic, Cell, Term

#: Terms sent; the rest is summed in ``rest``.
TERMS = 512
#: Cells upstream sent on their own; those of the terms are in the terms.
PARENTS = 16
#: Input channels whose patch and kernel are sent entry by entry.
PATCHES = 16


def explain(trace: Trace, node: int, channel: int, cell: tuple[int, int] | None) -> dict[str, Any]:
    """How one value of op ``node`` comes about.

    Parameters
    ----------
    cell
        Row and column; ``None`` for the channel's peak, or where the op is no map.

    Returns
    -------
    ``value`` (the model's own), ``total`` (the same, summed here), ``agrees``, ``tolerance``, ``terms``
    largest first, each with the ``cell`` upstream it comes from, ``rest`` (what is left out and its sum),
    ``bias``, ``formula``, ``quantities``, ``patches`` (input, kernel and products of the largest terms of
    a convolution), ``places`` (rows and columns these stand on), ``field`` (box of input pixels: top,
    left, bottom, right) and ``parents``. Numbers that are not finite are null.

    Raises
    ------
    PageError
        404 if there is no such op.
    UsageError
        If it has no such channel or cell.
    """
    if not 0 <= node < len(trace.ops):
        raise PageError(404, "no_such_node", f"there is no node {node}: the pass has {len(trace.ops)}")
    found = trace.value_of(node, channel, cell)
    indices = {op.name: op.index for op in trace.ops}
    at = found.cell.at
    box = trace.field_box(node, *at) if at is not None and len(at) == 2 else None
    shown, left = found.terms[:TERMS], found.terms[TERMS:]
    return {
        "cell": _cell(found.cell, indices),
        "kind": found.kind,
        "dtype": found.dtype,
        "formula": found.formula,
        "value": found.value,
        "total": found.total,
        "agrees": found.agrees,
        "tolerance": found.tolerance,
        "bias": found.bias,
        "quantities": dict(found.quantities),
        "terms": [_term(term, indices) for term in shown],
        "rest": {"count": len(left), "sum": sum(term.value for term in left)},
        "patches": _patches(found, indices),
        "places": [list(places) for places in found.places],
        "first_channel": found.first_channel,
        "source": indices.get(found.source or ""),
        "parents": [_cell(cell, indices) for cell in found.parents[:PARENTS]],
        "field": None if box is None else [box.top, box.left, box.bottom, box.right],
        "notes": list(found.notes),
    }


def _cell(cell: Cell | None, indices: Mapping[str, int]) -> dict[str, Any] | None:
    if cell is None:
        return None
    row, column = cell.at if cell.at is not None and len(cell.at) == 2 else (None, None)
    return {
        "node": indices.get(cell.op),
        "name": cell.op,
        "channel": cell.channel,
        "row": row,
        "column": column,
        "at": None if cell.at is None else list(cell.at),
        "output": cell.output,
    }


def _term(term: Term, indices: Mapping[str, int]) -> dict[str, Any]:
    return {
        "label": term.label,
        "value": term.value,
        "input": term.input,
        "weight": term.weight,
        "cell": _cell(term.cell, indices),
    }


def _patches(found: Arithmetic, indices: Mapping[str, int]) -> list[dict[str, Any]]:
    """Patch and kernel of the input channels with the largest terms, of a convolution."""
    if found.products is None or found.inputs is None or found.weights is None or found.products.ndim < 2:
        return []
    sums = abs(found.products.reshape(len(found.products), -1).sum(1))
    return [
        {
            "channel": found.first_channel + int(place),
            "input": found.inputs[place],
            "kernel": found.weights[place],
            "products": found.products[place],
        }
        for place in (-sums).argsort(kind="stable")[:PATCHES]
    ]
