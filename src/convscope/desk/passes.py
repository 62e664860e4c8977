"""Models and recorded passes as a live host keeps them: the most recently used, within a bound."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, Any

from convscope.desk.answers import PageError
from convscope.desk.line import Line
from convscope.errors import GivenUp
from convscope.tracing import Observer, trace

if TYPE_CHECKING:
    from torch import Tensor

    from convscope.models import Model
    from convscope.scene.make import Kernels
    from convscope.tracing import Trace
    from convscope.tracing.events import Event

#: Share of a look at which the pass begins and ends; before it the model is loaded, after it drawn.
PASS_BEGINS, PASS_ENDS = 0.1, 0.7
_TOLD_EVERY = 0.04

#: Gives what the model is to look at: a picture, or a batch prepared by hand.
Seeing = Callable[[], Any]


class Watch(Observer):
    """Tells how far a pass is, and ends it when nobody wants it any more."""

    def __init__(self, line: Line, expected: int) -> None:
        self._line = line
        self._expected = max(1, expected)
        self._told = 0.0
        self.count = 0

    def on_op(self, event: Event, output: int, value: Tensor) -> None:
        """Count an op."""
        self.count += output == 0
        if self._line.cancelled():
            raise GivenUp("this was given up")
        share = min(1.0, self.count / self._expected)
        if share >= self._told + _TOLD_EVERY:
            self._told = share
            fraction = PASS_BEGINS + (PASS_ENDS - PASS_BEGINS) * share
            self._line.emit({"stage": "running", "fraction": fraction})


class Passes:
    """Models and passes, at most ``limit`` bytes of them, the one in use always.

    A pass is named by what made it (model, photo, what is switched off), so that asking for the same
    again costs nothing.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._models: OrderedDict[str, Model] = OrderedDict()
        self._passes: OrderedDict[str, Trace] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._storages: dict[str, dict[int, int]] = {}
        self._ops: dict[str, int] = {}
        self._kernels: dict[str, Kernels] = {}
        self._adopted: set[str] = set()

    @property
    def size(self) -> int:
        """Bytes of the recorded values and of the models, those that passes share counted once."""
        shared: dict[int, int] = {}
        for storages in self._storages.values():
            shared.update(storages)
        return sum(self._sizes.values()) + sum(shared.values())

    def model(self, told: dict[str, Any]) -> Model:
        """The model of a description, loaded if need be."""
        key = _key("model", told)
        if key not in self._models:
            from convscope.models import load_model

            self._models[key] = load_model(
                told["spec"], weights=told["weights"], normalize=told["normalize"], input_size=told["size"]
            )
            tensors = [*self._models[key].module.parameters(), *self._models[key].module.buffers()]
            self._sizes[key] = sum(t.numel() * t.element_size() for t in tensors)
            self._make_room(keep={key})
        self._models.move_to_end(key)
        return self._models[key]

    def kernels(self, told: dict[str, Any]) -> Kernels:
        """A place for what scenes show of a model's filters, kept as long as the model."""
        return self._kernels.setdefault(_key("model", told), {})

    def adopt(self, spec: dict[str, Any], recorded: Trace) -> None:
        """Keep a pass recorded elsewhere, and its model, for good: whoever made them holds them too."""
        self.adopt_model(spec["model"], recorded.model)
        whole = _key("pass", spec)
        self._passes[whole] = recorded
        self._adopted.add(whole)

    def adopt_model(self, told: dict[str, Any], model: Model) -> None:
        """Keep a model made elsewhere, for good."""
        key = _key("model", told)
        self._models[key] = model
        self._adopted.add(key)

    def holds(self, spec: dict[str, Any]) -> bool:
        """Whether a pass is there, so that nothing has to be recorded for it."""
        return _key("pass", spec) in self._passes

    def find(self, spec: dict[str, Any], seeing: Seeing | None, line: Line) -> Trace:
        """The pass of a description, recorded if need be.

        Parameters
        ----------
        seeing
            Gives what is looked at; ``None`` where the host did not send it along.

        Raises
        ------
        PageError
            With the code ``pass_missing``, if it has to be recorded and ``seeing`` is ``None``.
        """
        plain, whole = _key("pass", {**spec, "edits": []}), _key("pass", spec)
        if plain not in self._passes:
            if seeing is None:
                raise PageError(409, "pass_missing", "the pass is to be recorded again")
            self._keep(plain, self._record(spec["model"], seeing, line))
        self._passes.move_to_end(plain)
        if whole not in self._passes:
            self._keep(whole, self._rerun(self._passes[plain], spec["edits"], line))
        self._passes.move_to_end(whole)
        self._make_room(keep={plain, whole, _key("model", spec["model"])})
        return self._passes[whole]

    def _rerun(self, recorded: Trace, edits: list[Any], line: Line) -> Trace:
        from convscope.explain import Edit, rerun

        line.emit({"stage": "running", "fraction": PASS_BEGINS})
        channels = ((node, None if c is None else tuple(c), factor) for node, c, factor in edits)
        return rerun(recorded, [Edit(*edit) for edit in channels])

    def _record(self, told: dict[str, Any], seeing: Seeing, line: Line) -> Trace:
        line.emit({"stage": "loading", "fraction": 0.02})
        model = self.model(told)
        line.emit({"stage": "running", "fraction": PASS_BEGINS})
        key = _key("model", told)
        watch = Watch(line, self._ops.get(key) or 2 * sum(1 for _ in model.module.modules()))
        recorded = trace(model, seeing(), observers=[watch])
        self._ops[key] = len(recorded.ops)
        return recorded

    def _keep(self, key: str, recorded: Trace) -> None:
        self._passes[key] = recorded
        # Values that are worked out when asked for count as if they all had been.
        self._sizes[key] = 4 * sum(prod(shape) for op in recorded.ops for shape in op.shapes)

    def weigh(self, spec: dict[str, Any]) -> None:
        """Put what a pass really holds in place of the estimate; works out every value it has not yet."""
        key = _key("pass", spec)
        if key in self._passes and key not in self._adopted:
            values = (value for op in self._passes[key].ops for value in op.values if value is not None)
            storages = (value.untyped_storage() for value in values)
            self._storages[key] = {storage.data_ptr(): storage.nbytes() for storage in storages}
            self._sizes[key] = 0

    def _make_room(self, keep: set[str]) -> None:
        for key in [*self._passes, *self._models]:
            if self.size <= self._limit:
                return
            if key not in keep | self._adopted:
                self._passes.pop(key, None)
                self._models.pop(key, None)
                self._kernels.pop(key, None)
                self._sizes.pop(key, None)
                self._storages.pop(key, None)


def _key(kind: str, told: dict[str, Any]) -> str:
    return f"{kind} {json.dumps(told, sort_keys=True)}"
