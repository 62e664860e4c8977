"""The arithmetic of one value: the exact terms, and a sum that is checked against the network's."""

from convscope.tracing.arithmetic.changes import changed_parameters, mark_parameters
from convscope.tracing.arithmetic.explain import EXPLAINERS, explain_value
from convscope.tracing.arithmetic.result import Arithmetic, Cell, Term

__all__ = [
    "EXPLAINERS",
    "Arithmetic",
    "Cell",
    "Term",
    "changed_parameters",
    "explain_value",
    "mark_parameters",
]
