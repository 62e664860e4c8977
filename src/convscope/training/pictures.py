"""Labelled pictures as a network takes them: cut to its input; in memory once, or streamed from disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from convscope.errors import TrainingError
from convscope.models import Preprocessing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convscope.datasets import Split


@dataclass(frozen=True)
class Pictures:
    """Pictures of one size with their labels.

    Parameters
    ----------
    images
        ``uint8`` of shape ``(N, channels, rows, columns)``; may be a view of the data set's own array.
        ``None`` where they are decoded as they are asked for.
    labels
        ``int64`` of shape ``(N,)``.
    mean, std
        Per channel, in units of 0..1: subtracted, then divided by.
    split, steps
        Where pictures that are streamed come from, and what is done to each.
    """

    images: Tensor | None = field(repr=False)
    labels: Tensor = field(repr=False)
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    split: Split | None = field(default=None, repr=False)
    steps: Preprocessing | None = field(default=None, repr=False)

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
        """Pixels and labels in order, ``batch`` at a time; pictures that cannot be read are left out."""
        starts = range(0, len(self), batch)
        orders = (torch.arange(start, min(start + batch, len(self))) for start in starts)
        for pixels, read in self.gather(orders):
            if len(read):
                yield pixels, self.labels[read]

    def gather(self, orders: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Pixels at the indices of each order in turn, and the indices of those that could be read."""
        if self.images is not None:
            for order in orders:
                yield self.images[order], order
            return
        assert self.split is not None
        assert self.steps is not None
        kept: list[Tensor] = []

        def remembered() -> Iterator[NDArray[np.int64]]:
            for order in orders:
                kept.append(order)
                yield order.numpy()

        for pixels, labels in self.split.stream(remembered()):
            order = kept.pop(0)
            if len(order) != len(labels):
                bad = torch.tensor(sorted(self.split.unreadable), dtype=torch.int64)
                order = order[~torch.isin(order, bad)]
            cut = _cut(pixels, self.steps)
            yield torch.from_numpy(cut).permute(0, 3, 1, 2), order

    def subset(self, indices: Any) -> Pictures:
        """Those at ``indices``, in memory.

        Examples
        --------
        >>> pictures = Pictures(torch.zeros(4, 3, 2, 2, dtype=torch.uint8), torch.arange(4))
        >>> pictures.subset([3, 1]).labels
        tensor([3, 1])
        """
        images, read = next(self.gather([torch.as_tensor(indices)]))
        return Pictures(images, self.labels[read], self.mean, self.std)

    @staticmethod
    def _column(values: tuple[float, ...], like: Tensor) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=like.device).view(-1, 1, 1)


def ready(split: Split, steps: Preprocessing, labels: NDArray[np.int64] | None = None) -> Pictures:
    """The pictures of one split of a data set as the network takes them.

    Parameters
    ----------
    steps
        From a picture to the input; no crop keeps the pictures at the split's size.
    labels
        Instead of the split's own.
    """
    kept = torch.from_numpy(np.array(split.labels if labels is None else labels, np.int64))
    images = cut_all(split.images, steps) if split.images is not None else None
    return Pictures(images, kept, steps.mean, steps.std, split, steps)


def cut_all(images: NDArray[np.uint8], steps: Preprocessing) -> Tensor:
    """Pictures resized and cropped, as ``uint8`` of shape ``(N, channels, rows, columns)``.

    Where nothing has to be done to the pixels, they are the array's own: no copy is made.

    Examples
    --------
    >>> steps = Preprocessing(resize=4, crop=(4, 4))
    >>> cut_all(np.zeros((5, 8, 8, 1), np.uint8), steps).shape
    torch.Size([5, 3, 4, 4])
    """
    first = _cut(images[:1], steps)
    if first.shape[1:] == images.shape[1:] and np.shares_memory(first, images):
        return torch.from_numpy(images).permute(0, 3, 1, 2)
    result = np.empty((len(images), *first.shape[1:]), np.uint8)
    for start in range(0, len(images), 256):
        result[start : start + 256] = _cut(images[start : start + 256], steps)
    return torch.from_numpy(result).permute(0, 3, 1, 2)


def _cut(pixels: NDArray[np.uint8], steps: Preprocessing) -> NDArray[np.uint8]:
    """Pictures of one size as ``(N, rows, columns, channels)`` of the input; a view if nothing changes."""
    rows, columns, channels = pixels.shape[1:]
    # One channel is the same grey three times, and needs no weights of red, green and blue.
    if channels == 1 and steps.channels == 3 and _only_crops(steps, rows, columns):
        pixels, channels = np.repeat(pixels, 3, 3), 3
    if channels == steps.channels and _only_crops(steps, rows, columns):
        height, width = steps.crop or (rows, columns)
        # Halves round to even, as where a photo is prepared.
        top, left = round((rows - height) / 2), round((columns - width) / 2)
        return pixels[:, top : top + height, left : left + width]
    coloured = np.repeat(pixels, 3, 3) if channels == 1 else pixels
    return np.stack([steps.cut(picture) for picture in coloured])


def _only_crops(steps: Preprocessing, rows: int, columns: int) -> bool:
    """Whether pictures of that size are not resized, and cover the crop."""
    resized = steps.resize in (None, (rows, columns)) or steps.resize == min(rows, columns)
    height, width = steps.crop or (0, 0)
    return resized and height <= rows and width <= columns


def check_labels(labels: NDArray[np.int64], classes: int) -> None:
    """Refuse labels that no class has.

    Raises
    ------
    TrainingError
        Naming the first of them.

    Examples
    --------
    >>> check_labels(np.array([0, 2]), 3)
    """
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        first = int(wrong[0])
        raise TrainingError(
            f"{len(wrong)} of {len(labels)} labels are out of range: image {first} has label "
            f"{labels[first]}, and there are {classes} classes, counted from 0",
            hint="Labels must be 0 for the first class, 1 for the second, and so on.",
        )
