"""Reading what a pickle describes without running any of it.

A pickle is a small program. Here its instructions are followed one by one over plain
stand-ins: nothing is imported, no class is made and no function is called. What a
checkpoint of tensors needs is understood; anything else is refused by name. So the file's
promises (which tensors, of which shape, in which storage) can be checked before torch
spends memory on them.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

STORAGE_ITEM_BYTES = {
    "BFloat16Storage": 2,
    "BoolStorage": 1,
    "ByteStorage": 1,
    "CharStorage": 1,
    "ComplexDoubleStorage": 16,
    "ComplexFloatStorage": 8,
    "DoubleStorage": 8,
    "FloatStorage": 4,
    "HalfStorage": 2,
    "IntStorage": 4,
    "LongStorage": 8,
    "ShortStorage": 2,
    "UntypedStorage": 1,
}
_DTYPE_BYTES = {
    "bfloat16": 2,
    "bool": 1,
    "complex128": 16,
    "complex64": 8,
    "float16": 2,
    "float32": 4,
    "float64": 8,
    "float8_e4m3fn": 1,
    "float8_e5m2": 1,
    "int16": 2,
    "int32": 4,
    "int64": 8,
    "int8": 1,
    "uint16": 2,
    "uint32": 4,
    "uint64": 8,
    "uint8": 1,
}
_ORDERED_DICT = "collections.OrderedDict"
_REBUILD = "torch._utils._rebuild_"
_CALLS = frozenset(
    [
        _ORDERED_DICT,
        f"{_REBUILD}tensor",
        f"{_REBUILD}tensor_v2",
        f"{_REBUILD}tensor_v3",
        f"{_REBUILD}parameter",
        "torch.Size",
        "torch.device",
    ]
)
# Keys and memo numbers of these kinds hash in constant time; a nested tuple may not.
_PLAIN_KEYS = (str, int, float, bool, bytes, type(None))


class ForeignCode(Exception):
    """The pickle names something that is not part of a dict of tensors."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class BrokenPickle(Exception):
    """The pickle contradicts itself, or the file that holds it."""


@dataclass(frozen=True)
class Global:
    """A name the pickle refers to: ``torch.FloatStorage``. Never looked up."""

    name: str


@dataclass(frozen=True)
class Storage:
    """A block of memory the file promises: ``items`` of ``item_bytes`` each."""

    key: str
    items: int
    item_bytes: int


@dataclass(frozen=True)
class TensorPromise:
    """A tensor the file describes, not made yet."""

    storage: Storage
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Opaque:
    """A value that may stand beside the tensors but is never one (a device)."""

    name: str


def read_pickle(stream: IO[bytes]) -> Any:
    """What the pickle at the stream's position describes; stops after its last byte.

    Raises
    ------
    ForeignCode
        If it refers to anything a dict of tensors does not need.
    BrokenPickle
        If its instructions do not fit together.

    Examples
    --------
    >>> import io, pickle
    >>> read_pickle(io.BytesIO(pickle.dumps({"epoch": 3})))
    {'epoch': 3}
    >>> read_pickle(io.BytesIO(pickle.dumps(print)))
    Traceback (most recent call last):
    convscope.models.inert_pickle.ForeignCode: builtins.print
    """
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name == "STOP":
                return machine.pop()
            machine.step(opcode.name, argument)
    except (ForeignCode, BrokenPickle):
        raise
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, AttributeError) as error:
        raise BrokenPickle(str(error)) from error
    raise BrokenPickle("the pickle has no end")


class _Mark:
    """Where a group of values starts on the stack."""


