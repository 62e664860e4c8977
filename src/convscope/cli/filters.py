"""``convscope filters``: the kernels of convolutions as pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convscope.cli.options import (
    JsonOption,
    ModelArgument,
    SizeOption,
    WeightsOption,
    load,
    note,
    print_json,
    step,
)
from convscope.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from convscope.tracing import Op, Trace


def run(
    model: ModelArgument,
    layers: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[LAYER...]", help="Names or patterns; the first convolution if none.", show_default=False
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="A .png file for one layer, a folder for several.", show_default=False
        ),
    ] = None,
    all_layers: Annotated[bool, typer.Option("--all", help="Every convolution.")] = False,
    each: Annotated[
        bool, typer.Option("--each", help="Rescale every kernel by itself, not all together.")
    ] = False,
    grey: Annotated[bool, typer.Option("--grey", help="Grey, darkest for the smallest weight.")] = False,
    weights: WeightsOption = "default",
    size: SizeOption = None,
    json: JsonOption = False,
) -> None:
    """Draw the filters of convolutions: in colour where they see colour, signed elsewhere."""
    from convscope.cli.pictures import report, targets
    from convscope.exhibits.files import check_writable

    if output is not None:
        check_writable(output if output.suffix.lower() == ".png" else output / "conv.png")
    with step(f"loading {model}"):
        loaded = load(model, weights, size=size)
    from convscope.exhibits.sheets import filters_sheet, save_png
    from convscope.tracing import blank_input, trace

    with step(f"running {model}"):
        recorded = trace(loaded, blank_input(loaded), keep=())
    chosen = _convolutions(recorded, layers, all_layers)
    files = targets([op.name for op in chosen], output, Path(f"{_stem(loaded.card.name)}-filters"))
    written: list[Path] = []
    rows = []
    for op in chosen:
        weight = kernels(recorded, op)
        if json:
            rows.append(
                {
                    "layer": op.name,
                    "shape": list(weight.shape),
                    "minimum": float(weight.min()),
                    "maximum": float(weight.max()),
                    "l2_norms": weight.flatten(1).norm(dim=1).tolist(),
                }
            )
            continue
        sheet = filters_sheet(
            weight.float().cpu().numpy(),
            title=f"{loaded.card.name} {op.name} filters",
            together=not each,
            grey=grey,
            note="random weights" if loaded.card.random else "",
        )
        written.append(save_png(files[op.name], sheet))
    if json:
        print_json({"model": loaded.card.name, "weights": loaded.card.weights, "filters": rows})
        return
    report(written)
    for text in loaded.card.notes:
        note(text)


def _convolutions(trace: Trace, layers: list[str] | None, all_layers: bool) -> list[Op]:
    from convscope.tracing.structure import CONVOLUTIONS

    found: dict[str, Op] = {}
    for op in trace.ops:
        weight = next((o.parameter for o in op.operands if o.role == "weight"), None)
        if op.kind in CONVOLUTIONS and weight is not None:
            found.setdefault(weight, op)
    if not found:
        linear = sum(op.kind == "linear" for op in trace.ops)
        raise ModelError(
            f"no convolution found in {trace.card.name}: {linear} linear layers among {len(trace.ops)} ops",
            hint="`convscope layers` lists what there is.",
        )
    if layers:
        wanted = trace.select(layers)
        without = [op.name for op in wanted if op not in found.values()]
        if without and len(without) == len(wanted):
            raise ModelError(
                f"`{without[0]}` is a {trace.op(without[0]).kind} and has no filters of its own to draw",
                hint="Convolutions here: " + ", ".join(op.name for op in list(found.values())[:6]) + ", ...",
            )
        return [op for op in wanted if op in found.values()]
    return list(found.values()) if all_layers else [next(iter(found.values()))]


def kernels(trace: Trace, op: Op) -> Tensor:
    """Weights of a convolution as ``(output channels, inputs, rows, columns)``."""
    name = next(o.parameter for o in op.operands if o.role == "weight")
    weight = trace.parameter(str(name))
    if op.kind.startswith("conv_transpose"):
        weight = weight.transpose(0, 1)
    while weight.ndim < 4:
        weight = weight.unsqueeze(-2)
    return weight.flatten(1, -3) if weight.ndim > 4 else weight


def _stem(name: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in name)
