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
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn


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
_MODULE_KEYS = frozenset(nn.Module().__dict__)
_TABLES = frozenset({"_parameters", "_buffers", "_modules"})


class ModelGuard:
    """Context in which a model may run in eval mode, and after which it is as before.

    ``tensors`` names every parameter and buffer. Parameters are copied only when something
    is about to write into one: the recorder calls :meth:`before_write`. Buffers are small
    and copied at the start, so that they are given back even after a write nobody announced.
    """

    def __init__(self, model: nn.Module, *, training: bool = False) -> None:
        self.model = model
        self.training = training
        self.modules: list[tuple[str, nn.Module]] = []
        self.tensors: dict[int, str] = {}
        self._copies: dict[int, Tensor] = {}
        self._by_name: dict[str, Tensor] = {}
        self._storages: dict[int, list[Tensor]] | None = None
        self._dirty: set[int] = set()

    def __enter__(self) -> ModelGuard:
        self.modules = walk(self.model)
        self._before = [
            (m, dict(m.__dict__), (dict(m._parameters), dict(m._buffers), dict(m._modules)), _contents(m))
            for _, m in self.modules
        ]
        self._versions: list[tuple[Tensor, int, bool]] = []
        self._random = _random_state()
        with torch.no_grad():
            for path, module in self.modules:
                for key, tensor in module._parameters.items():
                    self._add(path, key, tensor)
                for key, tensor in module._buffers.items():
                    if self._add(path, key, tensor) and tensor is not None:
                        self._copies[id(tensor)] = tensor.clone()
        if not self.training:
            for _, module in self.modules:
                if module.training:
                    module.training = False
        return self

    def _add(self, path: str, key: str, tensor: Tensor | None) -> bool:
        if tensor is None or id(tensor) in self.tensors:
            return False
        self.tensors[id(tensor)] = f"{path}.{key}" if path else key
        self._versions.append((tensor, tensor._version, tensor.requires_grad))
        return True

    def alive(self) -> Iterator[Tensor]:
        """Every tensor the model now holds: parameters, buffers and those in plain attributes."""
        for tensor, _, _ in self._versions:
            yield tensor
        for _, module in self.modules:
            yield from (b for b in module._buffers.values() if b is not None)
            for value in module.__dict__.values():
                if isinstance(value, Tensor):
                    yield value
                elif type(value) in (list, tuple, dict) and value:
                    items = value.values() if isinstance(value, dict) else value
                    yield from (item for item in items if isinstance(item, Tensor))

    def written(self) -> frozenset[str]:
        """Names of the parameters and buffers whose memory the pass wrote into."""
        return frozenset(self.tensors[key] for key in self._dirty if key in self.tensors)

    def owned(self) -> set[int]:
        """Where the memory begins of every tensor the model held before the pass."""
        tensors = [tensor for tensor, _, _ in self._versions]
        for _, attributes, _, _ in self._before:
            for value in attributes.values():
                items = value.values() if type(value) is dict else value
                tensors += [
                    item
                    for item in (items if type(value) in (list, tuple, dict) else (value,))
                    if isinstance(item, Tensor)
                ]
        return {t.untyped_storage().data_ptr() for t in tensors if t.layout is torch.strided}

    def all_named(self) -> Iterator[tuple[str, Tensor]]:
        """Every parameter and buffer with its qualified name."""
        return ((self.tensors[id(tensor)], tensor) for tensor, _, _ in self._versions)

    def named(self, name: str) -> Tensor:
        """Parameter or buffer by its qualified name."""
        if not self._by_name:
            self._by_name = dict(self.all_named())
        return self._by_name[name]

    def before_write(self, storage: int) -> None:
        """Keep the values of the parameters and buffers that live in ``storage``."""
        if self._storages is None:
            self._storages = {}
            for tensor, _, _ in self._versions:
                if tensor.layout is torch.strided:
                    self._storages.setdefault(tensor.untyped_storage().data_ptr(), []).append(tensor)
        for tensor in self._storages.pop(storage, ()):
            self._copies.setdefault(id(tensor), tensor.detach().clone())
            self._dirty.add(id(tensor))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for tensor, version, wanted in self._versions:
            # Batch norm moves its running statistics without counting it as a write.
            written = self.training or tensor._version != version or id(tensor) in self._dirty
            if written and id(tensor) in self._copies:
                with torch.no_grad():
                    tensor.data.copy_(self._copies[id(tensor)])
            if tensor.requires_grad is not wanted:
                tensor.requires_grad_(wanted)
        for module, attributes, tables, contents in self._before:
            for table, before in zip(
                (module._parameters, module._buffers, module._modules), tables, strict=True
            ):
                if len(table) != len(before) or any(table.get(k, self) is not v for k, v in before.items()):
                    table.clear()
                    table.update(before)
            now = module.__dict__
            if len(now) != len(attributes) or any(now.get(k, self) is not v for k, v in attributes.items()):
                now.clear()
                now.update(attributes)
            for container, content in contents:
                _refill(container, content)
            copied = {id(container) for container, _ in contents}
            for key in _MODULE_KEYS - _TABLES:
                hooks = attributes.get(key)
                if type(hooks) is OrderedDict and hooks and id(hooks) not in copied:
                    hooks.clear()
        _restore_random_state(self._random)


_Content = list[tuple[Any, Any]]


def _contents(module: nn.Module) -> _Content:
    """The module's own lists, dicts, sets and loose tensors (its hooks too), each with a copy."""
    found: _Content = []
    for key, value in module.__dict__.items():
        if isinstance(value, Tensor):
            found.append((value, value.detach().clone()))
        elif type(value) in _CONTAINERS and key not in _TABLES and (value or key not in _MODULE_KEYS):
            found.append((value, value.copy()))
    return found


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
