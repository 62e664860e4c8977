"""Max pooling over windows of 2 x 2, whole columns and rows of memory at a time.

Torch's own pooling of maps that are channels last goes from window to window, forth and back; here left is
compared with right, then above with below, of as many pictures as the processor's cache holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

SAME_WIDTH = {torch.bfloat16: torch.int16, torch.float16: torch.int16, torch.float32: torch.int32}
# Of the maps that are worked on at a time, in bytes: half of a usual second-level cache.
_CACHED = 2**20


class FastMaxPool(nn.Module):
    """What torch's max pooling computes, faster where windows are of 2 x 2 and maps are channels last.

    The gradient goes to the first of equals, as torch's own pooling sends it, but that -0.0 counts as below
    0.0. Where windows overlap, the gradients that meet in a value are added in another order.

    Parameters
    ----------
    pool
        Torch's max pooling, which is used as it is for windows of other sizes, for sides that cannot be
        halved and for maps in another order.

    Examples
    --------
    >>> maps = torch.randn(2, 3, 5, 7).to(memory_format=torch.channels_last)
    >>> torch.equal(FastMaxPool(nn.MaxPool2d(2, stride=1))(maps), functional.max_pool2d(maps, 2, 1))
    True
    >>> FastMaxPool(nn.MaxPool2d(3)).faster
    False
    """

    def __init__(self, pool: nn.MaxPool2d) -> None:
        super().__init__()
        self.pool = pool
        self._step = next((step for step in (1, 2) if _same(pool, nn.MaxPool2d(2, step))), 0)

    @property
    def faster(self) -> bool:
        """Whether its windows are such as are pooled faster."""
        return self._step > 0

    def forward(self, maps: Tensor) -> Tensor:
        """Maps of shape ``(N, C, H, W)``, pooled."""
        if not self.faster or maps.dim() != 4 or maps.dtype not in SAME_WIDTH:
            return self._plain(maps)
        rows, columns = maps.shape[2:]
        fits = min(rows, columns) > 1 and (self._step == 1 or rows % 2 == columns % 2 == 0)
        if not fits or not maps.permute(0, 2, 3, 1).is_contiguous():
            return self._plain(maps)
        result: Tensor = _MaxPool.apply(maps, self._step)
        return result

    def _plain(self, maps: Tensor) -> Tensor:
        result: Tensor = self.pool(maps)
        return result


class ReluAfterPool(nn.Module):
    """``pool(relu(x))`` computed as ``relu(pool(x))``.

    The largest of the positive parts is the positive part of the largest.

    Parameters
    ----------
    pool
        Max pooling, torch's own or a faster one.

    Examples
    --------
    >>> maps = torch.randn(2, 3, 4, 6).to(memory_format=torch.channels_last)
    >>> torch.equal(ReluAfterPool(nn.MaxPool2d(2))(maps), functional.max_pool2d(maps.relu(), 2))
    True
    """

    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, maps: Tensor) -> Tensor:
        """Maps of shape ``(N, C, H, W)``, pooled; none is below 0."""
        return functional.relu(self.pool(maps))


def spread(differences: Tensor) -> Tensor:
    """All bits set where a whole number is below 0, none elsewhere; in place."""
    return differences.bitwise_right_shift_(differences.element_size() * 8 - 1)


class _MaxPool(torch.autograd.Function):
    """Windows of 2 x 2, side by side or a cell apart, of maps ``(N, C, H, W)`` that are channels last.

    The sign of the difference of two values, spread over the word, is a mask: where the second is larger.
    """

    @staticmethod
    def forward(ctx: Any, maps: Tensor, step: int) -> Tensor:
        word = SAME_WIDTH[maps.dtype]
        values = maps.permute(0, 2, 3, 1)
        left, _ = _neighbours(values, 2, step)
        above, _ = _neighbours(left, 1, step)
        right_larger = maps.new_empty(left.shape, dtype=word)
        below_larger = maps.new_empty(above.shape, dtype=word)
        result = maps.new_empty(above.shape)
        parts = (values, right_larger, below_larger, result)
        for some, right, below, pooled in _in_cache(*parts):
            columns = _neighbours(some, 2, step)
            _second_larger(*columns, right)
            rows = _neighbours(torch.maximum(*columns), 1, step)
            _second_larger(*rows, below)
            torch.maximum(*rows, out=pooled)
        ctx.save_for_backward(right_larger, below_larger)
        ctx.step, ctx.shape = step, values.shape
        return result.permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        right_larger, below_larger = ctx.saved_tensors
        came = gradients[0].permute(0, 2, 3, 1).contiguous()
        passed = came.new_empty(ctx.shape)
        for out, right, below, some in _in_cache(passed, right_larger, below_larger, came):
            rows = came.new_empty(right.shape)
            _send_back(some, below, rows, 1, ctx.step)
            _send_back(rows, right, out, 2, ctx.step)
        return passed.permute(0, 3, 1, 2), None


def _same(pool: nn.MaxPool2d, other: nn.MaxPool2d) -> bool:
    def sizes(one: nn.MaxPool2d) -> list[tuple[int, ...]]:
        found = (one.kernel_size, one.stride, one.padding, one.dilation)
        return [(size, size) if isinstance(size, int) else tuple(size) for size in found]

    return sizes(pool) == sizes(other)


def _in_cache(*parts: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Parts of some pictures at a time, so that what is worked out on the way stays in the cache."""
    some = max(1, _CACHED // (parts[0].shape[1:].numel() * parts[0].element_size()))
    return zip(*(part.split(some) for part in parts), strict=True)


def _neighbours(values: Tensor, dim: int, step: int) -> tuple[Tensor, Tensor]:
    """The first and the second of each two values of a window along ``dim``."""
    if step == 1:
        rest = values.shape[dim] - 1
        return values.narrow(dim, 0, rest), values.narrow(dim, 1, rest)
    pairs = values.unflatten(dim, (-1, 2))
    return pairs.select(dim + 1, 0), pairs.select(dim + 1, 1)


def _second_larger(first: Tensor, second: Tensor, out: Tensor) -> None:
    """All bits set where the second is larger, none elsewhere."""
    torch.sub(first, second, out=out.view(first.dtype))
    spread(out)


def _send_back(came: Tensor, second: Tensor, passed: Tensor, dim: int, step: int) -> None:
    """Pass the gradient of each two values on: to the second where the mask is set, else to the first."""
    word = second.dtype
    bits = came.view(word)
    first_out, second_out = _neighbours(passed, dim, step)
    if step == 2:
        torch.bitwise_and(bits, second, out=second_out.view(word))
        torch.bitwise_xor(bits, second_out.view(word), out=first_out.view(word))
        return
    to_second = bits & second
    torch.bitwise_xor(bits, to_second, out=first_out.view(word))
    passed.narrow(dim, -1, 1).zero_()
    second_out.add_(to_second.view(came.dtype))
