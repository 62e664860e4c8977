"""
Stride: what it saves, and what it misses
=========================================

The window moves by 1, 2, 4, 8 and 16 cells. Each time the stride doubles the cost falls to about a quarter;
the peak is found as long as the window still stops near it.

    python examples/plot_lesson_stride.py --output out/lesson_stride
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

from convscope.exhibits.lesson_picture import draw_lesson
from convscope.exhibits.sheets import save_png
from convscope.lesson import LESSONS


def main() -> None:
    """Measure five strides."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--output", type=Path, default=Path("out/lesson_stride"), help="folder for the pictures"
    )
    parser.add_argument("--image", default="sample:coins", help="a picture, or a sample")
    parser.add_argument("--box", default="168,184,48,56", help="top, left, rows, columns")
    arguments = parser.parse_args()
    folder: Path = arguments.output

    # 1. Size, cost, measured time and the peak at each stride.
    lesson = LESSONS["stride"]
    result = lesson.run(picture=arguments.image, box=arguments.box)
    for row in result.numbers["strides"]:
        print(
            f"stride {row['stride']:>2}: {row['size'][0]:>3} x {row['size'][1]:<3} "
            f"{row['multiply_adds']:>12,} "
            f"multiply-adds {row['milliseconds']:>7.1f} ms  peak at {row['peak_at']}, found: {row['found']}"
        )

    # 2. By how much the cost falls from one stride to the next.
    costs = [row["multiply_adds"] for row in result.numbers["strides"]]
    print("falls by", *(f"{before / after:.2f}" for before, after in pairwise(costs)))

    # 3. The picture of it.
    save_png(folder / "stride.png", draw_lesson(result, lesson))

    # 4. Moved by half a stride, the same coin is no longer where a window of stride 16 stops.
    top, left, rows, columns = (int(number) for number in arguments.box.split(","))
    for off in (0, 2, 4, 8):
        moved = lesson.run(picture=arguments.image, box=(top + off, left + off, rows, columns))
        kept = [row["stride"] for row in moved.numbers["strides"] if row["found"]]
        print(f"box moved by {off}: the peak is found at strides {kept}")

    print(f"pictures in {folder}/")


if __name__ == "__main__":
    main()
