"""
What one region can reach
=========================

After several poolings one region of the input can change a block of cells, and one cell sees a block of the
input: its receptive field.

    python examples/plot_lesson_reach.py --output out/lesson_reach
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from convscope.exhibits.lesson_picture import draw_lesson
from convscope.exhibits.sheets import save_png
from convscope.lesson import LESSONS, convolve


def main() -> None:
    """Follow a region forwards and a cell backwards."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--output", type=Path, default=Path("out/lesson_reach"), help="folder for the pictures"
    )
    parser.add_argument("--layers", default="3/1 3/2 3/2", help="windows / strides, one after another")
    arguments = parser.parse_args()
    folder: Path = arguments.output

    # 1. Forwards from a region, backwards from a cell.
    lesson = LESSONS["reach"]
    result = lesson.run(layers=arguments.layers)
    for level in result.numbers["levels"]:
        print(
            f"{level['size']:>3} rows: the region reaches {level['forwards']}, the cell sees "
            f"{level['backwards']}"
        )
    print(*result.sentences["en"], sep="\n")
    save_png(folder / "reach.png", draw_lesson(result, lesson))

    # 2. The same, tried: change the region and see which cells change.
    top, left, rows, columns = result.numbers["levels"][0]["forwards"]
    changed = np.zeros((33, 33))
    changed[top : top + rows, left : left + columns] = 1
    for word in arguments.layers.split():
        window, stride = (int(number) for number in word.split("/"))
        changed = convolve(changed, np.ones((window, window)), stride=stride).result
    lit = np.argwhere(changed > 0)
    print(
        f"tried: rows {lit[0][0]} to {lit[-1][0]}, columns {lit[0][1]} to {lit[-1][1]} of the last map change"
    )

    # 3. How the receptive field grows: strides multiply, windows add.
    for count in range(1, 6):
        field = lesson.run(size=256, layers=[(3, 2)] * count, row=0, column=0, region=(0, 0, 4, 4))
        print(f"{count} poolings of 3/2: one cell sees {field.numbers['receptive_field']}")

    print(f"pictures in {folder}/")


if __name__ == "__main__":
    main()
