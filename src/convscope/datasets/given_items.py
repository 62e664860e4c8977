"""The items of a torch Dataset, or of anything like one: a picture and a label by number."""

from __future__ import annotations

import operator
import reprlib
from typing import TYPE_CHECKING, Any

import numpy as np

from convscope.data import load_image
from convscope.data.names import printable
from convscope.datasets.settings import Settings
from convscope.errors import DatasetError, ImageError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LOOKED_AT = 32
_SLACK = 1e-3  # interpolation leaves a little more than 1


class Items:
    """A person's object, every failure of which is told by the number of the item."""

    def __init__(self, given: Any, settings: Settings) -> None:
        if not hasattr(given, "__getitem__") or not hasattr(given, "__len__"):
            raise UsageError(
                f"a data set needs a length and numbered items; {type(given).__name__} has not both",
                hint="Of an IterableDataset make a list first: load_dataset(list(dataset)).",
            )
        self.given = given
        self.settings = settings
        self.bad: list[tuple[str, str]] = []
        if not len(self):
            raise DatasetError(f"the {type(given).__name__} is empty", code="empty")

    def __len__(self) -> int:
        return len(self.given)

    def picture(self, index: int) -> tuple[NDArray[np.uint8], int]:
        """Picture and label of an item; ImageError if its own code fails."""
        try:
            item = self.given[index]
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise ImageError(
                f"item {index} cannot be read: {printable(reason)}", code="unreadable"
            ) from error
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            raise DatasetError(
                f"item {index} is a {type(item).__name__}, expected a pair of a picture and a label",
                code="not_a_dataset",
            )
        return to_pixels(item[0], f"item {index}", self.settings), _whole(item[1], index)

    def sample(self) -> list[NDArray[np.uint8]]:
        """Some pictures, evenly spread; the first that can be read if those cannot."""
        if not hasattr(self, "_sample"):
            step = max(1, len(self) // _LOOKED_AT)
            self._sample: list[NDArray[np.uint8]] = []
            reason = ""
            for index in [*range(0, len(self), step), *range(len(self))]:
                if len(self._sample) >= min(_LOOKED_AT, -(-len(self) // step)):
                    break
                try:
                    self._sample.append(self.picture(index)[0])
                except ImageError as error:
                    reason = reason or error.message
            if not self._sample:
                raise DatasetError(f"no item can be read: {reason}", code="unreadable")
        return self._sample

    def shapes(self) -> list[tuple[int, int]]:
        """Height and width of some pictures."""
        return [(one.shape[0], one.shape[1]) for one in self.sample()]

    def channels(self) -> int:
        """1 if those pictures are all grey, else 3."""
        return max(one.shape[2] for one in self.sample())

    def known_labels(self) -> list[int] | None:
        """The labels without reading the pictures, where the object has them as torchvision's do."""
        targets = getattr(self.given, "targets", None)
        if targets is None or getattr(self.given, "target_transform", None) is not None:
            return None
        try:
            labels = np.asarray(targets)
        except (TypeError, ValueError, RuntimeError):
            return None
        if labels.shape != (len(self),) or labels.dtype.kind not in "iu":
            return None
        return [int(label) for label in labels]


def to_pixels(picture: Any, name: str, settings: Settings) -> NDArray[np.uint8]:
    """``uint8 (height, width, 1 or 3)`` of a Pillow image, an array or a tensor.

    Parameters
    ----------
    picture
        A Pillow image; a numpy array ``(height, width[, channels])``; a torch tensor
        ``(channels, height, width)`` or ``(height, width)``. ``uint8`` 0 to 255 or floats 0 to 1.

    Raises
    ------
    DatasetError
        ``not_a_dataset`` for anything else.
    ImageError
        If the picture cannot be used.

    Examples
    --------
    >>> from convscope.datasets.settings import Settings
    >>> to_pixels(np.full((2, 3), 0.5), "item 0", Settings()).shape
    (2, 3, 1)
    """
    grey = False
    if type(picture).__module__.startswith("torch") and hasattr(picture, "detach"):
        picture = picture.detach().cpu()
        picture = (picture.float() if picture.is_floating_point() else picture).numpy()
        if picture.ndim == 3:
            picture = picture.transpose(1, 2, 0)
    if isinstance(picture, np.ndarray):
        is_float = picture.dtype.kind == "f" and picture.size > 0
        if is_float and not (picture.min() >= -_SLACK and picture.max() <= 1 + _SLACK):
            raise DatasetError(
                f"{name} has values from {picture.min():.3g} to {picture.max():.3g}, expected 0 to 1",
                code="not_a_dataset",
                hint="Leave normalisation out of the data set's transforms: training does it.",
            )
        picture = picture.clip(0, 1) if is_float else picture
        grey = picture.ndim == 2 or picture.shape[-1] == 1
    elif hasattr(picture, "getbands"):
        grey = picture.mode in ("1", "L", "I;16")
    else:
        raise DatasetError(
            f"{name} has a {type(picture).__name__} where a picture was expected",
            code="not_a_dataset",
            hint="A Pillow image, a numpy array or a tensor of 0 to 1.",
        )
    pixels = load_image(picture, name=name, limits=settings.limits).pixels
    return np.ascontiguousarray(pixels[..., :1]) if grey else pixels


def _whole(label: Any, index: int) -> int:
    try:
        return operator.index(label)
    except (TypeError, ValueError, RuntimeError) as error:
        shown = " ".join(reprlib.repr(label).split())
        raise DatasetError(
            f"the label of item {index} is {printable(shown)}, expected a whole number",
            code="bad_label",
        ) from error
