"""``convscope look``: from a photo to a report of everything the network computed."""

from __future__ import annotations

import sys
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convscope.cli.options import (
    DEFAULT_IMAGE,
    DEFAULT_MODEL,
    IMAGE_HELP,
    MODEL_HELP,
    JsonOption,
    NormalizeOption,
    SizeOption,
    TopOption,
    WeightsOption,
    load,
    note,
    optional,
    print_json,
    record,
    remarks,
    say,
    step,
)

if TYPE_CHECKING:
    from convscope.filming import Strip
    from convscope.models import Card
    from convscope.scene import Scene


def run(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help=IMAGE_HELP)] = DEFAULT_IMAGE,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help=MODEL_HELP,
        ),
    ] = DEFAULT_MODEL,
    output: Annotated[
        Path | None, optional("--output -o", "FILE", "The report to write; IMAGE-MODEL.html if not given.")
    ] = None,
    weights: WeightsOption = "default",
    no_normalize: NormalizeOption = False,
    size: SizeOption = None,
    top: TopOption = 5,
    scene: Annotated[
        Path | None,
        optional("--scene", "FILE", "Also save what the report shows: a zip of numbers (JSON and .npy)."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Look at a photo through a network: the answer, and one HTML file of all it computed.

    The report opens from disk, needs no network, and shows every layer's maps and filters in the
    network's true data flow.

    Examples:

    - `convscope look`
    - `convscope look photo.jpg --model resnet18 -o report.html`
    """
    from convscope.cli.spared import spare_inputs
    from convscope.files import check_writable

    target = output or Path(f"{_stem(image)}-{_stem(model)}.html")
    for path in (target, scene):
        if path is not None:
            check_writable(path)
    spare_inputs((target, scene), image, model, weights)
    from convscope.data import load_image

    picture = load_image(image)
    with step(f"loading {model}"):
        loaded = load(model, weights, not no_normalize, size)
    from convscope.cli.answers import refuse_to_name, why_no_class
    from convscope.scene import make_scene

    with step(f"running {model}"):
        recorded = record(loaded, picture)
    with step("writing the report"):
        made = make_scene(recorded, top=top)
        _write(made, target, loaded.card)
        if scene is not None:
            made.save(scene)
    broken = why_no_class(recorded)
    notes = list(recorded.notes)
    answers = [] if broken else made.manifest["predictions"]
    if json:
        print_json(
            {
                "report": str(target),
                "model": loaded.card.name,
                "weights": loaded.card.weights,
                "image": picture.name,
                "predictions": answers,
                "notes": notes,
            }
        )
    else:
        from convscope.cli.tables import print_predictions

        # A report written to standard output must not have the answers behind it.
        aside = nullcontext() if target.is_file() else redirect_stdout(sys.stderr)
        with aside:
            print_predictions(picture.name, loaded.card, answers, broken)
            _say_where(target)
        for text in remarks(notes, said=loaded.card.random):
            if not (broken and "no class can be named" in text):
                note(text)
    if broken:
        raise refuse_to_name(broken, hint=f"{target} shows where: such values are marked in it.")


def _write(scene: Scene, target: Path, card: Card) -> None:
    """The report, with the film of the training where there is one that can be read."""
    from convscope.errors import FilmError
    from convscope.exhibits.report import write_report

    film = film_of(card)
    try:
        write_report(scene, target, film=film)
    except FilmError as error:
        note(f"without the film of the training: {error.message}")
        write_report(scene, target)


def film_of(card: Card) -> Strip | None:
    """The film of the training, where the model is a run that has one."""
    from convscope.errors import FilmError
    from convscope.filming import open_film

    if card.source != "run":
        return None
    try:
        return open_film(card.reference)
    except FilmError as error:
        if error.code == "damaged":
            note(error.message)
        return None


def _say_where(target: Path) -> None:
    if not target.is_file():
        return
    say(f"report: {target} ({target.stat().st_size / 1e6:.1f} MB, one file, needs no network)")
    say(f"open it in a browser: {target.resolve().as_uri()}")


def _stem(name: str) -> str:
    """A file name for an image or model as typed.

    Examples
    --------
    >>> _stem("sample:cat"), _stem("photos/my cat.jpg"), _stem("timm:resnet18"), _stem("nets/mine.py:Net")
    ('cat', 'my cat', 'timm-resnet18', 'mine-Net')
    """
    name = name.removeprefix("sample:")
    path, colon, rest = name.rpartition(":")
    stem = Path(path).stem + "-" + rest if colon else Path(name).stem
    return "".join(c if c.isprintable() and c not in '/\\:*?"<>|' else "_" for c in stem)[:100] or "report"
