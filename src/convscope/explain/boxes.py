"""A box on the photo: which channels of the whole network look there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from convscope.errors import TraceError, UsageError
from convscope.explain.grids import Grids, edges, shares
from convscope.explain.running import EditedTrace
from convscope.tracing import Op, Trace

# The box is compared with itself at this many places along each side of the picture.
PLACES = 8
# Shares closer than this are not told apart: what is left is rounding.
_FLOOR = 1e-4

_ACTIVATIONS = frozenset(
    ["relu", "relu6", "hardtanh", "leaky_relu", "prelu", "rrelu", "elu", "selu", "celu", "gelu", "silu",
     "mish", "hardswish", "hardsigmoid", "sigmoid", "tanh", "softplus", "softsign", "threshold", "clamp",
     "clamp_min", "clamp_max", "glu", "logsigmoid", "hardshrink", "softshrink", "tanhshrink"]
)  # fmt: skip
_NEVER_NEGATIVE = frozenset(["relu", "relu6", "sigmoid", "hardsigmoid", "softplus"])
_NORMS = frozenset(
    ["batch_norm", "layer_norm", "group_norm", "instance_norm", "local_response_norm", "rms_norm"]
)
_MAKERS = frozenset(
    ["conv2d", "conv_transpose2d", "convolution", "linear", "mul", "sub", "add", "lerp", "maximum", "addcmul"]
)
_MERGES = frozenset(["add", "sub"])
_PASSING = frozenset(["dropout", "dropout2d", "contiguous", "clone", "detach", "identity"])


@dataclass(frozen=True)
class BoxHit:
    """One channel that looks at the box.

    ``share`` (0 to 1) of its activation lies inside the box, where ``chance`` (0 to 1) of the map
    does; ``score`` says how far out of the ordinary that is (see :func:`box`).
    """

    node: int
    name: str
    channel: int
    share: float
    chance: float
    score: float


def channels_in_box(
    trace: Trace, top: float, left: float, bottom: float, right: float, count: int = 50
) -> list[BoxHit]:
    """The channels of the whole network whose activation gathers most in a box of the input.

    Each map is laid over the picture as tiles, one a cell, around the middles of the cells'
    receptive fields; a tile that the box cuts counts by the part of its area inside. With
    activation meant as absolute value, ``share`` is the activation inside over all of it, and
    ``chance`` the cells inside over all cells: what a channel that is the same everywhere has.

    Ranked by ``score``: ``share - chance`` over the root mean square of the same difference for
    the box at 8 × 8 places of the picture, itself the first, wrapped around the borders (the
    toroidal shift test of Lotwick and Silverman, 1982). A ratio ``share / chance`` would put tiny
    maps and single cells first, and a test that takes cells for independent would put large maps
    first, since neighbouring cells are alike. Moving the box keeps each map as smooth as it is,
    so fine and coarse maps are judged by one measure: 0 is chance, 8 the most there can be,
    where all that a channel has lies in a box of which nothing is found elsewhere.

    One op a stage is ranked: what activations and additions give, and what convolutions and
    normalisations give where neither follows; a batch norm before a ReLU would only show the
    same channel twice. Pooling, concatenation and other copies are left out too, and so are
    maps of fewer than four cells, channels that are silent (zero everywhere), and those
    with no more inside than chance.

    Parameters
    ----------
    top, left, bottom, right
        In pixels of the model's input, from the top left corner, ends exclusive; what lies outside
        the picture is cut off. Fractions are allowed.
    count
        How many to return at most.

    Returns
    -------
    The best first; of the first picture of a batch.

    Raises
    ------
    UsageError
        If the box has no area inside the picture, or ``count`` is less than 1.
    TraceError
        If the model was given no picture.

    Examples
    --------
    >>> import torch, convscope
    >>> picture = torch.zeros(1, 2, 8, 8)
    >>> picture[0, 1, 2:4, 4:6] = 1
    >>> trace = convscope.trace(torch.nn.ReLU(), picture)
    >>> channels_in_box(trace, 2, 4, 4, 6)
    [BoxHit(node=1, name='relu', channel=1, share=1.0, chance=0.0625, score=5.30...)]
    """
    if count < 1:
        raise UsageError(f"`count` must be at least 1; got {count}")
    plan = _plan(trace)
    if plan.size is None:
        raise TraceError("the model was given no picture, so a box on it means nothing")
    rows, columns = plan.size
    top, left, bottom, right = max(top, 0), max(left, 0), min(bottom, rows), min(right, columns)
    if not (top < bottom and left < right):
        raise UsageError(
            f"the box must have an area inside the input of {rows} rows and {columns} columns of pixels"
        )
    sums: dict[tuple[bytes, bytes], list[Tensor]] = {}
    owners: dict[tuple[bytes, bytes], list[int]] = {}
    kept: dict[tuple[bytes, bytes], tuple[Tensor, Tensor]] = {}
    with torch.inference_mode(False), torch.no_grad():
        for index, row_edges, column_edges in plan.maps:
            key = (row_edges.tobytes(), column_edges.tobytes())
            if key not in kept:
                kept[key] = _weights(row_edges, column_edges, (top, left, bottom, right))
            op = trace.ops[index]
            if not op.stored or op.stored[0] is None:
                continue
            value = _map_of(op).flatten(1)
            size = value if op.kind in _NEVER_NEGATIVE else value.abs()
            sums.setdefault(key, []).append(size @ kept[key][0])
            owners.setdefault(key, []).append(index)
        found = [_measure(torch.cat(sums[key]), kept[key][1]) for key in sums]
    nodes = [index for key in sums for index in owners[key]]
    sizes = [len(part) for key in sums for part in sums[key]]
    chances = [float(kept[key][1][0]) for key in sums for _ in sums[key]]
    return _ranked(trace, found, nodes, sizes, chances, count)


def _ranked(
    trace: Trace,
    found: list[tuple[Tensor, Tensor]],
    nodes: list[int],
    sizes: list[int],
    chances: list[float],
    count: int,
) -> list[BoxHit]:
    if not found:
        return []
    share, score = (torch.cat(parts).double().numpy() for parts in zip(*found, strict=True))
    which = np.repeat(np.arange(len(nodes)), sizes)
    channel = np.arange(len(which)) - np.repeat(np.cumsum([0, *sizes[:-1]]), sizes)
    looking = np.flatnonzero(score > 0)
    order = looking[np.lexsort((-share[looking], -score[looking]))][:count]
    return [
        BoxHit(
            nodes[which[place]],
            trace.ops[nodes[which[place]]].name,
            int(channel[place]),
            float(share[place]),
            chances[which[place]],
            float(score[place]),
        )
        for place in order
    ]


# -- one map -----------------------------------------------------------------------------------


def _map_of(op: Op) -> Tensor:
    """The op's map of the first picture, ``[channels, rows, columns]``."""
    value = op.value.detach()
    assert op.spatial is not None
    rows, columns = op.spatial
    if value.ndim == 4:
        value = value.permute(0, 6 - rows - columns, rows, columns)[0]
    else:
        value = value.permute(3 - rows - columns, rows, columns)
    return value if value.dtype == torch.float32 else value.float()


