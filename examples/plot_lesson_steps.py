"""
Convolution, step by step
=========================

A 5 x 5 image and a 3 x 3 kernel: nine windows, nine times nine products, nine sums. Then the same on part of
a photo in colour, where the sum also runs over the three channels, and as an animation.

    python examples/plot_lesson_steps.py --output out/lesson_steps
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from convscope.exhibits.animation import save_animation
from convscope.exhibits.lesson_picture import draw_lesson
from convscope.exhibits.player import Player
from convscope.exhibits.sheets import save_png
from convscope.lesson import LESSONS, convolve, named_kernel


def main() -> None:
    """Step through two convolutions."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--output", type=Path, default=Path("out/lesson_steps"), help="folder for the pictures"
    )
    parser.add_argument("--image", default="sample:cat", help="a picture, or a sample")
    parser.add_argument("--crop", default="60,150,16,16", help="top, left, rows, columns of the photo")
    arguments = parser.parse_args()
    folder: Path = arguments.output

    # 1. The convolution of typed numbers, and each of its steps as data.
    image = np.array([[0, 9, 9, 9, 0], [0, 0, 0, 9, 0], [0, 0, 9, 0, 0], [0, 9, 0, 0, 0], [0, 9, 0, 0, 0]])
    done = convolve(image, named_kernel("edge"))
    for step in done:
        terms = " + ".join(f"{product:g}" for product in step.products.ravel())
        print(f"cell {step.cell}: {terms} = {step.sum:g}")
        assert step.agrees, "torch's value is the sum of the products"

    # 2. The same as a lesson: its numbers, its sentences, its picture.
    lesson = LESSONS["steps"]
    result = lesson.run()
    print(*result.sentences["en"], sep="\n")
    save_png(folder / "numbers.png", draw_lesson(result, lesson))

    # 3. As an animation: what the player shows, frame by frame.
    save_animation(folder / "numbers.gif", Player(result, title=lesson.title["en"]).frames(), per_second=2)

    # 4. Padding, stride and dilation change where the window stands and how large the map is.
    for options in ({}, {"padding": "same"}, {"stride": 2}, {"dilation": 2}, {"padding": 2, "dilation": 2}):
        print(f"{options!s:<32} {convolve(image, named_kernel('edge'), **options).result.shape}")

    # 5. Part of a photo in colour: one more sum, over the channels; and each channel for itself.
    crop = {"source": "photo", "picture": arguments.image, "crop": arguments.crop, "colour": True}
    for name, groups in (("colour", "all"), ("depthwise", "each")):
        photo = lesson.run(**crop, kernel="sobel-x", groups=groups)
        print(*photo.sentences["en"], sep="\n")
        save_png(folder / f"{name}.png", draw_lesson(photo, lesson))
        frames = Player(photo, title=lesson.title["en"]).frames(100)
        save_animation(folder / f"{name}.gif", frames, per_second=10)

    print(f"pictures in {folder}/")


if __name__ == "__main__":
    main()
