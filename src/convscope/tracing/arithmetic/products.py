"""Linear layers and products of matrices: one row times one column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from convscope.numerics import sum_tolerance
from convscope.tracing.arithmetic.reading import Draft, Reader
from convscope.tracing.arithmetic.terms import Terms

if TYPE_CHECKING:
    from torch import Tensor

    from convscope.tracing.graph import Operand


def linear(reader: Reader) -> Draft:
    """``Σ input · weight + bias`` over the input features."""
    image, weight = reader.main(), reader.operand("weight")
    if weight is None:
        raise reader.cannot("it has no weight")
    before, feature = reader.index[:-1], reader.index[-1]
    values = reader.tensor(image)[before]
    kernel = reader.tensor(weight)
    kernel = kernel[feature] if kernel.ndim == 2 else kernel
    bias = reader.numbers("bias")
    return _dot(
        reader,
        values,
        kernel,
        image,
        lambda i: (*before, i),
        None if bias is None else float(bias[feature] if bias.ndim else bias),
    )


def matrix(reader: Reader) -> Draft:
    """``Σ left · right`` along the inner axis; leading axes are stretched to each other."""
    operands = [o for o in reader.op.operands if not o.role.startswith("memory.")]
    bias = None
    scale = 1.0
    if reader.kind in {"addmm", "baddbmm", "addmv"}:
        extra, *operands = operands
        scale = float(reader.attributes.get("alpha", 1))
        bias = float(reader.attributes.get("beta", 1)) * reader.at(extra, reader.broadcast(extra))[0]
    if len(operands) != 2:
        raise reader.cannot("it is not a product of two tensors")
    left, right = operands[::-1] if reader.kind == "rmatmul" else operands
    index = list(reader.index)
    column = index.pop() if len(right.shape) > 1 else None
    row = index.pop() if len(left.shape) > 1 else None
    ahead = _ahead(left, 2 if row is not None else 1, index)
    behind = _ahead(right, 2 if column is not None else 1, index)
    row_index = (*ahead, row) if row is not None else ahead
    values = reader.tensor(left)[row_index]
    kernel = reader.tensor(right)[behind]
    if column is not None:
        kernel = kernel[:, column]
    return _dot(reader, values, kernel, left, lambda i: (*row_index, i), bias, scale)


def _ahead(operand: Operand, inner: int, index: list[int]) -> tuple[int, ...]:
    """Index along the leading axes, size 1 standing for all."""
    sizes = operand.shape[: len(operand.shape) - inner]
    wanted = index[len(index) - len(sizes) :] if sizes else []
    return tuple(0 if n == 1 else i for n, i in zip(sizes, wanted, strict=True))


def _dot(
    reader: Reader,
    values: Tensor,
    kernel: Tensor,
    source: Operand,
    where: Callable[[Any], Sequence[Any]],
    bias: float | None,
    scale: float = 1.0,
) -> Draft:
    import numpy as np

    inputs = values.detach().double().cpu().numpy()
    weights = kernel.detach().double().cpu().numpy() * scale
    with np.errstate(all="ignore"):
        products = inputs * weights
        total = float(products.sum()) + (bias or 0.0)
    magnitude = float(np.abs(products).sum()) + abs(bias or 0.0)
    places = np.arange(len(products))
    known = np.ones(len(products), dtype=bool)
    terms = Terms("input", places, products, inputs, weights, reader.cells(source, where(places), known))
    return Draft(
        total=total,
        terms=terms,
        formula="Σ input · weight" + (" + bias" if bias is not None else ""),
        tolerance=sum_tolerance(
            len(products) + (bias is not None) + (scale != 1), magnitude, total, reader.dtype
        ),
        bias=bias,
        more={"inputs": inputs, "weights": weights, "products": products, "source": reader.name(source)},
    )
