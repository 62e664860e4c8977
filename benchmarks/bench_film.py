"""What a film costs: a training with one against the same training without, timed in turn.

Both train on the digits with one thread, in process CPU seconds; ratios are taken pair by pair, their median
printed, with what one frame costs and how large the film is.

    python benchmarks/bench_film.py [--pairs 3] [--epochs 20]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from convscope.filming import open_film
from convscope.training import Recipe, train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    arguments = parser.parse_args()
    print(f"digits, {arguments.epochs} epochs, 1 thread, {arguments.pairs} pairs")
    print(f"{'network':<16}{'plain s':>9}{'film s':>9}{'ratio':>8}{'frames':>8}{'ms each':>9}{'MB':>7}")
    for network in ("tutorial_tanh", "tutorial_cnn"):
        recipe = Recipe(epochs=arguments.epochs, batch=64)
        plain, filmed = [], []
        with tempfile.TemporaryDirectory() as place:
            # The first run of all pays for what is loaded on first use.
            train(network, "digits", recipe.replace(epochs=1), run=f"{place}/warm", threads=1)
            for pair in range(arguments.pairs):
                for film, seconds in ((False, plain), (True, filmed)):
                    began = time.process_time()
                    run = train(network, "digits", recipe, run=f"{place}/{pair}{film}", threads=1, film=film)
                    seconds.append(time.process_time() - began)
            frames = len(open_film(run.folder))
            size = sum(path.stat().st_size for path in Path(run.folder, "film").iterdir())
        ratio = statistics.median(b / a for a, b in zip(plain, filmed, strict=True))
        each = statistics.median(b - a for a, b in zip(plain, filmed, strict=True)) / frames
        print(
            f"{network:<16}{min(plain):>9.2f}{min(filmed):>9.2f}{ratio:>8.3f}{frames:>8}{1000 * each:>9.1f}"
            f"{size / 1e6:>7.2f}"
        )


if __name__ == "__main__":
    main()
