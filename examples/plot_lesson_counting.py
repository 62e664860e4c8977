"""
Counting: fully connected against convolutional
===============================================

Article D's two networks for 32 x 32 pictures have 3,738,506 and 18,354 parameters. Let the picture grow,
and see what padding does to the size.

    python examples/plot_lesson_counting.py --output out/lesson_counting
"""

from __future__ import annotations

import argparse
from pathlib import Path

import convscope
from convscope.exhibits.lesson_picture import draw_lesson
from convscope.exhibits.sheets import save_png
from convscope.lesson import LESSONS


def main() -> None:
    """Count."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--output", type=Path, default=Path("out/lesson_counting"), help="folder for the pictures"
    )
    arguments = parser.parse_args()
    folder: Path = arguments.output

    # 1. The two networks, layer by layer.
    lesson = LESSONS["counting"]
    result = lesson.run()
    for name in ("fully_connected", "convolutional"):
        found = result.numbers[name]
        print(f"{name}: {found['layers']}, {found['parameters']:,} parameters")

    # 2. The same, counted on the networks themselves.
    for name in ("tutorial_mlp", "tutorial_tanh"):
        module = convscope.load_model(name, weights="none").module
        sizes = [parameter.numel() for parameter in module.parameters()]
        print(f"{name}: {sizes}, {sum(sizes):,} parameters")

    # 3. As the picture grows.
    for size, found in result.numbers["growth"].items():
        print(f"{size:>5}: {found['fully_connected'][0]:>14,} against {found['convolutional'][0]:>11,}")
    print(*result.sentences["en"], sep="\n")

    # 4. The picture of it, also with larger kernels, where padding matters more.
    save_png(folder / "counting.png", draw_lesson(result, lesson))
    save_png(folder / "kernel-7.png", draw_lesson(lesson.run(kernel=7, layers=5), lesson))

    print(f"pictures in {folder}/")


if __name__ == "__main__":
    main()
