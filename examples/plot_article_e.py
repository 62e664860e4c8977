"""
Visualising filters and feature maps
====================================

ResNet-50 taken apart: every convolution is found, however deeply it is nested, and counted; the 64
filters of the first are drawn in grey; the maps of the convolutions numbered 10, 20, 30 and 40 of
the main path are drawn, 64 of each, or those of all 49 with ``--all``.

    python examples/plot_article_e.py --output out/article_e

The maps are what the network computed. The way often shown instead, to feed each convolution's
output straight into the next one, is drawn beside them, and its error counted.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import torch

import convscope

SHOWN = (10, 20, 30, 40)


def load(name: str, weights: str) -> convscope.Model:
    """The network with its trained weights, or with random ones where they cannot be had."""
    try:
        return convscope.load_model(name, weights=weights)
    except convscope.ConvscopeError as error:
        if weights != "default":
            raise
        print(f"going on with random weights, which every picture says: {error.message}")
        return convscope.load_model(name, weights="none")


def main() -> None:
    """Draw everything into one folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("out/article_e"), help="folder for the pictures")
    parser.add_argument("--weights", default="default", help="default, none, or a file")
    parser.add_argument("--image", default="sample:cat", help="a picture, or a sample")
    parser.add_argument("--all", action="store_true", help="maps of all 49 convolutions, not of four")
    arguments = parser.parse_args()
    folder: Path = arguments.output

    # 1. What the network is built of, from the pass itself, so that no nesting hides anything.
    model = load("resnet50", arguments.weights)
    trace = convscope.trace(model, arguments.image)
    convolutions = [op for op in trace if op.kind == "conv2d"]
    shortcuts = [op for op in convolutions if ".downsample." in op.name]
    main_path = [op for op in convolutions if op not in shortcuts]
    containers = Counter(type(m).__name__ for m in model.module.modules() if list(m.children()))
    print(f"{len(convolutions)} convolutions: {len(main_path)} and {len(shortcuts)} in downsample branches")
    print(f"{containers['Bottleneck']} residual blocks, {containers['Sequential']} Sequential containers")
    print(f"{sum(op.kind == 'linear' for op in trace)} linear layer")

    # 2. The 64 filters of the first convolution, 7 x 7, grey, in an 8 x 8 grid.
    first = main_path[0]
    filters = convscope.draw_filters(trace, first, grey=True)
    convscope.save_picture(folder / f"{first.name}-filters.png", filters)

    # 3. Feature maps, at most 64 of each layer.
    for number, op in enumerate(main_path):
        if arguments.all or number in SHOWN:
            name = f"layer {number} {op.name}"
            drawn = convscope.draw_maps(trace, op, title=f"{model.card.name} {name} of {trace.picture.name}")
            convscope.save_picture(folder / f"layer-{number:02d}.png", drawn)
            print(f"{name}: {op.shape[1]} maps of {op.shape[2]} x {op.shape[3]}")

    # 4. The mistake: the same convolutions as a chain, without pooling, batch norm, ReLU and additions.
    modules = [model.module.get_submodule(op.path) for op in main_path]
    chain = convscope.trace(torch.nn.Sequential(*modules), trace.inputs)
    right_shape = right_value = 0
    for number, op in enumerate(main_path):
        chained = chain[str(number)].value
        if chained.shape == op.value.shape:
            right_shape += 1
            right_value += torch.allclose(chained, op.value, rtol=1e-3, atol=1e-5)
        if number == SHOWN[0]:
            warning = f"NOT what {model.card.name} computed" + (", random weights" * model.card.random)
            title = f"{warning}: layer {number} as a chain of convolutions"
            convscope.save_picture(
                folder / f"layer-{number:02d}-chained.png",
                convscope.draw_maps(chain, str(number), title=title),
            )
    print(
        f"chained: {right_shape} of {len(main_path)} layers have the right shape, "
        f"{right_value} the right values"
    )
    print(f"pictures in {folder}/")


if __name__ == "__main__":
    main()
