"""Options and small tools that several commands share."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

if TYPE_CHECKING:
    from torch import Tensor

    from convscope.data import Picture
    from convscope.models import Model
    from convscope.tracing import Trace

DEFAULT_MODEL = "efficientnet_lite0"
DEFAULT_IMAGE = "sample:cat"

MODEL_HELP = (
    "A torchvision name such as `resnet50`, `timm:NAME`, your own `path/to/net.py:Class`, the "
    "folder of a run (`convscope train`), or one of those `convscope models` lists."
)
IMAGE_HELP = "A picture file, or a sample such as `sample:cat`."


def optional(names: str, metavar: str, help: str, *, min: float | None = None) -> Any:
    """An option that is off unless given: its help shows no default. ``names`` stand apart by spaces."""
    return typer.Option(*names.split(), metavar=metavar, help=help, min=min, show_default=False)


ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP, show_default=False)]
ImageArgument = Annotated[str, typer.Argument(metavar="IMAGE", help=IMAGE_HELP, show_default=False)]
WeightsOption = Annotated[
    str,
    typer.Option(
        "--weights",
        "-w",
        metavar="WHICH",
        help="`default`: the trained ones, fetched if need be; a name of the library (`IMAGENET1K_V1`); "
        "a `.safetensors` or state-dict file; `none`: random ones, with answers that mean nothing.",
    ),
]
NormalizeOption = Annotated[
    bool,
    typer.Option(
        "--no-normalize",
        help="Leave out the mean and standard deviation that belong to the weights: the model then sees "
        "numbers it was not trained on, and its answers change.",
    ),
]
SizeOption = Annotated[
    int | None, optional("--size", "PIXELS", "Side of the model's input, if not its own.", min=1)
]
TopOption = Annotated[int, typer.Option("--top", min=1, metavar="N", help="How many answers to show.")]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the numbers as JSON; what is not finite is null.")
]
RootOption = Annotated[str | None, optional("--root", "PATH", "Where the files of CIFAR-10 are, if at hand.")]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Stop at the first picture that cannot be read.")
]


def load(spec: str, weights: str = "default", normalize: bool = True, size: int | None = None) -> Model:
    """The model a command was asked for, by the options every command has.

    Raises
    ------
    ModelError
        If it cannot be built, or takes several inputs where the command line has one picture to give.
    """
    from convscope.models import load_model

    loaded = load_model(spec, weights=weights, normalize=normalize, input_size=size)
    _refuse_several_inputs(loaded)
    return loaded


def record(model: Model, image: Picture | Tensor, *, keep: Sequence[str] | None = None) -> Trace:
    """The pass of one picture through a loaded model.

    Raises
    ------
    ForwardError
        If the model fails; with a way out that fits it, where one is known.
    """
    from convscope.errors import ForwardError
    from convscope.tracing import trace

    try:
        return trace(model, image, keep=keep)
    except ForwardError as error:
        known = next((n for n in model.card.notes if n.startswith("the first convolution takes")), "")
        if not known:
            raise
        hint = f"{known[0].upper()}{known[1:]}. In Python: convscope.trace(model, tensor)."
        raise ForwardError(error.message, hint=hint) from error


def _refuse_several_inputs(model: Model) -> None:
    from inspect import Parameter, signature

    from convscope.errors import ModelError

    variadic = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    try:
        parameters = signature(model.module.forward).parameters.values()
    except (TypeError, ValueError):
        return
    needed = [p.name for p in parameters if p.default is Parameter.empty and p.kind not in variadic]
    if len(needed) > 1:
        raise ModelError(
            f"{model.card.name} needs {len(needed)} inputs ({', '.join(needed)}), and this command gives it "
            "one picture",
            hint=f"In Python: convscope.trace(model, ({', '.join(needed)})) takes them as tensors.",
        )


def remarks(notes: Iterable[str], *, said: bool) -> list[str]:
    """The notes worth printing below answers: not again what their title has said of random weights."""
    return [text for text in notes if not (said and text.startswith("random weights"))]


@contextmanager
def step(what: str) -> Iterator[None]:
    """Says on the terminal what is being done while it takes its time."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True).status(Text(f"{clean(what)} ..."), spinner="dots"):
        yield


def clean(text: str) -> str:
    """``text`` with control characters spelled out: a name must not move the cursor of a terminal.

    Examples
    --------
    >>> print(clean("a\\x1b[2Jb"))
    a\\x1b[2Jb
    """
    if text.isprintable():
        return text
    from convscope.data.names import printable

    return "\n".join(printable(line) for line in text.split("\n"))


def _shown(text: str, stream: TextIO) -> str:
    """``text`` in characters the stream can show."""
    encoding = (stream.encoding or "utf-8").lower()
    return clean(text) if encoding.startswith("utf") else clean(text).translate(_PLAIN)


_PLAIN = str.maketrans(
    {
        "×": "x",
        "─": "-",
        "←": "<-",
        "█": "#",
        "·": "-",
        "−": "-",
        "Σ": "sum",
        "✓": "ok:",
        "✗": "NOT ok:",
        "…": "...",
    }
    | dict.fromkeys("▏▎▍▌▋▊▉", "")
)


def say(text: str = "", *, strong: bool = False) -> None:
    """Print a line of results, bold on a terminal if ``strong``."""
    shown = _shown(text, sys.stdout)
    print(f"\x1b[1m{shown}\x1b[0m" if strong and sys.stdout.isatty() else shown)


def note(text: str) -> None:
    """Print a remark on stderr, where it does not mix with results."""
    sys.stdout.flush()
    print(_shown(f"note: {text}", sys.stderr), file=sys.stderr, flush=True)


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
