"""``convscope models``: which networks there are."""

from __future__ import annotations

from typing import Annotated

import typer

from convscope.cli.options import JsonOption, print_json, say, step


def run(
    pattern: Annotated[
        str | None,
        typer.Argument(
            metavar="[PATTERN]", help="Part of a name, or a pattern such as `resnet*`.", show_default=False
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """List and search the networks convscope knows by name."""
    from convscope.models import list_models

    with step("listing models"):
        entries = list_models(pattern)
    if json:
        print_json([vars(entry) for entry in entries])
        return
    from convscope.cli.tables import print_models

    print_models(entries)
    say(f"{len(entries)} models" + (f" match {pattern!r}" if pattern else ""))
