"""Module calls as a tree of groups around the ops."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convscope.tracing import ModuleCall, Trace

# A group is only called after its parts where they are nearly all of it.
_COVERED = 0.95


def make_groups(trace: Trace) -> list[dict[str, Any]]:
    """Every call of a module that ran more than one op, outer before inner; the model itself is left out.

    Examples
    --------
    >>> import convscope
    >>> from torch import nn, zeros
    >>> block = lambda: nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())
    >>> net = nn.Sequential(nn.Sequential(block(), block()))
    >>> for group in make_groups(convscope.trace(net, zeros(1, 3, 4, 4))):
    ...     print(group["name"], group["parent"], group["first"], group["last"], group.get("repeats"))
    0 None 1 5 Sequential × 2
    0.0 0 1 3 None
    0.1 0 3 5 None
    """
    groups: list[dict[str, Any]] = []
    children: dict[str, list[ModuleCall]] = {}
    open_: list[ModuleCall] = []
    for call in trace.calls:
        if not call.name or call.last - call.first < 2:
            continue
        # Calls come in the order they began, so those still around this one are the last ones.
        while open_ and open_[-1].last < call.last:
            open_.pop()
        parent = open_[-1].name if open_ else None
        if parent is not None:
            children.setdefault(parent, []).append(call)
        open_.append(call)
        made = next((index for index, _ in call.outputs if call.first <= index < call.last), None)
        groups.append(
            {
                "name": call.name,
                "path": call.path,
                "type": call.module_type,
                "parent": parent,
                "first": call.first,
                "last": call.last,
                "output": made,
            }
        )
    for group in groups:
        inside = children.get(group["name"], [])
        covered = sum(call.last - call.first for call in inside)
        repeats = describe_repeats([call.module_type for call in inside])
        if repeats and covered >= _COVERED * (group["last"] - group["first"]):
            group["repeats"] = repeats
    return groups


def describe_repeats(types: Sequence[str]) -> str:
    """What a group is made of, in order; ``""`` where nothing repeats.

    Examples
    --------
    >>> describe_repeats(["Bottleneck"] * 6)
    'Bottleneck × 6'
    >>> describe_repeats(["Stem", "Block", "Block"])
    'Stem, Block × 2'
    >>> describe_repeats(["Stem", "Head"])
    ''
    """
    runs = [(name, len(list(run))) for name, run in groupby(types)]
    if not any(count > 1 for _, count in runs) or len(runs) > 3:
        return ""
    return ", ".join(f"{name} × {count}" if count > 1 else name for name, count in runs)


def enclosing(groups: Sequence[dict[str, Any]], count: int) -> list[list[str]]:
    """Names of the groups around each of ``count`` ops, outermost first."""
    around: list[list[str]] = [[] for _ in range(count)]
    for group in groups:
        for index in range(group["first"], min(count, group["last"])):
            around[index].append(group["name"])
    return around
