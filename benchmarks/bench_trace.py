"""Tracing every op of ResNet-50 with its value, against the plain forward pass.

Both run in turn in one process; the ratio is taken pair by pair and its median printed, with
the memory added over the bytes of the values kept.

    python benchmarks/bench_trace.py [--pairs 40] [--threads 2] [--model resnet50]
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
import torchvision

import convscope
from convscope.tracing import record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", default="resnet50")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = torchvision.models.get_model(arguments.model, weights=None).eval()
    batch = torch.randn(1, 3, 224, 224)
    loaded = convscope.load_model(model)

    def plain() -> None:
        with torch.no_grad():
            model(batch)

    def traced() -> None:
        convscope.trace(loaded, batch)

    def traced_and_built() -> None:
        assert len(convscope.trace(loaded, batch).ops) > 100

    def recorded_only() -> None:
        record(model, batch)

    def cloned() -> None:
        kept: list[torch.Tensor] = []
        leaves = [m for m in model.modules() if not list(m.children())]
        handles = [m.register_forward_hook(lambda _m, _a, out: kept.append(out.clone())) for m in leaves]
        plain()
        for handle in handles:
            handle.remove()

    rows = {
        "trace (every op, values, edges)": traced,
        "trace, and its ops built": traced_and_built,
        "record, keeping nothing": recorded_only,
        "clone hooks (leaf modules only)": cloned,
    }
    for _ in range(3):
        for run in (plain, *rows.values()):
            run()
    print(f"{arguments.model}, 1x3x224x224, {arguments.threads} threads, {arguments.pairs} pairs each")
    print(f"{'what':<34}{'plain ms':>10}{'ms':>10}{'ratio':>8}{'best':>8}")
    for name, run in rows.items():
        ratios, plains, others = [], [], []
        for _ in range(arguments.pairs):
            plains.append(_seconds(plain))
            others.append(_seconds(run))
            ratios.append(others[-1] / plains[-1])
        print(
            f"{name:<34}{statistics.median(plains) * 1e3:>10.1f}{statistics.median(others) * 1e3:>10.1f}"
            f"{statistics.median(ratios):>8.2f}{min(others) / min(plains):>8.2f}"
        )
    keep = convscope.trace(loaded, batch)
    values = [v for op in keep.ops for v in op.values if v is not None]
    kept = sum({v.untyped_storage().data_ptr(): v.untyped_storage().nbytes() for v in values}.values())
    needed = sum(v.numel() * v.element_size() for v in values)
    print(f"memory held: {kept / 1e6:.1f} MB for {needed / 1e6:.1f} MB of values ({kept / needed:.2f} x)")


def _seconds(run: object) -> float:
    began = time.perf_counter()
    run()  # type: ignore[operator]
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
