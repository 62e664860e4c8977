"""
ReLU with a bias is a threshold
===============================

The response to a 70 x 70 patch, then ReLU with the biases +500, -250 and -1000: ever less is left, and what
is left is where the match was best.

    python examples/plot_lesson_threshold.py --output out/lesson_threshold
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from convscope.exhibits.lesson_picture import draw_lesson
from convscope.exhibits.sheets import save_png
from convscope.lesson import LESSONS


def main() -> None:
    """Try biases."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--output", type=Path, default=Path("out/lesson_threshold"), help="folder for the pictures"
    )
    parser.add_argument("--image", default="sample:camera", help="a picture, or a sample")
    parser.add_argument("--box", default="90,200,70,70", help="top, left, rows, columns")
    arguments = parser.parse_args()
    folder: Path = arguments.output

    # 1. The article's three biases side by side.
    lesson = LESSONS["threshold"]
    for bias in (500, -250, -1000):
        result = lesson.run(picture=arguments.image, box=arguments.box, bias=bias)
        print(f"bias {bias:+5}: {result.numbers['share']:6.1%} of the cells are left")
        save_png(folder / f"bias{bias:+d}.png", draw_lesson(result, lesson))

    # 2. It is a threshold: the same cells lie above minus the bias.
    response = result.maps["response"].values
    print("above 1000 before ReLU:", f"{(response > 1000).mean():.1%}")
    assert np.array_equal(result.maps["lit"].values, np.maximum(response - 1000, 0))

    # 3. The same for an edge kernel, whose answers lie on both sides of 0: most cells are silent.
    for bias in (0.0, -0.5, -1.0):
        edges = lesson.run(picture=arguments.image, kernel="sobel-x", bias=bias, compare=(0.0, -0.5, -1.0))
        print(f"sobel-x, bias {bias:+.1f}: {edges.numbers['share']:6.1%} of the cells are left")
    save_png(folder / "edges.png", draw_lesson(edges, lesson))
    print(*edges.sentences["en"], sep="\n")

    print(f"pictures in {folder}/")


if __name__ == "__main__":
    main()
