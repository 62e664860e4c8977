"""Peaks of ops that read few values each: norms, functions, additions, products, copies."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from convscope.errors import ConvscopeError
from convscope.numerics import FUNCTIONS, stored_tolerance, unit_roundoff, working_roundoff
from convscope.scene.nodes import arranged
from convscope.scene.peaks import Doubles, NotCoveredError, Peaks
from convscope.scene.proof_parts import Proof
from convscope.tracing.arithmetic.moves import CASTS, PERMUTES, RESHAPES, SAME_PLACE, TRACED, moved_places
from convscope.tracing.arithmetic.reading import Reader
from convscope.tracing.arithmetic.tolerances import addition_tolerance, function_tolerance, norm_tolerance

_SPLITS = ("chunk", "split", "split_with_sizes", "tensor_split")
_LARGEST_COPY = 1 << 22


def batch_norm(peaks: Peaks, most: int, patched: bool) -> Proof:
    """With the stored mean and variance of the channel."""
    del most, patched
    mean, variance = peaks.numbers("running_mean"), peaks.numbers("running_var")
    if peaks.op.attributes.get("training", False) or mean is None or variance is None:
        raise NotCoveredError("it is normed by the batch")
    return _normed(peaks, mean, variance, 0.0, [])


def layer_norm(peaks: Peaks, most: int, patched: bool) -> Proof:
    """Over the channels of a cell, where these are the last axis."""
    del most, patched
    shape = peaks.op.attributes.get("normalized_shape")
    values = peaks.tensor(peaks.main())
    if peaks.op.spatial != (1, 2) or values.ndim != 4 or tuple(shape or ()) != (values.shape[3],):
        raise NotCoveredError("it does not norm the channels of a cell")
    lines = values[0, peaks.rows, peaks.columns].double()
    mean: Doubles = lines.mean(1).numpy()
    variance: Doubles = ((lines - lines.mean(1, keepdim=True)) ** 2).mean(1).numpy()
    eps = float(peaks.op.attributes.get("eps", 1e-5))
    spread = 1 + mean * mean / (variance + eps)
    note = f"mean and var over the {values.shape[3]} values of the last axes here"
    return _normed(peaks, mean, variance, 8.0 * spread, [note])


def _normed(
    peaks: Peaks, mean: Doubles, variance: Doubles, steps: float | Doubles, notes: list[str]
) -> Proof:
    image = peaks.main()
    x = peaks.at(image)
    weight, bias = peaks.numbers("weight"), peaks.numbers("bias")
    eps = float(peaks.op.attributes.get("eps", 1e-5))
    scale = (1 if weight is None else weight) / np.sqrt(variance + eps)
    added = np.zeros(peaks.channels) if bias is None else bias
    total = (x - mean) * scale + added
    spread = np.broadcast_to(np.asarray(steps, np.float64), total.shape)
    numbers = zip(*(part.tolist() for part in (x, mean, scale, added, spread)), strict=True)
    tolerance = np.array([norm_tolerance(peaks.dtype, *parts) for parts in numbers])
    columns = {"x": x, "mean": mean, "var": variance}
    columns |= {} if weight is None else {"weight": weight}
    columns |= {} if bias is None else {"bias": bias}
    formula = "(x − mean) / sqrt(var + eps)" + (" · weight" if weight is not None else "")
    said = {
        "formula": formula + (" + bias" if bias is not None else ""),
        "reads": "cells",
        "operands": [peaks.described(image)],
        "quantities": {"eps": eps},
        "notes": notes,
    }
    return Proof(rule="norm", total=total, tolerance=tolerance, said=said, columns=columns)


def function(peaks: Peaks, most: int, patched: bool) -> Proof:
    """One of torch's functions of one number."""
    del most, patched
    if any(o.role in {"min", "max"} for o in peaks.op.operands):
        raise NotCoveredError("its limits are tensors")
    kind, image = peaks.op.kind, peaks.main()
    found, x = FUNCTIONS[kind], peaks.at(image)
    given = {
        k: v for k, v in peaks.op.attributes.items() if isinstance(v, (int, float)) and type(v) is not bool
    }
    if peaks.op.attributes.get("approximate", "none") != "none":
        raise NotCoveredError("it is an approximation")
    # A limit of 0.3 is copied as the network's type holds it.
    kept = {k: float(torch.tensor(v, dtype=getattr(torch, peaks.dtype))) for k, v in given.items()}
    arguments = {**peaks.op.attributes, **(kept if found.exact else {})}
    total = np.array(
        [number if number != number else found.apply(number, arguments) for number in x.tolist()]
    )
    pairs = zip(x.tolist(), total.tolist(), strict=True)
    tolerance = np.array([function_tolerance(kind, peaks.dtype, a, b) for a, b in pairs])
    said = {
        "formula": found.formula,
        "reads": "cells",
        "operands": [peaks.described(image)],
        "quantities": {k: float(v) for k, v in given.items()},
    }
    return Proof(rule="function", total=total, tolerance=tolerance, said=said, columns={"x": x})


def addition(peaks: Peaks, most: int, patched: bool) -> Proof:
    """``input + alpha · other``, ``input − alpha · other`` or ``other − alpha · input``."""
    del most, patched
    kind = peaks.op.kind
    alpha = float(peaks.op.attributes.get("alpha", 1))
    left, right, operands = _sides(peaks)
    a, b = {"add": (1.0, alpha), "sub": (1.0, -alpha), "rsub": (-alpha, 1.0)}[kind]
    pairs = zip((a * left).tolist(), (b * right).tolist(), strict=True)
    tolerance = np.array([addition_tolerance(peaks.dtype, *pair) for pair in pairs])
    times = "" if alpha == 1 else f"{alpha:g} · "
    formula = f"other − {times}input" if kind == "rsub" else f"input {'+' if b > 0 else '−'} {times}other"
    said = {"formula": formula, "reads": "cells", "operands": operands, "weights": [a, b]}
    columns = {"0": left, "1": right}
    return Proof(rule="cells", total=a * left + b * right, tolerance=tolerance, said=said, columns=columns)


