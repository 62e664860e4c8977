"""
Softmax and cross entropy against squared error
===============================================

Scores of 10, 6 and 4 become shares of 0.98, 0.02 and 0.00. How wrong an answer is can be said in two ways,
and only one of them still has a slope where the answer is badly wrong.

    python examples/plot_lesson_softmax.py --output out/lesson_softmax
"""

from __future__ import annotations

import argparse
from pathlib import Path

from convscope.exhibits.lesson_picture import draw_lesson
from convscope.exhibits.sheets import save_png
from convscope.lesson import LESSONS


def main() -> None:
    """Compare two losses."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--output", type=Path, default=Path("out/lesson_softmax"), help="folder for the pictures"
    )
    arguments = parser.parse_args()
    folder: Path = arguments.output

    # 1. The article's scores.
    lesson = LESSONS["softmax"]
    result = lesson.run()
    print("softmax of 10, 6, 4:", *(f"{share:.4f}" for share in result.numbers["softmax"]))
    save_png(folder / "right.png", draw_lesson(result, lesson))

    # 2. The same scores where another class is the right one.
    for target in ("first", "second", "third"):
        numbers = lesson.run(target=target).numbers
        place = ("first", "second", "third").index(target)
        print(
            f"right is the {target:<6}: cross entropy {numbers['cross_entropy']:.4f} with slope "
            f"{numbers['gradient_of_cross_entropy'][place]:+.4f}, squared error "
            f"{numbers['squared_error']:.4f} "
            f"with slope {numbers['gradient_of_squared_error'][place]:+.4f}"
        )
    wrong = lesson.run(target="third")
    print(*wrong.sentences["en"], sep="\n")
    save_png(folder / "wrong.png", draw_lesson(wrong, lesson))

    # 3. The more confidently wrong, the flatter squared error: its slope goes to 0, cross entropy's to 1.
    for score in (0, 2, 4, 8, 16):
        numbers = lesson.run(first=score, second=0, third=0, target="second").numbers
        slopes = [abs(numbers[f"gradient_of_{name}"][1]) for name in ("cross_entropy", "squared_error")]
        print(f"a wrong score of {score:>2}: slopes {slopes[0]:.6f} and {slopes[1]:.6f}")

    print(f"pictures in {folder}/")


if __name__ == "__main__":
    main()