def _weights(
    row_edges: Any, column_edges: Any, place: tuple[float, float, float, float]
) -> tuple[Tensor, Tensor]:
    """The part of each cell inside the box at each place, ``[cells, places² + 1]``, the last all ones.

    And the share by chance at each place, ``[places²]``; the box itself is the first.
    """
    top, left, bottom, right = place
    rows, columns = _moved(row_edges, top, bottom), _moved(column_edges, left, right)
    parts = np.einsum("pr,qc->rcpq", rows, columns).reshape(rows.shape[1] * columns.shape[1], -1)
    weights = np.concatenate([parts, np.ones((len(parts), 1))], 1)
    return torch.from_numpy(weights.astype(np.float32)), torch.from_numpy(parts.mean(0).astype(np.float32))


def _moved(borders: Any, low: float, high: float) -> Any:
    """Part of each tile inside, for the stretch moved along in even steps and wrapped around."""
    size = float(borders[-1])
    moved = []
    for number in range(PLACES):
        start = (low + number * size / PLACES) % size
        stop = start + high - low
        moved.append(shares(borders, start, stop) + shares(borders, start - size, stop - size))
    return np.stack(moved)


def _measure(sums: Tensor, chance: Tensor) -> tuple[Tensor, Tensor]:
    """Share inside the box and score of each channel, ``[channels]`` both; 0 for silent ones.

    ``sums`` is the activation inside at each place and over all, ``[channels, places² + 1]``.
    """
    total = sums[:, -1:]
    inside = sums[:, :-1] / total
    over = inside - chance
    score = over[:, 0] / (over.square().mean(1) + _FLOOR**2).sqrt()
    usable = torch.isfinite(score) & (total[:, 0] > 0)
    nothing = torch.zeros(())
    return torch.where(usable, inside[:, 0], nothing), torch.where(usable, score, nothing)


