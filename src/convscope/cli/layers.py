"""``convscope layers``: every op of a network in call order, and what it is built of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from convscope.cli.options import JsonOption, SizeOption, load, note, print_json, record, step

if TYPE_CHECKING:
    from convscope.tracing import Trace


def run(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODELS",
            help="One network, or several to set their parameters side by side, tensor by tensor.",
            show_default=False,
        ),
    ],
    weights: Annotated[
        str,
        typer.Option(
            "--weights",
            "-w",
            metavar="WHICH",
            help="Shapes do not depend on weights, so none are loaded unless asked for.",
        ),
    ] = "none",
    size: SizeOption = None,
    json: JsonOption = False,
) -> None:
    """List a network's ops in call order, and count what it is built of.

    Each with kind, output shape, parameters, multiply-adds, the side of its receptive field in
    input pixels, and where it gets its input from, if not from the row above.

    Examples:

    - `convscope layers resnet50`
    - `convscope layers tutorial_mlp tutorial_tanh`
    """
    from convscope.tracing import blank_input
    from convscope.tracing.structure import structure

    traces = []
    for name in models:
        with step(f"running {name}"):
            loaded = load(name, weights, size=size)
            traces.append(record(loaded, blank_input(loaded), keep=()))
    if json:
        print_json([_as_json(t) for t in traces])
        return
    from convscope.cli.layer_tables import print_comparison, print_layers, print_structure

    if len(traces) > 1:
        print_comparison(traces)
        return
    print_layers(traces[0])
    print_structure(traces[0], structure(traces[0]))
    for text in traces[0].card.notes:
        if not traces[0].card.random:
            note(text)


def _as_json(trace: Trace) -> dict[str, Any]:
    from convscope.tracing.structure import structure

    return {
        "model": trace.card.name,
        "parameters": trace.parameters,
        "multiply_adds": trace.multiply_adds,
        "structure": vars(structure(trace)),
        "tensors": {n: list(p.shape) for n, p in trace.model.module.named_parameters()},
        "layers": [
            {
                "index": op.index,
                "name": op.name,
                "kind": op.kind,
                "type": op.module_type,
                "shape": list(op.shape),
                "inputs": [trace.ops[i].name for i in op.inputs],
                "parameters": sum(op.parameters.values()),
                "multiply_adds": op.multiply_adds,
                "field": None if op.field is None else vars(op.field),
                "attributes": {
                    k: v for k, v in op.attributes.items() if isinstance(v, (int, float, str, tuple))
                },
            }
            for op in trace.ops
        ],
    }
