"""
Depthwise convolution: every channel for itself
===============================================

Each channel has a kernel of its own and makes a map of its own; nothing is added up over channels. With a
1 x 1 convolution behind it, which mixes them, it does the work of a full one with a fraction of the weights.

    python examples/plot_lesson_depthwise.py --output out/lesson_depthwise
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from convscope.data import load_image
from convscope.exhibits.animation import save_animation
from convscope.exhibits.lesson_picture import draw_lesson
from convscope.exhibits.player import Player
from convscope.exhibits.sheets import save_png
from convscope.lesson import LESSONS, convolve


def main() -> None:
    """Keep channels apart, and count what it saves."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--output", type=Path, default=Path("out/lesson_depthwise"), help="folder for the pictures"
    )
    parser.add_argument("--image", default="sample:cat", help="a picture, or a sample")
    arguments = parser.parse_args()
    folder: Path = arguments.output

    # 1. The lesson: its sentences, its picture, its animation.
    lesson = LESSONS["depthwise"]
    result = lesson.run()
    print(*result.sentences["en"], sep="\n")
    save_png(folder / "depthwise.png", draw_lesson(result, lesson))
    save_animation(folder / "depthwise.gif", Player(result, title=lesson.title["en"]).frames())

    # 2. On a photo: the red, green and blue maps are those of the three channels taken alone.
    photo = load_image(arguments.image)
    edge = np.array([[1.0, 0, -1]] * 3)
    apart = convolve(photo, np.stack([edge] * 3), groups=3).maps
    alone = [convolve(photo.pixels[..., channel].astype(np.float32), edge).maps[0] for channel in range(3)]
    print("each map is its own channel's:", np.allclose(apart, np.stack(alone), atol=1e-3))

    # 3. Weights of a layer from 64 to 128 channels, 3 x 3: full, and depthwise with a 1 x 1 behind it.
    full, two = 128 * 64 * 9, 64 * 9 + 128 * 64
    print(f"64 to 128 channels: {full:,} weights, or {two:,} in two steps: {full / two:.1f} times fewer")

    print(f"pictures in {folder}/")


if __name__ == "__main__":
    main()
