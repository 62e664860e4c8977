"""``convscope filters``: the kernels of convolutions as pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convscope.cli.options import (
    JsonOption,
    ModelArgument,
    SizeOption,
    WeightsOption,
    load,
    note,
    optional,
    print_json,
    record,
    step,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convscope.tracing import Op, Trace


def run(
    model: ModelArgument,
    layers: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="LAYERS",
            help="Names or patterns (`layer1.*`); the first convolution if none.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        optional(
            "--output -o",
            "PATH",
            "A .png file for one layer, a folder for several; the folder MODEL-filters if not given.",
        ),
    ] = None,
    all_layers: Annotated[bool, typer.Option("--all", help="Every convolution.")] = False,
    each: Annotated[
        bool,
        typer.Option(
            "--each", help="Rescale every kernel by itself: shows their shapes, hides which are strong."
        ),
    ] = False,
    grey: Annotated[
        bool, typer.Option("--grey", help="Grey, black for the smallest weight and white for the largest.")
    ] = False,
    weights: WeightsOption = "default",
    size: SizeOption = None,
    json: JsonOption = False,
) -> None:
    """Draw the filters of convolutions: in colour where they see colour, signed elsewhere.

    With `--json` nothing is drawn: shapes, limits and the L2 norm of every filter are printed.

    Examples:

    - `convscope filters resnet18 conv1 -o conv1.png`
    - `convscope filters vgg16 --all`
    """
    from convscope.cli.pictures import check_place, place, report, targets
    from convscope.cli.spared import spare_inputs

    if not json:
        check_place(output, place(model, "filters"))
    with step(f"loading {model}"):
        loaded = load(model, weights, size=size)
    from convscope.exhibits.layers import draw_filters, filters_of, save_picture
    from convscope.tracing import blank_input

    with step(f"running {model}"):
        recorded = record(loaded, blank_input(loaded), keep=())
    chosen = _chosen(recorded, layers, all_layers)
    if json:
        rows = [_numbers(op.name, filters_of(recorded, op)) for op in chosen]
        print_json(
            {
                "model": loaded.card.name,
                "weights": loaded.card.weights,
                "notes": list(loaded.card.notes),
                "filters": rows,
            }
        )
        return
    files = targets([op.name for op in chosen], output, place(model, "filters"))
    spare_inputs(files.values(), model, weights)
    written: list[Path] = []
    for number, op in enumerate(chosen, 1):
        with step(f"drawing {op.name} ({number} of {len(chosen)})"):
            drawn = draw_filters(recorded, op, together=not each, grey=grey)
            written.append(save_picture(files[op.name], drawn))
    report(written)
    for text in loaded.card.notes:
        note(text)


def _chosen(trace: Trace, layers: list[str] | None, all_layers: bool) -> list[Op]:
    from convscope.exhibits.layers import convolutions, filters_of

    found = convolutions(trace)
    if layers:
        wanted = trace.select(layers)
        chosen = [op for op in wanted if op in found]
        if not chosen:
            filters_of(trace, wanted[0])  # says why not
        return chosen
    return found if all_layers else found[:1]


def _numbers(name: str, kernels: NDArray[Any]) -> dict[str, Any]:
    return {
        "layer": name,
        "shape": list(kernels.shape),
        "minimum": float(kernels.min()),
        "maximum": float(kernels.max()),
        "l2_norms": [float(norm) for norm in (kernels.reshape(len(kernels), -1) ** 2).sum(1) ** 0.5],
    }
