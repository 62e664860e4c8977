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
    print_json,
    step,
)

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
            metavar="[LAYER...]",
            help="Names or patterns; the network's top-level stages if none.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="A .png file for one layer, a folder for several.", show_default=False
        ),
    ] = None,
    all_layers: Annotated[bool, typer.Option("--all", help="Every layer that can be drawn.")] = False,
    range_: Annotated[
        Range,
        typer.Option(
            "--range", help="One colour range for each channel, for the layer, or symmetric about zero."
        ),
    ] = Range.channel,
    strongest: Annotated[
        int | None, typer.Option("--strongest", min=1, help="Only the N strongest channels.")
    ] = None,
    channels: Annotated[int, typer.Option("--channels", min=1, help="At most this many channels.")] = 64,
    weights: WeightsOption = "default",
    normalize: NormalizeOption = True,
    size: SizeOption = None,
    json: JsonOption = False,
) -> None:
    """Draw the feature maps of layers for a picture (vectors as pictures, the answer as a plot)."""
    from convscope.cli.pictures import report, targets
    from convscope.exhibits.files import check_writable

    if output is not None:
        check_writable(output if output.suffix.lower() == ".png" else output / "map.png")
    from convscope.data import load_image

    picture = load_image(image)
    with step(f"loading {model}"):
        loaded = load(model, weights, normalize, size)
    from convscope.exhibits.layers import draw_maps, save_picture
    from convscope.tracing import trace

    with step(f"running {model}"):
        recorded = trace(loaded, picture)
    chosen = _layers(recorded, layers, all_layers)
    if json:
        print_json(
            {
                "model": loaded.card.name,
                "image": picture.name,
                "layers": [_numbers(op) for op in chosen.values()],
            }
        )
        return
    folder = Path(f"{''.join(c if c.isalnum() or c in '._-' else '-' for c in loaded.card.name)}-maps")
    files = targets(list(chosen), output, folder)
    written: list[Path] = []
    with step("drawing"):
        for name, op in chosen.items():
            title = f"{loaded.card.name} {name} of {picture.name}"
            drawn = _scores(recorded, op) or draw_maps(
                recorded, op, title=title, range=range_.value, strongest=strongest, limit=channels
            )
            written.append(save_picture(files[name], drawn))
    report(written)
    for text in [*loaded.card.notes, *picture.notes]:
        note(text)


def _scores(trace: Trace, op: Op) -> Any:
    """The plot of the answer, where the op is the model's answer and plots can be made."""
    from convscope.errors import MissingExtraError
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
        named = {name: trace.op(name) for name in layers if name in trace}
        patterns = [name for name in layers if name not in trace]
        named.update((op.name, op) for op in (trace.select(patterns) if patterns else []))
        return named
    if all_layers:
        return {op.name: op for op in trace.ops if drawable(op) and op.kind != "input"}
    top = {
        call.name: trace.op(call.name)
        for call in trace.calls
        if "." not in call.path and call.path and call.outputs
    }
    return {name: op for name, op in top.items() if drawable(op)} or _layers(trace, None, True)


def _numbers(op: Op) -> dict[str, Any]:
    value = op.value.detach().double()
    finite = value[value.isfinite()]
    some = finite.numel() > 0
    return {
        "layer": op.name,
        "kind": op.kind,
        "shape": list(op.shape),
        "minimum": float(finite.min()) if some else None,
        "maximum": float(finite.max()) if some else None,
        "mean": float(finite.mean()) if some else None,
        "standard_deviation": float(finite.std(correction=0)) if some else None,
        "zero_share": float((value == 0).double().mean()) if value.numel() else None,
        "not_finite": int(value.numel() - finite.numel()),
    }
