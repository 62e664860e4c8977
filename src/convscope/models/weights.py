"""Reading weights from a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from convscope.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ReadWeights:
    """Tensors of a weights file by name, and what had to be done to find them."""

    tensors: dict[str, Tensor]
    notes: tuple[str, ...] = ()


def read_weights(path: Path) -> ReadWeights:
    """The tensors of a weights file."""
    import torch
    from safetensors.torch import load_file

    if not path.exists():
        raise WeightsError(f"there is no file `{path}`", code="missing")
    if path.suffix == ".safetensors":
        return ReadWeights(load_file(path))
    return ReadWeights(torch.load(path, map_location="cpu", weights_only=True))
