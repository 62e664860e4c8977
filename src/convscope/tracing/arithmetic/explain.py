"""The way in: one value of a trace, explained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isnan
from typing import TYPE_CHECKING, Any

from convscope.errors import NotKeptError, TraceError
from convscope.numerics import FUNCTIONS, rounded_to_infinity
from convscope.tracing.arithmetic import cellwise, convolutions, moves, norms, pooling, products, resize
from convscope.tracing.arithmetic.locate import cell_of, index_of, layout
from convscope.tracing.arithmetic.reading import Draft, Reader
from convscope.tracing.arithmetic.result import Arithmetic, Term
from convscope.tracing.arithmetic.terms import Terms
from convscope.tracing.changes import changed_parameters
from convscope.tracing.fields import spatial_axes
from convscope.tracing.graph import ModuleCall, Op

if TYPE_CHECKING:
    from convscope.tracing.trace import Trace

_ranks = ("1d", "2d", "3d")

EXPLAINERS: dict[str, Callable[[Reader], Draft]] = {
    **{f"conv{r}": convolutions.convolution for r in _ranks},
    **{f"conv_transpose{r}": convolutions.convolution for r in _ranks},
    "convolution": convolutions.convolution,
    "linear": products.linear,
    **dict.fromkeys(("matmul", "mm", "bmm", "rmatmul", "mv", "addmm", "baddbmm", "addmv"), products.matrix),
    "batch_norm": norms.batch_norm,
    "instance_norm": norms.instance_norm,
    "group_norm": norms.group_norm,
    "layer_norm": norms.layer_norm,
    "rms_norm": norms.rms_norm,
    **dict.fromkeys(FUNCTIONS, cellwise.function),
    "prelu": cellwise.prelu,
    **dict.fromkeys(("add", "sub", "rsub"), cellwise.add),
    **dict.fromkeys(("mul", "div", "rdiv", "pow", "rpow"), cellwise.multiply),
    **dict.fromkeys(("maximum", "minimum", "where", "masked_fill"), cellwise.choose),
    **dict.fromkeys(
        ("dropout", "dropout1d", "dropout2d", "dropout3d", "feature_dropout"),
        cellwise.dropout,
    ),
    "glu": cellwise.glu,
    **dict.fromkeys(("softmax", "log_softmax"), cellwise.softmax),
    "local_response_norm": cellwise.local_response_norm,
    **{f"max_pool{r}": pooling.max_pool for r in _ranks},
    **{f"avg_pool{r}": pooling.average_pool for r in _ranks},
    **{f"lp_pool{r}": pooling.lp_pool for r in _ranks},
    **{f"adaptive_avg_pool{r}": pooling.adaptive_average_pool for r in _ranks},
    **{f"adaptive_max_pool{r}": pooling.adaptive_max_pool for r in _ranks},
    **dict.fromkeys(("mean", "sum", "amax", "amin", "max", "min"), pooling.reduce),
    **dict.fromkeys(moves.SAME_PLACE, moves.same_place),
    **dict.fromkeys(moves.RESHAPES, moves.reshaped),
    **dict.fromkeys(moves.PERMUTES, moves.permuted),
    **dict.fromkeys(moves.CUTS, moves.cut),
    **dict.fromkeys(moves.TRACED, moves.traced),
    "cat": moves.joined,
    "stack": moves.stacked,
    "setitem": moves.written,
    **dict.fromkeys(("interpolate", "upsample", "upsample_nearest", "upsample_bilinear"), resize.interpolate),
}


def explain_value(
    trace: Trace,
    name: str | int,
    channel: int = 0,
    at: tuple[int, ...] | None = None,
    *,
    batch: int = 0,
    output: int | None = None,
) -> Arithmetic:
    """How one value of one op was computed, term by term, checked against the recorded value.

    Parameters
    ----------
    trace
        A trace that kept the value and the values it was computed from.
    name
        Name (or index) of an op or module call: ``layer1.0.conv1``.
    channel
        Channel of a map, or entry of a vector, from 0.
    at
        ``(row, column)`` of a map, from 0; ``None`` for a vector or a map of one cell. Tensors
        that are neither take one number for each axis after the channels.
    batch
        Which picture of the batch.
    output
        Which output of an op that has several (``chunk``); the first if not given.

    Returns
    -------
    An :class:`Arithmetic`. Its ``agrees`` is a check, not a hope: the total is computed anew in
    float64 from the recorded inputs and compared within the rounding of the network's own type.

    Raises
    ------
    UnknownLayerError
        If there is nothing of that name.
    UsageError
        If channel, place, batch entry or output do not exist.
    NotKeptError
        If the value, or one it is computed from, was not kept.
    TraceError
        If ops of this kind are not covered, or parameters were changed after the trace.

    Examples
    --------
    >>> import torch, convscope
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 2, bias=False))
    >>> _ = torch.nn.init.ones_(net[0].weight)
    >>> trace = convscope.trace(net, torch.arange(9.0).reshape(1, 1, 3, 3))
    >>> found = explain_value(trace, "0", channel=0, at=(1, 1))
    >>> found.value, found.inputs.tolist(), found.agrees
    (24.0, [[[4.0, 5.0], [7.0, 8.0]]], True)
    """
    op, output = _op(trace, name, output)
    where = layout(op.shapes[output], spatial_axes(trace.ops, op.index, output))
    index = index_of(where, op.name, batch, channel, tuple(at) if at is not None else None)
    value = op.values[output] if output < len(op.values) else None
    if value is None:
        raise NotKeptError(
            f"the value of `{op.name}` was not kept in this trace",
            hint=f"Trace again with keep=[..., {op.name!r}], or without `keep` to keep everything.",
        )
    _check_parameters(trace, op)
    recorded = float(value[index])
    cell = cell_of(where, op.name, index, output)
    if op.kind == "input":
        return Arithmetic(cell, op.kind, op.dtype, recorded, recorded, (), "given to the model", 0.0)
    explainer = EXPLAINERS.get(op.kind)
    if explainer is None:
        raise TraceError(
            f"the arithmetic of `{op.name}` cannot be shown: ops of kind `{op.kind}` are not covered",
            hint="Convolutions, linear layers, norms, activations, poolings, sums, products and moves are.",
        )
    reader = Reader(trace, op, output, index)
    views = sum(o.role.startswith("memory.") for o in op.operands)
    if output and output >= len(op.shapes) - views:
        raise reader.cannot("it is memory that was written through another view of it")
    draft = explainer(reader)
    return Arithmetic(
        cell=cell,
        kind=op.kind,
        dtype=reader.dtype,
        value=recorded,
        total=rounded_to_infinity(draft.total, reader.dtype),
        terms=_sorted(draft),
        formula=draft.formula,
        tolerance=0.0 if isnan(draft.tolerance) else draft.tolerance,
        bias=draft.bias,
        quantities=draft.quantities,
        notes=tuple(draft.notes),
        **draft.more,
    )


def _op(trace: Trace, name: str | int, output: int | None) -> tuple[Op, int]:
    from convscope.errors import UsageError

    found: Any = trace[name]
    if isinstance(found, ModuleCall):
        if not found.outputs:
            raise TraceError(f"`{found.name}` gave no tensor in this pass")
        number = output or 0
        if not 0 <= number < len(found.outputs):
            raise UsageError(f"`{found.name}` has outputs 0 to {len(found.outputs) - 1}; got {number}")
        index, output = found.outputs[number]
        return trace.ops[index], output
    op: Op = found
    number = output or 0
    if not op.shapes:
        raise TraceError(f"`{op.name}` gave no tensor in this pass")
    if not 0 <= number < len(op.shapes):
        raise UsageError(f"`{op.name}` has outputs 0 to {len(op.shapes) - 1}; got {number}")
    return op, number


def _sorted(draft: Draft) -> Sequence[Term]:
    if isinstance(draft.terms, Terms):
        return draft.terms.ordered()
    if draft.formula.startswith(("the largest", "the smallest", "the larger", "the smaller")):
        return tuple(draft.terms)
    return tuple(sorted(draft.terms, key=lambda t: -abs(t.value) if not isnan(t.value) else float("-inf")))


def _check_parameters(trace: Trace, op: Op) -> None:
    """Weights are read from the model, so they must still be what they were."""
    marks = getattr(trace, "parameter_marks", None)
    used = [o.parameter for o in op.operands if o.parameter is not None]
    if not marks or not used:
        return
    changed = changed_parameters(trace.model.module, marks, used)
    if changed:
        names = ", ".join(f"`{n}`" for n in changed)
        raise TraceError(
            f"{names} changed after this trace was made, so `{op.name}` cannot be computed again",
            hint="Trace the model again.",
        )
