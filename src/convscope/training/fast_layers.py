"""Layers exchanged for faster ones that compute the same, for the length of a training step.

Dropout draws one random byte a value instead of one Bernoulli number, and works on the bits of the
values; a ReLU before it shares its backward pass; a ReLU before a max pooling is taken after it, on a
quarter of the values. Outside of a step the module is what it was: what is saved, measured or looked at
never has other layers than its author gave it.
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

_SAME_WIDTH = {torch.bfloat16: torch.int16, torch.float16: torch.int16, torch.float32: torch.int32}
_BYTES = 256
# Of the maps that are worked on at a time, in bytes: half of a usual second-level cache.
_CACHED = 2**20


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


class ReluAfterPool(nn.Module):
    """``pool(relu(x))`` computed as ``relu(pool(x))``.

    The largest of the positive parts is the positive part of the largest.

    Windows of 2 x 2 side by side are compared row by row of memory, where the maps are channels last; the
    gradient goes to the first of equals, as torch's own pooling sends it.

    Parameters
    ----------
    pool
        Torch's max pooling.

    Examples
    --------
    >>> maps = torch.randn(2, 3, 4, 6).to(memory_format=torch.channels_last)
    >>> torch.equal(ReluAfterPool(nn.MaxPool2d(2))(maps), functional.max_pool2d(maps.relu(), 2))
    True
    """

    def __init__(self, pool: nn.MaxPool2d) -> None:
        super().__init__()
        self.pool = pool
        sizes = (pool.kernel_size, pool.stride, pool.padding, pool.dilation)
        self._halves = sizes in ((2, 2, 0, 1), ((2, 2), (2, 2), (0, 0), (1, 1)))

    def forward(self, maps: Tensor) -> Tensor:
        """Maps of shape ``(N, C, H, W)``, pooled; none is below 0."""
        even = maps.dim() == 4 and maps.shape[2] % 2 == 0 and maps.shape[3] % 2 == 0
        if self._halves and even and maps.dtype in _SAME_WIDTH and maps.permute(0, 2, 3, 1).is_contiguous():
            result: Tensor = _PoolRelu.apply(maps)
            return result
        return functional.relu(self.pool(maps))


class FastLayers:
    """Exchanges layers of a module within a ``with`` block.

    Parameters
    ----------
    recorded
        A trace of the module: which layer follows which, and whether anything else reads the values
        between them. The layers must be modules of their own, called once.

    Examples
    --------
    >>> from convscope.models import load_model
    >>> from convscope.tracing import blank_input, trace
    >>> model = load_model("tutorial_cnn", weights="none")
    >>> fast = FastLayers(trace(model, blank_input(model), keep=[]))
    >>> with fast:
    ...     model.module.drop1, model.module.pool2
    (FastDropout(), ReluAfterPool(
      (pool): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
    ))
    >>> model.module.drop1
    Dropout(p=0.3, inplace=False)
    """

    def __init__(self, recorded: Trace) -> None:
        module = recorded.model.module
        self._exchanges = [(*_parent(module, path), layer) for path, layer in _find(recorded).items() if path]
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


class _PoolRelu(torch.autograd.Function):
    """Of the 2 x 2 values of a window first left against right, then above against below.

    Of values that are not below 0 the bits, read as whole numbers, are in the same order as the values:
    the sign of a difference, spread over the word, is a mask for the gradient.
    """

    @staticmethod
    def forward(ctx: Any, maps: Tensor) -> Tensor:
        left, right = _columns(maps)
        wider = torch.maximum(left, right).clamp_min_(0)
        # Without the sign of -0.0, and of NaN: both would read as below every other number.
        word = _SAME_WIDTH[maps.dtype]
        wider.view(word).bitwise_and_(torch.iinfo(word).max)
        above, below = _rows(wider)
        result = torch.maximum(above, below)
        ctx.save_for_backward(maps, wider, result)
        return _as_maps(result, maps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        maps, wider, result = ctx.saved_tensors
        word = _SAME_WIDTH[maps.dtype]
        (gradient,) = gradients
        bits = gradient.permute(0, 2, 3, 1).contiguous().to(maps.dtype).view(word).view(result.shape)
        passed = torch.empty_like(maps, dtype=word)
        # So many pictures at a time that what is worked out on the way stays in the processor's cache.
        some = max(1, _CACHED // (maps[0].numel() * maps.element_size()))
        parts = (maps.view(word), wider.view(word), result.view(word), bits, passed)
        for pieces in zip(*(part.split(some) for part in parts), strict=True):
            _send_back(*pieces)
        return passed.view(maps.dtype)


def _send_back(maps: Tensor, wider: Tensor, result: Tensor, gradient: Tensor, passed: Tensor) -> None:
    """The bits of the gradient of some pictures to the places they came from."""
    # Where the largest is 0 the ReLU passes nothing on.
    bits = _spread(result.neg()).bitwise_and_(gradient)
    above, below = _rows(wider)
    rows = torch.empty_like(wider)
    _route(bits, _spread(above - below), *_rows(rows))
    left = _columns(maps)[0].clamp_min(0)
    between = _spread(left.sub_(wider.view(left.shape)))
    _route(rows.view(left.shape), between, *_columns(passed))


def _columns(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Even and odd columns of maps ``(N, C, H, W)``, each ``(N, H, W / 2, C)``."""
    count, channels, rows, columns = maps.shape
    pairs = maps.permute(0, 2, 3, 1).view(count, rows, columns // 2, 2, channels)
    return pairs[:, :, :, 0], pairs[:, :, :, 1]


def _rows(wider: Tensor) -> tuple[Tensor, Tensor]:
    """Even and odd rows of ``(N, H, W, C)``, each ``(N, H / 2, W * C)``."""
    pairs = wider.view(wider.shape[0], wider.shape[1] // 2, 2, -1)
    return pairs[:, :, 0], pairs[:, :, 1]


def _as_maps(result: Tensor, maps: Tensor) -> Tensor:
    count, channels, rows, columns = maps.shape
    return result.view(count, rows // 2, columns // 2, channels).permute(0, 3, 1, 2)


def _spread(differences: Tensor) -> Tensor:
    """All bits set where a whole number is below 0, none elsewhere; in place."""
    return differences.bitwise_right_shift_(differences.element_size() * 8 - 1)


def _route(bits: Tensor, second: Tensor, first_out: Tensor, second_out: Tensor) -> None:
    """``bits`` to the second place where ``second`` is set, to the first elsewhere."""
    torch.bitwise_and(bits, second, out=second_out)
    torch.bitwise_xor(bits, second_out, out=first_out)


def _mask(values: Tensor, keep: int) -> Tensor:
    """All bits set where a value is kept, none where not; laid out as the values are."""
    count = values.numel()
    words = _random_words(-(-count // 8), values.device)
    bits = words.view(torch.int8)[:count].to(_SAME_WIDTH[values.dtype])
    # Below `keep` of the 256 values from -128 to 127 the difference is negative; its sign fills the word.
    return _spread(bits.sub_(keep - _BYTES // 2)).as_strided(values.shape, values.stride())


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
    return dense and values.dtype in _SAME_WIDTH


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
        elif relu and layer(op.path, nn.MaxPool2d) and not module.get_submodule(op.path).return_indices:
            found[op.path] = ReluAfterPool(module.get_submodule(op.path))  # type: ignore[arg-type]
        else:
            continue
        if relu:
            found[relu] = nn.Identity()
    return found


def _parent(module: nn.Module, path: str) -> tuple[nn.Module, str]:
    parent, _, name = path.rpartition(".")
    return module.get_submodule(parent), name
