"""How far a number computed in floating point may lie from the exact one.

A sum of ``n`` products, in whatever order and with or without fused multiply-add, is off by
at most ``n u / (1 - n u)`` times the sum of the absolute products, ``u`` being the unit
roundoff (Higham, "Accuracy and Stability of Numerical Algorithms", 2002, section 3.1). For
long sums that is far more than ever happens: roundings go up as often as down, so the error
grows with the square root of ``n`` (Higham and Mary, "A New Approach to Probabilistic
Rounding Error Analysis", SIAM J. Sci. Comput. 41, 2019). The smaller of the two is used,
the second with a constant that also covers what is not by chance: sums of equal terms, whose
roundings all go one way (5 sqrt(n) measured on a matrix-vector product of 25,088 equal terms,
2 sqrt(n) on convolutions, against 1 sqrt(n) on random numbers). Poolings add one value after
another, so for them the first bound is used as it is.
"""

from __future__ import annotations

from math import copysign, exp2, inf, sqrt

# Half the distance from 1 to the next number, and the smallest number above 0 kept exactly.
_ROUNDOFF = {"float64": exp2(-53), "float32": exp2(-24), "bfloat16": exp2(-8), "float16": exp2(-11)}
_SMALLEST = {"float64": exp2(-1022), "float32": exp2(-126), "bfloat16": exp2(-126), "float16": exp2(-24)}
# Halfway between the largest number and the next there would be.
_LARGEST = {"float32": exp2(128) - exp2(103), "bfloat16": exp2(128) - exp2(119), "float16": 65520.0}
_LAMBDA = 7.5


def rounded_to_infinity(value: float, dtype: str) -> float:
    """The value, or infinity where it is beyond the largest number of ``dtype``.

    Examples
    --------
    >>> rounded_to_infinity(70000.0, "float16"), rounded_to_infinity(70000.0, "float32")
    (inf, 70000.0)
    """
    largest = _LARGEST.get(dtype, inf)
    return value if not abs(value) > largest else copysign(inf, value)


def unit_roundoff(dtype: str) -> float:
    """Largest relative error of rounding to ``dtype`` (``"float32"``); 0 for whole numbers.

    Examples
    --------
    >>> unit_roundoff("float32") == 2 ** -24, unit_roundoff("int64")
    (True, 0.0)
    """
    return _ROUNDOFF.get(dtype, 0.0)


def working_roundoff(dtype: str) -> float:
    """Unit roundoff of the arithmetic done for ``dtype``: half-width numbers are summed in float32."""
    return _ROUNDOFF["float64"] if dtype == "float64" else _ROUNDOFF["float32"]


def sum_tolerance(
    count: int, magnitude: float, result: float, dtype: str, *, one_by_one: bool = False
) -> float:
    """Largest difference to expect between a sum and the same sum as a network computed it.

    Parameters
    ----------
    count
        Number of terms, each a product of two numbers of type ``dtype``.
    magnitude
        Sum of the absolute terms.
    result
        The sum itself (computed here in float64, whose own rounding is allowed for).
    dtype
        Type of the network's result, ``"float32"``, ``"bfloat16"``, ...
    one_by_one
        Whether the terms are known to be added one after another, as poolings do.

    Returns
    -------
    ``steps * u * magnitude`` with ``steps = min(n, 7.5 sqrt(n)) + 1``, and one more rounding of
    the result where it is stored narrower than it is computed.

    Examples
    --------
    A 3 × 3 convolution over 256 channels, float32, terms of 100 in all: about 1.5e-3 at worst.

    >>> round(sum_tolerance(2304, 100.0, 1.0, "float32"), 5)
    0.00215
    """
    steps = (count if one_by_one else min(count, _LAMBDA * sqrt(count))) + 1
    bound = steps * working_roundoff(dtype) * magnitude
    if dtype == "float64":
        bound *= 2
    return bound + stored_tolerance(result, dtype, magnitude)


def stored_tolerance(result: float, dtype: str, magnitude: float = 0.0) -> float:
    """What storing a float32 result as ``dtype`` may add; 0 for float32 and float64 but for tiny numbers."""
    narrow = unit_roundoff(dtype) if dtype in {"bfloat16", "float16"} else 0.0
    return narrow * abs(result) * 1.01 + _SMALLEST.get(dtype, 0.0) * (1 if result or magnitude else 0)