# -- which maps --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Plan:
    """Maps worth ranking, by op index, with the borders of their tiles."""

    size: tuple[int, int] | None
    maps: tuple[tuple[int, Any, Any], ...]


_plans: WeakKeyDictionary[Trace, _Plan] = WeakKeyDictionary()


def _plan(trace: Trace) -> _Plan:
    if isinstance(trace, EditedTrace) and not trace.whole_pass:
        trace = trace.base
    plan = _plans.get(trace)
    if plan is None:
        grids = Grids(trace.ops)
        maps = []
        for op in stages(trace.ops):
            centers = grids.centers(op.index)
            if centers is not None and grids.size is not None:
                borders = [edges(c, n) for c, n in zip(centers, grids.size, strict=True)]
                maps.append((op.index, borders[0], borders[1]))
        plan = _plans[trace] = _Plan(grids.size, tuple(maps))
    return plan


def stages(ops: Sequence[Op]) -> list[Op]:
    """The maps that a box is held against, one a stage of the network, as :func:`box` says."""
    users: dict[int, list[Op]] = {}
    for op in ops:
        for source in op.inputs:
            users.setdefault(source, []).append(op)
    chosen = []
    for op in ops:
        if op.spatial is None or len(op.shape) not in {3, 4} or not op.shape[0]:
            continue
        if op.shape[op.spatial[0]] * op.shape[op.spatial[1]] < 4 or not op.dtype.startswith(
            ("float", "bfloat")
        ):
            continue
        if _is_stage(op, ops) and not _is_followed(op, users):
            chosen.append(op)
    return chosen


def _is_stage(op: Op, ops: Sequence[Op]) -> bool:
    if (
        op.kind in _ACTIVATIONS
        or op.kind in _NORMS
        or op.kind in {"conv2d", "conv_transpose2d", "convolution"}
    ):
        return True
    maps = [o for o in op.operands if o.op is not None and o.shape == op.shape]
    # A map times one number a channel, or a fixed scale, is the same map again.
    return op.kind in _MAKERS and (op.kind == "linear" or len(maps) > 1)


def _is_followed(op: Op, users: dict[int, list[Op]]) -> bool:
    """Whether a stage further on shows the same channels: all users normalise, activate or add."""
    waiting = list(users.get(op.index, ()))
    if not waiting or op.kind in _ACTIVATIONS:
        return False
    while waiting:
        user = waiting.pop()
        if user.kind in _PASSING and user.shape == op.shape and users.get(user.index):
            waiting.extend(users[user.index])
        elif user.shape != op.shape or not (user.kind in _ACTIVATIONS | _NORMS or user.kind in _MERGES):
            return False
    return True
