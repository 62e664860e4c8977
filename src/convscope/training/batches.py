"""Batches of pictures: every epoch's order and augmentation follow from the seed and the epoch's number.

So there is nothing to save: the batch of an epoch and step is the same whether the steps before it were
made by this process, by one that was stopped, or not at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from convscope.training.recipe_values import Recipe
from convscope.training.warping import warped

# Bounds of a random crop, as torchvision's RandomResizedCrop has them: share of the area, width / height.
_AREA, _PROPORTION = (0.08, 1.0), (3 / 4, 4 / 3)


Read = Callable[[list[Tensor]], Iterator[tuple[Tensor, Tensor]]]


class Batches:
    """Labelled pictures of one size, epoch by epoch.

    Parameters
    ----------
    images
        ``uint8`` of shape ``(N, channels, rows, columns)`` in any layout; only read.
    labels
        Of shape ``(N,)``.
    batch
        Images a step; the last step of an epoch has what is left, and a single image that is left goes with
        the step before.
    flip
        ``none``; ``random``: each image mirrored left to right with chance one half; ``alternating``: one
        half of the images in the even epochs, the other half in the odd ones, so that in two
        epochs each image is seen both ways (Jordan, 2024).
    translate
        Each image moved by up to so many pixels up, down, left and right, what is missing mirrored
        from the edge.
    crop
        Each image a random part of itself, 8 to 100 % of its area, resized to the whole.
    parts
        Pairs of a side in pixels and an epoch: until that epoch each image is only a random square of itself
        of that side, and not moved.
    turn, zoom, warp_epochs
        In so many first epochs each image is turned by at most ``turn`` degrees and scaled by 1 / ``zoom`` to
        ``zoom``, moved or not (``warping``).
    side
        Of a square, in pixels: random parts are resized to it instead.
    read
        Where images are not in memory (then they are ``None``): from the indices of each step, in turn, the
        pixels and the indices of those that could be read.
    seed
        Of the order and of all that is random here.

    Examples
    --------
    >>> pictures = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 3, 8, 8)
    >>> batches = Batches(pictures, torch.arange(5), batch=2, seed=7)
    >>> len(batches), [len(labels) for _, labels in batches.epoch(0)]
    (2, [2, 3])
    """

    def __init__(
        self,
        images: Tensor | None,
        labels: Tensor,
        *,
        batch: int,
        flip: str = "none",
        translate: int = 0,
        crop: bool = False,
        parts: Sequence[tuple[int, int]] = (),
        turn: float = 0.0,
        zoom: float = 1.0,
        warp_epochs: int = 0,
        side: int = 0,
        read: Read | None = None,
        seed: int = 0,
    ) -> None:
        self.images, self.labels, self.side, self.read = images, labels, side, read
        self.parts, self.turn, self.zoom = parts, turn, zoom
        self.warp_epochs = warp_epochs if turn or zoom > 1 else 0
        self.batch, self.flip, self.translate, self.crop, self.seed = batch, flip, translate, crop, seed

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        images: Tensor | None,
        labels: Tensor,
        *,
        processes: int = 1,
        side: int = 0,
        read: Read | None = None,
        seed: int = 0,
    ) -> Batches:
        """As a recipe has them, for so many processes together."""
        return cls(
            images,
            labels,
            batch=recipe.batch * processes,
            flip=recipe.flip,
            translate=recipe.translate,
            crop=recipe.crop,
            parts=[(part, round(share * recipe.epochs)) for part, share in recipe.parts],
            turn=recipe.turn,
            zoom=recipe.zoom,
            warp_epochs=round(recipe.warp_share * recipe.epochs),
            side=side,
            read=read,
            seed=seed,
        )

    def __len__(self) -> int:
        """Steps of an epoch."""
        return max(1, -(-len(self.labels) // self.batch) - self._one_left)

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Pixels and labels of each step of an epoch, counted from 0, from ``first_step`` on.

        The pixels are ``uint8`` of shape ``(batch, channels, rows, columns)``, channels last in memory
        where the images are.
        """
        orders = self.orders(epoch)[first_step:]
        mirrored = self._mirrored(epoch) if self.flip != "none" else None
        read = self.read or self._read
        for step, (pixels, chosen) in enumerate(read(orders), start=first_step):
            # A generator for each step: a training that goes on need not draw what went before.
            random = self._generator(epoch, step + 1)
            if mirrored is not None:
                pixels = _flipped(pixels, mirrored[chosen])
            if self.crop:
                pixels = _cropped(pixels, random, self.side)
            part = next((side for side, end in self.parts if epoch < end), 0)
            if epoch < self.warp_epochs:
                pixels = warped(pixels, random, part, turn=self.turn, zoom=self.zoom, move=self.translate)
            elif part:
                pixels = _part(pixels, part, random)
            elif self.translate:
                pixels = _moved(pixels, self.translate, random)
            yield pixels, self.labels[chosen]

    def orders(self, epoch: int) -> list[Tensor]:
        """The indices of the images of each step of an epoch."""
        order = torch.randperm(len(self.labels), generator=self._generator(epoch, 0))
        steps = list(order.split(self.batch))
        return [*steps[:-2], torch.cat(steps[-2:])] if self._one_left else steps

    @property
    def _one_left(self) -> bool:
        """Whether a last step of one image would be left, whose deviation batch norm cannot take."""
        return len(self.labels) > self.batch > 1 and len(self.labels) % self.batch == 1

    def _read(self, orders: list[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        for chosen in orders:
            yield self._pixels(chosen), chosen

    def _pixels(self, chosen: Tensor) -> Tensor:
        images = self.images
        assert images is not None
        # Whole pictures are copied fastest in the order they lie in memory.
        if images.permute(0, 2, 3, 1).is_contiguous():
            return images.permute(0, 2, 3, 1)[chosen].permute(0, 3, 1, 2)
        return images[chosen]

    def _mirrored(self, epoch: int) -> Tensor:
        alternating = self.flip == "alternating"
        # -1: a generator that no epoch has.
        random = self._generator(-1 if alternating else epoch, -1)
        coin = torch.rand(len(self.labels), generator=random) < 0.5
        return coin ^ bool(epoch % 2) if alternating else coin

    def _generator(self, epoch: int, step: int) -> torch.Generator:
        # A plain sum would give neighbouring epochs and steps the same numbers.
        mixed = np.random.SeedSequence((self.seed, epoch + 1, step + 1)).generate_state(1, np.uint64)
        return torch.Generator().manual_seed(int(mixed[0]) >> 1)


def _flipped(pixels: Tensor, mirrored: Tensor) -> Tensor:
    where = mirrored.nonzero().squeeze(1)
    pixels[where] = pixels[where].flip(3)
    return pixels


def _part(pixels: Tensor, side: int, random: torch.Generator) -> Tensor:
    """Of each picture a random square, at most the whole."""
    count, _, rows, columns = pixels.shape
    height, width = min(side, rows), min(side, columns)
    top = torch.randint(rows - height + 1, (count, 1, 1), generator=random)
    left = torch.randint(columns - width + 1, (count, 1, 1), generator=random)
    which, down, right = torch.arange(count).view(-1, 1, 1), torch.arange(height), torch.arange(width)
    return pixels.permute(0, 2, 3, 1)[which, top + down.unsqueeze(1), left + right].permute(0, 3, 1, 2)


def _moved(pixels: Tensor, most: int, random: torch.Generator) -> Tensor:
    """Each picture moved by -most..most pixels each way, mirrored from the edge."""
    count, _, rows, columns = pixels.shape
    down = torch.randint(2 * most + 1, (count,), generator=random) - most
    right = torch.randint(2 * most + 1, (count,), generator=random) - most
    row = _reflected(torch.arange(rows) + down.unsqueeze(1), rows)
    column = _reflected(torch.arange(columns) + right.unsqueeze(1), columns)
    which = torch.arange(count).view(-1, 1, 1)
    return pixels.permute(0, 2, 3, 1)[which, row.unsqueeze(2), column.unsqueeze(1)].permute(0, 3, 1, 2)


def _reflected(places: Tensor, size: int) -> Tensor:
    """Places outside 0..size-1 mirrored at the outermost pixel, which is not repeated."""
    period = max(1, 2 * (size - 1))
    places = places.remainder(period)
    return torch.where(places < size, places, period - places)


def _cropped(pixels: Tensor, random: torch.Generator, side: int = 0) -> Tensor:
    """Each picture a random part of itself, resized bilinearly to the whole or to a square."""
    rows, columns = pixels.shape[2:]
    size = (side, side) if side else (rows, columns)
    result = pixels.new_empty((*pixels.shape[:2], *size)).contiguous(memory_format=torch.channels_last)
    for place, picture in enumerate(pixels):
        top, left, height, width = _window(rows, columns, random)
        part = picture[:, top : top + height, left : left + width].unsqueeze(0).float()
        resized = functional.interpolate(part, size, mode="bilinear", antialias=True)
        result[place] = resized[0].round_().clamp_(0, 255).to(torch.uint8)
    return result


def _window(rows: int, columns: int, random: torch.Generator) -> tuple[int, int, int, int]:
    """Top, left, height and width of a random crop; of ten tries the first that fits, or all of it."""
    for _ in range(10):
        draws = torch.rand(4, generator=random).tolist()
        area = rows * columns * (_AREA[0] + (_AREA[1] - _AREA[0]) * draws[0])
        low, high = math.log(_PROPORTION[0]), math.log(_PROPORTION[1])
        proportion = math.exp(low + (high - low) * draws[1])
        width, height = round(math.sqrt(area * proportion)), round(math.sqrt(area / proportion))
        if 0 < width <= columns and 0 < height <= rows:
            top, left = int(draws[2] * (rows - height + 1)), int(draws[3] * (columns - width + 1))
            return top, left, height, width
    return 0, 0, rows, columns
