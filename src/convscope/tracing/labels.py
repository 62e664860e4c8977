"""Names for ops and module calls: what a person would type, the same on every run."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from convscope.tracing.derive import Derived
from convscope.tracing.events import Call, Event


class Labels:
    """Gives each op and module call a name of its own.

    The first call of a module goes by its path, later ones by ``path_1``, ``path_2``; an op by
    the path of its module and its kind. No name is given twice, nor one that is another
    module's path.

    Examples
    --------
    >>> labels = Labels(["relu", "relu_1"])
    >>> [labels.call("relu")[0] for _ in range(2)], labels.op("add"), labels.op("add"), labels.op("relu")
    (['relu', 'relu_2'], 'add', 'add_1', 'relu_3')
    """

    def __init__(self, paths: Collection[str]) -> None:
        self._paths = frozenset(paths)
        self._ops: dict[str, int] = {}
        self._calls: dict[str, int] = {}
        self._used: set[str] = set()

    def op(self, name: str) -> str:
        """Name of an op called ``name`` so far as its place and kind go."""
        number = self._ops.get(name, -1) + 1
        self._ops[name] = number
        if number == 0 and name in self._paths:
            return self._free(name, 1)
        return self._free(name, number)

    def call(self, path: str) -> tuple[str, int]:
        """Name of the next call of the module at ``path``, and how many came before it."""
        number = self._calls.get(path, -1) + 1
        self._calls[path] = number
        return self._free(path, number), number

    def _free(self, name: str, number: int) -> str:
        label = f"{name}_{number}" if number else name
        while number and (label in self._paths or label in self._used):
            number += 1
            label = f"{name}_{number}"
        self._used.add(label)
        return label


def name_output(call: Call) -> None:
    """The op that gave a leaf module's output goes by the module's name."""
    event = call.outputs[0][0]
    if call.leaf and call.name and call.first <= event.index < call.last and event.kind != "replace":
        event.name = call.name


class Records:
    """Events and calls of one pass, named in the order they happened.

    Where nobody chose by name during the pass (``labels`` given), that waits until someone looks.
    """

    def __init__(self, events: Sequence[Event], calls: Sequence[Call], labels: Labels | None) -> None:
        self._events = events
        self._calls = calls
        self._labels = labels

    @property
    def events(self) -> Sequence[Event]:
        """Every torch function call, in order."""
        self._name_all()
        return self._events

    @property
    def calls(self) -> Sequence[Call]:
        """Every module call, in the order they began."""
        self._name_all()
        return self._calls

    def _name_all(self) -> None:
        labels, self._labels = self._labels, None
        if labels is None:
            return
        began: dict[int, list[Call]] = {}
        for call in self._calls:
            began.setdefault(call.first, []).append(call)
        for index in range(len(self._events) + 1):
            for call in began.get(index, ()):
                call.name, call.number = labels.call(call.path)
            event = self._events[index] if index < len(self._events) else None
            if event is not None and not event.name:
                event.name = labels.op(f"{event.path}.{event.kind}" if event.path else event.kind)
        for call in self._calls:
            if call.outputs:
                name_output(call)
        for event in self._events:
            for value in event.values:
                if isinstance(value, Derived):
                    value.name = event.name
