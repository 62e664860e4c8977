"""A contact sheet: some pictures of every class in a row under each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convscope import raster
from convscope.datasets.dataset import Dataset
from convscope.datasets.fitting import fit
from convscope.datasets.problems import counted
from convscope.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MARGIN, _GAP = 24, 4
_TITLE, _TEXT, _NAME, _COUNT = 22, 13, 14, 11
_WIDEST_NAME = 190
_SMALLEST_SIDE, _LARGEST_SIDE = 64, 112
_MOST_ROWS = 60


def contact_sheet(dataset: Dataset, *, columns: int = 12) -> NDArray[np.uint8]:
    """Pictures of each class, evenly taken from the training part.

    Small pictures are enlarged by whole numbers, so that each pixel stays one; large ones are reduced to
    112 pixels. Of more than 60 classes the first 60 are drawn, and the sheet says so.

    Parameters
    ----------
    columns
        Pictures a class, at least 1.

    Returns
    -------
    RGB, ``uint8`` array of shape ``(rows, columns, 3)``.

    Raises
    ------
    UsageError
        If ``columns`` is below 1.

    Examples
    --------
    >>> from convscope.datasets import load_dataset
    >>> contact_sheet(load_dataset("digits"), columns=5).shape[2]
    3
    """
    if columns < 1:
        raise UsageError(f"`columns` must be at least 1; got {columns}")
    counts, test_counts = dataset.counts(dataset.train), dataset.counts(dataset.test)
    shown = range(min(len(dataset.classes), _MOST_ROWS))
    chosen = [_spread(np.flatnonzero(dataset.train.labels == label), columns) for label in shown]
    height, width, factor = _tile(dataset.train.shape)
    names = [raster.fit(dataset.classes[label], _NAME, _WIDEST_NAME) for label in shown]
    details = [f"{counts[label]:,} + {test_counts[label]:,}" for label in shown]
    label_width = max(
        *(raster.words(name, _NAME).shape[1] for name in names),
        *(raster.words(text, _COUNT).shape[1] for text in details),
    )
    left = _MARGIN + label_width + 14
    most = max(len(row) for row in chosen)
    facts = _facts(dataset)
    head = [raster.words(dataset_title(dataset), _TITLE), *(raster.words(line, _TEXT, 0.7) for line in facts)]
    right = max(left + most * (width + _GAP) - _GAP, _MARGIN + max(part.shape[1] for part in head))
    top = _MARGIN + sum(part.shape[0] + 3 for part in head) + 14
    left_out = len(dataset.classes) - len(shown)
    block = raster.line_height(_NAME) + raster.line_height(_COUNT)
    pitch = max(height, block) + _GAP  # rows may be lower than what is written beside them
    bottom = top + len(shown) * pitch - _GAP + (raster.line_height(_TEXT) + 10) * bool(left_out)
    canvas = np.full((bottom + _MARGIN, right + _MARGIN), raster.PAPER, np.uint8)
    at = _MARGIN
    for part in head:
        raster.stamp(canvas, at, _MARGIN, part)
        at += part.shape[0] + 3
    for row, (name, text) in enumerate(zip(names, details, strict=True)):
        middle = top + row * pitch + (pitch - _GAP - block) // 2
        raster.stamp(canvas, middle, _MARGIN, raster.words(name, _NAME))
        raster.stamp(canvas, middle + raster.line_height(_NAME), _MARGIN, raster.words(text, _COUNT, 0.6))
    if left_out:
        text = f"and {counted(left_out, 'more class', 'more classes')}"
        raster.stamp(canvas, bottom - raster.line_height(_TEXT), _MARGIN, raster.words(text, _TEXT, 0.7))
    sheet = raster.sheet_palette("grey")[canvas]
    for row, indices in enumerate(chosen):
        images, _ = dataset.train.batch(indices)
        for column, image in enumerate(images):
            fitted = fit(image, (height // factor, width // factor))
            y = top + row * pitch + (pitch - _GAP - height) // 2
            x = left + column * (width + _GAP)
            sheet[y : y + height, x : x + width] = fitted.repeat(factor, 0).repeat(factor, 1)
    return sheet


def dataset_title(dataset: Dataset) -> str:
    """What a sheet is headed by: the name, of a path its last part.

    Examples
    --------
    >>> from convscope.datasets import load_dataset
    >>> dataset_title(load_dataset("digits:1,2"))
    'digits:1,2'
    """
    return raster.fit(dataset.name.rstrip("/\\").replace("\\", "/").rpartition("/")[2], _TITLE, 600)


def _facts(dataset: Dataset) -> list[str]:
    height, width, channels = dataset.train.shape
    kind = {1: "grey", 3: "RGB"}.get(channels, f"{channels} channels")
    made = "" if dataset.split == "given" else f", a {dataset.split} part"
    return [
        f"{counted(len(dataset.train), 'picture')} to train on + {len(dataset.test):,} to test{made}  ·  "
        f"{counted(len(dataset.classes), 'class', 'classes')}  ·  {height} × {width} {kind}"
    ]


def _spread(indices: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """``count`` of the indices at even distances, in order; all if there are no more."""
    if len(indices) <= count:
        return indices
    return indices[(np.arange(count) * len(indices)) // count]


def _tile(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Height and width of a drawn picture, and how often each of its pixels is repeated."""
    height, width, _ = shape
    larger = max(height, width)
    if larger <= _LARGEST_SIDE:
        factor = max(1, _SMALLEST_SIDE // larger)
        return height * factor, width * factor, factor
    scale = _LARGEST_SIDE / larger
    return max(1, round(height * scale)), max(1, round(width * scale)), 1
