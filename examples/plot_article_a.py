"""
How a convolutional network sees the world
==========================================

ResNet-18 looks at a cat, and every stage of it becomes a picture: the 64 maps of ``conv1`` and its
kernels, what batch norm, ReLU and pooling make of them, the four blocks of layers, the 512 numbers of
``avgpool`` and the 1000 scores of ``fc``.

    python examples/plot_article_a.py --output out/article_a

Two traps on the way are shown with their numbers: a plain hook on ``bn1`` shows the maps
after the ReLU, and a picture that is not normalised gets other answers.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import convscope


def load(name: str, weights: str, **options: bool) -> convscope.Model:
    """The network with its trained weights, or with random ones where they cannot be had."""
    try:
        return convscope.load_model(name, weights=weights, **options)
    except convscope.ConvscopeError as error:
        if weights != "default":
            raise
        print(f"going on with random weights, which every picture says: {error.message}")
        return convscope.load_model(name, weights="none", **options)


def main() -> None:
    """Draw everything into one folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("out/article_a"), help="folder for the pictures")
    parser.add_argument("--weights", default="default", help="default, none, or a file")
    parser.add_argument("--image", default="sample:cat", help="a picture, or a sample")
    arguments = parser.parse_args()
    folder: Path = arguments.output

    # 1. The network, the picture, the answer: [1, 3, 224, 224] goes in, [1, 1000] comes out.
    model = load("resnet18", arguments.weights)
    picture = convscope.load_image(arguments.image)
    trace = convscope.trace(model, picture)
    print(f"{picture.name}, {picture.width} x {picture.height} pixels, as {list(trace.inputs.shape)}")
    for answer in trace.predictions(5):
        print(f"  {answer.index:>4}  {answer.label:<24} {answer.probability:.5f}")

    # 2. The kernels of conv1 in colour, rescaled over all of them together, 8 a row.
    convscope.save_picture(folder / "conv1-filters.png", convscope.draw_filters(trace, "conv1"))

    # 3. The maps of every stage, all channels: conv1's 64 of 112 x 112 are an 8 x 8 grid.
    for name in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"):
        convscope.save_picture(folder / f"{name}.png", convscope.draw_maps(trace, name, limit=None))
        _, channels, rows, columns = trace[name].value.shape
        print(f"{name:<8} {channels:>4} maps of {rows} x {columns}")

    # 4. A layer without rows and columns: 512 numbers as a picture 32 high and 16 wide.
    convscope.save_picture(folder / "avgpool.png", convscope.draw_maps(trace, "avgpool"))

    # 5. The 1000 scores as a line, the largest ones named.
    convscope.save_picture(folder / "fc.png", convscope.draw_scores(trace))

    # 6. First trap: the ReLU works in place, on the very memory that a hook on bn1 has kept.
    kept = []
    handle = model.module.bn1.register_forward_hook(lambda module, args, output: kept.append(output.detach()))
    model.module(trace.inputs)
    handle.remove()
    computed, hooked = trace["bn1"].value, kept[0]
    print("bn1, before the ReLU:")
    print(f"  as computed     {float(computed.min()):+.3f} to {float(computed.max()):+.3f}")
    print(
        f"  by a plain hook {float(hooked.min()):+.3f} to {float(hooked.max()):+.3f}, the maps after the ReLU"
    )
    share = float((computed != hooked).float().mean())
    print(f"  {share:.1%} of the hook's values are not what bn1 computed")

    # 7. Second trap: the same picture without the mean and standard deviation of the training.
    raw = convscope.trace(load("resnet18", arguments.weights, normalize=False), picture)
    for note in raw.card.notes:
        print(note)
    for right, other in zip(trace.predictions(5), raw.predictions(5), strict=True):
        print(f"  {right.label:<24} {right.probability:.5f}   {other.label:<24} {other.probability:.5f}")
    print(f"pictures in {folder}/")


if __name__ == "__main__":
    main()
