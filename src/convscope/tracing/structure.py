"""What a network is built of, counted from its recorded graph: convolutions, residual blocks, containers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convscope.tracing.graph import Op

if TYPE_CHECKING:
    from convscope.tracing.trace import Trace

CONVOLUTIONS = frozenset(
    ["conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "convolution"]
)


@dataclass(frozen=True)
class Structure:
    """Counts over one recorded pass; a layer used twice counts once.

    ``shortcut_convolutions`` are those on the shorter branch of a residual addition
    (ResNet's downsample branches); ``residual_blocks`` counts such additions, not those of branches
    with the very same layers (a picture and its mirror image, looked at alike) or with none;
    ``containers`` gives the number of modules that hold other modules, by class name.
    """

    convolutions: int
    shortcut_convolutions: int
    linear: int
    residual_blocks: int
    containers: dict[str, int]

    @property
    def main_path_convolutions(self) -> int:
        """Convolutions that are not on a shortcut."""
        return self.convolutions - self.shortcut_convolutions


def structure(trace: Trace) -> Structure:
    """Count what ``trace``'s network is built of.

    Examples
    --------
    >>> import convscope
    >>> found = structure(convscope.trace(convscope.load_model("resnet18", weights="none"), "sample:cat"))
    >>> found.convolutions, found.shortcut_convolutions, found.residual_blocks, found.linear
    (20, 3, 8, 1)
    """
    ops = trace.ops
    convolutions = {_layer(op) for op in ops if op.kind in CONVOLUTIONS}
    shortcuts: set[str] = set()
    blocks = 0
    for op in ops:
        if op.kind != "add":
            continue
        branches = _branches(ops, op)
        if branches is None or _parameters(ops, branches[0]) == _parameters(ops, branches[1]):
            continue
        blocks += 1
        shorter = min(branches, key=len)
        shortcuts |= {_layer(ops[i]) for i in shorter if ops[i].kind in CONVOLUTIONS}
    containers = Counter(
        type(module).__name__
        for path, module in trace.model.module.named_modules()
        if path and module._modules
    )
    return Structure(
        convolutions=len(convolutions),
        shortcut_convolutions=len(shortcuts),
        linear=len({_layer(op) for op in ops if op.kind == "linear"}),
        residual_blocks=blocks,
        containers=dict(containers.most_common()),
    )


def _layer(op: Op) -> str:
    return next((o.parameter for o in op.operands if o.role == "weight" and o.parameter), op.name)


def _branches(ops: Sequence[Op], op: Op) -> tuple[set[int], set[int]] | None:
    """The two branches that meet in an addition, back to where they part; ``None`` if they never do."""
    if len(op.inputs) != 2:
        return None
    left, right = (_ancestors(ops, i) for i in op.inputs)
    common = left & right
    return (left - common, right - common) if common else None


def _parameters(ops: Sequence[Op], branch: set[int]) -> set[str]:
    """The names of all parameters that a branch uses."""
    return {o.parameter for i in branch for o in ops[i].operands if o.parameter}


def _ancestors(ops: Sequence[Op], index: int) -> set[int]:
    found: set[int] = set()
    waiting = [index]
    while waiting:
        i = waiting.pop()
        if i not in found:
            found.add(i)
            waiting.extend(ops[i].inputs)
    return found
