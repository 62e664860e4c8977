"""
The film of a training
======================

Filters form within the first few hundred steps, and a network that is only looked at when it is done never
shows how. Every training keeps a film; a loop of one's own can keep one too.

    python examples/plot_film.py --output out/film
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

import convscope
from convscope.exhibits.animation import save_animation
from convscope.exhibits.film_frames import FilmFrames
from convscope.exhibits.sheets import save_png
from convscope.training import Recipe


def main() -> None:
    """Train, and see it again."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("out/film"), help="folder for the pictures")
    parser.add_argument("--epochs", type=int, default=10, help="passes over the digits")
    arguments = parser.parse_args()
    folder: Path = arguments.output
    for old in ("run", "own"):
        shutil.rmtree(folder / old, ignore_errors=True)

    # 1. A training of the digits keeps its film beside the weights.
    recipe = Recipe(epochs=arguments.epochs, batch=64, learning_rate=0.1)
    run = convscope.train("tutorial_tanh", "digits", recipe, run=folder / "run", threads=1)
    film = convscope.open_film(run.folder)
    print(f"{100 * run.evaluation.accuracy:.1f} % right; kept steps: {', '.join(map(str, film.steps))}")

    # 2. How far is each filter from the one it ends as? Most of the way is gone early.
    last = film[-1].kernels[0]
    for frame in film:
        way = np.linalg.norm(frame.kernels[0] - last) / np.linalg.norm(film[0].kernels[0] - last)
        told = frame.numbers.get("loss")
        print(f"step {frame.step:>4}: {way:6.1%} of the way left" + (f", loss {told:.3f}" if told else ""))

    # 3. As an animation, as three single pictures, and as a page with a slider.
    frames = FilmFrames(film)
    save_animation(folder / "film.gif", frames)
    for index in (0, len(frames) // 2, len(frames) - 1):
        save_png(folder / f"step-{film.steps[index]}.png", frames.frame(index))
    convscope.write_film(film, folder / "film.html")

    # 4. The same from a loop of one's own: the network is left as it was found after every look.
    digits = convscope.load_dataset("digits", size=32).train
    images = torch.from_numpy(np.ascontiguousarray(digits.images)).permute(0, 3, 1, 2) / 255
    labels = torch.from_numpy(digits.labels)
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 16, 7), torch.nn.ReLU(), torch.nn.MaxPool2d(4), torch.nn.Flatten(),
        torch.nn.Linear(16 * 6 * 6, 10),
    )  # fmt: skip
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    classes = [str(digit) for digit in range(10)]
    with convscope.film(net, images[:4], folder / "own", labels=labels[:4].tolist(), classes=classes) as own:
        for step in range(1, 121):
            chosen = torch.randint(len(labels), (64,))
            scores = net(images[chosen])
            loss = functional.cross_entropy(scores, labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            right = (scores.argmax(1) == labels[chosen]).float().mean()
            own.snap(step, loss=loss.item(), accuracy=right.item())
    save_animation(folder / "own.gif", FilmFrames(convscope.open_film(folder / "own")))
    print(f"films in {folder}/")


if __name__ == "__main__":
    main()
