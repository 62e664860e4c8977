"""
Pooling: maximum, average, L2
=============================

Windows of 3 x 3 with stride 2, 5 x 5 with stride 3 and 7 x 7 with stride 4 over the edges of a photo.

    python examples/plot_lesson_pooling.py --output out/lesson_pooling
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from convscope.exhibits.lesson_picture import draw_lesson
from convscope.exhibits.sheets import save_png
from convscope.lesson import LESSONS


def main() -> None:
    """Pool one map in nine ways."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--output", type=Path, default=Path("out/lesson_pooling"), help="folder for the pictures"
    )
    parser.add_argument("--image", default="sample:camera", help="a picture, or a sample")
    arguments = parser.parse_args()
    folder: Path = arguments.output

    # 1. Nine ways to make a map smaller.
    lesson = LESSONS["pooling"]
    result = lesson.run(picture=arguments.image)
    for found in result.numbers["pools"]:
        print(
            f"{found['kind']:<8} {found['window']}/{found['stride']}: {found['size'][0]:>3} x "
            f"{found['size'][1]:<3} "
            f"largest {found['largest']:6.2f}, mean {found['mean']:6.3f}"
        )
    print(*result.sentences["en"], sep="\n")

    # 2. The picture of it.
    save_png(folder / "pooling.png", draw_lesson(result, lesson))

    # 3. By hand, for one window: the three numbers a window of the map becomes.
    window = result.maps["response"].values[10:13, 20:23]
    pooled = [result.maps[f"{kind} 3/2"].values[5, 10] for kind in ("max", "average", "l2")]
    by_hand = [window.max(), window.mean(), np.sqrt((window**2).sum())]
    print("one window:", *(f"{value:.4f}" for value in by_hand))
    assert np.allclose(pooled, by_hand)

    # 4. Without ReLU the signs stay: the maximum forgets dark-to-bright edges, the average cancels both.
    signed = lesson.run(picture=arguments.image, relu=False)
    save_png(folder / "signed.png", draw_lesson(signed, lesson))

    print(f"pictures in {folder}/")


if __name__ == "__main__":
    main()
