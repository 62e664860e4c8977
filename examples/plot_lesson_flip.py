"""
Convolution against cross-correlation
=====================================

Convolution turns the kernel by 180 degrees and commutes; cross-correlation does neither. Libraries compute
the second and call it the first. Both on the same numbers.

    python examples/plot_lesson_flip.py --output out/lesson_flip
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from convscope.exhibits.lesson_picture import draw_lesson
from convscope.exhibits.sheets import save_png
from convscope.lesson import LESSONS, convolve


def main() -> None:
    """Compare the two."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--output", type=Path, default=Path("out/lesson_flip"), help="folder for the pictures"
    )
    arguments = parser.parse_args()
    folder: Path = arguments.output

    # 1. One image, one kernel, both ways.
    image = np.diag([0.0, 1, 2, 3, 0])
    kernel = np.arange(1.0, 10).reshape(3, 3)
    correlation = convolve(image, kernel, padding="same").result
    convolution = convolve(image, kernel, padding="same", flip=True).result
    print("cross-correlation", correlation, "convolution", convolution, sep="\n")

    # 2. Convolution is cross-correlation with the kernel turned about.
    turned = convolve(image, kernel[::-1, ::-1], padding="same").result
    print("turning the kernel by hand gives the convolution:", np.array_equal(turned, convolution))

    # 3. Which of the two commutes? With full padding both orders give maps of one size.
    for flip, name in ((True, "convolution"), (False, "cross-correlation")):
        one = convolve(image, kernel, padding=2, flip=flip).result
        other = convolve(kernel, image, padding=4, flip=flip).result
        print(f"{name}: exchanging image and kernel changes it by at most {np.abs(one - other).max():g}")

    # 4. Exchanged and turned about, cross-correlation is itself again.
    one, other = convolve(image, kernel, padding=2).result, convolve(kernel, image, padding=4).result
    print("exchanged and turned, it is the same:", np.array_equal(one, other[::-1, ::-1]))

    # 5. All of it in one picture, for this kernel and for one that looks the same upside down.
    lesson = LESSONS["flip"]
    for name, values in (("numbers", {}), ("symmetric", {"kernel": "gaussian"})):
        result = lesson.run(**values)
        print(*result.sentences["en"], sep="\n")
        save_png(folder / f"{name}.png", draw_lesson(result, lesson))

    print(f"pictures in {folder}/")


if __name__ == "__main__":
    main()
