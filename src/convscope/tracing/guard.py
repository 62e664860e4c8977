"""Leaves a model exactly as it was found, whatever its forward pass did to it.

Held and given back: ``training`` of each module, parameters and buffers (which tensors they
are, their values where the pass wrote into one, ``requires_grad``), submodules, plain
attributes that were rebound, and the random state of torch, Python and numpy.
"""

from __future__ import annotations

import random
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterator
from functools import cache
from operator import is_, itemgetter
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from convscope.tracing.copies import Copies


def walk(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Every module once with its path, as ``named_modules`` gives them, in one quick loop.

    Examples
    --------
    >>> [path for path, _ in walk(nn.Sequential(nn.ReLU(), nn.Sequential(nn.Tanh())))]
    ['', '0', '1', '1.0']
    """
    found: list[tuple[str, nn.Module]] = []
    seen: set[int] = set()
    stack = [("", model)]
    while stack:
        path, module = stack.pop()
        if id(module) in seen:
            continue
        seen.add(id(module))
        found.append((path, module))
        if module._modules:
            prefix = f"{path}." if path else ""
            stack.extend((prefix + k, m) for k, m in reversed(module._modules.items()) if m is not None)
    return found


_CONTAINERS = frozenset({list, dict, set, deque, OrderedDict, defaultdict, Counter})
_PLAIN = frozenset({int, float, bool, str, tuple, type(None), torch.dtype, torch.Size})
_TABLES = ("_parameters", "_buffers", "_modules")
_OWN_KEYS = frozenset(nn.Module().__dict__)
_HOOK_KEYS = tuple(
    k for k, v in nn.Module().__dict__.items() if isinstance(v, OrderedDict) and k not in _TABLES
)
# What torch's own layers hold besides: numbers, pairs and names, never anything that can be changed in place.
_SETTINGS = frozenset(
    """in_channels out_channels kernel_size stride padding dilation transposed output_padding groups
    padding_mode
    num_features eps momentum affine track_running_stats inplace ceil_mode return_indices output_size p
    in_features out_features""".split()
)
_hooks_of = itemgetter(*_HOOK_KEYS)
_tables_of = itemgetter(*_TABLES)
_Table = dict[str, Any]
_EMPTY: _Table = {}
_Content = list[tuple[Any, Any]]


def has_hooks(module: nn.Module) -> bool:
    """Whether anybody has hooks on a module, of whichever kind."""
    return any(_hooks_of(module.__dict__))


@cache
def _telling(keys: tuple[str, ...]) -> tuple[str, ...]:
    """Which of a module's attributes may be something that can be changed in place."""
    return tuple(k for k in keys if k not in _OWN_KEYS and k not in _SETTINGS)


class ModelGuard:
    """Context in which a model may run in eval mode, and after which it is as before.

    ``tensors`` names every parameter and buffer by its ``id``. Large parameters are copied
    only when something is about to write into one: the recorder calls :meth:`before_write`.
    Buffers and vectors are small and copied at the start, so that they are given back even
    after a write nobody announced. ``overwritten`` has the values, by ``id``, of what the pass wrote into.
    """

    def __init__(self, model: nn.Module, *, training: bool = False) -> None:
        self.model = model
        self.training = training
        self.modules: list[tuple[str, nn.Module]] = []
        self.tensors: dict[int, str] = {}
        self.copies = Copies([])
        self.overwritten: dict[int, Tensor] = {}
        self._storages: dict[int, list[Tensor]] | None = None
        self._owned: set[int] | None = None

    def __enter__(self) -> ModelGuard:
        self.modules = walk(self.model)
        self._versions: list[tuple[Tensor, int, bool]] = []
        self._before: list[tuple[nn.Module, _Table, list[tuple[_Table, _Table]]]] = []
        self._contents: _Content = []
        self._loose: list[Tensor] = []
        self._held: list[Tensor] = []
        self._random = _random_state()
        small: list[Tensor] = []
        names: list[str] = []
        known = self.tensors
        for path, module in self.modules:
            attributes = module.__dict__
            tables = [(table, table.copy() if table else _EMPTY) for table in _tables_of(attributes)]
            self._before.append((module, attributes.copy(), tables))
            prefix = f"{path}." if path else ""
            for table in (attributes["_parameters"], attributes["_buffers"]):
                for key, tensor in table.items():
                    if tensor is None or id(tensor) in known:
                        continue
                    name = known[id(tensor)] = prefix + key
                    self._versions.append((tensor, tensor._version, tensor.requires_grad))
                    if tensor.ndim <= 1 or table is attributes["_buffers"]:
                        small.append(tensor)
                        names.append(name)
            self._note_contents(attributes)
        with torch.no_grad():
            self.copies = Copies(small, names)
            self._contents += [(tensor, tensor.detach().clone()) for tensor in self._loose]
        if not self.training:
            for _, module in self.modules:
                if module.training:
                    module.training = False
        return self

    def _note_contents(self, attributes: _Table) -> None:
        """Copies of a module's own lists, dicts and sets, its hooks, and its loose tensors."""
        for key in _telling(tuple(attributes)):
            value = attributes[key]
            kind = type(value)
            if kind in _PLAIN:
                continue
            if isinstance(value, Tensor):
                self._loose.append(value)
            elif kind in _CONTAINERS:
                self._contents.append((value, value.copy()))
                items = value.values() if isinstance(value, dict) else value
                self._held += [item for item in items if isinstance(item, Tensor)]
        if any(_hooks_of(attributes)):
            self._contents += [(attributes[key], attributes[key].copy()) for key in _HOOK_KEYS]

    def written(self) -> frozenset[str]:
        """Names of the parameters and buffers whose memory the pass wrote into."""
        return frozenset(self.tensors[key] for key in self.overwritten)

    def owned(self) -> set[int]:
        """Where the memory begins of every tensor the model held before the pass."""
        if self._owned is None:
            loose = {
                t.untyped_storage().data_ptr()
                for t in (*self._loose, *self._held)
                if t.layout is torch.strided
            }
            self._owned = loose | self._by_storage().keys()
        return self._owned

    def all_named(self) -> Iterator[tuple[str, Tensor]]:
        """Every parameter and buffer with its qualified name."""
        return ((self.tensors[id(tensor)], tensor) for tensor, _, _ in self._versions)

    def has_copy(self, name: str | None) -> bool:
        """Whether ``copies`` holds the values a parameter or buffer has had all along until now."""
        if not self.copies.has_name(name):
            return False
        return not self.overwritten or all(self.tensors[key] != name for key in self.overwritten)

    def _by_storage(self) -> dict[int, list[Tensor]]:
        if self._storages is None:
            self._storages = {}
            for tensor, _, _ in self._versions:
                if tensor.layout is torch.strided:
                    self._storages.setdefault(tensor.untyped_storage().data_ptr(), []).append(tensor)
        return self._storages

    def before_write(self, storage: int) -> None:
        """Keep the values of the parameters and buffers that live in ``storage``."""
        for tensor in self._by_storage().get(storage, ()):
            if id(tensor) in self.overwritten:
                continue
            self.overwritten[id(tensor)] = (
                self.copies.get(tensor) if tensor in self.copies else tensor.detach().clone()
            )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for tensor, version, wanted in self._versions:
            # Batch norm moves its running statistics without counting it as a write.
            if self.training or tensor._version != version or id(tensor) in self.overwritten:
                self._give_back(tensor)
            if tensor.requires_grad is not wanted:
                tensor.requires_grad_(wanted)
        for module, attributes, tables in self._before:
            now = module.__dict__
            if not _identical(now, attributes):
                now.clear()
                now.update(attributes)
            for table, before in tables:
                if not _identical(table, before):
                    table.clear()
                    table.update(before)
            if any(_hooks_of(now)):
                self._forget_new_hooks(now)
        for container, content in self._contents:
            _refill(container, content)
        _restore_random_state(self._random)

    def _give_back(self, tensor: Tensor) -> None:
        original = self.overwritten.get(id(tensor))
        if original is None and tensor in self.copies:
            original = self.copies.get(tensor)
        if original is not None:
            with torch.no_grad():
                tensor.data.copy_(original)

    def _forget_new_hooks(self, attributes: _Table) -> None:
        known = {id(container) for container, _ in self._contents}
        for key in _HOOK_KEYS:
            if attributes[key] and id(attributes[key]) not in known:
                attributes[key].clear()


def _identical(now: _Table, before: _Table) -> bool:
    return len(now) == len(before) and (not now or all(map(is_, now.values(), before.values())))


def _refill(container: Any, content: Any) -> None:
    if isinstance(container, Tensor):
        with torch.no_grad():
            container.data = content
    elif len(container) != len(content) or _changed(container, content):
        container.clear()
        if isinstance(container, (list, deque)):
            container.extend(content)
        else:
            container.update(content)


def _changed(container: Any, content: Any) -> bool:
    if isinstance(container, dict):
        return any(a is not b for a, b in zip(container, content, strict=True)) or any(
            a is not b for a, b in zip(container.values(), content.values(), strict=True)
        )
    if isinstance(container, set):
        return any(item not in content for item in container)
    return any(a is not b for a, b in zip(container, content, strict=True))


def _random_state() -> dict[str, Any]:
    state: dict[str, Any] = {"torch": torch.get_rng_state(), "python": random.getstate()}
    if torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state_all()
    if "numpy" in sys.modules:
        import numpy

        state["numpy"] = numpy.random.get_state()
    return state


def _restore_random_state(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["torch"])
    random.setstate(state["python"])
    if "cuda" in state:
        torch.cuda.set_rng_state_all(state["cuda"])
    if "numpy" in state:
        import numpy

        numpy.random.set_state(state["numpy"])
