"""Which living tensor is whose output: the edges of the graph, by identity of tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast
from weakref import ref

import torch
from torch import Tensor

from convscope.tracing.events import Event, Kept, Slot
from convscope.tracing.guard import ModelGuard
from convscope.tracing.memory import Memory, layout_of, overlap, storage_of

# A living tensor, the event and output it comes from, and how arguments refer to it.
_Source = tuple[ref[Tensor], Event, int, Slot]
_NUMBERS = frozenset({int, float, bool, str, type(None)})


class Sources:
    """Knows for every living tensor of a pass which op gave it.

    ``appear(tensor, slot)`` is called for a tensor that was changed from outside torch since it was
    given (``slot``: as what), and records an op for it. ``loose`` counts the events so far
    whenever a tensor of unknown origin was met.
    """

    def __init__(
        self,
        guard: ModelGuard,
        memory: Memory,
        events: Sequence[Event],
        appear: Callable[[Tensor, Slot], None],
    ) -> None:
        self.loose: list[int] = []
        self._guard = guard
        self._memory = memory
        self._events = events
        self._appear = appear
        self._known: dict[int, _Source] = {}
        self._living: dict[int, list[int]] = {}
        self._parameter_slots: dict[int, Slot] = {}

    def put(self, tensor: Tensor, event: Event, number: int) -> None:
        """Note that ``tensor`` is output ``number`` of ``event``."""
        key = id(tensor)
        self._known[key] = (ref(tensor), event, number, Slot(tensor.shape, event, number))
        storage = storage_of(tensor)
        living = self._living.get(storage)
        if living is None:
            self._living[storage] = [key]
        elif key not in living:
            living.append(key)

    def forget(self) -> None:
        """Let go of everything: a circle with the recorder would outlive the trace."""
        self._known.clear()
        self._living.clear()
        del self._appear

    def of(self, tensor: Any) -> tuple[Event, int] | None:
        """The event and output a tensor comes from."""
        found = self._known.get(id(tensor))
        return (found[1], found[2]) if found is not None and found[0]() is tensor else None

    def slots(self, args: Sequence[Any]) -> tuple[Any, ...]:
        """What stands for the arguments of a call in its record."""
        return tuple([a if type(a) in _NUMBERS else self.slot(a) for a in args])

    def slot(self, value: Any) -> Any:
        """What stands for one argument in the record: for a tensor where it comes from."""
        if isinstance(value, Tensor):
            key = id(value)
            found = self._known.get(key)
            if found is not None and found[0]() is value:
                leaked = self._memory.leaked
                if value.shape != found[3].shape or (leaked and storage_of(value) in leaked):
                    found = self._reread(value, found)
                return found[3]
            slot = self._parameter_slots.get(key)
            if slot is not None:
                return slot
            parameter = self._guard.tensors.get(key)
            if parameter is not None:
                slot = self._parameter_slots[key] = Slot(value.shape, parameter=parameter)
                return slot
            return self._constant(value)
        if isinstance(value, list):  # indexing tells a list from a tuple
            return [self.slot(v) for v in value]
        if isinstance(value, tuple):
            return tuple([self.slot(v) for v in value])
        if isinstance(value, dict):
            return self.named_slots(value)
        return value

    def named_slots(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """What stands for the keyword arguments of a call."""
        return {k: self.slot(v) for k, v in values.items()}

    def _constant(self, tensor: Tensor) -> Slot:
        """A tensor made outside the pass, or by code that is not watched: its values are kept."""
        kept: list[Any] = []
        self._memory.keep(kept, 0, tensor)
        self._memory.foreign.add(storage_of(tensor))
        if storage_of(tensor) not in self._guard.owned():
            self.loose.append(len(self._events))
        return Slot(tensor.shape, constant=cast(Kept, kept[0]))

    def _reread(self, tensor: Tensor, source: _Source) -> _Source:
        """Source of a tensor that was written from outside torch, or given other memory (``set_``)."""
        _, event, number, slot = source
        kept = event.values[number] if number < len(event.values) else None
        if slot.shape != tensor.shape or (kept is not None and not torch.equal(kept.tensor, tensor)):
            self._appear(tensor, Slot(slot.shape, event, number))
        return self._known[id(tensor)]

    def also_written(self, tensor: Tensor, event: Event, outputs: Sequence[Tensor]) -> list[Tensor]:
        """Other living tensors in the memory that ``event`` wrote through ``tensor``: they changed too."""
        storage = storage_of(tensor)
        living = self._living.get(storage, ())
        if len(living) < 2:
            return []
        found: list[Tensor] = []
        for key in living:
            live, source, number, _ = self._known[key]
            other = live()
            if other is None or other is tensor or storage_of(other) != storage or not overlap(other, tensor):
                continue
            if not any(other is o for o in outputs):
                layouts = (layout_of(tensor), layout_of(other))
                event.extra = (*event.extra, Slot(other.shape, source, number, layouts=layouts))
                found.append(other)
        return found
