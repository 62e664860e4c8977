"""The arithmetic of one value as the page shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from convscope.desk.answers import PageError
from convscope.errors import ConvscopeError
from convscope.tracing.arithmetic.terms import Terms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convscope.tracing import Trace
    from convscope.tracing.arithmetic import Arithmetic, Cell, Term

#: Terms sent; the rest is summed in ``rest``.
TERMS = 512
#: Cells upstream sent on their own; those of the terms are in the terms.
PARENTS = 16
#: Input channels whose patch and kernel are sent entry by entry.
PATCHES = 16


def explain(
    trace: Trace, node: int, channel: int, cell: tuple[int, int] | None, *, steps: int = 1
) -> dict[str, Any]:
    """How one value of op ``node`` comes about.

    Parameters
    ----------
    cell
        Row and column; ``None`` for the channel's peak, or where the op is no map.
    steps
        Where the op reads one value alone, that value's own arithmetic comes along under
        ``upstream``, and so on for so many ops in a row.

    Returns
    -------
    ``value`` (the model's own), ``total`` (the same, summed here), ``agrees``, ``tolerance``, ``terms``
    largest first (columns of numbers, see below), ``rest`` (how many are left out, and their sum),
    ``bias``, ``formula``, ``quantities``, ``patches`` (input, kernel and products of the largest terms of
    a convolution), ``places`` (rows and columns these stand on), ``field`` (box of input pixels: top,
    left, bottom, right) and ``parents``. Numbers that are not finite are null.

    ``terms`` has ``label``, ``value``, ``input`` and ``weight`` (null where the terms are no products),
    and of the cell upstream each comes from ``node``, ``channel``, ``row`` and ``column``; ``names`` are
    those of the nodes.

    Raises
    ------
    PageError
        404 if there is no such op.
    UsageError
        If it has no such channel or cell.
    """
    if not 0 <= node < len(trace.ops):
        raise PageError(404, "no_such_node", f"there is no node {node}: the pass has {len(trace.ops)}")
    indices = {op.name: op.index for op in trace.ops}
    found = _explained(trace, trace.value_of(node, channel, cell), indices)
    last = found
    for _ in range(1, steps):
        source = _only_source(last)
        if source is None:
            break
        try:
            arithmetic = trace.value_of(source["node"], source["channel"], source["at"])
        except ConvscopeError:
            break  # whoever asks for that one is told why
        last["upstream"] = last = _explained(trace, arithmetic, indices)
    return found


def _explained(trace: Trace, found: Arithmetic, indices: Mapping[str, int]) -> dict[str, Any]:
    at = found.cell.at
    box = trace.field_box(indices[found.cell.op], *at) if at is not None and len(at) == 2 else None
    sides = None if box is None else [box.top, box.left, box.bottom, box.right]
    return described(found, indices, sides)


def described(
    found: Arithmetic, indices: Mapping[str, int], field: list[int] | None = None
) -> dict[str, Any]:
    """One arithmetic as plain JSON; see :func:`explain`.

    Parameters
    ----------
    indices
        Numbers of ops by their names; a cell of an op that is not among them has the number ``None``.
    field
        Box of input pixels, where it is known.
    """
    count = len(found.terms)
    left = (
        found.terms.values[TERMS:].sum()
        if isinstance(found.terms, Terms)
        else sum(term.value for term in found.terms[TERMS:])
    )
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
        "terms": columns(found.terms, indices),
        "rest": {"count": max(0, count - TERMS), "sum": float(left)},
        "patches": _patches(found),
        "places": [list(places) for places in found.places],
        "first_channel": found.first_channel,
        "source": indices.get(found.source or ""),
        "parents": [_cell(cell, indices) for cell in _parents(found.terms)],
        "field": field,
        "notes": list(found.notes),
    }


def _parents(terms: Sequence[Term]) -> list[Cell]:
    """The first cells upstream, each once."""
    found: dict[Cell, None] = {}
    for term in terms:
        if term.cell is not None:
            found[term.cell] = None
        if len(found) == PARENTS:
            break
    return list(found)


def _only_source(found: Mapping[str, Any]) -> dict[str, Any] | None:
    """The one cell an op read, where it read but one."""
    cells = [node for node in found["terms"]["node"] if node is not None]
    if found["patches"] or len(cells) != 1 or len(found["parents"]) != 1:
        return None
    source: dict[str, Any] = found["parents"][0]
    return source if source["node"] is not None and not source["output"] else None


def columns(terms: Sequence[Term], indices: Mapping[str, int]) -> dict[str, Any]:
    """At most 512 terms, column by column; what has no cell has nulls there."""
    if isinstance(terms, Terms):
        return _long(terms, indices)
    shown = terms[:TERMS]
    cells = [term.cell for term in shown]
    at = [c.at if c is not None and c.at is not None and len(c.at) == 2 else (None, None) for c in cells]
    nodes = [indices.get(c.op) if c is not None else None for c in cells]
    return {
        "label": [term.label for term in shown],
        "value": [term.value for term in shown],
        "input": [term.input for term in shown] if any(t.input is not None for t in shown) else None,
        "weight": [term.weight for term in shown] if any(t.weight is not None for t in shown) else None,
        "node": nodes,
        "channel": [c.channel if c is not None else None for c in cells],
        "row": [row for row, _ in at],
        "column": [column for _, column in at],
        "names": {str(node): c.op for node, c in zip(nodes, cells, strict=True) if c is not None},
    }


def _long(terms: Terms, indices: Mapping[str, int]) -> dict[str, Any]:
    count = min(len(terms), TERMS)
    cells = terms.cells
    node = indices.get(cells.op) if cells is not None else None
    nothing = [None] * count
    if cells is None or node is None:
        where: dict[str, Any] = dict.fromkeys(("node", "channel", "row", "column"), nothing)
        names = {}
    else:
        known = cells.known[:count].tolist()

        def of_known(numbers: NDArray[Any] | None) -> list[Any]:
            if numbers is None:
                return nothing
            return [n if k else None for n, k in zip(numbers[:count].tolist(), known, strict=True)]

        at = cells.at if cells.at is not None and cells.at.shape[1] == 2 else None
        where = {
            "node": [node if k else None for k in known],
            "channel": of_known(cells.channels),
            "row": of_known(None if at is None else at[:, 0]),
            "column": of_known(None if at is None else at[:, 1]),
        }
        names = {str(node): cells.op}
    return {
        "label": [terms.label(place) for place in range(count)],
        "value": terms.values[:count],
        "input": None if terms.inputs is None else terms.inputs[:count],
        "weight": None if terms.weights is None else terms.weights[:count],
        **where,
        "names": names,
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


def _patches(found: Arithmetic) -> list[dict[str, Any]]:
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
