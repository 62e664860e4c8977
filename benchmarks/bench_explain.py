"""Reruns, boxes and Grad-CAM over a trace of ResNet-50, against the plain forward pass.

Each is timed in turn with the plain pass in one process; the ratio is taken pair by pair and
its median printed, so that other work on the machine weighs on both.

    python benchmarks/bench_explain.py [--pairs 20] [--threads 2] [--model resnet50]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torchvision

import convscope
from convscope.explain import Edit, channels_in_box, grad_cam, rerun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", default="resnet50")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = torchvision.models.get_model(arguments.model, weights=None).eval()
    batch = torch.randn(1, 3, 224, 224)
    loaded = convscope.load_model(model)
    trace = convscope.trace(loaded, batch)
    fresh: list[convscope.Trace] = []

    def plain() -> None:
        with torch.no_grad():
            model(batch)

    def prepare() -> None:
        fresh[:] = [convscope.trace(loaded, batch)]
        _ = fresh[0].ops

    rows: dict[str, Callable[[], object]] = {}
    for block in ("layer1", "layer2", "layer3", "layer4"):
        rows[f"rerun, {block}.0.conv1, one channel"] = lambda name=f"{block}.0.conv1": rerun(  # type: ignore[misc]
            trace, [Edit(name, (3,))]
        )
    rows["rerun, layer4.2.relu, whole layer"] = lambda: rerun(trace, [Edit("layer4.2.relu_2")])
    rows["box, the first on a trace"] = lambda: channels_in_box(fresh[0], 60, 60, 120, 140)
    rows["box, the next"] = lambda: channels_in_box(trace, 60, 60, 120, 140)
    rows["grad_cam, layer4"] = lambda: grad_cam(trace, None, 3, "layer4")
    rows["grad_cam, layer1"] = lambda: grad_cam(trace, None, 3, "layer1")
    print(f"{arguments.model}, 1x3x224x224, {arguments.threads} threads, {arguments.pairs} pairs each")
    print(f"{'what':<38}{'plain ms':>10}{'ms':>10}{'ratio':>8}{'best':>8}")
    for name, run in rows.items():
        ratios, plains, others = [], [], []
        for number in range(arguments.pairs + 2):
            if "first" in name:
                prepare()
            times = _seconds(plain), _seconds(run)
            if number >= 2:
                plains.append(times[0])
                others.append(times[1])
                ratios.append(times[1] / times[0])
        print(
            f"{name:<38}{statistics.median(plains) * 1e3:>10.1f}{statistics.median(others) * 1e3:>10.1f}"
            f"{statistics.median(ratios):>8.2f}{min(others) / min(plains):>8.2f}"
        )


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
