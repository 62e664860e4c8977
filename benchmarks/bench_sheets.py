"""Sheets of 64 maps for each of ResNet-50's 53 convolutions: convscope against a subplot a map.

Both draw the same arrays, of the real shapes, and write PNG files; they are timed in turn, in CPU
seconds of one process. The matplotlib way (one subplot a map, as tutorials do it) is timed on every
eighth layer and scaled to 53, or on all of them with ``--full``.

    python benchmarks/bench_sheets.py [--full] [--rounds N]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LIMIT = 64
GOAL = 200.0


def resnet50_shapes() -> list[tuple[int, int]]:
    """(channels, side) of the 53 convolutions' outputs at 224 x 224, in call order."""
    shapes = [(64, 112)]
    for stage, (width, blocks, side) in enumerate(((64, 3, 56), (128, 4, 28), (256, 6, 14), (512, 3, 7))):
        for block in range(blocks):
            # The first 3 x 3 convolution of a stage does the halving, so the 1 x 1 before it is still large.
            before = side * 2 if block == 0 and stage > 0 else side
            shapes += [(width, before), (width, side), (width * 4, side)]
            if block == 0:
                shapes.append((width * 4, side))
    return shapes


def synthetic(shapes: list[tuple[int, int]]) -> list[NDArray[np.float32]]:
    """Smooth signed maps with some noise, as convolutions give them."""
    random = np.random.default_rng(0)
    layers = []
    for channels, side in shapes:
        coarse = random.normal(size=(channels, -(-side // 7), -(-side // 7))).astype(np.float32)
        smooth = coarse.repeat(7, axis=1).repeat(7, axis=2)[:, :side, :side]
        layers.append(smooth + 0.3 * random.normal(size=(channels, side, side)).astype(np.float32))
    return layers


def by_convscope(layers: list[NDArray[np.float32]], folder: Path) -> None:
    from convscope.exhibits.sheets import maps_sheet, save_png

    for index, layer in enumerate(layers):
        save_png(folder / f"{index}.png", maps_sheet(layer, title=f"convolution {index}", limit=LIMIT))


def by_subplots(layers: list[NDArray[np.float32]], folder: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    for index, layer in enumerate(layers):
        plt.figure(figsize=(30, 30))
        for place, channel in enumerate(layer[:LIMIT]):
            plt.subplot(8, 8, place + 1)
            plt.imshow(channel, cmap="gray")
            plt.axis("off")
        plt.savefig(folder / f"{index}.png")
        plt.close()


def timed(
    work: Callable[[list[NDArray[np.float32]], Path], None], layers: list[NDArray[np.float32]]
) -> tuple[float, float, int]:
    """CPU seconds, wall seconds and bytes written."""
    with tempfile.TemporaryDirectory() as folder:
        cpu, wall = time.process_time(), time.perf_counter()
        work(layers, Path(folder))
        spent = time.process_time() - cpu, time.perf_counter() - wall
        return (*spent, sum(file.stat().st_size for file in Path(folder).iterdir()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="time matplotlib on all 53 layers")
    parser.add_argument("--rounds", type=int, default=3, help="times each way is run, in turn")
    options = parser.parse_args()
    layers = synthetic(resnet50_shapes())
    some = layers if options.full else layers[::8]
    scale = len(layers) / len(some)
    timed(by_convscope, layers[:1])  # the font is loaded once
    ours, theirs = [], []
    for _ in range(options.rounds):
        ours.append(timed(by_convscope, layers))
        theirs.append(timed(by_subplots, some))
    best = min(ours)
    slow = min(theirs)
    print(f"{len(layers)} sheets of {LIMIT} maps; best of {options.rounds} rounds, in turn")
    print(f"{'':28}{'CPU s':>9}{'wall s':>9}{'MB':>8}")
    print(f"{'convscope':28}{best[0]:9.3f}{best[1]:9.3f}{best[2] / 1e6:8.1f}")
    name = "matplotlib, all layers" if options.full else f"matplotlib, {len(some)} layers scaled"
    print(f"{name:28}{slow[0] * scale:9.1f}{slow[1] * scale:9.1f}{slow[2] * scale / 1e6:8.1f}")
    ratio = slow[0] * scale / best[0]
    print(f"ratio {ratio:.0f} (goal: at least {GOAL:.0f})")
    return 0 if ratio >= GOAL else 1


if __name__ == "__main__":
    raise SystemExit(main())
