"""Whether a network's answer may be named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convscope.errors import ConvscopeError, TraceError

if TYPE_CHECKING:
    from convscope.tracing import Trace


def why_no_class(trace: Trace) -> str:
    """Why class scores of this pass name no class: NaN in the weights or the scores; ``""`` if they do."""
    import torch

    names = trace.card.not_finite
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return f"no class can be named: NaN or infinity in the weights {', '.join(names[:3])}{more}"
    if trace.logits is not None and not bool(torch.isfinite(trace.logits).all()):
        return "no class can be named: the class scores are not finite numbers"
    return ""


def refuse_to_name(reason: str, *, hint: str = "") -> ConvscopeError:
    """The error a command ends with where there is no answer."""
    return TraceError(reason, hint=hint)
