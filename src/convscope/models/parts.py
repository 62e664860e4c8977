"""What each source of models hands over before the card is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from convscope.models.preprocessing import Preprocessing

if TYPE_CHECKING:
    from torch import Tensor, nn

    Weights = str | Path | Mapping[str, Tensor] | None

WEIGHT_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".tar")


@dataclass(frozen=True)
class Parts:
    """A network with what is known about it; ``weights`` is the label shown on the card."""

    module: nn.Module
    source: str
    weights: str
    preprocessing: Preprocessing
    categories: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    reference: str = ""


@dataclass(frozen=True)
class Request:
    """What was asked for: ``kind`` is ``default``, ``random``, ``named``, ``file`` or ``given``."""

    kind: str
    name: str = ""
    path: Path | None = None
    state: Mapping[str, Tensor] | None = None


def read_request(weights: Weights) -> Request:
    """What ``weights`` asks for; nothing is opened yet.

    Examples
    --------
    >>> read_request("none").kind, read_request("mine.pt").kind, read_request("IMAGENET1K_V1").kind
    ('random', 'file', 'named')
    """
    if isinstance(weights, Mapping):
        return Request("given", state=weights)
    if isinstance(weights, Path):
        return Request("file", name=str(weights), path=weights)
    text = (weights or "none").strip()
    if text.lower() in ("none", "random"):
        return Request("random")
    if text.lower() == "default":
        return Request("default")
    path = Path(text).expanduser()
    if text.lower().endswith(WEIGHT_SUFFIXES) or "/" in text or "\\" in text or path.exists():
        return Request("file", name=text, path=path)
    return Request("named", name=text)
