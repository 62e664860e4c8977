"""The arithmetic of one value: the exact terms, and a sum that is checked against the network's."""

from convscope.tracing.arithmetic.explain import EXPLAINERS, explain_value
from convscope.tracing.arithmetic.result import Arithmetic, Cell, Term
from convscope.tracing.changes import changed_parameters, mark_parameters

__all__ = [
    "EXPLAINERS",
    "Arithmetic",
    "Cell",
    "Term",
    "changed_parameters",
    "explain_value",
    "mark_parameters",
]
