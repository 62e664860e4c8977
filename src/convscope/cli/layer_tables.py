"""The tables of ``convscope layers``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from math import prod
from typing import TYPE_CHECKING

from convscope.cli.options import count, say
from convscope.cli.tables import cells, lay_out, print_table, width

if TYPE_CHECKING:
    from convscope.tracing import Op, Trace
    from convscope.tracing.structure import Structure


def print_layers(trace: Trace) -> None:
    """One row an op, in call order, with its inputs where they are not just the row above.

    Exact numbers where there is room for them; on a narrow terminal short ones (``118M``), with
    the inputs as row numbers beside the kind. Names are whole always.
    """
    room = width()
    wide = _wide(trace)
    if room is None or max(map(cells, lay_out(wide, _RIGHT))) <= room:
        print_table(wide, _RIGHT)
        return
    narrow = _narrow(trace)
    rest = max(map(cells, lay_out([["", "", *row[2:]] for row in narrow], _RIGHT, gap=1)))
    print_table(narrow, _RIGHT, gap=1, most={1: max(12, room - rest - 4)})


_RIGHT = (0, 3, 4, 5, 6)


def _wide(trace: Trace) -> list[list[str]]:
    rows = [["#", "name", "kind", "shape", "parameters", "multiply-adds", "field", "from"]]
    for op in trace.ops:
        parameters = sum(op.parameters.values())
        rows.append(
            [
                str(op.index),
                op.name,
                op.kind,
                _shape(op),
                f"{parameters:,}" if parameters else "",
                f"{op.multiply_adds:,}" if op.multiply_adds else "",
                _field(op),
                ", ".join(trace.ops[i].name for i in _sources(op)),
            ]
        )
    return rows


def _narrow(trace: Trace) -> list[list[str]]:
    rows = [["#", "name", "kind ← from", "shape", "param", "mul-add", "field"]]
    for op in trace.ops:
        parameters = sum(op.parameters.values())
        origin = ", ".join(map(str, _sources(op)))
        if len(origin) > 12:
            origin = f"{len(_sources(op))} ops"
        rows.append(
            [
                str(op.index),
                op.name,
                f"{op.kind} ← {origin}" if origin else op.kind,
                _shape(op),
                count(parameters) if parameters else "",
                count(op.multiply_adds) if op.multiply_adds else "",
                _field(op),
            ]
        )
    return rows


def _shape(op: Op) -> str:
    return "×".join(map(str, op.shape)) or "-"


def _field(op: Op) -> str:
    if op.field is None:
        return "all" if op.inputs else ""
    rows, columns = op.field.size
    return f"{rows}" if rows == columns else f"{rows}×{columns}"


def _sources(op: Op) -> tuple[int, ...]:
    return () if op.inputs in ((op.index - 1,), ()) else tuple(op.inputs)


def print_structure(trace: Trace, found: Structure) -> None:
    """The counts below the table: in all, and of what."""
    say(
        f"{trace.card.name}: {len(trace.ops)} ops, {trace.parameters:,} parameters, "
        f"{trace.multiply_adds:,} multiply-adds",
        strong=True,
    )
    shortcuts = found.shortcut_convolutions
    say(
        f"  {_plural(found.convolutions, 'convolution')}"
        + (
            f": {found.main_path_convolutions} in the main path and {shortcuts} in shortcuts"
            if shortcuts
            else ""
        )
        if found.convolutions
        else "  no convolution found in this network"
    )
    for number, what in ((found.residual_blocks, "residual block"), (found.linear, "linear layer")):
        if number:
            say(f"  {_plural(number, what)}")
    if found.containers:
        say("  containers: " + ", ".join(f"{n} {t}" for t, n in found.containers.items()))


def print_comparison(traces: Sequence[Trace]) -> None:
    """Parameter tensors of several networks side by side, with the sums below."""
    head, rules, right = [], [], []
    for number, trace in enumerate(traces):
        head += [trace.card.name, "size"]
        rules += [("parameters", f"{trace.parameters:,}"), ("multiply-adds", f"{trace.multiply_adds:,}")]
        right.append(2 * number + 1)
    tensors = [[_tensor(n, tuple(p.shape)) for n, p in t.model.module.named_parameters()] for t in traces]
    body = [[cell for pair in row for cell in pair] for row in zip_longest(*tensors, fillvalue=("", ""))]
    sums = [[cell for pair in rules[i::2] for cell in pair] for i in (0, 1)]
    lines = lay_out([head, *body, *sums], right)
    rule = "─" * max(map(cells, lines))
    for line in (lines[0], rule, *lines[1:-2], rule, *lines[-2:]):
        say(line, strong=line in (lines[0], *lines[-2:]))


def _tensor(name: str, shape: tuple[int, ...]) -> tuple[str, str]:
    return f"{name} {'×'.join(map(str, shape))}", f"{prod(shape):,}"


def _plural(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
