"""``convscope look``: from a photo to a report of everything the network computed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convscope.cli.options import (
    DEFAULT_IMAGE,
    DEFAULT_MODEL,
    JsonOption,
    NormalizeOption,
    SizeOption,
    TopOption,
    WeightsOption,
    load,
    note,
    print_json,
    say,
    step,
)


def run(
    image: Annotated[
        str, typer.Argument(metavar="[IMAGE]", help="A picture file, or a sample such as `sample:cat`.")
    ] = DEFAULT_IMAGE,
    model: Annotated[
        str, typer.Option("--model", "-m", help="The network (`convscope models` lists them).")
    ] = DEFAULT_MODEL,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The report to write. [default: IMAGE-MODEL.html]", show_default=False
        ),
    ] = None,
    weights: WeightsOption = "default",
    normalize: NormalizeOption = True,
    size: SizeOption = None,
    top: TopOption = 5,
    scene: Annotated[
        Path | None, typer.Option("--scene", help="Also save the scene (manifest and arrays) here.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Look at a photo through a network: the answer, and one HTML file of everything it computed."""
    from convscope.exhibits.files import check_writable

    target = output or Path(f"{_stem(image)}-{_stem(model)}.html")
    for path in (target, scene):
        if path is not None:
            check_writable(path)
    from convscope.data import load_image

    picture = load_image(image)
    with step(f"loading {model}"):
        loaded = load(model, weights, normalize, size)
    from convscope.exhibits.report import write_report
    from convscope.scene import make_scene
    from convscope.tracing import trace

    with step(f"running {model}"):
        recorded = trace(loaded, picture)
    with step("writing the report"):
        made = make_scene(recorded, top=top)
        write_report(made, target)
        if scene is not None:
            made.save(scene)
    notes = [*loaded.card.notes, *picture.notes]
    if json:
        print_json(
            {
                "report": str(target),
                "model": loaded.card.name,
                "weights": loaded.card.weights,
                "image": picture.name,
                "predictions": made.manifest["predictions"],
                "notes": notes,
            }
        )
        return
    from convscope.cli.tables import print_predictions

    print_predictions(picture.name, loaded.card, made.manifest["predictions"])
    for text in notes:
        note(text)
    say(f"report: {target} ({target.stat().st_size / 1e6:.1f} MB); open it in a browser")


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
    return "".join(c if c.isprintable() and c not in '/\\:*?"<>|' else "_" for c in stem) or "report"
