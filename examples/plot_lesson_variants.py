"""
Transposed, dilated, depthwise and 1 x 1 convolutions
=====================================================

What every student asks next, in the same step-by-step player: how a map grows, how a window sees farther, how
channels stay apart and how they are mixed.

    python examples/plot_lesson_variants.py --output out/lesson_variants
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from convscope.exhibits.animation import save_animation
from convscope.exhibits.lesson_picture import draw_lesson
from convscope.exhibits.player import Player
from convscope.exhibits.sheets import save_png
from convscope.lesson import LESSONS, convolve


def main() -> None:
    """Play four kinds of convolution."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--output", type=Path, default=Path("out/lesson_variants"), help="folder for the pictures"
    )
    arguments = parser.parse_args()
    folder: Path = arguments.output

    # 1. Each as a picture and as an animation.
    for name in ("transposed", "dilated", "depthwise", "pointwise"):
        lesson = LESSONS[name]
        result = lesson.run()
        print(lesson.title["en"], *result.sentences["en"], sep="\n  ")
        save_png(folder / f"{name}.png", draw_lesson(result, lesson))
        save_animation(
            folder / f"{name}.gif", Player(result, title=lesson.title["en"]).frames(), per_second=4
        )

    # 2. Transposed: stamping the kernel by hand gives the same map.
    image, kernel = np.arange(1.0, 10).reshape(3, 3), np.array([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]])
    stamped = np.zeros((7, 7))
    for row, column in np.ndindex(3, 3):
        stamped[2 * row : 2 * row + 3, 2 * column : 2 * column + 3] += image[row, column] * kernel
    grown = convolve(image, kernel, stride=2, transposed=True).result
    print("stamping the kernel by hand gives the same:", np.array_equal(stamped, grown))

    # 3. Dilated: layers with dilations 1, 2 and 4 see 15 cells with three times three weights.
    seen = np.zeros((31, 31))
    seen[15, 15] = 1
    for dilation in (1, 2, 4):
        seen = convolve(seen, np.ones((3, 3)), dilation=dilation, padding="same").result
    print(f"one cell reaches {int((seen[15] > 0).sum())} columns through dilations 1, 2, 4")

    # 4. Depthwise and then 1 x 1 is a full convolution made of two cheap ones.
    random = np.random.default_rng(0)
    picture, depth, mix = (
        random.normal(size=(3, 8, 8)),
        random.normal(size=(3, 1, 3, 3)),
        random.normal(size=(4, 3, 1, 1)),
    )
    two = convolve(convolve(picture, depth, groups=3).result, mix)
    one = convolve(picture, mix * depth[:, 0])
    print(
        f"the same map: {np.allclose(two.result, one.result)}, {depth.size + mix.size} weights for "
        f"{4 * 3 * 9}"
    )

    print(f"pictures in {folder}/")


if __name__ == "__main__":
    main()
