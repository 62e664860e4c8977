"""``convscope value``: where one number comes from, term by term."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from convscope.cli.options import (
    ImageArgument,
    JsonOption,
    ModelArgument,
    NormalizeOption,
    SizeOption,
    WeightsOption,
    load,
    note,
    optional,
    print_json,
    record,
    say,
    step,
)
from convscope.errors import UsageError

if TYPE_CHECKING:
    from convscope.tracing.arithmetic import Arithmetic


def run(
    model: ModelArgument,
    image: ImageArgument,
    layer: Annotated[
        str, typer.Argument(metavar="LAYER", help="Name as `convscope layers` gives it.", show_default=False)
    ],
    channel: Annotated[int, typer.Option("--channel", "-c", min=0, metavar="N", help="Channel, from 0.")] = 0,
    at: Annotated[
        str | None,
        optional(
            "--at", "ROW,COLUMN", "Cell of the map, from 0; where not given, the one of the largest |value|."
        ),
    ] = None,
    terms: Annotated[int, typer.Option("--terms", min=1, metavar="N", help="How many terms to print.")] = 12,
    weights: WeightsOption = "default",
    no_normalize: NormalizeOption = False,
    size: SizeOption = None,
    json: JsonOption = False,
) -> None:
    """Show the exact arithmetic of one value of one layer, and check it against the model's own.

    Examples:

    - `convscope value resnet18 photo.jpg layer1.0.conv1 --channel 12 --at 20,31`
    """
    cell = parse_cell(at)
    from convscope.data import load_image

    picture = load_image(image)
    with step(f"loading {model}"):
        loaded = load(model, weights, not no_normalize, size)
    from convscope.tracing.arithmetic_text import format_arithmetic

    with step(f"running {model}"):
        recorded = record(loaded, picture)
        found = recorded.value_of(layer, channel, cell)
    if json:
        print_json({"model": loaded.card.name, "weights": loaded.card.weights, **_numbers(found, terms)})
        return
    say(format_arithmetic(found, terms=terms))
    for text in recorded.notes:
        note(text)


def parse_cell(text: str | None) -> tuple[int, int] | None:
    """A cell typed as ``ROW,COLUMN``.

    Examples
    --------
    >>> parse_cell("20,31")
    (20, 31)
    """
    if text is None:
        return None
    parts = text.replace(" ", "").split(",")
    if len(parts) != 2 or not all(p.isascii() and p.isdecimal() and len(p) < 10 for p in parts):
        raise UsageError(f"`--at` must be a row and a column such as 20,31; got {text!r}")
    return int(parts[0]), int(parts[1])


def _numbers(found: Arithmetic, terms: int) -> dict[str, Any]:
    cell = found.cell
    return {
        "layer": cell.op,
        "kind": found.kind,
        "channel": cell.channel,
        "at": cell.at,
        "value": found.value,
        "sum": found.total,
        "tolerance": found.tolerance,
        "agrees": found.agrees,
        "formula": found.formula,
        "quantities": dict(found.quantities),
        "bias": found.bias,
        "terms": [_term(term) for term in found.terms[:terms]],
        "terms_in_all": len(found.terms),
        "notes": list(found.notes),
    }


def _term(term: Any) -> dict[str, Any]:
    origin = (
        None
        if term.cell is None
        else {"layer": term.cell.op, "channel": term.cell.channel, "at": term.cell.at}
    )
    return {
        "label": term.label,
        "value": term.value,
        "input": term.input,
        "weight": term.weight,
        "from": origin,
    }
