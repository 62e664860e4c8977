"""What belongs to a model: its input, its preprocessing, its categories, its weights' origin."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

    from convscope.models.preprocessing import Preprocessing


@dataclass(frozen=True)
class Geometry:
    """Where the model's input lies on the photo.

    A point ``(row, column)`` of the input, in input pixels, lies at
    ``offset + scale * point`` on the photo, in photo pixels.
    """

    scale: tuple[float, float]
    offset: tuple[float, float]
    input_size: tuple[int, int]

    def to_photo(self, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        """Box ``(top, left, bottom, right)`` of the input, ends exclusive, as a box on the photo.

        Examples
        --------
        >>> Geometry((2.0, 2.0), (10.0, 0.0), (224, 224)).to_photo((0, 0, 224, 224))
        (10.0, 0.0, 458.0, 448.0)
        """
        top, left, bottom, right = box
        return (
            self.offset[0] + self.scale[0] * top,
            self.offset[1] + self.scale[1] * left,
            self.offset[0] + self.scale[0] * bottom,
            self.offset[1] + self.scale[1] * right,
        )


@dataclass(frozen=True)
class Prepared:
    """A picture as the model takes it: ``tensor`` of shape ``(1, channels, height, width)``."""

    tensor: Tensor
    geometry: Geometry


@dataclass(frozen=True)
class Card:
    """What a person must know about a model before believing its answers.

    Parameters
    ----------
    name
        As typed: ``resnet50``, ``timm:convnext_tiny``, ``net.py:Net``.
    source
        ``"torchvision"``, ``"timm"``, ``"package"``, ``"own"``, ``"article"``, ``"file"`` or ``"module"``.
    weights
        Name or path of the weights; ``"random"`` where they are random; ``"given"`` for a
        module passed in Python.
    preprocessing
        How a picture becomes the model's input, and back.
    categories
        Class names in the order of the logits; empty where unknown.
    notes
        One sentence each, to be shown wherever results are ("random weights",
        "normalisation skipped: ...", "torch.compile unwrapped").
    reference
        Paper or article the model comes from.
    not_finite
        Names of the parameters and buffers that hold NaN or infinity; where there are any, no
        class may be named as the answer.
    """

    name: str
    source: str
    weights: str
    preprocessing: Preprocessing
    categories: tuple[str, ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = ()
    reference: str = ""
    not_finite: tuple[str, ...] = ()

    @property
    def random(self) -> bool:
        """Whether the weights are random, so that the answers mean nothing."""
        return self.weights == "random"


@dataclass(frozen=True)
class Model:
    """A network ready to be looked at, with its card."""

    module: nn.Module = field(repr=False)
    card: Card
