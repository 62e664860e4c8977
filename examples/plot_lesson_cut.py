"""
A kernel cut from the picture
=============================

A coin, cut out and used as the kernel: where is it found again? Raw cross-correlation is fooled by mere
brightness; without its mean, and normalised by the contrast, it is not.

    python examples/plot_lesson_cut.py --output out/lesson_cut
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import convscope
from convscope.exhibits.lesson_picture import draw_lesson
from convscope.exhibits.sheets import save_png
from convscope.lesson import LESSONS


def main() -> None:
    """Find a coin again."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("out/lesson_cut"), help="folder for the pictures")
    parser.add_argument("--image", default="sample:coins", help="a picture, or a sample")
    parser.add_argument("--box", default="168,188,48,48", help="top, left, rows, columns")
    arguments = parser.parse_args()
    folder: Path = arguments.output

    # 1. The lesson, and which of the three answers finds the place of the cut.
    lesson = LESSONS["cut"]
    result = lesson.run(picture=arguments.image, box=arguments.box)
    for name, found in result.numbers["forms"].items():
        print(
            f"{name:<11} brightest at {found['peaks'][0]}, finds the cut: {found['finds_the_cut']}, "
            f"correlation with brightness {found['correlation_with_brightness']:+.2f}"
        )
    print(*result.sentences["en"], sep="\n")

    # 2. The picture of it: response maps with their brightest cells, and where those lie.
    save_png(folder / "cut.png", draw_lesson(result, lesson))

    # 3. The proof that brightness fools the raw answer: a white patch without any structure beats the coin.
    picture = convscope.load_image(arguments.image)
    pixels = picture.pixels.copy()
    *_, rows, columns = (int(number) for number in arguments.box.split(","))
    pixels[:rows, :columns] = 255
    fooled = lesson.run(picture=pixels, box=arguments.box)
    for name, found in fooled.numbers["forms"].items():
        print(f"with a white patch at the corner, {name:<11} is brightest at {found['peaks'][0]}")
    save_png(folder / "patch.png", draw_lesson(fooled, lesson))

    # 4. A coefficient of correlation does not care how the whole picture is lit.
    dim = np.rint(picture.pixels * 0.5 + 40).astype(np.uint8)
    forms = lesson.run(picture=dim, box=arguments.box).numbers["forms"]
    print(
        f"half as bright: normalised {forms['normalised']['at_the_cut']:.4f} at "
        f"{forms['normalised']['peaks'][0]}"
    )

    print(f"pictures in {folder}/")


if __name__ == "__main__":
    main()
