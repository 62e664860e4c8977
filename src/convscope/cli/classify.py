"""``convscope classify``: what a network says of pictures."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from convscope.cli.options import (
    JsonOption,
    ModelArgument,
    NormalizeOption,
    SizeOption,
    TopOption,
    WeightsOption,
    load,
    note,
    print_json,
    step,
)


def run(
    model: ModelArgument,
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGES...", help="Pictures, or samples such as `sample:cat`.")
    ],
    weights: WeightsOption = "default",
    normalize: NormalizeOption = True,
    size: SizeOption = None,
    top: TopOption = 5,
    json: JsonOption = False,
) -> None:
    """Name the most probable classes of one or more pictures."""
    from convscope.data import load_image
    from convscope.errors import ImageError

    if len(images) == 1:
        load_image(images[0])  # a picture that cannot be read is said at once, not after loading a model
    with step(f"loading {model}"):
        loaded = load(model, weights, normalize, size)
    from convscope.cli.tables import print_predictions
    from convscope.tracing import trace

    results: list[dict[str, Any]] = []
    failure: ImageError | None = None
    for name in images:
        try:
            picture = load_image(name)
        except ImageError as error:
            failure = error
            results.append({"image": name, "error": error.code, "message": error.message})
            if len(images) > 1:
                note(error.message)
            continue
        with step(f"looking at {picture.name}"):
            answers = trace(loaded, picture, keep=()).predictions(top)
        rows = [vars(answer) for answer in answers]
        results.append({"image": picture.name, "predictions": rows, "notes": list(picture.notes)})
        if not json:
            print_predictions(picture.name, loaded.card, rows)
            for text in picture.notes:
                note(text)
    if json:
        print_json(
            {
                "model": loaded.card.name,
                "weights": loaded.card.weights,
                "notes": list(loaded.card.notes),
                "images": results,
            }
        )
    else:
        for text in loaded.card.notes:
            note(text)
    if failure is not None and (len(images) == 1 or all("error" in r for r in results)):
        raise failure
    if failure is not None:
        raise typer.Exit(failure.exit_code)
