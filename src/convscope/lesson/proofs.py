"""A step of a convolution in the form in which the values of real networks are proved."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convscope.lesson.convolution import Convolution, Step
    from convscope.tracing.arithmetic import Arithmetic


def arithmetic_of(convolution: Convolution, step: Step) -> Arithmetic:
    """The terms of one cell, one an input channel, largest first."""
    import numpy as np

    from convscope.tracing.arithmetic import Arithmetic, Cell, Term

    has_bias = bool(np.any(convolution.bias))
    terms = []
    for place, value in enumerate(step.sums.tolist()):
        row, column = np.unravel_index(np.abs(step.products[place]).argmax(), step.products[place].shape)
        single = step.products[place].size == 1
        terms.append(
            Term(
                f"channel {step.first_channel + place}",
                value,
                Cell("image", step.first_channel + place, (step.rows[int(row)], step.columns[int(column)])),
                float(step.values[place].flat[0]) if single else None,
                float(step.kernel[place].flat[0]) if single else None,
            )
        )
    return Arithmetic(
        cell=Cell("result", step.channel, step.cell),
        kind="conv_transpose2d" if convolution.transposed else "conv2d",
        dtype=str(convolution.maps.dtype),
        value=step.output,
        total=step.sum + step.bias,
        terms=tuple(sorted(terms, key=lambda term: -abs(term.value))),
        formula="Σ input · weight" + (" + bias" if has_bias else ""),
        tolerance=step.tolerance,
        bias=step.bias if has_bias else None,
        inputs=step.values,
        weights=step.kernel,
        products=step.products,
        places=(step.rows, step.columns),
        first_channel=step.first_channel,
        source="image",
    )
