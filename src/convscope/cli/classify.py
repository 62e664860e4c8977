"""``convscope classify``: what a network says of pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

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
    record,
    remarks,
    step,
)
from convscope.errors import ConvscopeError, ImageError

if TYPE_CHECKING:
    from convscope.data import Picture
    from convscope.models import Model


def run(
    model: ModelArgument,
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGES", help="Picture files, or samples such as `sample:cat`.", show_default=False
        ),
    ],
    weights: WeightsOption = "default",
    no_normalize: NormalizeOption = False,
    size: SizeOption = None,
    top: TopOption = 5,
    json: JsonOption = False,
) -> None:
    """Name the most probable classes of one or more pictures.

    A picture that cannot be read is said and passed over; the exit code is then 1.

    Examples:

    - `convscope classify resnet50 photos/*.jpg --top 3`
    """
    from convscope.data import load_image

    if len(images) == 1:
        load_image(images[0])  # said at once, not after loading a model
    with step(f"loading {model}"):
        loaded = load(model, weights, not no_normalize, size)
    from convscope.cli.tables import print_predictions

    results: list[dict[str, Any]] = []
    failures: list[ConvscopeError] = []
    for number, name in enumerate(images, 1):
        try:
            picture = load_image(name)
            with step(f"looking at {picture.name} ({number} of {len(images)})"):
                rows, picture = _answers(loaded, picture, top)
        except ConvscopeError as error:
            failures.append(error)
            code = error.code if isinstance(error, ImageError) else type(error).__name__
            results.append({"image": name, "predictions": [], "error": code, "message": error.message})
            if len(images) > 1 and not json:
                note(error.message)
            continue
        results.append({"image": picture.name, "predictions": rows, "notes": list(picture.notes)})
        if not json:
            print_predictions(picture.name, loaded.card, rows)
            for text in picture.notes:
                note(f"{picture.name}: {text}")
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
        for text in remarks(loaded.card.notes, said=loaded.card.random):
            if not (failures and "no class can be named" in text):
                note(text)
    if len(images) == 1 and failures:
        raise failures[0]
    if failures:
        raise ConvscopeError(f"{len(failures)} of {len(images)} pictures have no answer")


def _answers(model: Model, picture: Picture, top: int) -> tuple[list[dict[str, Any]], Picture]:
    """The most probable classes, and the picture with what there was to say of it."""
    from convscope.cli.answers import refuse_to_name, why_no_class

    recorded = record(model, picture, keep=())
    broken = why_no_class(recorded)
    if broken:
        raise refuse_to_name(broken, hint="`convscope maps` draws such values for what they are.")
    return [vars(answer) for answer in recorded.predictions(top)], recorded.picture or picture
