"""Options and small tools that several commands share."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from convscope.models import Model

DEFAULT_MODEL = "efficientnet_lite0"
DEFAULT_IMAGE = "sample:cat"

ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A torchvision name (`resnet50`), `timm:NAME`, `path/to/net.py:Class`, or one of convscope's "
        "own (`convscope models` lists them).",
        show_default=False,
    ),
]
ImageArgument = Annotated[
    str,
    typer.Argument(
        metavar="IMAGE", help="A picture file, or a sample such as `sample:cat`.", show_default=False
    ),
]
WeightsOption = Annotated[
    str,
    typer.Option(
        "--weights",
        "-w",
        help="`default` (trained ones, downloaded if need be), a name torchvision gives them, "
        "a `.safetensors` or state-dict file, or `none` for random weights.",
    ),
]
NormalizeOption = Annotated[
    bool,
    typer.Option(
        "--normalize/--no-normalize",
        help="Subtract the mean and divide by the standard deviation that belong to the weights; "
        "without it the model sees numbers it was not trained on.",
    ),
]
SizeOption = Annotated[
    int | None,
    typer.Option(
        "--size", min=1, help="Side of the model's input in pixels, if not its own.", show_default=False
    ),
]
TopOption = Annotated[int, typer.Option("--top", min=1, help="How many answers to show.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")]


def load(spec: str, weights: str = "default", normalize: bool = True, size: int | None = None) -> Model:
    """The model a command was asked for, by the options every command has."""
    from convscope.models import load_model

    return load_model(spec, weights=weights, normalize=normalize, input_size=size)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Says on the terminal what is being done while it takes its time."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(f"{what} ...", spinner="dots"):
        yield


def say(text: str = "") -> None:
    """Print a line, escaping what the terminal cannot show."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))


def note(text: str) -> None:
    """Print a remark on stderr, where it does not mix with results."""
    encoding = sys.stderr.encoding or "utf-8"
    sys.stderr.write(f"note: {text}\n".encode(encoding, "backslashreplace").decode(encoding))


def print_json(value: Any) -> None:
    """Print ``value`` as JSON; numbers that are not finite become null."""
    print(json.dumps(finite(value), indent=2, ensure_ascii=True, allow_nan=False))


def finite(value: Any) -> Any:
    """``value`` with every NaN and infinity replaced by ``None``, which JSON can say.

    Examples
    --------
    >>> finite({"a": [1.0, float("nan")]})
    {'a': [1.0, None]}
    """
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, dict):
        return {str(k): finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(v) for v in value]
    return value


def count(number: float) -> str:
    """A large number in few characters.

    Examples
    --------
    >>> count(950), count(11_689_512), count(4_089_184_256)
    ('950', '11.7M', '4.09G')
    """
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e4)):
        if number >= size:
            scale = 1e3 if unit == "k" else size
            return f"{number / scale:.3g}{unit}"
    return f"{number:,.0f}"
