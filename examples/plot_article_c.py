"""
Building a convolutional network in PyTorch
===========================================

The article's network (two convolutions, 4,210,090 parameters) is trained as the article says and measured
rightly; then its 32 feature maps after each convolution are drawn as grids of 4 x 8.

    python examples/plot_article_c.py --output out/article_c              # digits, offline, a minute
    python examples/plot_article_c.py --data cifar10 --epochs 20          # the article, whole

Three mistakes on the way are shown with their numbers: a "test" on the training images, dropout left on
while measuring, and feature maps of pixels of 0 to 255 for a network that was trained on 0 to 1.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import convscope
from convscope.datasets import load_dataset
from convscope.training import ProgressLines, measure_leak, recipe


def main() -> None:
    """Train, measure, draw everything into one folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("out/article_c"), help="folder for the pictures")
    parser.add_argument("--data", default="digits", help="cifar10, digits, or a folder or zip of classes")
    parser.add_argument("--root", default=None, help="where the files of CIFAR-10 are, if at hand")
    parser.add_argument("--epochs", type=int, default=5, help="the article's are 20")
    parser.add_argument("--threads", type=int, default=None)
    arguments = parser.parse_args()
    folder: Path = arguments.output

    # 1. The article's recipe: SGD, rate 0.001, momentum 0.9, batches of 32, pixels of 0 to 1.
    article = recipe("article", "tutorial_cnn").replace(epochs=arguments.epochs)
    for note in article.notes:
        print(f"mended: {note}")
    with tempfile.TemporaryDirectory() as place:
        run = convscope.train(
            "tutorial_cnn",
            arguments.data,
            article,
            run=Path(place) / "run",
            root=arguments.root,
            threads=arguments.threads,
            on_progress=ProgressLines(),
        )
        # 2. Its accuracy, and what the article prints for it.
        leak = measure_leak(run.folder)
        model = run.model()
    kinds = (
        ("as the article measures: training images, dropout on", leak.as_the_article),
        ("training images, evaluation mode", leak.train),
        ("test images, evaluation mode: its accuracy", leak.test),
    )
    for kind, found in kinds:
        print(f"{100 * found.accuracy:6.2f} %  {kind}")
    print(f"{sum(p.numel() for p in model.module.parameters()):,} parameters")

    # 3. Training image 7, a horse in the release's order; elsewhere the first horse, or just image 7.
    data = load_dataset(arguments.data, root=arguments.root)
    labels = [data.classes[label] for label in data.train.labels]
    index = 7 if labels[7] == "horse" or "horse" not in labels else labels.index("horse")
    pixels = data.train.read([index])[0]
    trace = convscope.trace(model, pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    print(f"training image {index}, {labels[index]}: the network says {trace.predictions(1)[0].label}")

    # 4. The maps of both convolutions, after their ReLU as in the article: 4 x 8 each.
    for layer in ("conv1", "act1", "conv2", "act2"):
        title = f"tutorial_cnn {layer} of a training image: {labels[index]}"
        convscope.save_picture(folder / f"{layer}.png", convscope.draw_maps(trace, layer, title=title))
        _, channels, rows, columns = trace[layer].value.shape
        print(f"{layer:<6} {channels} maps of {rows} x {columns}")

    # 5. The article's maps: the same network, given numbers 255 times too large.
    wrong = convscope.trace(model, trace.inputs * 255)
    title = "conv1 of pixels of 0 to 255"
    convscope.save_picture(
        folder / "conv1-as-the-article.png", convscope.draw_maps(wrong, "conv1", title=title)
    )
    ratio = float(wrong["conv1"].value.abs().max() / trace["conv1"].value.abs().max())
    print(f"of pixels of 0 to 255, the largest value of conv1 is {ratio:.0f} times as large")


if __name__ == "__main__":
    main()
