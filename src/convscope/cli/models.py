"""``convscope models``: which networks there are."""

from __future__ import annotations

from typing import Annotated

import typer

from convscope.cli.options import JsonOption, print_json, say, step
from convscope.errors import UnknownModelError


def run(
    pattern: Annotated[
        str | None,
        typer.Argument(
            metavar="PATTERN", help="Part of a name, or a pattern such as `resnet*`.", show_default=False
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """List and search the networks convscope knows by name.

    Examples:

    - `convscope models mobilenet`
    - `convscope models 'timm:convnext*'`
    """
    from convscope.models import list_models

    with step("listing models"):
        entries = list_models(pattern)
    if json:
        print_json([vars(entry) for entry in entries])
        return
    if not entries:
        from convscope.errors import nearest

        near = nearest(pattern or "", (entry.name for entry in list_models()))
        raise UnknownModelError(
            f"no model's name matches `{pattern}`",
            hint=f"Did you mean {', '.join(near)}?" if near else "`convscope models` lists them all.",
        )
    from convscope.cli.tables import print_models

    print_models(entries)
    many = len(entries) > 1
    matching = f" match{'' if many else 'es'} {pattern!r}" if pattern else ""
    say(f"{len(entries)} model{'s' if many else ''}{matching}")
    if not any(entry.source == "timm" for entry in entries) and not _has_timm():
        say("timm's networks are not listed: pip install 'convscope[timm]' adds them")


def _has_timm() -> bool:
    from importlib.util import find_spec

    return find_spec("timm") is not None
