"""Plainer ways to what a trace says: clone-at-call hooks, op-by-op replay, a model's fingerprint."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from convscope.tracing import Trace
from convscope.tracing.events import Kept, Slot
from convscope.tracing.plan import tensors_in


def same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors hold the same bits (NaN equals NaN)."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.layout is not torch.strided:
        return same(a.to_dense(), b.to_dense())
    if a.is_complex():
        a, b = torch.view_as_real(a), torch.view_as_real(b)
    return bool(torch.equal(_bits(a), _bits(b)))


def _bits(tensor: Tensor) -> Tensor:
    tensor = tensor.detach()
    whole = {8: torch.int64, 4: torch.int32, 2: torch.int16, 1: torch.uint8}[tensor.element_size()]
    return tensor.contiguous().view(whole)


def checksum(tensor: Tensor) -> int:
    """A number that changes with (almost) any change of the bits."""
    if tensor.layout is not torch.strided:
        tensor = tensor.to_dense()
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor)
    return int(_bits(tensor).sum(dtype=torch.int64))


def flat(value: Any) -> list[Tensor]:
    """Every tensor of an output, in order."""
    return list(tensors_in(value))


def clone_hooks(
    model: nn.Module, *args: Any, **kwargs: Any
) -> tuple[Any, list[tuple[str, int, list[Tensor]]]]:
    """Run the model with a hook on every leaf that copies its output at once.

    Gives the output and ``(path, call number, copies)`` in the order the calls returned.
    """
    calls: list[tuple[str, int, list[Tensor]]] = []
    counts: dict[str, int] = {}

    def hook(path: str) -> Callable[..., None]:
        def note(module: nn.Module, inputs: Any, output: Any) -> None:
            number = counts.get(path, 0)
            counts[path] = number + 1
            calls.append((path, number, [t.detach().clone() for t in flat(output)]))

        return note

    handles = [
        m.register_forward_hook(hook(path))
        for path, m in model.named_modules()
        if path and not list(m.children())
    ]
    try:
        with torch.no_grad():
            output = model(*args, **kwargs)
    finally:
        for handle in handles:
            handle.remove()
    return output, calls


def check_leaves(trace: Trace, calls: list[tuple[str, int, list[Tensor]]]) -> int:
    """Every leaf call of the trace holds what the clone-at-call hook saw, bit for bit."""
    inside = [o.path for o in trace.ops]
    seen = {(c.path, c.number): c for c in trace.calls if c.leaf and c.path}
    opaque = {c.path for c in trace.calls if any(c.path.startswith(f"{p}.") for p in opaque_paths(trace))}
    compared = 0
    assert inside
    for path, number, copies in calls:
        if any(path.startswith(f"{p}.") for p in opaque_paths(trace)) or path in opaque:
            continue
        call = seen.pop((path, number))
        assert len(call.values) == len(copies), path
        for value, copy in zip(call.values, copies, strict=True):
            assert value is not None, path
            assert same(value, copy), f"{path} call {number} differs"
            compared += 1
    assert not seen, f"calls no hook saw: {list(seen)[:5]}"
    return compared


def opaque_paths(trace: Trace) -> set[str]:
    """Paths of the modules recorded as a single op (attention's fused kernels)."""
    kinds = {"multihead_attention", "transformer_encoder_layer", "transformer_encoder"}
    return {op.path for op in trace.ops if op.kind in kinds}


def replay(trace: Trace) -> int:
    """Run every recorded function again on its operands' recorded values; each must give what was recorded.

    Proves edges, arguments and values at once. Gives the number of ops replayed.
    """
    module = trace.model.module
    named = dict(module.named_parameters(remove_duplicate=False)) | dict(
        module.named_buffers(remove_duplicate=False)
    )

    def value(slot: Slot) -> Tensor:
        if slot.event is not None:
            kept = slot.event.values[slot.output]
            assert kept is not None
            return _copy(kept.tensor)
        if slot.parameter is not None:
            return _copy(named[slot.parameter].detach())
        assert isinstance(slot.constant, Kept)
        return _copy(slot.constant.tensor)

    def rebuild(x: Any) -> Any:
        if isinstance(x, Slot):
            return value(x)
        if isinstance(x, (tuple, list)):
            return type(x)(rebuild(v) for v in x)
        if isinstance(x, dict):
            return {k: rebuild(v) for k, v in x.items()}
        return x

    count = 0
    for event in trace._recording.events:
        if event.function is None or event.kind.startswith("empty"):
            continue
        args, kwargs = rebuild(event.args), rebuild(event.kwargs)
        with torch.no_grad():
            result = event.function(*args, **kwargs)
        outputs = flat(result)
        for tensor in event.plan.overwrites(args, kwargs) if event.plan.overwrites is not None else ():
            if not any(tensor is o for o in outputs) and not any(
                same(tensor, value) for value in named.values() if value.shape == tensor.shape
            ):
                outputs.append(tensor)
        for output, kept in zip(outputs, event.values, strict=False):
            assert kept is not None
            # A copy of a view is laid out otherwise, and a sum over it adds in another order.
            if not (event.kind in {"sum", "mean"} and torch.allclose(output, kept.tensor)):
                assert same(output.detach(), kept.tensor), f"{event.name}: replayed value differs"
        count += 1
    return count


def _copy(tensor: Tensor) -> Tensor:
    """A copy laid out in memory as the original (kernels may differ by layout)."""
    if tensor.layout is not torch.strided:
        return tensor.clone()
    return tensor.clone(memory_format=torch.preserve_format)


def check_graph(trace: Trace) -> None:
    """All operands come from earlier ops, parameters or constants; the output is some op's value."""
    names = [op.name for op in trace.ops]
    assert len(set(names)) == len(names), "names are unique"
    for op in trace.ops:
        for operand in op.operands:
            origins = [operand.op is not None, operand.parameter is not None, operand.constant is not None]
            assert sum(origins) == 1, (op.name, operand)
            if operand.op is not None:
                assert operand.op < op.index
                assert trace.ops[operand.op].shapes[operand.output] == operand.shape, (op.name, operand.role)
    values = [v for op in trace.ops for v in op.values if v is not None]
    for tensor in flat(trace.output):
        assert any(same(tensor, v) for v in reversed(values)), "the output is the value of some op"


def ancestors(trace: Trace, index: int) -> set[int]:
    """Every op whose output reaches this one."""
    found: set[int] = set()
    todo = [index]
    while todo:
        for source in trace.ops[todo.pop()].inputs:
            if source not in found:
                found.add(source)
                todo.append(source)
    return found


class Fingerprint:
    """Everything that must be the same before and after a trace, compared with ``==`` by :meth:`check`."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.before = self._take()

    def _take(self) -> dict[str, Any]:
        modules = list(self.model.named_modules(remove_duplicate=False))
        tensors = [
            *self.model.named_parameters(remove_duplicate=False),
            *self.model.named_buffers(remove_duplicate=False),
        ]
        state = np.random.get_state()
        world = torch.nn.modules.module
        return {
            "modules": [(path, id(m)) for path, m in modules],
            "training": {path: m.training for path, m in modules},
            "attributes": {path: {k: _plain(v) for k, v in m.__dict__.items()} for path, m in modules},
            "tensors": [
                (n, id(t), t.requires_grad, t.dtype, None if t.is_meta else checksum(t)) for n, t in tensors
            ],
            "gradients": [(n, None if t.grad is None else checksum(t.grad)) for n, t in tensors if t.is_leaf],
            "torch random": torch.get_rng_state().tolist(),
            "python random": random.getstate(),
            "numpy random": (state[0], state[1].tolist(), *state[2:]),
            "global hooks": {
                k: dict(v) for k, v in vars(world).items() if k.startswith("_global_") and isinstance(v, dict)
            },
            "function modes": torch._C._len_torch_function_stack(),
            "functions on": torch._C._is_torch_function_enabled(),
            "grad": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        }

    def check(self) -> None:
        """Raise AssertionError naming what is not as it was."""
        after = self._take()
        for key, value in self.before.items():
            assert after[key] == value, f"{key} changed"


def _plain(value: Any) -> Any:
    """A stand-in that compares by identity for objects and by content for plain containers."""
    if isinstance(value, (bool, int, float, str, type(None))):
        return value
    if isinstance(value, dict):
        return (id(value), [(k, _plain(v)) for k, v in value.items()])
    if isinstance(value, (list, tuple)):
        return (id(value), [_plain(v) for v in value])
    return id(value)


@contextmanager
def no_initialisation() -> Iterator[None]:
    """Modules built inside keep whatever is in fresh memory; :func:`fill` gives them numbers, quicker."""
    names = [n for n in dir(nn.init) if n.endswith("_") and not n.startswith("_")]
    originals = {n: getattr(nn.init, n) for n in names}
    for name in names:
        setattr(nn.init, name, lambda tensor, *args, **kwargs: tensor)
    try:
        yield
    finally:
        for name, function in originals.items():
            setattr(nn.init, name, function)


def fill(model: nn.Module, seed: int = 0) -> nn.Module:
    """Weights of sensible size from one short random vector, laid out again and again."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(65_537, generator=generator)
    with torch.no_grad():
        for module in model.modules():
            norm = isinstance(module, (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm))
            for key, parameter in module.named_parameters(recurse=False):
                size = parameter.numel()
                scale = (2 / max(1, size // parameter.shape[0])) ** 0.5 if parameter.ndim > 1 else 0.1
                flat_view = parameter.view(-1)
                whole = size // len(noise) * len(noise)
                values = (noise * scale).to(parameter.dtype)
                if whole:
                    flat_view[:whole].view(-1, len(noise)).copy_(values)
                flat_view[whole:].copy_(values[: size - whole])
                if norm and key == "weight":
                    parameter.add_(1)
            for key, buffer in module.named_buffers(recurse=False):
                if key == "running_mean":
                    buffer.copy_(noise[: buffer.numel()] * 0.1)
                elif key == "running_var":
                    buffer.copy_(noise[: buffer.numel()].abs() + 0.5)
    return model
