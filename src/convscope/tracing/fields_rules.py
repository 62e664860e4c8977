"""What each kind of op does to receptive fields: one small rule per kind.

A rule says where (rows, columns) are in the output, and for each operand which of its rows and
columns one cell looks at. Channels are never told apart: a cell is one (row, column) of all
channels together. An op without a rule is taken to look at everything, which is never too little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from convscope.tracing.fields_call import ALL, Axes, Call, Reach, Rule, elementwise, only, unknown
from convscope.tracing.fields_resize import resized
from convscope.tracing.fields_shapes import SHAPE_RULES
from convscope.tracing.fields_windows import EVERYTHING, SAME, Along, Table, Window, row_set
from convscope.tracing.graph import Operand

# -- windows ---------------------------------------------------------------------------------


def _map_axes(call: Call) -> tuple[Axes | None, int | None, bool]:
    """Axes of the output (its last two), the main operand, and whether that is a map along the same two."""
    rank = len(call.shape)
    main = call.main()
    if rank not in {3, 4} or main is None:
        return None, main, False
    axes = (rank - 2, rank - 1)
    return axes, main, call.axes[main] == axes


def windows(call: Call) -> Reach:
    """Convolution and pooling: a window of ``kernel_size`` cells, ``dilation`` apart, every ``stride``."""
    axes, _, follows = _map_axes(call)
    if not follows:
        return only(call, axes, ALL)
    size, stride, padding, dilation = (
        call.attributes[n] for n in ("kernel_size", "stride", "padding", "dilation")
    )
    along = [Window(size[i], stride[i], -padding[i], dilation[i]) for i in (0, 1)]
    return only(call, axes, (along[0], along[1]))


def transposed(call: Call) -> Reach:
    """Transposed convolution: ``o`` looks at each ``i`` with ``o = stride * i - padding + dilation * j``."""
    axes, main, follows = _map_axes(call)
    if not follows or axes is None or main is None:
        return only(call, axes, ALL)
    size, stride, padding, dilation = (
        call.attributes[n] for n in ("kernel_size", "stride", "padding", "dilation")
    )
    along: list[Along] = []
    for i in (0, 1):
        if stride[i] == 1:
            along.append(Window(size[i], 1, padding[i] - (size[i] - 1) * dilation[i], dilation[i]))
            continue
        given = call.operands[main].shape[axes[i]]
        rows = []
        for cell in range(call.shape[axes[i]]):
            places = [cell + padding[i] - dilation[i] * j for j in range(size[i])]
            rows.append(
                row_set(p // stride[i] for p in places if p % stride[i] == 0 and p // stride[i] < given)
            )
        along.append(Table(tuple(rows)))
    return only(call, axes, (along[0], along[1]))


def adaptive(call: Call) -> Reach:
    """Adaptive pooling: ``i`` of ``out`` looks from ``floor(i in / out)`` to ``ceil((i + 1) in / out)``."""
    axes, main, follows = _map_axes(call)
    if not follows or axes is None or main is None:
        return only(call, axes, ALL)
    pair = [even_windows(call.operands[main].shape[a], call.shape[a]) for a in axes]
    return only(call, axes, (pair[0], pair[1]))


def even_windows(given: int, out: int) -> Along:
    """The windows of adaptive pooling along one axis of ``given`` cells.

    Examples
    --------
    >>> even_windows(6, 3)
    Window(size=2, stride=2, start=0, dilation=1)
    """
    if out == 1 and given > 1:
        return EVERYTHING
    if out and given % out == 0:
        return Window(given // out, given // out, 0)
    return Table(tuple(row_set(range(i * given // out, -(-(i + 1) * given // out))) for i in range(out)))


def interpolate(call: Call) -> Reach:
    """Resizing: nearest and bilinear cell by cell, area as adaptive pooling, others as everything."""
    axes, main, follows = _map_axes(call)
    if not follows or axes is None or main is None:
        return only(call, axes, ALL)
    given = call.operands[main].shape
    pair = []
    for place, axis in enumerate(axes):
        if call.attributes.get("mode") == "area":
            pair.append(even_windows(given[axis], call.shape[axis]))
        else:
            pair.append(resized(call.kind, call.attributes, place, given[axis], call.shape[axis]))
    return only(call, axes, (pair[0], pair[1]))


def shuffle(call: Call) -> Reach:
    """``pixel_shuffle`` spreads channels over a block of cells, ``pixel_unshuffle`` gathers them."""
    axes, main, follows = _map_axes(call)
    factor = next(iter(call.values()), 0)
    if not follows or axes is None or main is None or factor < 1:
        return only(call, axes, ALL)
    if call.kind == "pixel_unshuffle":
        return only(call, axes, (Window(factor, factor, 0), Window(factor, factor, 0)))
    pair = [
        Table(tuple(1 << (i // factor) for i in range(call.shape[a])), 0 if factor == 1 else None)
        for a in axes
    ]
    return only(call, axes, (pair[0], pair[1]))


def pad(call: Call) -> Reach:
    """Padding at each end, the last axis first; negative padding cuts."""
    main = call.main()
    axes = call.axes[main] if main is not None else None
    amounts = call.attributes.get("pad", call.attributes.get("padding"))
    if axes is None or main is None or not isinstance(amounts, tuple):
        return only(call, axes, ALL)
    mode = call.attributes.get("mode", "constant")
    given = call.operands[main].shape
    pair = []
    for axis in axes:
        place = 2 * (len(given) - 1 - axis)
        before = int(amounts[place]) if place < len(amounts) else 0
        pair.append(_padded(mode, before, given[axis], call.shape[axis]))
    return only(call, axes, (pair[0], pair[1]))


def _padded(mode: str, before: int, given: int, out: int) -> Along:
    if mode == "constant" or (before == 0 and out == given):
        return Window(start=-before)
    rows = []
    for cell in range(out):
        row = cell - before
        if mode == "circular":
            row %= given
        elif mode == "replicate":
            row = min(max(row, 0), given - 1)
        elif mode == "reflect":
            row = abs(row)
            row = row if row < given else 2 * (given - 1) - row
        else:
            return EVERYTHING
        rows.append(1 << row)
    return Table(tuple(rows), None if mode == "circular" else -before)


# -- cell by cell ----------------------------------------------------------------------------


def batch_norm(call: Call) -> Reach:
    """Cell by cell with stored statistics; over the whole map where they are taken from it."""
    uses_map = call.attributes.get(
        "use_input_stats", call.attributes.get("training", call.kind == "instance_norm")
    )
    main = call.main()
    axes = call.axes[main] if main is not None else None
    if axes is None and len(call.shape) == 4:
        # Channels come second by definition, so what a reshape gave it is a map again.
        return only(call, (2, 3), ALL)
    return only(call, axes, ALL if uses_map or axes is None else (SAME, SAME))


def over_whole_map(call: Call) -> Reach:
    """Group norm: the statistics of every group are taken over the whole map."""
    main = call.main()
    return only(call, call.axes[main] if main is not None else None, ALL)


def layer_norm(call: Call) -> Reach:
    """Over the last axes: cell by cell where (rows, columns) are not among them."""
    shape = call.attributes.get("normalized_shape", ())
    count = len(shape) if isinstance(shape, tuple) else 1
    return _along(call, {len(call.shape) - 1 - i for i in range(count)})


def linear(call: Call) -> Reach:
    """Mixes the last axis: a map stays a map only if that is neither rows nor columns."""
    main = call.main()
    axes = call.axes[main] if main is not None else None
    if axes is None or len(call.shape) - 1 in axes:
        return only(call, None, ALL)
    return only(call, axes, (SAME, SAME))


def along_dim(default: int | None) -> Rule:
    """Softmax and its like: everything along ``dim``, cell by cell along the other axes."""

    def rule(call: Call) -> Reach:
        dim = call.attributes.get("dim", default)
        if not isinstance(dim, int):
            return unknown(call)
        return _along(call, {dim % max(len(call.shape), 1)})

    return rule


def _along(call: Call, mixed: set[int]) -> Reach:
    main = call.main()
    axes = call.axes[main] if main is not None else None
    if axes is None or main is None:
        return unknown(call)
    pair: list[Along] = [EVERYTHING if a in mixed else SAME for a in axes]
    return only(call, axes, (pair[0], pair[1]))


def nothing(call: Call) -> Reach:
    """Only the shape of the operands counts (``zeros_like``, ``new_full``)."""
    return Reach(None, tuple(None for _ in call.operands))


ELEMENTWISE = frozenset(
    """abs absolute acos add addcdiv addcmul alias alpha_dropout asin atan atan2 bfloat16 bitwise_and
    bitwise_not bitwise_or bool byte ceil celu clamp clamp_max clamp_min clone contiguous copy cos
    cosh cpu cuda data dequantize detach digamma div double dropout dropout1d dropout2d dropout3d
    elu eq erf erfc erfinv exp expm1 feature_alpha_dropout feature_dropout float floor floor_divide
    fmax fmin fmod frac ge gelu greater gt half hardshrink hardsigmoid hardswish hardtanh heaviside
    hypot identity int isfinite isinf isnan le leaky_relu lerp less lgamma lift_fresh
    local_response_norm log log10 log1p log2 logical_and logical_not logical_or logical_xor logit
    logsigmoid long lt masked_fill maximum minimum mish mul nan_to_num ne neg negative positive pow
    prelu quantize rdiv real reciprocal relu relu6 remainder replace round rrelu rsqrt rsub selu sgn
    short sigmoid sign silu sin sinc sinh softplus softshrink softsign sqrt square sub tan tanh
    tanhshrink threshold to trunc type type_as where xlogy
    """.split()
)

SHAPE_ONLY = frozenset(
    """zeros_like ones_like full_like empty_like rand_like randn_like new_zeros new_ones new_full new_empty
    new_tensor""".split()
)

RULES: dict[str, Rule] = {
    **dict.fromkeys(("conv2d", "convolution", "max_pool2d", "avg_pool2d", "lp_pool2d"), windows),
    "conv_transpose2d": transposed,
    **dict.fromkeys(("adaptive_avg_pool2d", "adaptive_max_pool2d"), adaptive),
    **dict.fromkeys(
        (
            "interpolate",
            "upsample",
            "upsample_nearest",
            "upsample_bilinear",
            "upsample_nearest2d",
            "upsample_bilinear2d",
        ),
        interpolate,
    ),
    **dict.fromkeys(("pixel_shuffle", "pixel_unshuffle"), shuffle),
    "pad": pad,
    **dict.fromkeys(("batch_norm", "instance_norm"), batch_norm),
    "group_norm": over_whole_map,
    **dict.fromkeys(("layer_norm", "rms_norm"), layer_norm),
    "linear": linear,
    **dict.fromkeys(
        ("softmax", "log_softmax", "softmin", "gumbel_softmax", "cumsum", "cumprod"), along_dim(None)
    ),
    "normalize": along_dim(1),
    **SHAPE_RULES,
    **dict.fromkeys(SHAPE_ONLY, nothing),
}


def reach(
    kind: str,
    operands: Sequence[Operand],
    attributes: Mapping[str, Any],
    shapes: Sequence[tuple[int, ...]],
    output: int,
    axes: Sequence[Axes | None],
) -> Reach:
    """What output number ``output`` of an op looks at; see :class:`Reach`."""
    if output >= len(shapes):
        return Reach(None, tuple(ALL for _ in operands))
    memory = [i for i, o in enumerate(operands) if o.role.startswith("memory.")]
    own = len(shapes) - len(memory)
    if memory and output >= own:
        # Another view of memory the op wrote into: what was there before, and anything written.
        before = memory[output - own]
        looks = [None if i in memory else ALL for i in range(len(operands))]
        looks[before] = (SAME, SAME)
        return Reach(axes[before], tuple(looks))
    call = Call(kind, operands, attributes, shapes, output, axes)
    rule = RULES.get(kind)
    if rule is None:
        rule = elementwise if kind in ELEMENTWISE else unknown
    found = rule(call)
    return Reach(found.axes, tuple(None if i in memory else look for i, look in enumerate(found.looks)))
