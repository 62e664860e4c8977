"""``convscope value``: where one number comes from, term by term."""

from __future__ import annotations

from typing import Annotated

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
    print_json,
    say,
    step,
)
from convscope.errors import UsageError


def run(
    model: ModelArgument,
    image: ImageArgument,
    layer: Annotated[str, typer.Argument(metavar="LAYER", help="Name as `convscope layers` gives it.")],
    channel: Annotated[int, typer.Option("--channel", "-c", min=0, help="Channel of the layer.")] = 0,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="ROW,COLUMN", help="Cell of the map; the strongest one if not given."),
    ] = None,
    terms: Annotated[int, typer.Option("--terms", min=1, help="How many terms to print.")] = 12,
    weights: WeightsOption = "default",
    normalize: NormalizeOption = True,
    size: SizeOption = None,
    json: JsonOption = False,
) -> None:
    """Show the exact arithmetic of one value of one layer, and check it against the model's own."""
    cell = parse_cell(at)
    from convscope.data import load_image

    picture = load_image(image)
    with step(f"loading {model}"):
        loaded = load(model, weights, normalize, size)
    from convscope.tracing import trace
    from convscope.tracing.arithmetic_text import format_arithmetic

    with step(f"running {model}"):
        recorded = trace(loaded, picture)
    found = recorded.value_of(layer, channel, cell)
    if json:
        print_json(found.as_dict(terms))
        return
    say(format_arithmetic(found, terms=terms))
    for text in [*loaded.card.notes, *picture.notes]:
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
    if len(parts) != 2 or not all(p.isdecimal() for p in parts):
        raise UsageError(f"`--at` must be a row and a column such as 20,31; got {text!r}")
    return int(parts[0]), int(parts[1])
