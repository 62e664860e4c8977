"""
Pictures from the convolutional world
=====================================

Three spellings of one small network, trained on three classes for 100 epochs: the article's losses and
accuracies, its parameter counts to the digit, and what its filters became.

    python examples/plot_article_d.py --output out/article_d              # digits, offline
    python examples/plot_article_d.py --data cifar10:airplane,automobile,ship --epochs 100
    python examples/plot_article_d.py --data cifar10:airplane,automobile,bird    # the notebook

The article's figures for airplane, automobile, ship: loss 1.232 after epoch 1, 0.466 after 10, 0.161
after 100; training accuracy 0.9295, validation 0.8713.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import convscope
from convscope.datasets import load_dataset, normalization
from convscope.training import ProgressLines, evaluate, recipe

NETWORKS = ("tutorial_mlp", "tutorial_tanh", "tutorial_tanh_modules", "tutorial_tanh_functional")


def main() -> None:
    """Count, train, draw everything into one folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("out/article_d"), help="folder for the pictures")
    parser.add_argument("--data", default="digits:0,1,8", help="which classes of which data")
    parser.add_argument("--root", default=None, help="where the files of CIFAR-10 are, if at hand")
    parser.add_argument("--epochs", type=int, default=20, help="the article's are 100")
    parser.add_argument("--threads", type=int, default=None)
    arguments = parser.parse_args()
    folder: Path = arguments.output

    # 1. Parameters, tensor by tensor: 3,738,506 and 18,354.
    for name in NETWORKS:
        sizes = [p.numel() for p in convscope.load_model(name, weights="none").module.parameters()]
        print(f"{name:<25} {sum(sizes):>9,}  {sizes}")

    # 2. Mean and standard deviation of each channel, of the training images alone.
    data = load_dataset(arguments.data, root=arguments.root)
    for word, numbers in zip(("mean", "std"), normalization(data.train), strict=True):
        print(f"{word:<4} {' '.join(f'{number:.4f}' for number in numbers)}")

    # 3. Training: SGD, rate 0.01, batches of 64, ten outputs of which three are ever right.
    article = recipe("article", "tutorial_tanh").replace(epochs=arguments.epochs)
    with tempfile.TemporaryDirectory() as place:
        run = convscope.train(
            "tutorial_tanh",
            arguments.data,
            article,
            run=Path(place) / "run",
            root=arguments.root,
            threads=arguments.threads,
            on_progress=ProgressLines(),
        )
        train_accuracy = evaluate(run.folder, part="train").accuracy
        folder.mkdir(parents=True, exist_ok=True)
        for picture in ("curves.png", "confusion.png"):
            if (run.folder / picture).exists():
                (folder / picture).write_bytes((run.folder / picture).read_bytes())
        weights = convscope.load_model(run.folder).module.state_dict()
        learned = run.model()
    model = convscope.Model(learned.module, replace(learned.card, name="tutorial_tanh"))
    for row in run.history:
        if row["epoch"] in (1, 10, 20, 30, 90, 100):
            print(f"epoch {row['epoch']:>3}: loss {row['train_loss']:.3f}")
    print(f"training accuracy {train_accuracy:.4f}, validation {run.evaluation.accuracy:.4f}")

    # 4. The filters it learned, and the maps of a picture it never saw.
    pixels = data.test.read([0])[0]
    trace = convscope.trace(model, pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    convscope.save_picture(folder / "filters.png", convscope.draw_filters(trace, "0"))
    for layer, name in (("0", "conv1"), ("2", "pool1"), ("3", "conv2"), ("5", "pool2")):
        title = f"tutorial_tanh {name} of a test image: {data.classes[int(data.test.labels[0])]}"
        convscope.save_picture(folder / f"{name}.png", convscope.draw_maps(trace, layer, title=title))

    # 5. The same weights in the spelling of function calls: the same answer, and every op still seen.
    functional = convscope.load_model("tutorial_tanh_functional", weights=weights)
    again = convscope.trace(functional, trace.inputs)
    same = bool((again.output == trace.output).all())
    print(f"written as functions: {len(again)} ops, the same scores: {'yes' if same else 'no'}")


if __name__ == "__main__":
    main()
