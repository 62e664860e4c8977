"""Layers exchanged for faster ones that compute the same, or nearly, for the length of a training step.

Dropout draws one random byte a value instead of one Bernoulli number, and works on the bits of the
values; a ReLU before it shares its backward pass; a ReLU before a max pooling is taken after it, on a
quarter of the values; and pooling itself compares whole columns and rows. Outside of a step the module
is what it was: what is saved, measured or looked at never has other layers than its author gave it.
"""

from __future__ import annotations

from collections import Counter
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from convscope.tracing import Trace
from convscope.training.fast_convolution import FastConv2d, fits
from convscope.training.fast_pooling import SAME_WIDTH, FastMaxPool, ReluAfterPool, spread

_BYTES = 256


def kept_bytes(p: float) -> int:
    """How many of the 256 values of a byte keep a value that dropout drops with chance ``p``.

    Examples
    --------
    >>> kept_bytes(0.5), kept_bytes(0.3)
    (128, 179)
    """
    return round((1 - p) * _BYTES)


class FastDropout(nn.Module):
    """Dropout from random bytes, by itself or of a ReLU's output.

    Values are dropped with chance ``p`` to the nearest 1/256, and those kept are divided by exactly the
    chance to be kept, so that the mean stays. The numbers come from torch's default generator. Only
    for training: in evaluation mode it is the identity, or the ReLU alone.

    Parameters
    ----------
    p
        Chance of a value to be dropped, 0 to 1.
    relu
        Whether negative values become 0 first.

    Examples
    --------
    >>> values = FastDropout(0.5)(torch.ones(10000))
    >>> sorted(set(values.tolist())), 0.9 < float(values.mean()) < 1.1
    ([0.0, 2.0], True)
    """

    def __init__(self, p: float, relu: bool = False) -> None:
        super().__init__()
        self.p, self.relu = p, relu

    def forward(self, values: Tensor) -> Tensor:
        """Values of any shape, type and layout; the result has the same."""
        keep = kept_bytes(self.p)
        if not self.training or keep in (0, _BYTES) or not _fits(values):
            return functional.dropout(values.relu() if self.relu else values, self.p, self.training)
        kind = _ReluDropout if self.relu else _Dropout
        result: Tensor = kind.apply(values, keep)
        return result


class FastLayers:
    """Exchanges layers of a module within a ``with`` block.

    Parameters
    ----------
    recorded
        A trace of the module: which layer follows which, and whether anything else reads the values
        between them. The layers must be modules of their own, called once.
    same
        Exchange layers for such as compute the same.
    int8
        Exchange convolutions for such as compute in 8-bit whole numbers (``FastConv2d``).

    Examples
    --------
    >>> from convscope.models import load_model
    >>> from convscope.tracing import blank_input, trace
    >>> model = load_model("tutorial_cnn", weights="none")
    >>> fast = FastLayers(trace(model, blank_input(model), keep=[]))
    >>> with fast:
    ...     model.module.drop1, type(model.module.pool2).__name__
    (FastDropout(), 'ReluAfterPool')
    >>> model.module.drop1
    Dropout(p=0.3, inplace=False)
    """

    def __init__(self, recorded: Trace, *, same: bool = True, int8: bool = False) -> None:
        module = recorded.model.module
        found = _find(recorded) if same else {}
        if int8:
            found |= {path: FastConv2d(layer) for path, layer in _convolutions(recorded).items()}
        self._exchanges = [(*_parent(module, path), layer) for path, layer in found.items() if path]
        self._own: list[nn.Module] = []

    def __len__(self) -> int:
        return len(self._exchanges)

    def __enter__(self) -> FastLayers:
        self._own = [parent._modules[name] for parent, name, _ in self._exchanges]  # type: ignore[misc]
        for (parent, name, layer), own in zip(self._exchanges, self._own, strict=True):
            layer.training = own.training
            parent._modules[name] = layer
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        for (parent, name, _), own in zip(self._exchanges, self._own, strict=True):
            parent._modules[name] = own


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, keep: int) -> Tensor:
        mask = _mask(values, keep)
        ctx.save_for_backward(mask)
        ctx.scale = _BYTES / keep
        return _masked(values, mask).mul_(ctx.scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (mask,) = ctx.saved_tensors
        # The gradient may lie in another order than the values did.
        gradient = torch.empty_like(mask, dtype=gradients[0].dtype).copy_(gradients[0])
        return _masked(gradient, mask).mul_(ctx.scale), None


class _ReluDropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, keep: int) -> Tensor:
        bits = _mask(values, keep)
        result = bits.bitwise_and_(values.view(bits.dtype)).view(values.dtype)
        ctx.scale = _BYTES / keep
        result.clamp_min_(0).mul_(ctx.scale)
        ctx.save_for_backward(result)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        # What came out above 0 is what was above 0 and was kept: no mask is needed.
        (result,) = ctx.saved_tensors
        # ELU's backward pass at alpha 0, told its result, is exactly this in one walk through memory:
        # times the scale above 0, times 0 elsewhere.
        return torch.ops.aten.elu_backward(gradients[0], 0.0, ctx.scale, 1.0, True, result), None


