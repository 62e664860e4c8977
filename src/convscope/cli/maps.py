"""``convscope maps``: the feature maps of layers as pictures."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convscope.cli.options import (
    ImageArgument,
    JsonOption,
    ModelArgument,
    NormalizeOption,
    SizeOption,
    WeightsOption,
    load,
    note,
    optional,
    print_json,
    record,
    step,
)
from convscope.errors import MissingExtraError, TraceError, UsageError

if TYPE_CHECKING:
    from convscope.tracing import Op, Trace


class Range(StrEnum):
    """What one end of the colour bar stands for."""

    channel = "channel"
    layer = "layer"
    symmetric = "symmetric"
    minmax = "minmax"


def run(
    model: ModelArgument,
    image: ImageArgument,
    layers: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="LAYERS",
            help="Names or patterns (`layer1.*`), as `convscope layers` gives them; the network's top-level "
            "stages if none.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        optional(
            "--output -o",
            "PATH",
            "A .png file for one layer, a folder for several; the folder MODEL-maps if not given.",
        ),
    ] = None,
    all_layers: Annotated[bool, typer.Option("--all", help="Every layer that can be drawn.")] = False,
    range_: Annotated[
        Range,
        typer.Option(
            "--range",
            metavar="WHICH",
            help="What the ends of the colours stand for: `channel`, each map's own largest |value|; "
            "`layer`, that of the whole layer; `symmetric`, the same with zero "
            "always neutral; `minmax`, each map's smallest and largest value.",
        ),
    ] = Range.channel,
    strongest: Annotated[
        int | None, optional("--strongest", "N", "Only the N channels with the largest |value|.", min=1)
    ] = None,
    channels: Annotated[
        int, typer.Option("--channels", min=1, metavar="N", help="At most this many channels a layer.")
    ] = 64,
    weights: WeightsOption = "default",
    no_normalize: NormalizeOption = False,
    size: SizeOption = None,
    json: JsonOption = False,
) -> None:
    """Draw the feature maps of layers for a picture.

    Vectors become pictures, the answer a plot. With `--json` nothing is drawn: the statistics are printed.

    Examples:

    - `convscope maps resnet18 photo.jpg layer1.0.conv1 -o conv1.png`
    - `convscope maps resnet18 photo.jpg --all`
    """
    from convscope.cli.pictures import check_place, place, report, targets
    from convscope.cli.spared import spare_inputs

    if not json:
        check_place(output, place(model, "maps"))
        spare_inputs([output], image, model, weights)
    from convscope.data import load_image

    picture = load_image(image)
    with step(f"loading {model}"):
        loaded = load(model, weights, not no_normalize, size)
    from convscope.exhibits.layers import draw_maps, save_picture

    with step(f"running {model}"):
        recorded = record(loaded, picture)
    chosen = _layers(recorded, layers, all_layers)
    notes = list(recorded.notes)
    if json:
        print_json(
            {
                "model": loaded.card.name,
                "weights": loaded.card.weights,
                "image": picture.name,
                "notes": notes,
                "layers": [_numbers(name, op) for name, op in chosen.items()],
            }
        )
        return
    if not chosen:
        raise TraceError(
            f"{loaded.card.name} has nothing to draw: none of its layers gives a map or a vector",
            hint="`convscope layers MODEL` shows the shape of every layer.",
        )
    files = targets(list(chosen), output, place(model, "maps"))
    spare_inputs(files.values(), image, model, weights)
    written: list[Path] = []
    for number, (name, op) in enumerate(chosen.items(), 1):
        with step(f"drawing {name} ({number} of {len(chosen)})"):
            title = f"{loaded.card.name} {name} of {picture.name}"
            drawn = _scores(recorded, op) or draw_maps(
                recorded, op, title=title, range=range_.value, strongest=strongest, limit=channels
            )
            written.append(save_picture(files[name], drawn))
    report(written)
    for text in notes:
        note(text)


def _scores(trace: Trace, op: Op) -> Any:
    """The plot of the answer, where the op is the model's answer and plots can be made."""
    from convscope.exhibits.layers import draw_scores

    if trace.logits is None or op.index != len(trace.ops) - 1:
        return None
    try:
        return draw_scores(trace)
    except MissingExtraError as error:
        note(f"{error.message}; the scores are drawn as a picture instead")
        return None


def _layers(trace: Trace, layers: list[str] | None, all_layers: bool) -> dict[str, Op]:
    """The ops to draw, by the name asked for: a module of several ops stands for its output."""
    from convscope.exhibits.layers import drawable

    if layers:
        chosen: dict[str, Op] = {}
        for name in layers:
            if name in trace:
                chosen[name] = trace.op(name)
            else:
                # A pattern takes what can be drawn of what it matches, and fails only where that is nothing.
                matched = trace.select(name)
                chosen.update((op.name, op) for op in [o for o in matched if drawable(o)] or matched[:1])
        for name, op in chosen.items():
            if not drawable(op):
                raise UsageError(
                    f"`{name}` gives values of shape {'×'.join(map(str, op.shape)) or '()'}, which are "
                    "neither maps nor a vector",
                    hint="`convscope layers MODEL` shows the shape of every layer.",
                )
        return chosen
    if all_layers:
        return {op.name: op for op in trace.ops if drawable(op) and op.kind != "input"}
    top = {
        call.name: trace.op(call.name)
        for call in trace.calls
        if "." not in call.path and call.path and call.outputs
    }
    return {name: op for name, op in top.items() if drawable(op)} or _layers(trace, None, True)


def _numbers(name: str, op: Op) -> dict[str, Any]:
    value = op.value.detach().double()
    finite = value[value.isfinite()]
    some = finite.numel() > 0
    return {
        "layer": name,
        "kind": op.kind,
        "shape": list(op.shape),
        "minimum": float(finite.min()) if some else None,
        "maximum": float(finite.max()) if some else None,
        "mean": float(finite.mean()) if some else None,
        "standard_deviation": float(finite.std(correction=0)) if some else None,
        "zero_share": float((value == 0).double().mean()) if value.numel() else None,
        "not_finite": int(value.numel() - finite.numel()),
    }