class _Machine:
    """The stack and memo of a pickle, over stand-ins."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def pop(self) -> Any:
        if not self.stack:
            raise BrokenPickle("a value is missing")
        value = self.stack.pop()
        if isinstance(value, _Mark):
            raise BrokenPickle("a value is missing")
        return value

    def pop_group(self) -> list[Any]:
        group: list[Any] = []
        while self.stack:
            value = self.stack.pop()
            if isinstance(value, _Mark):
                return group[::-1]
            group.append(value)
        raise BrokenPickle("a group has no start")

    def top(self, kind: type) -> Any:
        if not self.stack or not isinstance(self.stack[-1], kind):
            raise BrokenPickle(f"a {kind.__name__} is missing")
        return self.stack[-1]

    def step(self, name: str, argument: Any) -> None:
        if name in _PUSHED:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            self.memo[argument] = self.top(object)
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            self.stack.append(self.memo[argument])
        elif name in _ACTIONS:
            _ACTIONS[name](self, argument)
        elif name not in ("PROTO", "FRAME"):
            raise ForeignCode(f"the pickle instruction {name}")

    def drop(self, _: Any) -> None:
        self.stack.pop()

    def drop_group(self, _: Any) -> None:
        self.pop_group()

    def memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.top(object)

    def short_tuple(self, count: int) -> None:
        values = [self.pop() for _ in range(count)]
        self.stack.append(tuple(values[::-1]))

    def group_tuple(self, _: Any) -> None:
        self.stack.append(tuple(self.pop_group()))

    def group_list(self, _: Any) -> None:
        self.stack.append(self.pop_group())

    def group_dict(self, _: Any) -> None:
        group = self.pop_group()
        self.stack.append({})
        self.set_pairs(group)

    def append(self, _: Any) -> None:
        value = self.pop()
        self.top(list).append(value)

    def appends(self, _: Any) -> None:
        group = self.pop_group()
        self.top(list).extend(group)

    def set_item(self, _: Any) -> None:
        value, key = self.pop(), self.pop()
        self.set_pairs([key, value])

    def set_items(self, _: Any) -> None:
        self.set_pairs(self.pop_group())

    def set_pairs(self, group: list[Any]) -> None:
        target = self.top(dict)
        if len(group) % 2:
            raise BrokenPickle("a key has no value")
        for key, value in zip(group[::2], group[1::2], strict=True):
            if not isinstance(key, _PLAIN_KEYS):
                raise BrokenPickle(f"a key is a {type(key).__name__}")
            target[key] = value

    def find(self, argument: str) -> None:
        self.stack.append(_allowed(argument.replace(" ", ".", 1)))

    def find_on_stack(self, _: Any) -> None:
        name, module = self.pop(), self.pop()
        self.stack.append(_allowed(f"{module}.{name}"))

    def build(self, _: Any) -> None:
        # Attributes of an OrderedDict (`_metadata`): nothing that is loaded depends on them.
        self.pop()
        self.top(dict)

    def reduce(self, _: Any) -> None:
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, Global) or function.name not in _CALLS or type(arguments) is not tuple:
            raise ForeignCode(getattr(function, "name", type(function).__name__))
        self.stack.append(_stand_in(function.name, arguments))

    def persistent(self, _: Any) -> None:
        identity = self.pop()
        if type(identity) is not tuple or len(identity) not in (5, 6) or identity[0] != "storage":
            kind = identity[0] if type(identity) is tuple and identity else type(identity).__name__
            raise ForeignCode(f"a stored {kind}")
        _, kind, key, _, items = identity[:5]
        if len(identity) == 6 and identity[5] is not None:
            raise ForeignCode("a view of a storage")
        width = STORAGE_ITEM_BYTES.get(getattr(kind, "name", "").rpartition(".")[2])
        if width is None or not isinstance(key, str) or not _is_count(items):
            raise BrokenPickle("a storage is described wrongly")
        self.stack.append(Storage(key, items, width))


_PUSHED = frozenset(
    [
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    ]
)
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "MARK": _Mark,
}
_ACTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "POP": _Machine.drop,
    "POP_MARK": _Machine.drop_group,
    "MEMOIZE": _Machine.memoize,
    "TUPLE": _Machine.group_tuple,
    "TUPLE1": lambda machine, _: machine.short_tuple(1),
    "TUPLE2": lambda machine, _: machine.short_tuple(2),
    "TUPLE3": lambda machine, _: machine.short_tuple(3),
    "LIST": _Machine.group_list,
    "DICT": _Machine.group_dict,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.appends,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "GLOBAL": _Machine.find,
    "STACK_GLOBAL": _Machine.find_on_stack,
    "BUILD": _Machine.build,
    "REDUCE": _Machine.reduce,
    "BINPERSID": _Machine.persistent,
}


def _allowed(name: str) -> Global:
    module, _, last = name.rpartition(".")
    is_storage = module in ("torch", "torch.storage") and last in STORAGE_ITEM_BYTES
    is_dtype = module == "torch" and last in _DTYPE_BYTES
    if not (name in _CALLS or is_storage or is_dtype):
        raise ForeignCode(name)
    return Global(name)


def _stand_in(name: str, arguments: tuple[Any, ...]) -> Any:
    """What the call would make, as a stand-in."""
    if name == _ORDERED_DICT:
        return _ordered(arguments)
    if name == "torch.Size":
        return tuple(arguments[0])
    if name == "torch.device":
        return Opaque("device")
    if name == f"{_REBUILD}parameter":
        if not arguments or not isinstance(arguments[0], TensorPromise):
            raise BrokenPickle("a parameter is not a tensor")
        return arguments[0]
    storage, offset, shape, strides = arguments[:4]
    if name == f"{_REBUILD}tensor_v3":
        width = _DTYPE_BYTES.get(getattr(arguments[6], "name", "").rpartition(".")[2], 0)
        storage = Storage(storage.key, storage.items * storage.item_bytes // max(1, width), width)
    return _promise(storage, offset, shape, strides)


def _ordered(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    pairs = arguments[0] if arguments else []
    result = {}
    for pair in pairs:
        key, value = pair
        if not isinstance(key, _PLAIN_KEYS):
            raise BrokenPickle(f"a key is a {type(key).__name__}")
        result[key] = value
    return result


def _promise(storage: Any, offset: Any, shape: Any, strides: Any) -> TensorPromise:
    """The tensor described, if it lies within its storage and is no larger than it."""
    if not isinstance(storage, Storage) or type(shape) is not tuple or type(strides) is not tuple:
        raise BrokenPickle("a tensor is described wrongly")
    if len(shape) != len(strides) or not all(map(_is_count, (offset, *shape, *strides))):
        raise BrokenPickle("a tensor has an impossible shape")
    count = 1
    for side in shape:
        count *= side
    reach = offset + sum((side - 1) * stride for side, stride in zip(shape, strides, strict=True)) + 1
    if count and (count > storage.items or reach > storage.items):
        raise BrokenPickle(f"a tensor of shape {list(shape)} does not fit its {storage.items} stored numbers")
    return TensorPromise(storage, shape)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**62
