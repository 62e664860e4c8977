"""
The grid of everything
======================

Stride {2, 9, 16} x bias {500, -250, -1000} x pooling {3/2, 5/3, 7/4} of a 70 x 70 kernel on a photo of
456 x 456: from 194 x 194 = 37,636 values down to 10 x 10 = 100 and below.

    python examples/plot_lesson_grid.py --output out/lesson_grid
"""

from __future__ import annotations

import argparse
from pathlib import Path

from convscope.exhibits.lesson_picture import draw_lesson
from convscope.exhibits.sheets import save_png
from convscope.lesson import LESSONS


def main() -> None:
    """Draw all combinations."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--output", type=Path, default=Path("out/lesson_grid"), help="folder for the pictures"
    )
    parser.add_argument("--image", default="sample:camera", help="a picture, or a sample")
    arguments = parser.parse_args()
    folder: Path = arguments.output

    # 1. All 27 combinations.
    lesson = LESSONS["grid"]
    result = lesson.run(picture=arguments.image)
    for entry in result.numbers["grid"]:
        print(
            f"stride {entry['stride']:>2} ({entry['convolved'][0]:>3} x {entry['convolved'][1]:<3}) "
            f"bias {entry['bias']:+6} "
            f"pooling {entry['pool'][0]}/{entry['pool'][1]}: {entry['size'][0]:>2} x {entry['size'][1]:<2} = "
            f"{entry['cells']:>5,} values, {entry['share']:6.1%} above 0"
        )

    # 2. The article's two ends.
    cells = {entry["convolved"][0] ** 2 for entry in result.numbers["grid"]}
    cells |= {entry["cells"] for entry in result.numbers["grid"]}
    print(f"37,636 values among them: {37_636 in cells}; 100 values among them: {100 in cells}")

    # 3. The picture of it, by maximum and by average.
    save_png(folder / "grid-max.png", draw_lesson(result, lesson))
    save_png(
        folder / "grid-average.png",
        draw_lesson(lesson.run(picture=arguments.image, pooling="average"), lesson),
    )

    print(f"pictures in {folder}/")


if __name__ == "__main__":
    main()
