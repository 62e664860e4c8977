"""The application: which commands there are."""

from __future__ import annotations

from typing import Annotated

import typer

from convscope._version import __version__
from convscope.cli import (
    classify,
    data,
    evaluate,
    film,
    filters,
    layers,
    lesson,
    look,
    maps,
    models,
    serve,
    train,
    value,
)

app = typer.Typer(
    name="convscope",
    help="A microscope for convolutional neural networks: see what every layer really computes.\n\n"
    "`convscope look` needs nothing else: it looks at a cat through a small network.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    look,
    serve,
    classify,
    layers,
    filters,
    maps,
    value,
    models,
    lesson,
    data,
    train,
    evaluate,
    film,
):
    app.command(command.__name__.rpartition(".")[2])(command.run)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"convscope {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Nothing happens here: options before the command."""
