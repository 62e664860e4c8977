"""Pictures as the lessons use them: values of 0 to 255, boxes checked, smaller in a preview."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from convscope.errors import ControlError
from convscope.lesson.matching import Matcher, WindowSums
from convscope.lesson.result import Mark

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from convscope.data import Picture
    from convscope.lesson.lessons import Tools

#: A preview's longest side, in pixels, is at most this.
PREVIEW = 512
#: What red, green and blue add to grey (ITU-R BT.601, as Pillow has it).
GREY = (0.299, 0.587, 0.114)

Boxed = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture, or its preview.

    Parameters
    ----------
    name
        As shown to people.
    pixels
        ``float32 (rows, columns, 3)``, 0 to 255.
    factor
        How many pixels of the picture one pixel here is wide: 1, but in previews.
    size
        Rows and columns of the picture itself.
    """

    name: str
    pixels: NDArray[np.float32]
    factor: int
    size: tuple[int, int]

    @cached_property
    def grey(self) -> NDArray[np.float32]:
        """``float32 (rows, columns)``, 0 to 255."""
        import numpy as np

        if np.array_equal(self.pixels[..., 0], self.pixels[..., 1]) and np.array_equal(
            self.pixels[..., 0], self.pixels[..., 2]
        ):
            return self.pixels[..., 0]
        found: NDArray[np.float32] = self.pixels @ np.array(GREY, np.float32)
        return found

    @cached_property
    def coloured(self) -> bool:
        """Whether any pixel is not grey."""
        return bool((self.pixels != self.pixels[..., :1]).any())

    @cached_property
    def bytes(self) -> NDArray[np.uint8]:
        """``uint8 (rows, columns, 3)``."""
        import numpy as np

        found: NDArray[np.uint8] = np.rint(self.pixels).astype(np.uint8)
        return found

    @cached_property
    def matcher(self) -> Matcher:
        """What kernels are matched with: the picture in colour."""
        import numpy as np

        return Matcher(np.moveaxis(self.pixels, 2, 0))

    @cached_property
    def grey_matcher(self) -> Matcher:
        """The same of the grey picture."""
        return Matcher(self.grey)

    @cached_property
    def brightness(self) -> WindowSums:
        """Sums over windows of the grey picture."""
        return WindowSums(self.grey)

    def place(self, box: Boxed, control: str) -> Boxed:
        """The box (top, left, rows, columns) in pixels of this preview.

        Raises
        ------
        ControlError
            If it does not lie within the picture.
        """
        check_box(box, self.size, control)
        top, left, rows, columns = (round(n / self.factor) for n in box)
        return top, left, max(1, rows), max(1, columns)

    def cut(self, box: Boxed, control: str, *, colour: bool = False) -> NDArray[np.float32]:
        """The part of the picture in a box, ``(rows, columns)`` or ``(3, rows, columns)``."""
        import numpy as np

        top, left, rows, columns = self.place(box, control)
        if colour:
            return np.moveaxis(self.pixels[top : top + rows, left : left + columns], 2, 0)
        return self.grey[top : top + rows, left : left + columns]


def check_box(box: Boxed, size: tuple[int, int], control: str) -> None:
    """Make sure that a box (top, left, rows, columns) lies within a picture of ``size``.

    Raises
    ------
    ControlError
        If it does not.
    """
    top, left, rows, columns = box
    if top + rows > size[0] or left + columns > size[1]:
        raise ControlError(
            f"`{control}` of {rows} x {columns} at row {top}, column {left} does not lie within the picture "
            f"of {size[0]} x {size[1]}",
            control=control,
        )


def read_photo(source: Any, tools: Tools, *, side: int = PREVIEW) -> Photo:
    """The picture a control names; where a preview is asked for, a copy of at most ``side`` pixels a side."""
    picture = tools.picture(source)
    if tools.preview and tools.previews is not None:
        return tools.previews.get(picture, side)
    return _photo(picture, side if tools.preview else None)


class Previews:
    """Previews of the pictures used last, with what was worked out of them for the next move of a drag.

    Parameters
    ----------
    most
        How many are kept.
    """

    def __init__(self, most: int = 3) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[int, int], tuple[Picture, Photo]] = OrderedDict()

    def get(self, picture: Picture, side: int) -> Photo:
        """The preview of at most ``side`` pixels a side; for the same picture the same object again."""
        key = (id(picture), side)
        if key not in self._kept:
            # The picture is kept too, so that no other comes to its address.
            self._kept[key] = (picture, _photo(picture, side))
        self._kept.move_to_end(key)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return self._kept[key][1]


def _photo(picture: Picture, side: int | None) -> Photo:
    """A picture at full size, or smaller where a ``side`` is given."""
    import numpy as np
    from PIL import Image

    size = (picture.height, picture.width)
    factor = -(-max(size) // side) if side else 1
    if factor == 1 or min(size) < factor:
        return Photo(picture.name, picture.pixels.astype(np.float32), 1, size)
    rows, columns = size[0] // factor, size[1] // factor
    trimmed = picture.pixels[: rows * factor, : columns * factor]
    pixels = np.asarray(Image.fromarray(trimmed).reduce(factor)).astype(np.float32)
    return Photo(picture.name, pixels, factor, size)


def boxed(place: Boxed, tone: str = "accent", label: str = "") -> Mark:
    """A box (top, left, rows, columns) as a mark."""
    top, left, rows, columns = place
    return Mark("box", top, left, top + rows, left + columns, tone, label)


def crossed(row: int, column: int, tone: str = "accent", label: str = "") -> Mark:
    """A cross on one cell."""
    return Mark("cross", row, column, row + 1, column + 1, tone, label)
