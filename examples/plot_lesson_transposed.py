"""
Transposed convolution: how a small map grows
=============================================

Every cell of the input lays the kernel, times its value, on a larger map; where they overlap they add up.
Played as the equal convolution with zeros between the cells, and checked by laying the kernels by hand.

    python examples/plot_lesson_transposed.py --output out/lesson_transposed
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
    """Grow a map, by hand too, and look for checkerboards."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--output", type=Path, default=Path("out/lesson_transposed"), help="folder for the pictures"
    )
    folder: Path = parser.parse_args().output

    # 1. The lesson: its sentences, its picture, its animation.
    lesson = LESSONS["transposed"]
    result = lesson.run()
    print(*result.sentences["en"], sep="\n")
    save_png(folder / "transposed.png", draw_lesson(result, lesson))
    save_animation(folder / "transposed.gif", Player(result, title=lesson.title["en"]).frames())

    # 2. Laying the kernel by hand gives the same map.
    image, kernel = np.arange(1.0, 10).reshape(3, 3), np.array([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]])
    laid = np.zeros((7, 7))
    for row, column in np.ndindex(3, 3):
        laid[2 * row : 2 * row + 3, 2 * column : 2 * column + 3] += image[row, column] * kernel
    grown = convolve(image, kernel, stride=2, transposed=True).result
    print("laying the kernel by hand gives the same:", np.array_equal(laid, grown))

    # 3. A stride that does not divide the kernel's size: an even input becomes a checkerboard.
    for side in (3, 4):
        even = convolve(np.ones((4, 4)), np.ones((side, side)), stride=2, transposed=True).result
        inner = even[side:-side, side:-side]
        print(f"kernel {side} x {side}, stride 2: an even input becomes {inner.min():g} to {inner.max():g}")
    save_png(
        folder / "even.png", draw_lesson(lesson.run(kernel="1 2 2 1; 2 4 4 2; 2 4 4 2; 1 2 2 1"), lesson)
    )

    print(f"pictures in {folder}/")


if __name__ == "__main__":
    main()
