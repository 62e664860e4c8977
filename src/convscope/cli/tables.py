"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from convscope.models import Card


def console() -> Console:
    """Where tables go; wide enough for them where the output is no terminal."""
    out = Console(highlight=False, soft_wrap=False)
    return out if out.is_terminal else Console(highlight=False, width=120)


def table(*columns: str, right: Sequence[str] = ()) -> Table:
    """An airy table; the columns named in ``right`` hold numbers."""
    made = Table(box=SIMPLE, pad_edge=False, show_edge=False, header_style="bold")
    for name in columns:
        made.add_column(
            name, justify="right" if name in right else "left", no_wrap=name in right, overflow="fold"
        )
    return made


def print_predictions(image: str, card: Card, answers: Sequence[Mapping[str, Any]]) -> None:
    """The answers of a network as bars."""
    out = console()
    out.print(Text(f"{image} through {card.name} (weights: {card.weights})", style="bold"))
    if not answers:
        out.print(Text("  no class is named: this model gives no (finite) class scores"))
        return
    width = min(48, max(len(a["label"]) for a in answers))
    for answer in answers:
        bar = "█" * max(1, round(30 * answer["probability"])) if answer["probability"] >= 0.005 else "▏"
        line = Text(f"  {answer['label'][:width]:<{width}}  {answer['probability']:>7.2%}  ")
        out.print(line.append(bar, style="blue"), overflow="crop", no_wrap=True)


def print_models(entries: Sequence[Any]) -> None:
    """Names of models, where they come from and whether trained weights exist."""
    made = table("name", "from", "trained weights", "note")
    for e in entries:
        made.add_row(Text(e.name), e.source, "yes" if e.weights_available else "no", Text(e.note))
    console().print(made)
