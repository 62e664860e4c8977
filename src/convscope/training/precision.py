"""bfloat16 arithmetic with float32 masters: the module keeps its weights, a copy of them does the work.

A step's forward and backward pass run with bfloat16 copies of the weights; the gradients are handed to
the module's own float32 weights, which the optimizer changes. What the optimizer adds is far below what
bfloat16 can tell apart, so the sum must be kept in float32. The module itself is never converted.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call

from convscope.errors import UsageError

# Their statistics need float32, and their weights cost nothing; their inputs may be bfloat16.
_KEPT = (nn.modules.batchnorm._BatchNorm,)


def has_bf16(device: torch.device) -> bool:
    """Whether a device computes with bfloat16 in hardware, rather than slowly in float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()


def resolve_precision(wanted: str, device: torch.device) -> str:
    """``fp32`` or ``bf16`` from a recipe's ``fp32``, ``bf16`` or ``auto``.

    Raises
    ------
    UsageError
        For any other.

    Examples
    --------
    >>> resolve_precision("fp32", torch.device("cpu"))
    'fp32'
    """
    if wanted not in ("fp32", "bf16", "auto"):
        raise UsageError(f"precision must be fp32, bf16 or auto; got {wanted!r}")
    if wanted == "auto":
        return "bf16" if has_bf16(device) else "fp32"
    return wanted


class HalfPrecision:
    """A module's passes in bfloat16, its weights in float32.

    Parameters
    ----------
    module
        With float32 weights; it is not changed. Batch norm's weights and statistics take part in
        float32.

    Examples
    --------
    >>> layer = nn.Linear(4, 2)
    >>> half = HalfPrecision(layer)
    >>> scores = half(torch.ones(3, 4))
    >>> scores.sum().backward(); half.hand_over()
    >>> scores.dtype, layer.weight.dtype, layer.weight.grad.tolist()
    (torch.bfloat16, torch.float32, [[3.0, 3.0, 3.0, 3.0], [3.0, 3.0, 3.0, 3.0]])
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        kept = {
            id(p)
            for part in module.modules()
            if isinstance(part, _KEPT)
            for p in part.parameters(recurse=False)
        }
        self._masters: list[Tensor] = [
            p for p in module.parameters() if p.dtype == torch.float32 and id(p) not in kept
        ]
        self._copies = [
            torch.empty_like(p, dtype=torch.bfloat16).requires_grad_(p.requires_grad) for p in self._masters
        ]
        # Each place of a weight once: a layer under two names is one place, a weight of two layers is two.
        copies = {id(p): copy for p, copy in zip(self._masters, self._copies, strict=True)}
        self._named = {
            f"{path}.{slot}" if path else slot: copies[id(p)]
            for path, part in module.named_modules()
            for slot, p in part.named_parameters(recurse=False, remove_duplicate=False)
            if id(p) in copies
        }
        self._gradients = [torch.empty_like(p) if p.requires_grad else None for p in self._masters]

    def __call__(self, inputs: Tensor) -> object:
        """The module's output for ``inputs``, with the weights as they are now."""
        with torch.no_grad():
            torch._foreach_copy_(self._copies, self._masters)
        return functional_call(self.module, self._named, (inputs.to(torch.bfloat16),), tie_weights=False)

    def hand_over(self) -> None:
        """Put the gradients of the last backward pass, as float32, where the optimizer looks for them."""
        targets, sources = [], []
        for master, copy, buffer in zip(self._masters, self._copies, self._gradients, strict=True):
            if copy.grad is None or buffer is None:
                master.grad = None
                continue
            master.grad = buffer
            targets.append(buffer)
            sources.append(copy.grad)
            copy.grad = None
        if targets:
            torch._foreach_copy_(targets, sources)
