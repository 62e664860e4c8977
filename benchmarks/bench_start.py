"""``convscope --help`` against ``python -c 'import torch'``, as whole processes, in turn.

    python benchmarks/bench_start.py [--pairs 5]

Goal: at most a quarter of the time.
"""

from __future__ import annotations

import argparse
import sys

from processes import COMMAND, compare


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=5)
    arguments = parser.parse_args()
    compare(
        {
            "import torch": [sys.executable, "-c", "import torch"],
            "convscope --help": [*COMMAND, "--help"],
            "convscope look --help": [*COMMAND, "look", "--help"],
        },
        arguments.pairs,
        goal=0.25,
    )


if __name__ == "__main__":
    main()
