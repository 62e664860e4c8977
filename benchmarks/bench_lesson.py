"""Lessons on a 1024 x 1024 photo with a 70 x 70 kernel, and animations, against what is promised.

Each lesson is timed in turn with torch's own convolution of that photo and kernel, in one process; ratios are
taken pair by pair and their median printed, so that other work on the machine weighs on both.

    python benchmarks/bench_lesson.py [--pairs 5] [--threads 2]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from convscope.data import load_image
from convscope.exhibits.animation import ENDINGS, save_animation
from convscope.exhibits.player import Player
from convscope.lesson import LESSONS, Tools, convolve

SIDE, KERNEL = 1024, 70
BOX = (300, 500, KERNEL, KERNEL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    camera = np.asarray(load_image("sample:camera").pixels)
    picture = load_image(np.kron(camera, np.ones((2, 2, 1), np.uint8)))
    image = picture.pixels[..., 0].astype(np.float32)
    kernel = image[BOX[0] : BOX[0] + KERNEL, BOX[1] : BOX[1] + KERNEL].copy()
    given, weight = torch.from_numpy(image)[None, None], torch.from_numpy(kernel)[None, None]

    def plain() -> None:
        with torch.no_grad():
            functional.conv2d(given, weight)

    def lesson(name: str, preview: bool, **values: object) -> Callable[[], object]:
        tools = Tools(picture=lambda source: picture, preview=preview)
        return lambda: LESSONS[name].run(tools, **values)

    boxed = {"box": BOX}
    print(
        f"{SIDE} x {SIDE}, kernel {KERNEL} x {KERNEL}, {arguments.threads} threads, {arguments.pairs} pairs"
    )
    print(f"{'what':<34}{'torch ms':>10}{'ms':>9}{'ratio':>8}{'goal':>12}")
    for what, run, goal in (
        ("convolve", lambda: convolve(image, kernel), "<= 2 x"),
        ("lesson cut, full size", lesson("cut", False, **boxed), "<= 2 x"),
        ("lesson threshold, full size", lesson("threshold", False, **boxed), "<= 2 x"),
        ("lesson cut, preview", lesson("cut", True, **boxed), "<= 100 ms"),
        ("lesson threshold, preview", lesson("threshold", True, **boxed), "<= 100 ms"),
        ("lesson stride, preview", lesson("stride", True, **boxed), "<= 100 ms"),
        ("lesson shift, preview", lesson("shift", True), "<= 100 ms"),
        ("lesson pooling, preview", lesson("pooling", True), "<= 100 ms"),
        ("lesson detectors, preview", lesson("detectors", True), "<= 100 ms"),
    ):
        times = [(_seconds(plain), _seconds(run)) for _ in range(arguments.pairs + 1)][1:]
        torch_, own = (statistics.median(pair[i] for pair in times) * 1e3 for i in (0, 1))
        ratio = statistics.median(b / a for a, b in times)
        print(f"{what:<34}{torch_:>10.1f}{own:>9.1f}{ratio:>8.2f}{goal:>12}")
    direct, quick = (convolve(image, kernel, method=method).result for method in ("direct", "fft"))
    difference = np.abs(direct - quick).max() / np.abs(direct).max()
    print(f"largest difference of both ways: {difference:.1e} of the peak")

    typed = {"image": "; ".join(["1 2 3 4 5 6 7 8 9 0"] * 10), "padding": "same"}
    photo = {"source": "photo", "picture": "sample:cat", "crop": "60,150,32,32", "colour": True}
    print(f"\n{'animation of 100 frames':<34}{'s':>10}{'kB':>9}{'goal':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for options, name in ((typed, "numbers, padded"), (photo, "photo in colour")):
            for ending in ENDINGS:
                path = Path(folder) / f"a{ending}"

                def animate(path: Path = path, options: dict[str, object] = options) -> None:
                    save_animation(path, Player(LESSONS["steps"].run(**options)).frames(100))

                seconds = statistics.median(_seconds(animate) for _ in range(3))
                size = path.stat().st_size / 1000
                print(f"{name + ', ' + ending:<34}{seconds:>10.2f}{size:>9.0f}{'<= 3':>8}")


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