def _mask(values: Tensor, keep: int) -> Tensor:
    """All bits set where a value is kept, none where not; laid out as the values are."""
    count = values.numel()
    words = _random_words(-(-count // 8), values.device)
    bits = words.view(torch.int8)[:count].to(SAME_WIDTH[values.dtype])
    # Below `keep` of the 256 values from -128 to 127 the difference is negative; its sign fills the word.
    return spread(bits.sub_(keep - _BYTES // 2)).as_strided(values.shape, values.stride())


def _random_words(count: int, device: torch.device) -> Tensor:
    """Random 64-bit words, that follow from torch's default generator."""
    if device.type != "cpu":
        return torch.empty(count, dtype=torch.int64, device=device).random_(-(2**63), None)
    # Torch's own generator is twice as slow; it gives the seed, so that its state still is all there is.
    seed = int(torch.randint(2**62, ()))
    words = np.random.SFC64(seed).random_raw(count)
    return torch.from_numpy(words.view(np.int64))


def _masked(values: Tensor, mask: Tensor) -> Tensor:
    return values.view(mask.dtype).bitwise_and(mask).view(values.dtype)


def _fits(values: Tensor) -> bool:
    """Whether the bits can be worked on: a float type, values without gaps in memory."""
    dense = values.is_contiguous() or (
        values.dim() == 4 and values.is_contiguous(memory_format=torch.channels_last)
    )
    return dense and values.dtype in SAME_WIDTH


def _find(recorded: Trace) -> dict[str, nn.Module]:
    """What to put where: a layer for each path."""
    module = recorded.model.module
    calls = Counter(op.path for op in recorded.ops)
    readers = Counter(index for op in recorded.ops for index in op.inputs)
    results = {index for index, _ in recorded.calls[0].outputs} if recorded.calls else set()
    found: dict[str, nn.Module] = {}

    def layer(path: str, kind: type[nn.Module]) -> bool:
        # A subclass may compute something else.
        return bool(path) and calls[path] == 1 and type(module.get_submodule(path)) is kind

    for op in recorded.ops:
        before = recorded.ops[op.inputs[0]] if len(op.inputs) == 1 else None
        alone = before is not None and readers[before.index] == 1 and before.index not in results
        relu = before.path if before is not None and alone and layer(before.path, nn.ReLU) else ""
        if layer(op.path, nn.Dropout):
            dropout = module.get_submodule(op.path)
            found[op.path] = FastDropout(float(dropout.p), relu=bool(relu))  # type: ignore[arg-type]
        elif layer(op.path, nn.MaxPool2d) and not module.get_submodule(op.path).return_indices:
            pool = FastMaxPool(module.get_submodule(op.path))  # type: ignore[arg-type]
            if not relu and not pool.faster:
                continue
            found[op.path] = ReluAfterPool(pool) if relu else pool
        else:
            continue
        if relu:
            found[relu] = nn.Identity()
    return found


def _convolutions(recorded: Trace) -> dict[str, nn.Conv2d]:
    module = recorded.model.module
    layers = {path: module.get_submodule(path) for path in dict.fromkeys(op.path for op in recorded.ops)}
    return {path: layer for path, layer in layers.items() if isinstance(layer, nn.Conv2d) and fits(layer)}


def _parent(module: nn.Module, path: str) -> tuple[nn.Module, str]:
    parent, _, name = path.rpartition(".")
    return module.get_submodule(parent), name