def product(peaks: Peaks, most: int, patched: bool) -> Proof:
    """``input · other``."""
    del most, patched
    left, right, operands = _sides(peaks)
    total = left * right
    unit = working_roundoff(peaks.dtype) if unit_roundoff(peaks.dtype) else 0.0
    stored = np.array([stored_tolerance(t, peaks.dtype) for t in total.tolist()])
    said = {"formula": "input · other", "reads": "cells", "operands": operands}
    columns = {"0": left, "1": right}
    return Proof(
        rule="cells", total=total, tolerance=2 * unit * abs(total) + stored, said=said, columns=columns
    )


def _sides(peaks: Peaks) -> tuple[Doubles, Doubles, list[dict[str, Any]]]:
    values, operands = [], []
    for role, names in (("input", ("self",)), ("other", ("1",))):
        operand = peaks.operand(role, *names)
        given = next((peaks.op.attributes.get(name) for name in (role, *names)), None)
        if operand is not None:
            values.append(peaks.at(operand))
            operands.append(peaks.described(operand))
        elif isinstance(given, (int, float)) and not unit_roundoff(peaks.dtype) > unit_roundoff("float32"):
            values.append(np.full(peaks.channels, float(given)))
            operands.append({"label": f"{float(given):g}", "node": None})
        else:
            raise NotCoveredError("an operand was not recorded")
    return values[0], values[1], operands


def copy(peaks: Peaks, most: int, patched: bool) -> Proof:
    """The same value, from another place: reshaped, turned, cut, padded."""
    del most, patched
    image = peaks.main()
    op, trace = peaks.op, peaks.trace
    if image.op is None or image.output or np.prod(op.shape) > _LARGEST_COPY:
        raise NotCoveredError("it is no copy of an op's first result")
    values = peaks.tensor(image)
    if op.kind in CASTS and str(values.dtype).removeprefix("torch.") != op.dtype:
        raise NotCoveredError("it becomes another type")
    dropped = op.kind.endswith("dropout") or op.kind.startswith("dropout")
    if dropped and op.attributes.get("training", False) and op.attributes.get("p", 0.5):
        raise NotCoveredError("values are dropped at random")
    if dropped:
        places = torch.arange(values.numel()).reshape(op.shape)
    else:
        try:
            places = moved_places(Reader(trace, op, 0, (0,) * len(op.shape)))
        except ConvscopeError as error:
            raise NotCoveredError(error.message) from error
    flat = torch.from_numpy(peaks.picked(arranged(op, places)[1]).astype(np.int64))
    if bool((flat < 0).any()):
        raise NotCoveredError("a peak is padding")
    x: Doubles = values.reshape(-1)[flat].double().numpy()
    source = trace.ops[image.op]
    where = arranged(source, torch.arange(values.numel()).reshape(values.shape))[1]
    operand = {"label": source.name, "node": None if where is None else image.op}
    drawn = torch.full((values.numel(),), -1)
    if where is not None:
        drawn[where.reshape(-1)] = torch.arange(where.numel())
    said = {
        "formula": "x (dropout does nothing outside training)" if dropped else "copied from",
        "reads": "whole",
    }
    arrays = {
        "inputs": x.astype(np.float32)[:, None],
        "places": drawn[flat].to(torch.int32).numpy()[:, None],
    }
    tolerance = np.zeros(peaks.channels)
    return Proof(
        rule="copy", total=x, tolerance=tolerance, said={**said, "operands": [operand]}, arrays=arrays
    )


def joined(peaks: Peaks, most: int, patched: bool) -> Proof:
    """``cat`` of channels: the value of one of several ops, at the same cell."""
    del most, patched
    op = peaks.op
    dim = int(op.attributes.get("dim", op.attributes.get("axis", 0))) % max(1, len(op.shape))
    parts = [o for o in op.operands if not o.role.startswith("memory.") and len(o.shape) == len(op.shape)]
    channel_axis = 1 if op.spatial in ((2, 3), None) else 3
    if dim != channel_axis or sum(o.shape[dim] for o in parts) != op.shape[dim] or op.shape[0] != 1:
        raise NotCoveredError("it does not join channels")
    operands, first, x = [], 0, np.empty(peaks.channels)
    whole = arranged(op, torch.cat([peaks.tensor(o) for o in parts], dim=dim))[1]
    x = peaks.picked(whole)
    for operand in parts:
        operands.append({**peaks.described(operand), "first": first})
        first += operand.shape[dim]
    said = {"formula": "copied from", "reads": "cells", "operands": operands}
    return Proof(rule="joined", total=x, tolerance=np.zeros(peaks.channels), said=said, columns={"x": x})


def given(peaks: Peaks, most: int, patched: bool) -> Proof:
    """An input of the model."""
    del most, patched
    said = {"formula": "given to the model", "reads": "cells", "operands": []}
    return Proof(rule="given", total=peaks.values, tolerance=np.zeros(peaks.channels), said=said)


CELLS = {
    "input": given,
    "batch_norm": batch_norm,
    "layer_norm": layer_norm,
    **dict.fromkeys(FUNCTIONS, function),
    **dict.fromkeys(("add", "sub", "rsub"), addition),
    "mul": product,
    "cat": joined,
    **dict.fromkeys((*SAME_PLACE, *RESHAPES, *PERMUTES, *TRACED, *_SPLITS), copy),
    **dict.fromkeys(("dropout", "dropout1d", "dropout2d", "feature_dropout"), copy),
}
