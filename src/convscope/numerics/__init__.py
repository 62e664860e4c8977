"""Pure arithmetic on tensors and numbers, known to no other room: windows, functions, rounding."""

from convscope.numerics.functions import FUNCTIONS, Function
from convscope.numerics.rounding import (
    rounded_to_infinity,
    stored_tolerance,
    sum_tolerance,
    unit_roundoff,
    working_roundoff,
)
from convscope.numerics.threads import one_thread
from convscope.numerics.windows import adaptive_rows, gather, transposed_rows, window_rows

__all__ = [
    "FUNCTIONS",
    "Function",
    "adaptive_rows",
    "gather",
    "one_thread",
    "rounded_to_infinity",
    "stored_tolerance",
    "sum_tolerance",
    "transposed_rows",
    "unit_roundoff",
    "window_rows",
    "working_roundoff",
]
