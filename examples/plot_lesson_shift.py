"""
The shift test
==============

A photo moved by one pixel: its pixels and its feature map change a good deal, the pooled maps much less, and
with stride alone nothing is gained.

    python examples/plot_lesson_shift.py --output out/lesson_shift
"""

from __future__ import annotations

import argparse
from pathlib import Path

from convscope.exhibits.lesson_picture import draw_lesson
from convscope.exhibits.sheets import save_png
from convscope.lesson import LESSONS


def main() -> None:
    """Move a picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--output", type=Path, default=Path("out/lesson_shift"), help="folder for the pictures"
    )
    parser.add_argument("--image", default="sample:camera", help="a picture, or a sample")
    arguments = parser.parse_args()
    folder: Path = arguments.output

    # 1. One pixel down and across, level by level, for three poolings and for stride alone.
    lesson = LESSONS["shift"]
    result = lesson.run(picture=arguments.image)
    print(" " * 8, *(f"{level:>12}" for level in result.numbers["levels"]))
    for way, changes in result.numbers["changes"].items():
        print(f"{way:<8}", *(f"{change:>12.1%}" for change in changes))
    print(*result.sentences["en"], sep="\n")

    # 2. The picture of it, with what has changed at the end.
    save_png(folder / "shift.png", draw_lesson(result, lesson))

    # 3. Farther moves: pooling helps as long as the move is smaller than its window.
    for distance in (0, 1, 2, 4, 8):
        found = lesson.run(picture=arguments.image, down=distance, across=distance).numbers["changes"]
        print(f"moved by {distance}: maximum {found['max'][-1]:6.1%}, average {found['average'][-1]:6.1%}")

    # 4. A move by exactly the stride of all poolings moves the map by one cell: no information is lost.
    wide = lesson.run(picture=arguments.image, down=4, across=0, pools=[(4, 4)])
    save_png(folder / "moved-4.png", draw_lesson(wide, lesson))

    print(f"pictures in {folder}/")


if __name__ == "__main__":
    main()
