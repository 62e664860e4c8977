"""Where the window of a convolution lies: padding, strides and the size of the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any

from convscope.errors import ControlError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: What may stand in the padding.
PADDING_MODES = ("zeros", "reflect", "replicate", "circular")
#: Most rows or columns of padding on one side.
MOST_PADDING = 10_000

_OUTSIDE = -1
_OF_NUMPY = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@dataclass(frozen=True)
class Geometry:
    """Sizes of one convolution, rows before columns.

    Parameters
    ----------
    image
        Rows and columns of the input, without padding.
    kernel
        Rows and columns of the kernel.
    stride, dilation
        Steps of the window, and of the kernel's cells within it.
    padding
        Rows and columns added at the top, bottom, left and right; below zero they are cut off,
        as a transposed convolution may do.
    padding_mode
        One of ``PADDING_MODES``.
    spread
        Distance between neighbouring input cells: 1, or for a transposed convolution its stride,
        with zeros between them.

    Examples
    --------
    >>> found = Geometry((5, 5), (3, 3), (2, 2), (1, 1), (1, 1, 1, 1))
    >>> found.padded, found.output, found.rows(0)
    ((7, 7), (3, 3), (-1, 0, 1))
    """

    image: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int, int, int]
    padding_mode: str = "zeros"
    spread: tuple[int, int] = (1, 1)

    @property
    def spread_image(self) -> tuple[int, int]:
        """Rows and columns of the input once zeros lie between its cells."""
        return tuple((n - 1) * s + 1 for n, s in zip(self.image, self.spread, strict=True))  # type: ignore[return-value]

    @property
    def padded(self) -> tuple[int, int]:
        """Rows and columns of what the window moves over."""
        top, bottom, left, right = self.padding
        rows, columns = self.spread_image
        return rows + top + bottom, columns + left + right

    @property
    def window(self) -> tuple[int, int]:
        """Rows and columns the kernel covers, the gaps of its dilation included."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))  # type: ignore[return-value]

    @property
    def output(self) -> tuple[int, int]:
        """Rows and columns of the feature map: ``(padded - window) // stride + 1``."""
        found = zip(self.padded, self.window, self.stride, strict=True)
        return tuple((n - w) // s + 1 for n, w, s in found)  # type: ignore[return-value]

    def rows(self, cell: int) -> tuple[int, ...]:
        """Rows of the (spread) input the window of output row ``cell`` stands on; outside is padding."""
        start = cell * self.stride[0] - self.padding[0]
        return tuple(start + i * self.dilation[0] for i in range(self.kernel[0]))

    def columns(self, cell: int) -> tuple[int, ...]:
        """Columns of the input the window of output column ``cell`` stands on."""
        start = cell * self.stride[1] - self.padding[2]
        return tuple(start + i * self.dilation[1] for i in range(self.kernel[1]))

    def origins(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """For each padded row, and each padded column, the input row (column) its values come from.

        -1 where they come from none and are zero.

        Examples
        --------
        >>> Geometry((3, 3), (3, 3), (1, 1), (1, 1), (1, 1, 1, 1), "reflect").origins()[0].tolist()
        [1, 0, 1, 2, 1]
        """
        top, bottom, left, right = self.padding
        return self._origin(0, top, bottom), self._origin(1, left, right)

    def _origin(self, axis: int, before: int, after: int) -> NDArray[np.intp]:
        import numpy as np

        if self.padding_mode != "zeros":
            mode: Any = _OF_NUMPY[self.padding_mode]
            return np.pad(np.arange(self.image[axis]), (before, after), mode=mode)
        places = np.arange(-before, self.spread_image[axis] + after)
        cells, between = np.divmod(places, self.spread[axis])
        outside = (between != 0) | (cells < 0) | (cells >= self.image[axis])
        return np.where(outside, _OUTSIDE, cells)


def whole(value: object, control: str, low: int, high: int = 1 << 20) -> int:
    """A whole number from ``low`` to ``high``.

    Raises
    ------
    ControlError
        If it is none.

    Examples
    --------
    >>> whole(3, "groups", 1)
    3
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or not low <= int(value) <= high:
        limit = f"at least {low}" if high == 1 << 20 else f"from {low} to {high}"
        raise ControlError(f"`{control}` must be a whole number {limit}; got {value!r}", control=control)
    return int(value)


def pair(value: object, control: str, low: int, high: int = 1 << 20) -> tuple[int, int]:
    """One whole number for both axes, or one for each.

    Raises
    ------
    ControlError
        If it is neither, or out of range.

    Examples
    --------
    >>> pair(2, "stride", 1), pair((1, 2), "stride", 1)
    ((2, 2), (1, 2))
    """
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2:
        return whole(value[0], control, low, high), whole(value[1], control, low, high)
    one = whole(value, control, low, high)
    return one, one


def read_padding(
    value: object, window: tuple[int, int], control: str = "padding"
) -> tuple[int, int, int, int]:
    """Rows at the top and bottom and columns at the left and right that ``padding`` asks for.

    Parameters
    ----------
    value
        A number for all sides; (rows, columns); (top, bottom, left, right); ``"none"`` or ``"valid"``;
        ``"same"``: as many as keep the size at stride 1, the odd one at the bottom and right.
    window
        Rows and columns the kernel covers.

    Raises
    ------
    ControlError
        If it is none of these.

    Examples
    --------
    >>> read_padding("same", (3, 4)), read_padding((1, 2), (3, 3))
    ((1, 1, 1, 2), (1, 1, 2, 2))
    """
    if isinstance(value, str) and value in ("none", "valid"):
        return 0, 0, 0, 0
    if isinstance(value, str) and value == "same":
        rows, columns = window[0] - 1, window[1] - 1
        return rows // 2, rows - rows // 2, columns // 2, columns - columns // 2
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 4:
        top, bottom = pair(value[:2], control, 0, MOST_PADDING)
        left, right = pair(value[2:], control, 0, MOST_PADDING)
        return top, bottom, left, right
    try:
        rows, columns = pair(value, control, 0, MOST_PADDING)
    except ControlError:
        raise ControlError(
            f"`{control}` must be `none`, `same`, or a whole number from 0 to {MOST_PADDING}; got {value!r}",
            control=control,
            hint="In Python also (rows, columns) or (top, bottom, left, right).",
        ) from None
    return rows, rows, columns, columns


def check(geometry: Geometry) -> None:
    """Make sure that a convolution of these sizes exists.

    Raises
    ------
    ControlError
        If the kernel does not fit, or the padding mode cannot fill so much padding.
    """
    rows, columns = geometry.padded
    if geometry.window[0] > rows or geometry.window[1] > columns:
        kernel = f"{geometry.kernel[0]} x {geometry.kernel[1]}"
        if geometry.window != geometry.kernel:
            kernel += f", dilated to {geometry.window[0]} x {geometry.window[1]},"
        raise ControlError(
            f"the kernel of {kernel} is larger than the padded image of {rows} x {columns}",
            control="kernel",
            hint="Take a smaller kernel, a larger image or more padding.",
        )
    if geometry.padding_mode not in PADDING_MODES:
        raise ControlError(
            f"`padding_mode` must be one of {', '.join(PADDING_MODES)}; got {geometry.padding_mode!r}",
            control="padding_mode",
        )
    limits = {"reflect": lambda n: n - 1, "circular": lambda n: n}
    if geometry.padding_mode in limits:
        for axis, name in ((0, "rows"), (1, "columns")):
            most = limits[geometry.padding_mode](geometry.image[axis])
            wanted = max(geometry.padding[2 * axis : 2 * axis + 2])
            if wanted > most:
                raise ControlError(
                    f"`{geometry.padding_mode}` padding can add at most {most} {name} to an image of "
                    f"{geometry.image[axis]}; got {wanted}",
                    control="padding",
                )
