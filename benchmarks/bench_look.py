"""``convscope look`` on ResNet-50 against a bare script that only runs the network once.

    python benchmarks/bench_look.py [--pairs 3] [--model resnet50]

Both are whole processes with random weights, timed in turn. The script imports torch and
torchvision, builds the model, runs it on one picture and exits. Goals: at most 1.5 x its
time, and a report of at most 15 MB.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from processes import COMMAND, compare

BARE = """
import torch, torchvision
model = torchvision.models.get_model({model!r}, weights=None).eval()
with torch.inference_mode():
    model(torch.zeros(1, 3, 224, 224))
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--model", default="resnet50")
    arguments = parser.parse_args()
    model = arguments.model
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.html"
        look = [*COMMAND, "look", "--model", model, "--weights", "none", "--output", str(report)]
        bare = [sys.executable, "-c", BARE.format(model=model)]
        compare({"bare script": bare, f"convscope look -m {model}": look}, arguments.pairs, goal=1.5)
        print(f"report: {report.stat().st_size / 1e6:.1f} MB (goal <= 15)")


if __name__ == "__main__":
    main()
