"""What the recorder knows of a torch function before it runs: its kind, its arguments, what it overwrites.

Torch's functions come as builtins, methods, Python functions, property getters and op
overloads. A :class:`Plan` is worked out once for each and kept.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

# Getters, tests and conversions that give no new values; they would only clutter the graph.
_SILENT = frozenset(
    [
        "requires_grad_",
        "retain_grad",
        "register_hook",
        "size",
        "dim",
        "ndimension",
        "numel",
        "nelement",
        "stride",
        "storage_offset",
        "element_size",
        "data_ptr",
        "is_contiguous",
        "is_floating_point",
        "is_complex",
        "is_nonzero",
        "is_same_size",
        "is_set_to",
        "is_pinned",
        "is_signed",
        "is_inference",
        "get_device",
        "type",
        "dtype",
        "item",
        "tolist",
        "backward",
        "__len__",
        "__hash__",
        "__repr__",
        "__str__",
        "__format__",
        "__bool__",
        "__int__",
        "__float__",
        "__index__",
        "__contains__",
        "__reduce_ex__",
        "__deepcopy__",
        "_is_view",
        "_base",
        "is_tensor",
        "result_type",
        "can_cast",
    ]
)
# These hand out the memory itself: a later write through it is seen by nobody.
_LEAKY = frozenset(["numpy", "__array__", "__dlpack__", "untyped_storage", "storage", "_typed_storage"])
# These hand values to plain Python, where what becomes of them is seen by nobody.
_READING = _LEAKY | {
    "item", "tolist", "is_nonzero", "__bool__", "__int__", "__float__", "__index__", "__contains__",
}  # fmt: skip
_IN_PLACE_OPERATORS = frozenset(
    [
        "__iadd__",
        "__isub__",
        "__imul__",
        "__itruediv__",
        "__idiv__",
        "__ifloordiv__",
        "__imod__",
        "__ipow__",
        "__imatmul__",
        "__iand__",
        "__ior__",
        "__ixor__",
        "__ilshift__",
        "__irshift__",
        "__setitem__",
    ]
)
_ALIASES = {
    "__add__": "add", "__radd__": "add", "__sub__": "sub", "__rsub__": "rsub", "__mul__": "mul",
    "__rmul__": "mul", "__truediv__": "div", "__rtruediv__": "rdiv", "__div__": "div", "__rdiv__": "rdiv",
    "__matmul__": "matmul", "__rmatmul__": "rmatmul", "__neg__": "neg", "__pow__": "pow", "__rpow__": "rpow",
    "__iadd__": "add", "__isub__": "sub", "__imul__": "mul", "__itruediv__": "div", "__idiv__": "div",
    "__floordiv__": "floor_divide", "__ifloordiv__": "floor_divide", "__mod__": "remainder",
    "__getitem__": "getitem", "__setitem__": "setitem", "__abs__": "abs", "__invert__": "logical_not",
    "__and__": "logical_and", "__or__": "logical_or", "__eq__": "eq", "__ne__": "ne", "__lt__": "lt",
    "__le__": "le", "__gt__": "gt", "__ge__": "ge", "concat": "cat", "concatenate": "cat",
    "multiply": "mul", "subtract": "sub", "divide": "div", "true_divide": "div", "conv2d_": "conv2d",
    "max_pool2d_with_indices": "max_pool2d", "max_pool1d_with_indices": "max_pool1d",
    "adaptive_max_pool2d_with_indices": "adaptive_max_pool2d", "_adaptive_avg_pool2d": "adaptive_avg_pool2d",
    "mkldnn_convolution": "conv2d", "clip": "clamp", "swapaxes": "transpose", "swapdims": "transpose",
}  # fmt: skip
# A call that hands back its very input did nothing worth a row, unless people look for it by name.
KEEP_IF_UNCHANGED = frozenset(
    ["dropout", "dropout2d", "dropout1d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"]
)


@dataclass(frozen=True)
class Plan:
    """What is known of one torch function.

    ``silent`` ones are not recorded. ``overwrites`` gives the tensors a call with these
    arguments writes into; ``leaky`` ones expose the memory of their first argument, and
    ``reads`` marks those that hand values to plain Python.
    """

    kind: str
    silent: bool = False
    leaky: bool = False
    reads: bool = False
    overwrites: Callable[[tuple[Any, ...], Mapping[str, Any]], list[Tensor]] | None = None


def _first(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Tensor]:
    target = args[0] if args else next((v for v in kwargs.values() if isinstance(v, Tensor)), None)
    if isinstance(target, (list, tuple)):
        return [t for t in target if isinstance(t, Tensor)]
    return [target] if isinstance(target, Tensor) else []


def _out(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Tensor]:
    out = kwargs.get("out")
    if isinstance(out, Tensor):
        return [out]
    return [t for t in out if isinstance(t, Tensor)] if isinstance(out, (list, tuple)) else []


def _inplace_flag(position: int) -> Callable[[tuple[Any, ...], Mapping[str, Any]], list[Tensor]]:
    def overwrites(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Tensor]:
        on = kwargs.get("inplace", args[position] if len(args) > position else False)
        return _first(args, kwargs) if on else []

    return overwrites


def _renormalised(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Tensor]:
    """The table of an embedding, which is shrunk in place where it is too large."""
    limit = kwargs.get("max_norm", args[3] if len(args) > 3 else None)
    weight = [a for a in (*args[:2], kwargs.get("weight")) if isinstance(a, Tensor) and a.is_floating_point()]
    return weight if limit is not None else []


def _running_statistics(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Tensor]:
    training = kwargs.get("training", args[5] if len(args) > 5 else False)
    if "use_input_stats" in kwargs:
        training = kwargs["use_input_stats"]
    found = [
        kwargs.get(n, args[i] if len(args) > i else None)
        for i, n in ((1, "running_mean"), (2, "running_var"))
    ]
    return [t for t in found if isinstance(t, Tensor)] if training else []


def _by_schema(schema: Any) -> Callable[[tuple[Any, ...], Mapping[str, Any]], list[Tensor]] | None:
    written = [
        (i, a.name)
        for i, a in enumerate(schema.arguments)
        if a.alias_info is not None and a.alias_info.is_write
    ]
    if not written:
        return None

    def overwrites(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Tensor]:
        found: list[Tensor] = []
        for i, name in written:
            value = kwargs.get(name, args[i] if i < len(args) else None)
            found += [
                v for v in (value if isinstance(value, (list, tuple)) else [value]) if isinstance(v, Tensor)
            ]
        return found

    return overwrites


def make_plan(function: Any) -> Plan:
    """Plan for ``function``, as handed to a ``TorchFunctionMode``."""
    name = getattr(function, "__name__", None) or type(function).__name__
    if name == "__get__":
        attribute = getattr(getattr(function, "__self__", None), "__name__", "")
        return Plan(attribute, silent=attribute not in {"data", "T", "mT", "H", "mH", "real", "imag"})
    if name == "__set__":
        attribute = getattr(getattr(function, "__self__", None), "__name__", "")
        return Plan(f"set_{attribute}", silent=attribute != "data", overwrites=_first)
    if name in _LEAKY:
        return Plan(name, silent=True, leaky=True, reads=True)
    if name in _SILENT or name.startswith(("is_", "_has_")):
        return Plan(name, silent=True, reads=name in _READING)
    schema = getattr(function, "_schema", None)
    if schema is not None or isinstance(function, torch._ops.OpOverloadPacket):
        base = name.split(".")[0]
        if schema is None:
            overload = getattr(function, "default", None)
            schema = getattr(overload, "_schema", None)
        writes = _by_schema(schema) if schema is not None else (_first if base.endswith("_") else None)
        return Plan(_kind(base), overwrites=writes)
    if name in _IN_PLACE_OPERATORS or (name.endswith("_") and not name.endswith("__")):
        return Plan(_kind(name), overwrites=_first)
    if name in {"batch_norm", "instance_norm"}:
        return Plan(name, overwrites=_running_statistics)
    if name in {"embedding", "embedding_bag"}:
        return Plan(name, overwrites=_renormalised)
    names = list(argument_names(function))
    if "inplace" in names:
        return Plan(_kind(name), overwrites=_inplace_flag(names.index("inplace")))
    return Plan(_kind(name), overwrites=_out)


def _kind(name: str) -> str:
    if name in _ALIASES:
        return _ALIASES[name]
    if name.endswith("_") and not name.endswith("__"):
        name = name.rstrip("_")
    return _ALIASES.get(name, name.strip("_") or name)


@cache
def _documented() -> dict[Any, Any]:
    return torch.overrides.get_testing_overrides()


@cache
def argument_names(function: Any) -> tuple[str, ...]:
    """Names of the positional arguments of a torch function, as documented; empty where unknown.

    Examples
    --------
    >>> import torch
    >>> argument_names(torch.conv2d)
    ('input', 'weight', 'bias', 'stride', 'padding', 'dilation', 'groups')
    """
    schema = getattr(function, "_schema", None)
    if schema is not None:
        return tuple(a.name for a in schema.arguments)
    for candidate in (function, _documented().get(function)):
        try:
            parameters = inspect.signature(candidate).parameters.values() if candidate is not None else ()
        except (TypeError, ValueError):
            continue
        names = tuple(p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD))
        if names:
            # A method's first argument is the tensor itself, whatever Python calls it.
            return ("input", *names[1:]) if names[0] == "self" else names
    return ()


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Every tensor in a nest of lists, tuples, dicts, named tuples and dataclasses, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from tensors_in(item)
    elif hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        for key in value.__dataclass_fields__:
            yield from tensors_in(getattr(value, key))
    elif hasattr(value, "tensors") and not isinstance(value, type) and isinstance(value.tensors, Tensor):
        yield value.tensors  # torchvision's ImageList and its like
