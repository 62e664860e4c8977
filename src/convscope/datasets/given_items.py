"""The items of a torch Dataset, or of anything like one: a picture and a label by number."""

from __future__ import annotations

import math
import operator
import reprlib
from hashlib import blake2b
from heapq import nsmallest
from typing import TYPE_CHECKING, Any

import numpy as np

from convscope.data import load_image
from convscope.data.names import printable
from convscope.datasets.problems import counted
from convscope.datasets.settings import Settings
from convscope.errors import DatasetError, ImageError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LOOKED_AT = 32
_STANDARDISED = 10  # what is divided by a deviation seldom goes further
_SLACK = 1e-3  # interpolation leaves a little more than 1


class Items:
    """A person's object, every failure of which is told by the number of the item."""

    def __init__(self, given: Any, settings: Settings) -> None:
        if not hasattr(given, "__getitem__") or not hasattr(given, "__len__"):
            raise UsageError(
                f"a data set needs a length and numbered items; {type(given).__name__} has not both",
                hint=_instead_of(given),
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
        if isinstance(item, (tuple, list)) and len(item) != 2:
            raise DatasetError(
                f"item {index} holds {counted(len(item), 'thing')}, expected a picture and a label",
                code="not_a_dataset",
                hint="Of longer items make pairs: load_dataset([(item[0], item[1]) for item in dataset]).",
            )
        if not isinstance(item, (tuple, list)):
            raise DatasetError(
                f"item {index} is a {type(item).__name__}, expected a pair of a picture and a label",
                code="not_a_dataset",
            )
        return to_pixels(item[0], f"item {index}", self.settings), _whole(item[1], index)

    def sample(self) -> list[NDArray[np.uint8]]:
        """Some pictures, by a hash of their numbers; the first that can be read if those cannot."""
        if not hasattr(self, "_sample"):
            some = nsmallest(_LOOKED_AT, range(len(self)), key=_rank)
            self._sample: list[NDArray[np.uint8]] = []
            reason = ""
            for index in [*sorted(some), *range(len(self))]:
                if len(self._sample) >= len(some):
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


def _rank(index: int) -> bytes:
    return blake2b(str(index).encode(), digest_size=8).digest()


def _instead_of(given: Any) -> str:
    if hasattr(given, "dataset") and hasattr(given, "batch_size"):
        return "Give the data set that the loader loads: load_dataset(loader.dataset)."
    if hasattr(given, "__iter__"):
        return "Of an IterableDataset make a list first: load_dataset(list(dataset))."
    return "Give a name, a folder, a zip file, or a torch Dataset of pictures and labels."


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
        _check_shape(name, "tensor", tuple(picture.shape), channels_first=True)
        picture = (picture.float() if picture.is_floating_point() else picture).numpy()
        if picture.ndim == 3:
            picture = picture.transpose(1, 2, 0)
    elif isinstance(picture, np.ndarray):
        _check_shape(name, "array", picture.shape, channels_first=False)
    if isinstance(picture, np.ndarray):
        is_float = picture.dtype.kind == "f" and picture.size > 0
        if is_float:
            _check_range(name, float(picture.min()), float(picture.max()))
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


def _check_range(name: str, low: float, high: float) -> None:
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ImageError(f"{name} has values that are no numbers: NaN or infinite", code="not_an_image")
    if low < -_SLACK or high > 1 + _SLACK:
        normalised = low < -_SLACK or high > 255 or high <= _STANDARDISED
        raise DatasetError(
            f"{name} has values from {low:.3g} to {high:.3g}, expected 0 to 1",
            code="not_a_dataset",
            hint="Leave normalisation out of the data set's transforms: training does it."
            if normalised
            else "Divide by 255, or give whole numbers of 8 bits (uint8).",
        )


def _check_shape(name: str, kind: str, shape: tuple[int, ...], *, channels_first: bool) -> None:
    """Refuse what is no picture by its shape, in the shape the person has."""
    if len(shape) == 2:
        return
    counts = (1, 3) if channels_first else (1, 3, 4)
    at, other = (0, -1) if channels_first else (-1, 0)
    if len(shape) == 3 and shape[at] in counts:
        return
    expected = "(channels, height, width)" if channels_first else "(height, width, channels)"
    hint = f"Channels may be {', '.join(map(str, counts[:-1]))} or {counts[-1]}."
    if len(shape) == 3 and shape[other] in (1, 3):
        turn = "tensor.permute(2, 0, 1)" if channels_first else "array.transpose(1, 2, 0)"
        hint = f"Put the channels {'first' if channels_first else 'last'}: {turn}."
    elif channels_first and shape[:1] == (4,):
        hint = "Channels may be 1 or 3; what is transparent must be laid on a colour first."
    raise DatasetError(
        f"{name} is {'an' if kind == 'array' else 'a'} {kind} of shape {shape}, expected {expected} or "
        "(height, width)",
        code="not_a_dataset",
        hint=hint,
    )


def _whole(label: Any, index: int) -> int:
    try:
        return operator.index(label)
    except (TypeError, ValueError, RuntimeError) as error:
        shown = " ".join(reprlib.repr(label).split())
        raise DatasetError(
            f"the label of item {index} is {printable(shown)}, expected a whole number",
            code="bad_label",
        ) from error
