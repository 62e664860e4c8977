"""Normalisations: ``(x − mean) / sqrt(var + eps) · weight + bias``, every quantity named."""

from __future__ import annotations

from math import prod, sqrt
from typing import TYPE_CHECKING

from convscope.tracing.arithmetic.reading import Draft, Reader
from convscope.tracing.arithmetic.result import Term
from convscope.tracing.arithmetic.tolerances import norm_tolerance

if TYPE_CHECKING:
    from torch import Tensor

_FORMULA = "(x − mean) / sqrt(var + eps)"


def batch_norm(reader: Reader) -> Draft:
    """With the stored statistics, or with those of the batch where the model was trained."""
    values = reader.tensor(reader.main())
    channel = reader.index[1]
    training = reader.attributes.get("training", False)
    if not training and reader.operand("running_mean") is not None:
        mean, variance = reader.numbers("running_mean"), reader.numbers("running_var")
        assert mean is not None
        assert variance is not None
        return _normalised(reader, float(mean[channel]), float(variance[channel]), channel, 0.0, [])
    return _over(reader, values[:, channel], channel, "the batch")


def instance_norm(reader: Reader) -> Draft:
    """Over the map of one channel of one picture, or with stored statistics."""
    channel = reader.index[-3] if len(reader.shape) == 3 else reader.index[1]
    if not reader.attributes.get("use_input_stats", True):
        mean, variance = reader.numbers("running_mean"), reader.numbers("running_var")
        if mean is not None and variance is not None:
            return _normalised(reader, float(mean[channel]), float(variance[channel]), channel, 0.0, [])
    return _over(reader, reader.tensor(reader.main())[reader.index[:2]], channel, "the map of this channel")


def group_norm(reader: Reader) -> Draft:
    """Over all maps of the channel's group in one picture."""
    values = reader.tensor(reader.main())
    channel = reader.index[1]
    each = values.shape[1] // int(reader.attributes["num_groups"])
    first = channel // each * each
    what = f"channels {first} to {first + each - 1}"
    return _over(reader, values[reader.index[0], first : first + each], channel, what)


def layer_norm(reader: Reader) -> Draft:
    """Over the last axes, at one place of the axes before."""
    shape = reader.attributes["normalized_shape"]
    shape = shape if isinstance(shape, tuple) else (shape,)
    kept = len(reader.shape) - len(shape)
    values = reader.tensor(reader.main())[reader.index[:kept]]
    return _over(reader, values, reader.index[kept:], f"the {prod(shape)} values of the last axes here")


def rms_norm(reader: Reader) -> Draft:
    """``x / sqrt(mean of squares + eps) · weight`` over the last axes."""
    shape = reader.attributes["normalized_shape"]
    kept = len(reader.shape) - len(shape)
    values = reader.tensor(reader.main())[reader.index[:kept]].double()
    squares = float((values * values).mean())
    eps = reader.attributes.get("eps")
    if eps is None:
        import torch

        eps = torch.finfo(getattr(torch, reader.dtype)).eps
    return _normalised(
        reader,
        0.0,
        squares,
        reader.index[kept:],
        8.0,
        [],
        names=("mean of squares", "x / sqrt(mean of squares + eps)"),
        eps=eps,
    )


def _over(reader: Reader, values: Tensor, where: int | tuple[int, ...], what: str) -> Draft:
    double = values.double()
    mean = float(double.mean())
    variance = float(((double - mean) ** 2).mean())
    # Statistics computed in float32 lose digits where the mean is large beside the spread.
    eps = float(reader.attributes.get("eps", 1e-5))
    spread = 1 + mean * mean / (variance + eps) if variance + eps > 0 else 1.0
    return _normalised(reader, mean, variance, where, 8.0 * spread, [f"mean and var over {what}"])


def _normalised(
    reader: Reader,
    mean: float,
    variance: float,
    where: int | tuple[int, ...],
    statistics_steps: float,
    notes: list[str],
    *,
    names: tuple[str, str] = ("var", _FORMULA),
    eps: float | None = None,
) -> Draft:
    image = reader.main()
    x, cell = reader.at(image, reader.index)
    weights, biases = reader.numbers("weight"), reader.numbers("bias")
    weight = float(weights[where]) if weights is not None else None
    bias = float(biases[where]) if biases is not None else None
    eps = float(reader.attributes.get("eps", 1e-5)) if eps is None else float(eps)
    inverse = (
        1 / sqrt(variance + eps) if variance + eps > 0 else float("inf" if variance + eps == 0 else "nan")
    )
    scale = inverse * (1.0 if weight is None else weight)
    total = (x - mean) * scale + (bias or 0.0)
    tolerance = norm_tolerance(reader.dtype, x, mean, scale, bias or 0.0, statistics_steps)
    quantities = {"x": x, "mean": mean, names[0]: variance, "eps": eps}
    if names[0] != "var":
        del quantities["mean"]
    if weight is not None:
        quantities["weight"] = weight
    formula = names[1] + (" · weight" if weight is not None else "") + (" + bias" if bias is not None else "")
    terms = [Term("x · scale", x * scale, cell, x, scale)]
    if mean:
        terms.append(Term("−mean · scale", -mean * scale, None, -mean, scale))
    return Draft(
        total=total,
        terms=terms,
        formula=formula,
        tolerance=tolerance,
        bias=bias,
        quantities=quantities,
        notes=notes,
        more={"source": reader.name(image)},
    )
