"""Training ``cifar10_small`` as for the package: test accuracy, and CPU seconds with one thread.

About twenty minutes for each seed.

    python benchmarks/bench_small.py path/to/cifar10.zip [--seeds 1]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from processes import COMMAND, measure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", help="CIFAR-10, a folder or zip; without it nothing is timed")
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.data is None:
        print(f"left out, needs CIFAR-10: {parser.prog} path/to/cifar10.zip")
        return
    for seed in range(arguments.seeds):
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder) / "run"
            wish = ("cifar10_small", "--data", arguments.data, "--recipe", "fast", "--seed", str(seed))
            _, seconds = measure([*COMMAND, "train", *wish, "--threads", "1", "--run", str(run)])
            found = json.loads((run / "evaluation.json").read_text())
        right = f"{found['accuracy']:.2%} of {found['images']:,} test images"
        print(f"seed {seed}: {right} (goal >= 90 %), {seconds:.0f} CPU seconds (goal <= 1,200)", flush=True)


if __name__ == "__main__":
    main()
