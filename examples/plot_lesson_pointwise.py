"""
1 x 1 convolution: channels mixed, cell by cell
===============================================

The window is a single cell: every cell of a new map is a weighted sum of the channels below it. That is a
matrix times each cell's channels; so a photo is turned to grey, and so a separable convolution ends.

    python examples/plot_lesson_pointwise.py --output out/lesson_pointwise
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from convscope.data import load_image
from convscope.exhibits.animation import save_animation
from convscope.exhibits.lesson_picture import draw_lesson
from convscope.exhibits.player import Player
from convscope.exhibits.sheets import save_png
from convscope.lesson import LESSONS, convolve


def main() -> None:
    """Mix channels: of numbers, of a photo, and behind a depthwise convolution."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--output", type=Path, default=Path("out/lesson_pointwise"), help="folder for the pictures"
    )
    parser.add_argument("--image", default="sample:cat", help="a picture, or a sample")
    arguments = parser.parse_args()
    folder: Path = arguments.output

    # 1. The lesson: its sentences, its picture, its animation.
    lesson = LESSONS["pointwise"]
    result = lesson.run()
    print(*result.sentences["en"], sep="\n")
    save_png(folder / "pointwise.png", draw_lesson(result, lesson))
    save_animation(folder / "pointwise.gif", Player(result, title=lesson.title["en"]).frames())

    # 2. Grey is a 1 x 1 convolution of red, green and blue: Pillow's own grey is the same to a shade.
    photo = load_image(arguments.image)
    grey = convolve(photo, np.array([0.299, 0.587, 0.114])[:, None, None]).maps[0]
    pillow = np.asarray(Image.fromarray(photo.pixels).convert("L"))
    print(f"Pillow's grey differs by less than one of 255 shades: {np.abs(grey - pillow).max() < 1}")
    save_png(folder / "grey.png", Image.fromarray(np.rint(grey).astype(np.uint8)))

    # 3. Depthwise and then 1 x 1 is a full convolution made of two cheap ones.
    random = np.random.default_rng(0)
    image, mix = random.normal(size=(3, 8, 8)), random.normal(size=(4, 3, 1, 1))
    depth = random.normal(size=(3, 1, 3, 3))
    two = convolve(convolve(image, depth, groups=3).result, mix).result
    one = convolve(image, mix * depth[:, 0]).result
    print(f"the same map: {np.allclose(two, one)}, {depth.size + mix.size} weights for {4 * 3 * 9}")

    print(f"pictures in {folder}/")


if __name__ == "__main__":
    main()
