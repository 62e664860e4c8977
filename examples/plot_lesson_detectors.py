"""
Kernels as detectors
====================

The classic kernels on one photo, in a signed colour map: red where the picture looks like the kernel, blue
where it is the opposite. Then a kernel that a network has learned.

    python examples/plot_lesson_detectors.py --output out/lesson_detectors
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import convscope
from convscope.exhibits.lesson_picture import draw_lesson
from convscope.exhibits.sheets import maps_sheet, save_png
from convscope.lesson import KERNELS, LESSONS


def main() -> None:
    """Try every kernel."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--output", type=Path, default=Path("out/lesson_detectors"), help="folder for the pictures"
    )
    parser.add_argument("--image", default="sample:camera", help="a picture, or a sample")
    parser.add_argument("--kernel", default="efficientnet_lite0 conv_stem 12", help="MODEL LAYER CHANNEL")
    arguments = parser.parse_args()
    folder: Path = arguments.output

    # 1. Every kernel that has a name, on the same photo.
    lesson = LESSONS["detectors"]
    answers = {}
    for name in KERNELS:
        result = lesson.run(picture=arguments.image, kernel=name)
        answers[name] = result.maps["response"].values
        total, low, high = (result.numbers[key] for key in ("kernel_sum", "smallest", "largest"))
        print(f"{name:<12} sum {total:+.2f}  {low:+9.1f} to {high:+9.1f}")

    # 2. All of them on one sheet, each by its own largest value; red is positive, blue negative.
    title, maps = "kernels: " + ", ".join(KERNELS), np.stack(list(answers.values()))
    save_png(folder / "all.png", maps_sheet(maps, title=title, size=256, largest=256))

    # 3. Those that find edges, each with its kernel and its strongest places marked.
    for name in ("edge", "laplacian", "emboss"):
        result = lesson.run(picture=arguments.image, kernel=name)
        save_png(folder / f"{name}.png", draw_lesson(result, lesson))

    # 4. A typed kernel: any numbers will do.
    numbers = "0 0 1 0 0; 0 1 2 1 0; 1 2 -16 2 1; 0 1 2 1 0; 0 0 1 0 0"
    typed = lesson.run(picture=arguments.image, kernel=numbers)
    print(*typed.sentences["en"], sep="\n")
    save_png(folder / "typed.png", draw_lesson(typed, lesson))

    # 5. A kernel that a network has learned, on the same photo.
    try:
        learned = lesson.run(picture=arguments.image, kernel=arguments.kernel)
    except convscope.ConvscopeError as error:
        print(f"going on with random weights, which the picture says: {error.message}")
        learned = lesson.run(picture=arguments.image, kernel=arguments.kernel, weights="none")
    print(*learned.sentences["en"], sep="\n")
    save_png(folder / "learned.png", draw_lesson(learned, lesson))

    print(f"pictures in {folder}/")


if __name__ == "__main__":
    main()
