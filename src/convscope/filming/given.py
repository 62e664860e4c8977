"""What a person gives a film to look at: images, how they are shown, labels and names, each checked."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convscope.data import Picture, load_image
from convscope.data.names import printable
from convscope.errors import FilmError, UsageError
from convscope.filming.keeping import MOST_IMAGES
from convscope.models import Model

#: Longest side of the images as they are shown.
_SHOWN_SIDE = 256
_BATCH_HINT = "Give a prepared batch (N, C, H, W): torch.stack([...])."


@dataclass(frozen=True)
class Images:
    """The images of a film.

    Parameters
    ----------
    inputs
        The batch the network gets.
    shown
        ``uint8 (N, rows, columns, 3)``.
    names, labels
        One each; a label that is not known is ``None``.
    """

    inputs: Tensor
    shown: NDArray[np.uint8]
    names: list[str]
    labels: list[int | None]


def prepared(
    model: Model,
    images: Any,
    *,
    labels: Any = (),
    names: Any = (),
    pictures: NDArray[np.uint8] | None = None,
) -> Images:
    """What :func:`~convscope.film` was given, at most 8 images of it.

    Raises
    ------
    FilmError
        ``empty`` without images.
    UsageError
        If arguments do not fit each other.
    ConvscopeError
        If an image cannot be used.
    """
    images, own_labels = _taken_apart(images)
    inputs, shown, found_names = _batch(model, images)
    count = len(inputs)
    if pictures is not None:
        found = (
            (pictures.dtype, pictures.ndim, pictures.shape[-1]) if isinstance(pictures, np.ndarray) else ()
        )
        if found != (np.uint8, 4, 3) or len(pictures) < count:
            what = f"{pictures.dtype} of shape {pictures.shape}" if found else type(pictures).__name__
            raise UsageError(
                f"`pictures` must be a numpy array, uint8 of shape ({count}, rows, columns, 3); got {what}"
            )
        shown = _thinned(pictures[:count])
    given = listed("labels", labels, count) or own_labels
    called = [printable(str(name)) for name in listed("names", names, count)]
    return Images(
        inputs, shown, called[:count] or found_names, [label_of(one) for one in given] or [None] * count
    )


def listed(what: str, given: Any, count: int) -> list[Any]:
    """An argument with one entry for each image as a list, empty if it was not given.

    Examples
    --------
    >>> listed("labels", None, 3), listed("labels", torch.tensor([1, 0, 2, 4]), 3)
    ([], [1, 0, 2])
    """
    if given is None:
        return []
    if isinstance(given, Tensor | np.ndarray):
        given = given.tolist()
    if isinstance(given, str | bytes | dict) or not isinstance(given, Iterable):
        raise UsageError(f"`{what}` must be one for each of the {count} images; got {given!r:.60}")
    found = list(given)
    if found and len(found) < count:
        raise UsageError(f"`{what}` must be one for each of the {count} images; got {len(found)}")
    return found[:count]


def label_of(given: Any) -> int | None:
    """The number of a class; ``None`` where it is not known.

    Examples
    --------
    >>> label_of(torch.tensor(3)), label_of(None)
    (3, None)
    """
    if given is None:
        return None
    if isinstance(given, Tensor | np.ndarray) and not given.shape:
        given = given.item()
    if not isinstance(given, Integral) or isinstance(given, bool) or given < 0:
        raise UsageError(
            f"a label must be the number of a class, or None; got {' '.join(repr(given).split())[:60]}"
        )
    return int(given)


def _taken_apart(images: Any) -> tuple[Any, list[Any]]:
    """Images, and their labels where they are pairs of a data set."""
    if isinstance(images, str | bytes | os.PathLike | Picture):
        return [images], []
    if isinstance(images, np.ndarray) and images.ndim in (2, 3):
        return [images], []
    if isinstance(images, Tensor | np.ndarray):
        return images, []
    try:
        some = [images[n] for n in range(min(len(images), MOST_IMAGES))]
    except (TypeError, KeyError) as error:
        raise UsageError(
            f"`images` must be a batch (N, C, H, W) or a list of pictures; got {type(images).__name__}"
        ) from error
    if some and all(isinstance(one, tuple | list) and len(one) == 2 for one in some):
        return [one[0] for one in some], [one[1] for one in some]
    return some, []


def _batch(model: Model, images: Any) -> tuple[Tensor, NDArray[np.uint8], list[str]]:
    """The batch, how each image is shown, and their names."""
    if isinstance(images, np.ndarray) and images.ndim == 4 and images.dtype.kind == "f":
        images = torch.from_numpy(np.ascontiguousarray(images, np.float32))
    if isinstance(images, list) and images and all(isinstance(one, Tensor) for one in images):
        if len({one.shape for one in images}) > 1:
            sizes = ", ".join(str(tuple(one.shape)) for one in images[:3])
            raise UsageError(f"the images of a film must be of one size; got {sizes}")
        images = torch.stack(images)
    if isinstance(images, Tensor):
        batch = images[None] if images.ndim == 3 else images
        if batch.ndim != 4 or not len(batch):
            raise FilmError(
                f"`images` must be a batch of shape (N, C, H, W), N at least 1; got {tuple(images.shape)}",
                code="empty",
            )
        # A copy: the person's own batch may be written into as the training goes on.
        batch = batch[:MOST_IMAGES].detach().clone()
        return batch, _thinned(_as_pictures(batch)), [f"image {n + 1}" for n in range(len(batch))]
    if not len(images):
        raise FilmError("a film needs at least one image", code="empty")
    steps = model.card.preprocessing
    opened = [one if isinstance(one, Picture) else load_image(one) for one in images[:MOST_IMAGES]]
    tensors = [steps.apply(picture.pixels).tensor for picture in opened]
    if len({tensor.shape for tensor in tensors}) > 1:
        raise UsageError(
            "the images of a film must become inputs of one size, and this model takes any", hint=_BATCH_HINT
        )
    shown = np.stack([steps.cut(picture.pixels) for picture in opened])
    shown = np.repeat(shown, 3, axis=3) if shown.shape[3] == 1 else shown
    return torch.cat(tensors), _thinned(shown), [picture.name for picture in opened]


def _as_pictures(batch: Tensor) -> NDArray[np.uint8]:
    """Each image from its smallest value, black, to its largest, white."""
    values = batch.detach().to("cpu", torch.float32).nan_to_num()
    if values.shape[1] != 3:
        values = values.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    low, high = values.amin((1, 2, 3), keepdim=True), values.amax((1, 2, 3), keepdim=True)
    scaled = (values - low) / (high - low).clamp_min(1e-12) * 255
    found: NDArray[np.uint8] = scaled.round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return found


def _thinned(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pictures of at most 256 pixels a side: every second, third, ... one of larger ones."""
    step = -(-max(pictures.shape[1:3]) // _SHOWN_SIDE)
    return np.ascontiguousarray(pictures[:, ::step, ::step])
