"""How far rounding may take a value that comes from few numbers: a function, a sum of two, a norm.

Long sums have their own rule, :func:`convscope.numerics.sum_tolerance`.
"""

from __future__ import annotations

from convscope.numerics import FUNCTIONS, stored_tolerance, unit_roundoff, working_roundoff

# Vectorised exp, tanh and erf are off by up to a few units in the last place.
FUNCTION_STEPS = 8
# Roundings between the inputs and the result of a norm, in the ways torch's kernels do it, with some room.
_NORM_STEPS = 12
# Computed by torch as several ops, each of which rounds to the narrow type.
_IN_STEPS = frozenset(["softsign", "tanhshrink"])
_RELATIVE = frozenset(["exp", "sqrt", "rsqrt", "reciprocal", "square"])


def narrow_roundoff(dtype: str) -> float:
    """Unit roundoff of types that are stored narrower than they are computed, else 0."""
    return unit_roundoff(dtype) if dtype in {"bfloat16", "float16"} else 0.0


def function_tolerance(kind: str, dtype: str, x: float, total: float) -> float:
    """Of one of torch's functions of one number; 0 where it only picks or cuts.

    Examples
    --------
    >>> function_tolerance("relu", "float32", 2.0, 2.0), function_tolerance("tanh", "float32", 2.0, 0.964) > 0
    (0.0, True)
    """
    # Gates multiply x by something rounded near 0 or 1, so that x sets the size of the error.
    size = abs(total) if kind in _RELATIVE else max(abs(total), abs(x))
    exact = FUNCTIONS[kind].exact
    rounding = 0.0 if exact else FUNCTION_STEPS * working_roundoff(dtype) * min(size, 1e300)
    if kind == "sigmoid":
        rounding = FUNCTION_STEPS * working_roundoff(dtype) * abs(total)
    stored = 0.0 if exact else stored_tolerance(total, dtype, size)
    if kind in _IN_STEPS:
        stored += narrow_roundoff(dtype) * 2 * size
    return rounding + stored


def addition_tolerance(dtype: str, left: float, right: float) -> float:
    """Of ``left + right``."""
    unit = working_roundoff(dtype) if unit_roundoff(dtype) else 0.0
    return 2 * unit * (abs(left) + abs(right)) + stored_tolerance(left + right, dtype)


def norm_tolerance(
    dtype: str, x: float, mean: float, scale: float, bias: float, statistics_steps: float = 0.0
) -> float:
    """Of ``(x - mean) · scale + bias``; ``statistics_steps`` are those of a mean computed from the values."""
    unit = working_roundoff(dtype)
    magnitude = (abs(x) + abs(mean)) * abs(scale) + abs(bias)
    drift = statistics_steps * unit * (abs((x - mean) * scale) + abs(mean * scale))
    total = (x - mean) * scale + bias
    return _NORM_STEPS * unit * magnitude + drift + stored_tolerance(total, dtype, magnitude)
