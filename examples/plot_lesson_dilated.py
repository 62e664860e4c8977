"""
Dilated convolution: a wide window with few weights
===================================================

With dilation 2 the cells below a 3 x 3 kernel lie two apart: it covers 5 x 5 cells with its nine weights.
Layers with dilations 1, 2 and 4 on top of each other see 15 cells across.

    python examples/plot_lesson_dilated.py --output out/lesson_dilated
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
    """Spread a kernel, and stack spread kernels."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--output", type=Path, default=Path("out/lesson_dilated"), help="folder for the pictures"
    )
    folder: Path = parser.parse_args().output

    # 1. The lesson at two dilations: its sentences, its pictures, its animation.
    lesson = LESSONS["dilated"]
    for dilation in (2, 3):
        result = lesson.run(dilation=dilation)
        print(result.sentences["en"][0])
        save_png(folder / f"dilated-{dilation}.png", draw_lesson(result, lesson))
    result = lesson.run()
    save_animation(folder / "dilated.gif", Player(result, title=lesson.title["en"]).frames())

    # 2. The same map from the plain convolution with zeros between the kernel's cells.
    random = np.random.default_rng(0)
    image, kernel = random.integers(0, 10, (9, 9)), random.integers(-3, 4, (3, 3))
    wide = np.zeros((5, 5))
    wide[::2, ::2] = kernel
    same = np.array_equal(convolve(image, kernel, dilation=2).result, convolve(image, wide).result)
    print("zeros put between the kernel's cells by hand give the same:", same)

    # 3. Three layers see 15 cells across with dilations 1, 2 and 4, and 7 without.
    for dilations in ((1, 2, 4), (1, 1, 1)):
        seen = np.zeros((31, 31))
        seen[15, 15] = 1
        for dilation in dilations:
            seen = convolve(seen, np.ones((3, 3)), dilation=dilation, padding="same").result
        print(f"one cell reaches {int((seen[15] > 0).sum())} columns through dilations {dilations}")

    print(f"pictures in {folder}/")


if __name__ == "__main__":
    main()
