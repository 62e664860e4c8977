"""Reading data sets: small JPEGs the quick way beside the careful way; whether a network waits for photos.

Photos of 500 x 375 are streamed to a network while it works on the batch before; beside it the same network
works on batches that are at hand. The ratio is what the waiting costs: 1 means that it never waits.

    python benchmarks/bench_datasets.py [--pairs 5] [--photos 64] [--model resnet18]
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
import torchvision
from PIL import Image

from convscope.data import Limits
from convscope.data.decode import decode
from convscope.data.plain_jpeg import decode_quickly
from convscope.datasets import load_dataset


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--photos", type=int, default=64, help="in batches of 8")
    parser.add_argument("--model", default="resnet18")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    small = [_jpeg(number, (32, 32)) for number in range(1000)]
    limits = Limits()
    _compare(
        "1,000 JPEGs of 32 x 32: careful / quick way (CPU)",
        lambda: [decode(data, "small", limits) for data in small],
        lambda: [decode_quickly(data, "small", limits) for data in small],
        arguments.pairs,
        time.process_time,
    )
    with tempfile.TemporaryDirectory() as folder:
        for number in range(100):
            place = Path(folder, "odd" if number % 2 else "even", f"{number:03}.jpg")
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(_jpeg(number, (500, 375)))
        split = load_dataset(folder, memory=0).train
        order = np.random.default_rng(0).permutation(len(split))[: arguments.photos].reshape(-1, 8)
        ready = [split.batch(batch)[0] for batch in order]
        model = torchvision.models.get_model(arguments.model, weights=None).train()
        _compare(
            f"{arguments.photos} photos of 500 x 375 through {arguments.model}: streamed / at hand (wall)",
            lambda: _train(model, (images for images, _ in split.stream(order))),
            lambda: _train(model, ready),
            arguments.pairs,
            time.perf_counter,
        )


def _train(model: torch.nn.Module, batches: Iterable[np.ndarray]) -> None:
    for images in batches:
        batch = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        model(batch).logsumexp(1).mean().backward()


def _jpeg(number: int, size: tuple[int, int]) -> bytes:
    coarse = np.random.default_rng(number).integers(0, 256, (12, 16, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(file, "JPEG", quality=85)
    return file.getvalue()


def _compare(
    what: str,
    one: Callable[[], object],
    other: Callable[[], object],
    pairs: int,
    clock: Callable[[], float],
) -> None:
    ratios = []
    for number in range(pairs + 1):
        times = []
        for run in (one, other):
            began = clock()
            run()
            times.append(clock() - began)
        if number:
            ratios.append(times[0] / times[1])
    print(f"{what}: {statistics.median(ratios):.2f} (best {min(ratios):.2f})")


if __name__ == "__main__":
    main()
