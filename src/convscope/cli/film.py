"""``convscope film``: a training seen again, filters forming, as one HTML file or an animation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convscope.cli.counting import counting
from convscope.cli.options import JsonOption, optional, print_json, say
from convscope.errors import UsageError

if TYPE_CHECKING:
    from convscope.filming import Strip

#: Frames of an animation in a second.
_PACE = 4.0


def run(
    run_: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A run folder of `convscope train`, or the folder given to `convscope.film`.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        optional(
            "--output -o",
            "FILE",
            "Where the page with the slider goes (.html); `RUN-film.html` if nothing else is asked for.",
        ),
    ] = None,
    animate: Annotated[
        Path | None, optional("--animate", "FILE", "Write an animation: .gif, .webp or .mp4.")
    ] = None,
    layer: Annotated[
        str | None,
        optional(
            "--layer -l",
            "NAME",
            "Whose filters and maps are shown (first, on the page); the first convolution's if not given.",
        ),
    ] = None,
    image: Annotated[
        int,
        typer.Option("--image", min=0, metavar="N", help="Which image of the film is shown first."),
    ] = 0,
    per_second: Annotated[
        float | None,
        optional("--per-second", "N", "Frames of the animation in a second; 4 if not given."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """See filters form: the kept steps of a training, with maps, answers and curves, under a slider.

    Examples:

    - `convscope film runs/tutorial_tanh-digits`
    - `convscope film runs/tutorial_tanh-digits --animate film.gif`
    - `convscope film runs/tutorial_cnn-cifar10 --animate film.gif --layer features.4 --image 2`
    """
    from convscope.filming import open_film

    strip = open_film(run_)
    if output is None and animate is None and not json:
        output = Path(f"{strip.folder.resolve().parent.name or 'run'}-film.html")
    check_outputs(output, animate, per_second)
    check_choices(strip, layer, image)
    if json:
        print_json(_described(strip))
    tell = _quiet if json else say
    if output is not None:
        from convscope.exhibits.film_data import pack_film
        from convscope.exhibits.film_page import page_bytes
        from convscope.files import atomic_write

        with counting("packing the film's frames") as progress:
            manifest, chunks = pack_film(strip, layer=layer, image=image, progress=progress)
        atomic_write(output, page_bytes(manifest, chunks))
        size = output.stat().st_size / 1e6 if output.is_file() else 0
        steps = _steps(len(manifest["frames"]), strip)
        tell(f"film of {steps}: {output} ({size:.1f} MB, one file, needs no network)")
        if output.is_file():
            tell(f"open it in a browser: {output.resolve().as_uri()}")
    if animate is not None:
        pace = _PACE if per_second is None else per_second
        tell(write_animation(strip, animate, layer=layer, image=image, per_second=pace))


def check_outputs(output: Path | None, animate: Path | None, per_second: float | None = None) -> None:
    """Everything that can be known to fail before anything is drawn."""
    from convscope.exhibits.animation import check_animation
    from convscope.files import check_writable

    if output is not None and output.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"the page's file must end in .html; got {str(output)!r}")
    if animate is not None:
        check_animation(animate, _PACE if per_second is None else per_second)
    elif per_second is not None:
        hint = "Add, say, --animate film.gif"
        raise UsageError("`--per-second` is of an animation, and none is asked for", hint=hint)
    for path in (output, animate):
        if path is not None:
            check_writable(path)


def check_choices(strip: Strip, layer: str | None, image: int) -> None:
    """What is to be shown is there."""
    from convscope.exhibits.film_view import image_number, layer_number

    layer_number(strip, layer)
    image_number(strip, image)


def write_animation(
    strip: Strip, path: Path, *, layer: str | None = None, image: int = 0, per_second: float = _PACE
) -> str:
    """The film as a GIF, WebP or MP4; what was written, in a sentence."""
    from convscope.exhibits.animation import save_animation
    from convscope.exhibits.film_frames import FilmFrames

    with counting("reading the film's frames") as progress:
        frames = FilmFrames(strip, layer=layer, image=image, progress=progress)
    with counting("drawing frames") as progress:
        save_animation(path, frames, per_second=per_second, progress=progress)
    return f"animation of {_steps(len(frames), strip)}: {path}"


def _steps(shown: int, strip: Strip) -> str:
    """How many steps of a film are shown, and of how many."""
    return f"{shown:,} of {len(strip):,} steps" if shown < len(strip) else f"{shown} steps"


def _described(strip: Strip) -> dict[str, Any]:
    """What the film holds, in numbers."""
    classes = strip.classes
    frames = []
    for frame in strip:
        found: dict[str, Any] = {"step": frame.step, **frame.numbers}
        if frame.probabilities is not None:
            found["answers"] = [classes[int(row.argmax())] for row in frame.probabilities]
        frames.append(found)
    manifest = strip.manifest
    return {
        "title": manifest["title"],
        "layers": [layer["name"] for layer in strip.layers],
        "images": manifest["images"],
        "classes": classes,
        "frames": frames,
    }


def _quiet(text: str) -> None:
    """Say nothing: what is printed is JSON."""
