"""What has to be known of all frames of a film before one is drawn, from one pass that keeps none of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convscope.exhibits.film_view import KernelView, true_class

if TYPE_CHECKING:
    from convscope.filming import Strip

#: Classes whose bars are drawn.
BARS = 10


class Moment(NamedTuple):
    """A frame's step and the numbers told of it, without its arrays."""

    step: int
    numbers: Mapping[str, float]


@dataclass(frozen=True)
class Survey:
    """What all frames of a film have in common.

    Attributes
    ----------
    moments
        One a frame.
    kernel_limits
        By layer: the largest ``|weight|`` of each filter in the whole film, ``float32 (filters,)``.
    map_limits
        By layer: the largest ``|value|`` of each map in the whole film, ``float32 (images, channels)``.
    bars
        By image: the classes whose bars are drawn.
    """

    moments: tuple[Moment, ...]
    kernel_limits: tuple[NDArray[np.float32] | None, ...]
    map_limits: tuple[NDArray[np.float32], ...]
    bars: tuple[list[int], ...]


def survey(
    strip: Strip, views: Sequence[KernelView | None], progress: Callable[[int, int], None] | None = None
) -> Survey:
    """Go through a film once.

    Parameters
    ----------
    views
        How the kernels of each layer are drawn.
    progress
        Called with how many frames are read, and of how many.

    Raises
    ------
    FilmError
        If a frame cannot be read.
    """
    moments = []
    kernels: list[NDArray[np.float32] | None] = [None] * len(views)
    scales: list[NDArray[np.float32] | None] = [None] * len(views)
    peak = last = None
    for count, frame in enumerate(strip, 1):
        moments.append(Moment(frame.step, frame.numbers))
        for number, view in enumerate(views):
            found = frame.kernels[number]
            if view is not None and found is not None:
                kernels[number] = _larger(kernels[number], _largest(view.planes(found)))
            scales[number] = _larger(scales[number], frame.scales[number])
        if frame.probabilities is not None:
            last = np.nan_to_num(frame.probabilities)
            peak = _larger(peak, last)
        if progress is not None:
            progress(count, len(strip))
    return Survey(
        tuple(moments),
        tuple(kernels),
        tuple(scale * 127 for scale in scales if scale is not None),
        tuple(_bars(strip, image, last, peak) for image in range(len(strip.manifest["images"]))),
    )


def _larger(known: NDArray[np.float32] | None, found: NDArray[np.float32]) -> NDArray[np.float32]:
    larger: NDArray[np.float32] = found if known is None else np.maximum(known, found)
    return larger


def _largest(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    finite = np.where(np.isfinite(planes), np.abs(planes), 0)
    found: NDArray[np.float32] = finite.reshape(len(planes), -1).max(axis=1)
    return found


def _bars(
    strip: Strip, image: int, last: NDArray[np.float32] | None, peak: NDArray[np.float32] | None
) -> list[int]:
    """The classes whose bars are drawn: all where they are few, else the true one and the likeliest."""
    if last is None or peak is None:
        return []
    if last.shape[1] <= BARS:
        return list(range(last.shape[1]))
    label = true_class(strip, image)
    order = [int(n) for n in np.lexsort((-peak[image], -last[image]))]
    first = [label] if label is not None else []
    return [*first, *(n for n in order if n != label)][:BARS]
