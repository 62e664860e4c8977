"""``convscope serve``: the live page on this machine."""

from __future__ import annotations

import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from convscope.cli.options import NormalizeOption, SizeOption, WeightsOption, note, say
from convscope.errors import MissingExtraError, UnknownModelError, nearest

_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp")


def run(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]",
            help="A network to begin with, as every command takes it; your own (`path/to/net.py:Class`) can "
            "be named here only, never from the page.",
            show_default=False,
        ),
    ] = None,
    photos: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PHOTOS...]", help="Pictures to begin with.", show_default=False),
    ] = None,
    port: Annotated[
        int, typer.Option("--port", "-p", min=0, max=65535, help="Where to listen; a free port if 0.")
    ] = 0,
    host: Annotated[
        str,
        typer.Option(
            "--host", help="Address to listen at; anything but loopback lets other machines ask for the page."
        ),
    ] = "127.0.0.1",
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True,
    memory: Annotated[
        int,
        typer.Option(
            "--memory",
            min=64,
            help="Megabytes of recorded passes and models kept in memory; the least recently used goes and "
            "is made again when it is needed.",
        ),
    ] = 1024,
    weights: WeightsOption = "default",
    no_normalize: NormalizeOption = False,
    size: SizeOption = None,
) -> None:
    """Open the live page: any model on any photo, every value with where it comes from.

    At most 1 GB of photos and 1 GB of scenes are kept, in unnamed temporary files; Ctrl-C ends it.

    Examples:

    - `convscope serve`
    - `convscope serve resnet50 photo.jpg`
    - `convscope serve runs/tutorial_tanh-digits photo.jpg`
    """
    show(
        model,
        photos,
        port=port,
        host=host,
        open_page=open_page,
        memory=memory,
        weights=weights,
        normalize=not no_normalize,
        size=size,
    )


def show(
    model: str | None,
    photos: list[str] | None,
    *,
    port: int = 0,
    host: str = "127.0.0.1",
    open_page: bool = True,
    memory: int = 1024,
    weights: str = "default",
    normalize: bool = True,
    size: int | None = None,
    fragment: str = "",
) -> None:
    """Serve the page until told to end; ``fragment`` is what its address begins with (``lesson=steps``)."""
    _check_extra()
    names = [*([model] if model else []), *(photos or [])]
    if model is not None and _is_picture(model):
        model = None
    elif model is not None:
        names = names[1:]
    from convscope.desk.catalog import GivenModel
    from convscope.page.settings import MIB, Bounds, GivenPhoto, Settings

    if model is not None:
        _check_model(model)
    given = tuple(GivenPhoto(_called(name), _read(name)) for name in names)
    from convscope.page.run import bind, is_loopback, names_of, serve

    bound = bind(host, port)
    settings = Settings(
        hosts=names_of(host),
        models=(GivenModel(model, weights, normalize, size),) if model is not None else (),
        photos=given,
        bounds=Bounds(trace_bytes=memory * MIB),
    )
    if not is_loopback(host):
        note(
            f"listening at {host}: other machines can reach this page. Its address holds the only key; what "
            "goes over the network is not encrypted"
        )

    def started(address: str) -> None:
        address += f"&{fragment}" if fragment else ""
        say(f"convscope is at {address}")
        say("Ctrl-C ends it.")
        sys.stdout.flush()
        if open_page:
            _open(address)

    ended = serve(settings, bound, started)
    say("convscope has ended")
    if ended is not None:
        raise typer.Exit(128 + (signal.SIGTERM if ended == signal.SIGTERM else signal.SIGINT))


def _check_extra() -> None:
    missing = [package for package in ("fastapi", "uvicorn") if find_spec(package) is None]
    if missing:
        raise MissingExtraError(
            f"the live page needs {' and '.join(missing)}, not installed here",
            hint="Install it with: pip install 'convscope[page]'",
        )


def _is_picture(name: str) -> bool:
    return name.startswith("sample:") or name.lower().endswith(_PICTURES)


def _check_model(name: str) -> None:
    """Refuse a name nobody knows at once, not when the page asks for it."""
    from convscope.models.listing import known_names

    # A class of one's own, or a run folder of `convscope train`.
    if ".py" in name or (Path(name).expanduser() / "run.json").is_file():
        return
    known = set(known_names())
    if name not in known:
        near = nearest(name, known)
        hint = f"Did you mean {', '.join(near)}?" if near else "`convscope models` lists them all."
        raise UnknownModelError(f"there is no model `{name}`", hint=hint)


def _called(name: str) -> str:
    return name.removeprefix("sample:") if name.startswith("sample:") else Path(name).name


def _read(name: str) -> bytes:
    from convscope.data import Limits
    from convscope.data.reading import read_file
    from convscope.data.sample_files import sample_path

    path = sample_path(name.removeprefix("sample:")) if name.startswith("sample:") else Path(name)
    return read_file(path, Limits())


def _open(address: str) -> None:
    """Show the page in a browser, if there is one; its absence is no error."""
    import threading
    import webbrowser

    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
