"""One forward pass, recorded op by op: the truth that everything else shows."""

from convscope.tracing.answers import Prediction
from convscope.tracing.graph import Field, ModuleCall, Op, Operand
from convscope.tracing.observers import Keep, Observer, Reduce, Replace, StopAfter
from convscope.tracing.record import Recording, record
from convscope.tracing.trace import Trace, blank_input, prepare, trace

__all__ = [
    "Field",
    "Keep",
    "ModuleCall",
    "Observer",
    "Op",
    "Operand",
    "Prediction",
    "Recording",
    "Reduce",
    "Replace",
    "StopAfter",
    "Trace",
    "blank_input",
    "prepare",
    "record",
    "trace",
]
