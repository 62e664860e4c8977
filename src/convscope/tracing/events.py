"""What the recorder writes down while the model runs; turned into ops afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from convscope.tracing.derive import Derived
    from convscope.tracing.plan import Plan


Layout = tuple[Any, tuple[int, ...]]
"""Offset and strides of a tensor in its memory, in elements."""


class Slot:
    """Stands for a tensor in the recorded arguments: where it came from, and its shape."""

    __slots__ = ("constant", "event", "layouts", "output", "parameter", "shape")

    def __init__(
        self,
        shape: tuple[int, ...],
        event: Event | None = None,
        output: int = 0,
        parameter: str | None = None,
        constant: Kept | None = None,
        layouts: tuple[Layout, Layout] | None = None,
    ) -> None:
        self.shape = shape
        self.event = event
        self.output = output
        self.parameter = parameter
        self.constant = constant
        # Of memory written through a view: where the written tensor and this one lie in it.
        self.layouts = layouts


class Kept:
    """One kept value: an alias of the live tensor until something is about to overwrite it."""

    __slots__ = ("alias", "tensor", "version")

    def __init__(self, tensor: Tensor, version: int, *, alias: bool) -> None:
        self.tensor = tensor
        self.version = version
        self.alias = alias

    def copy(self) -> None:
        """Become independent of the memory it was an alias of."""
        self.tensor = self.tensor.clone()
        self.alias = False
        self.version = 0

    @property
    def untouched(self) -> bool:
        """Whether nobody has written into the value since it was kept, as far as torch counts."""
        return self.tensor.is_inference() or self.tensor._version == self.version


class Event:
    """One torch function call, as observers meet it.

    ``name`` is what observers may match (``layer1.0.add``; for a leaf module
    ``layer1.0.conv1.conv2d`` — match the module's own name in ``on_call``). ``kind``,
    ``path`` and ``module`` say what and where; ``index`` counts up.
    """

    __slots__ = (
        "args", "extra", "function", "index", "kind", "kwargs", "module", "name",
        "outputs", "path", "plan", "seconds", "values",
    )  # fmt: skip

    def __init__(self, index: int, name: str, plan: Plan, path: str, caller: Call | None) -> None:
        self.index = index
        self.name = name
        self.plan = plan
        self.kind = plan.kind
        self.path = path
        # Not the call itself: it holds the events of its outputs, and a circle would outlive the trace.
        self.module: Any = caller.module if caller is not None else None
        self.function: Any = None
        self.args: tuple[Any, ...] = ()
        self.kwargs: dict[str, Any] = {}
        self.outputs: list[tuple[tuple[int, ...], Any]] = []
        self.values: list[Kept | Derived | None] = []
        self.extra: Sequence[Slot] = ()
        self.seconds = 0.0


class Call:
    """One call of one module, as observers meet it when it has returned."""

    __slots__ = ("first", "last", "leaf", "module", "name", "number", "opaque", "outputs", "path", "values")

    def __init__(self, name: str, path: str, number: int, module: Any, first: int, *, leaf: bool) -> None:
        self.name = name
        self.path = path
        self.number = number
        self.module = module
        self.first = first
        self.last = first
        self.leaf = leaf
        self.opaque: Any = None
        self.outputs: list[tuple[Event, int]] = []
        self.values: list[Kept | Derived | None] = []
