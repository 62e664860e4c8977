"""Resizing: nearest and bilinear interpolation, and area averaging."""

from __future__ import annotations

from math import fsum

from convscope.numerics import stored_tolerance, sum_tolerance, working_roundoff
from convscope.tracing.arithmetic.moves import _copied
from convscope.tracing.arithmetic.pooling import adaptive_average_pool
from convscope.tracing.arithmetic.reading import Draft, Reader
from convscope.tracing.arithmetic.result import Term
from convscope.tracing.fields_resize import (
    align_corners,
    bilinear_rows,
    interpolation_mode,
    nearest_row,
    step,
)


def interpolate(reader: Reader) -> Draft:
    """A copy of the nearest value, or the weighted mean of the four around it."""
    image = reader.main()
    mode = interpolation_mode(reader.kind, reader.attributes)
    if mode == "area":
        return adaptive_average_pool(reader)
    if mode not in {"nearest", "nearest-exact", "bilinear"} or reader.attributes.get("antialias"):
        smooth = " with antialiasing" if reader.attributes.get("antialias") else ""
        raise reader.cannot(f"{mode} interpolation{smooth} is not covered (nearest, bilinear and area are)")
    rank = len(reader.shape) - 2
    given, out = image.shape[2:], reader.shape[2:]
    ratios = [step(reader.attributes, i, given[i], out[i]) for i in range(rank)]
    if mode != "bilinear":
        places = [nearest_row(reader.index[2 + i], mode, ratios[i], given[i], out[i]) for i in range(rank)]
        return _copied(reader, image, (*reader.index[:2], *places))
    corners = align_corners(reader.kind, reader.attributes)
    pairs = [bilinear_rows(reader.index[2 + i], corners, ratios[i], given[i], out[i]) for i in range(2)]
    terms = []
    for row, row_weight in pairs[0]:
        for column, column_weight in pairs[1]:
            weight = row_weight * column_weight
            if weight:
                value, cell = reader.at(image, (*reader.index[:2], row, column))
                terms.append(Term(f"at {row}, {column}", value * weight, cell, value, weight))
    total = fsum(t.value for t in terms)
    magnitude = fsum(abs(t.input or 0.0) for t in terms)
    # The place between rows is worked out in the network's own precision, so the weights are off
    # by as much as the row number is large.
    unit = working_roundoff(reader.dtype)
    places_off = 4 * unit * (max(given) + 2) * magnitude
    tolerance = (
        sum_tolerance(6, magnitude, total, reader.dtype) + places_off + stored_tolerance(total, reader.dtype)
    )
    return Draft(total, terms, "Σ input · weight", tolerance, more={"source": reader.name(image)})
