"""Labelled pictures as a network takes them: cut to its input, in memory once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from convscope.errors import TrainingError
from convscope.models import Preprocessing

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Pictures:
    """Pictures of one size with their labels.

    Parameters
    ----------
    images
        ``uint8`` of shape ``(N, channels, rows, columns)``; may be a view of the data set's own array.
    labels
        ``int64`` of shape ``(N,)``.
    mean, std
        Per channel, in units of 0..1: subtracted, then divided by.
    names
        Of the files, where they have any.
    """

    images: Tensor = field(repr=False)
    labels: Tensor = field(repr=False)
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    names: tuple[str, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    def normalize(self, images: Tensor) -> Tensor:
        """``float32`` inputs of the network from pixels, on the device the pixels are on.

        The order (to 0..1, minus the mean, by the deviation) is that of ``Preprocessing.apply``, so that a
        photo looked at later gives the same numbers.
        """
        values = images.to(torch.float32).div_(255)
        if any(self.mean):
            values.sub_(self._column(self.mean, values))
        if any(value != 1.0 for value in self.std):
            values.div_(self._column(self.std, values))
        return values

    def batches(self, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Pixels and labels in order, ``batch`` at a time."""
        for start in range(0, len(self), batch):
            yield self.images[start : start + batch], self.labels[start : start + batch]

    def subset(self, indices: Any) -> Pictures:
        """Those at ``indices``."""
        chosen = torch.as_tensor(indices)
        names = tuple(self.names[int(i)] for i in chosen) if self.names else ()
        return Pictures(self.images[chosen], self.labels[chosen], self.mean, self.std, names)

    @staticmethod
    def _column(values: tuple[float, ...], like: Tensor) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=like.device).view(-1, 1, 1)


def ready(split: Any, steps: Preprocessing, outputs: int, classes: tuple[str, ...]) -> Pictures:
    """The pictures of one split of a data set as the network takes them.

    Raises
    ------
    TrainingError
        If a label is below 0 or no class has it.
    """
    labels = np.asarray(split.labels, dtype=np.int64)
    check_labels(labels, outputs, classes)
    return Pictures(
        cut_all(split, steps), torch.from_numpy(labels.copy()), steps.mean, steps.std, tuple(split.names)
    )


def cut_all(split: Any, steps: Preprocessing) -> Tensor:
    """Every picture of a split, resized and cropped, as ``uint8`` of shape ``(N, channels, rows, columns)``.

    Where nothing has to be done to the pixels, they are the split's own: no copy is made.
    """
    rows, columns = steps.crop or (0, 0)
    images: NDArray[np.uint8] | None = split.images
    if images is not None and images.shape[1:] == (rows, columns, steps.channels) and _keeps(steps):
        return torch.from_numpy(images).permute(0, 3, 1, 2)
    result = np.empty((len(split), rows, columns, steps.channels), np.uint8)
    for start in range(0, len(split), 256):
        indices = np.arange(start, min(start + 256, len(split)))
        pixels = split.read(indices) if images is None else images[start : start + len(indices)]
        for place, picture in zip(indices, pixels, strict=True):
            result[place] = steps.cut(np.repeat(picture, 3, 2) if picture.shape[2] == 1 else picture)
    return torch.from_numpy(result).permute(0, 3, 1, 2)


def check_labels(labels: NDArray[np.int64], outputs: int, classes: tuple[str, ...]) -> None:
    """Refuse labels that no class has.

    Raises
    ------
    TrainingError
        Naming the first of them.

    Examples
    --------
    >>> check_labels(np.array([0, 2]), 3, ("a", "b", "c"))
    """
    wrong = np.flatnonzero((labels < 0) | (labels >= min(outputs, len(classes) or outputs)))
    if len(wrong):
        first = int(wrong[0])
        raise TrainingError(
            f"{len(wrong)} of {len(labels)} labels are out of range: image {first} has label "
            f"{labels[first]}, and there are {len(classes) or outputs} classes, counted from 0",
            hint="Labels must be 0 for the first class, 1 for the second, and so on.",
        )


def _keeps(steps: Preprocessing) -> bool:
    """Whether a picture of the input's size is not changed."""
    side = min(steps.crop or (0,))
    resize = steps.resize
    return resize is None or resize == side or resize == steps.crop


def normalization(split: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of a split, in units of 0..1."""
    count, total, squares = 0, np.zeros(split.shape[2]), np.zeros(split.shape[2])
    for start in range(0, len(split), 1000):
        pixels = split.read(np.arange(start, min(start + 1000, len(split)))).reshape(-1, split.shape[2])
        values = pixels.astype(np.float64)
        count, total, squares = count + len(values), total + values.sum(0), squares + (values**2).sum(0)
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
    return tuple((mean / 255).tolist()), tuple((deviation / 255).tolist())
