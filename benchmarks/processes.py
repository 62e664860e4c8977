"""Whole processes timed in turn, and the table of their ratios."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

COMMAND = (sys.executable, "-c", "from convscope.cli import main; main()")


def compare(commands: Mapping[str, Sequence[str]], pairs: int, *, goal: float) -> dict[str, float]:
    """Run the commands in turn, ``pairs`` times after one round unmeasured, and print a table.

    Returns
    -------
    For each command but the first, the median of its wall time over that of the first, turn by turn.
    """
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for turn in range(pairs + 1):
        for name, command in commands.items():
            seconds = measure(command)
            if turn:
                taken[name].append(seconds)
    base = next(iter(commands))
    print(f"{pairs} turns, {os.cpu_count()} cores; medians; ratios to `{base}`, turn by turn")
    print(f"{'what':<34}{'wall s':>8}{'cpu s':>8}{'wall x':>9}{'cpu x':>8}{'goal':>8}")
    ratios = {}
    for name, rows in taken.items():
        wall, cpu = (statistics.median(row[i] for row in rows) for i in (0, 1))
        line = f"{name:<34}{wall:>8.2f}{cpu:>8.2f}"
        if name != base:
            pair = list(zip(rows, taken[base], strict=True))
            by_wall, by_cpu = (statistics.median(a[i] / b[i] for a, b in pair) for i in (0, 1))
            ratios[name] = by_wall
            line += f"{by_wall:>9.2f}{by_cpu:>8.2f}{f'<= {goal:g}':>8}"
        print(line)
    return ratios


def measure(command: Sequence[str]) -> tuple[float, float]:
    """Seconds by the clock and of CPU time, of a process that must succeed."""
    before = os.times()
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - began
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, used
