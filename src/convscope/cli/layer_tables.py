"""The tables of ``convscope layers``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from math import prod
from typing import TYPE_CHECKING

from rich.text import Text

from convscope.cli.options import count
from convscope.cli.tables import console, table

if TYPE_CHECKING:
    from convscope.tracing import Op, Trace
    from convscope.tracing.structure import Structure


def print_layers(trace: Trace) -> None:
    """One row an op, in call order, with the names of its inputs where they are not just the row above."""
    rows = ("#", "shape", "parameters", "multiply-adds", "field")
    made = table("#", "name", "kind", "shape", "parameters", "multiply-adds", "field", "from", right=rows)
    for op in trace.ops:
        parameters = sum(op.parameters.values())
        made.add_row(
            str(op.index),
            Text(op.name, no_wrap=True),
            op.kind,
            "×".join(map(str, op.shape)) or "-",
            f"{parameters:,}" if parameters else "",
            f"{op.multiply_adds:,}" if op.multiply_adds else "",
            _field(op),
            Text(_sources(trace, op)),
        )
    console().print(made)


def _field(op: Op) -> str:
    if op.field is None:
        return "all" if op.inputs else ""
    rows, columns = op.field.size
    return f"{rows}" if rows == columns else f"{rows}×{columns}"


def _sources(trace: Trace, op: Op) -> str:
    if op.inputs in ((op.index - 1,), ()):
        return ""
    return ", ".join(trace.ops[i].name for i in op.inputs)


def print_structure(trace: Trace, found: Structure) -> None:
    """The counts below the table: in all, and of what."""
    out = console()
    out.print(
        Text(
            f"{trace.card.name}: {len(trace.ops)} ops, {trace.parameters:,} parameters, "
            f"{trace.multiply_adds:,} multiply-adds ({count(trace.multiply_adds)})",
            style="bold",
        )
    )
    shortcuts = found.shortcut_convolutions
    lines = [
        f"{_plural(found.convolutions, 'convolution')}"
        + (
            f", of which {shortcuts} in shortcut (downsample) branches "
            f"and {found.main_path_convolutions} in the main path"
            if shortcuts
            else ""
        ),
        f"{_plural(found.residual_blocks, 'residual block')}" if found.residual_blocks else "",
        f"{_plural(found.linear, 'linear layer')}" if found.linear else "",
        "containers: " + ", ".join(f"{n} {t}" for t, n in found.containers.items())
        if found.containers
        else "",
        "" if found.convolutions else "no convolution found in this network",
    ]
    for line in lines:
        if line:
            out.print(Text(f"  {line}"))


def print_comparison(traces: Sequence[Trace]) -> None:
    """Parameter tensors of several networks side by side, with the sums below."""
    numbers = [t.card.name + " size" for t in traces]
    columns = [c for t, n in zip(traces, numbers, strict=True) for c in (f"{t.card.name} tensor", n)]
    made = table(*columns, right=numbers)
    tensors = [[(n, tuple(p.shape)) for n, p in t.model.module.named_parameters()] for t in traces]
    for row in zip_longest(*tensors):
        cells: list[Text] = []
        for cell in row:
            name, shape = cell if cell is not None else ("", None)
            cells.append(Text(f"{name} {'×'.join(map(str, shape))}" if shape is not None else ""))
            cells.append(Text(f"{prod(shape):,}" if shape is not None else ""))
        made.add_row(*cells)
    made.add_section()
    for label, values in (
        ("parameters", [t.parameters for t in traces]),
        ("multiply-adds", [t.multiply_adds for t in traces]),
    ):
        made.add_row(*[Text(c, style="bold") for v in values for c in (label, f"{v:,}")])
    console().print(made)


def _plural(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
