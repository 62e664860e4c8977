"""The result of one convolution, and every step of it as data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from convscope.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from convscope.lesson.geometry import Geometry
    from convscope.tracing.arithmetic import Arithmetic


@dataclass(frozen=True, eq=False)
class Step:
    """One cell of a feature map: where its window lies, what is multiplied and what it adds up to.

    Parameters
    ----------
    index
        Place in the order in which cells are filled: map by map, row by row.
    channel, cell
        Which feature map, and the (row, column) in it.
    rows, columns
        Input rows and columns of the window, one for each row (column) of the kernel; those outside the
        image are padding. Of a transposed convolution, places in the input with zeros between its cells.
    first_channel
        Input channel of ``values[0]``, above 0 where there are groups.
    values, kernel, products
        ``float64 (channels, rows, columns)``; ``products = values * kernel``.
    sums
        ``float64 (channels,)``: the products added up, channel by channel.
    sum
        All products added up, in float64.
    bias
        Added after the sum; 0 where there is none.
    output
        The cell's value as torch computed it.
    tolerance
        How far ``output`` may lie from ``sum + bias`` by rounding alone.
    """

    index: int
    channel: int
    cell: tuple[int, int]
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    first_channel: int
    values: NDArray[np.float64] = field(repr=False)
    kernel: NDArray[np.float64] = field(repr=False)
    products: NDArray[np.float64] = field(repr=False)
    sums: NDArray[np.float64] = field(repr=False)
    sum: float
    bias: float
    output: float
    tolerance: float

    @property
    def agrees(self) -> bool:
        """Whether torch's value and the sum of the products differ by no more than rounding."""
        total = self.sum + self.bias
        both_nan = total != total and self.output != self.output
        return both_nan or total == self.output or abs(total - self.output) <= self.tolerance

    def to_json(self) -> dict[str, Any]:
        """The step as plain JSON."""
        return {
            "index": self.index,
            "channel": self.channel,
            "cell": list(self.cell),
            "rows": list(self.rows),
            "columns": list(self.columns),
            "first_channel": self.first_channel,
            "values": self.values.tolist(),
            "kernel": self.kernel.tolist(),
            "products": self.products.tolist(),
            "sums": self.sums.tolist(),
            "sum": self.sum,
            "bias": self.bias,
            "output": self.output,
            "tolerance": self.tolerance,
            "agrees": self.agrees,
        }


@dataclass(frozen=True, eq=False)
class Convolution:
    """A convolution: its feature maps, and on demand every step that led to them.

    Parameters
    ----------
    image
        ``(channels, rows, columns)``, as given.
    kernel
        ``(maps, channels, rows, columns)`` as it is laid on the image: turned by 180 degrees where the
        convolution is a true or a transposed one. ``channels`` counts those of one group.
    given_kernel
        The kernel as given, brought to four axes.
    bias
        ``(maps,)``.
    maps
        ``(maps, rows, columns)``: the result, from torch.
    geometry
        Sizes, strides, paddings.
    groups
        Groups the input channels are divided into.
    flip, transposed
        What was asked for.
    method
        ``"direct"`` (torch's own convolution) or ``"fft"`` (torch's Fourier transforms, in float64).
    flat
        Whether image and kernel were given with two axes, as ``result`` then is.

    Examples
    --------
    >>> from convscope.lesson import convolve
    >>> done = convolve([[1, 2], [3, 4]], [[1, 0], [0, 1]])
    >>> done.result.tolist(), len(done), done[0].products.tolist()
    ([[5.0]], 1, [[[1.0, 0.0], [0.0, 4.0]]])
    """

    image: NDArray[Any] = field(repr=False)
    kernel: NDArray[Any] = field(repr=False)
    given_kernel: NDArray[Any] = field(repr=False)
    bias: NDArray[Any] = field(repr=False)
    maps: NDArray[Any] = field(repr=False)
    geometry: Geometry
    groups: int = 1
    flip: bool = False
    transposed: bool = False
    method: str = "direct"
    flat: bool = False

    @property
    def result(self) -> NDArray[Any]:
        """The feature maps; one map of two axes where image and kernel were given with two."""
        return self.maps[0] if self.flat else self.maps

    @property
    def multiply_adds(self) -> int:
        """Products of the direct way, those with padding included."""
        return int(self.maps.size) * int(self.kernel[0].size)

    @cached_property
    def padded(self) -> NDArray[np.float64]:
        """``float64 (channels, rows, columns)``: what the window moves over, padding included."""
        return lay_out(self.image, self.geometry).astype("float64")

    @cached_property
    def _magnitude(self) -> float:
        import numpy as np

        return float(np.linalg.norm(self.padded) * np.linalg.norm(self.kernel.astype(np.float64)))

    def __len__(self) -> int:
        return int(self.maps.size)

    def __iter__(self) -> Iterator[Step]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Step:
        """The step with that number, from 0; below 0 they count from the end."""
        import numpy as np

        size = len(self)
        if not -size <= index < size:
            raise IndexError(f"there are steps 0 to {size - 1}; got {index}")
        index %= size
        channel, row, column = (int(n) for n in np.unravel_index(index, self.maps.shape))
        return self.at(channel, row, column)

    def at(self, channel: int, row: int, column: int) -> Step:
        """The step that fills one cell.

        Raises
        ------
        UsageError
            If there is no such cell.
        """
        import numpy as np

        from convscope.numerics import sum_tolerance

        if not all(0 <= n < size for n, size in zip((channel, row, column), self.maps.shape, strict=True)):
            raise UsageError(
                f"there is no cell {channel, row, column} in feature maps of shape {self.maps.shape}"
            )
        where = self.geometry
        kernel = self.kernel[channel].astype(np.float64)
        each = len(kernel)
        first = channel // (len(self.kernel) // self.groups) * each
        top, left = row * where.stride[0], column * where.stride[1]
        values = self.padded[
            first : first + each,
            top : top + where.window[0] : where.dilation[0],
            left : left + where.window[1] : where.dilation[1],
        ]
        with np.errstate(all="ignore"):
            # Plus zero, so that no product reads -0.
            products = values * kernel + 0.0
            sums = products.reshape(each, -1).sum(axis=1)
            total, bias = float(sums.sum()), float(self.bias[channel])
            output = float(self.maps[channel, row, column])
            magnitude = float(np.abs(products).sum()) + abs(bias)
        tolerance = sum_tolerance(kernel.size + 1, magnitude, output, str(self.maps.dtype))
        if self.method == "fft":
            # A Fourier transform spreads the rounding of the largest values over all cells.
            tolerance += 2.0**-49 * np.log2(self.padded.size) * self._magnitude
        return Step(
            index=(channel * self.maps.shape[1] + row) * self.maps.shape[2] + column,
            channel=channel,
            cell=(row, column),
            rows=where.rows(row),
            columns=where.columns(column),
            first_channel=first,
            values=values,
            kernel=kernel,
            products=products,
            sums=sums,
            sum=total,
            bias=bias,
            output=output,
            tolerance=tolerance,
        )

    def arithmetic(self, index: int) -> Arithmetic:
        """The step in the form in which a real network's values are proved (``trace.value_of``).

        Examples
        --------
        >>> from convscope.lesson import convolve
        >>> found = convolve([[1, 2], [3, 4]], [[1, 0], [0, 1]], bias=1).arithmetic(0)
        >>> found.value, found.total, found.formula, found.agrees
        (6.0, 6.0, 'Σ input · weight + bias', True)
        """
        from convscope.lesson.proofs import arithmetic_of

        return arithmetic_of(self, self[index])

    def to_json(self, first: int = 0, count: int | None = None) -> dict[str, Any]:
        """Everything a player needs, as plain JSON: what stays, and ``count`` steps from ``first`` on.

        ``padded`` is what the window moves over, ``origins`` says for each of its rows and columns which of
        the image it comes from (-1 for zeros that come from none), ``offset`` where the image begins in it.
        ``rows`` and ``columns`` of a step count from the image's corner: in ``padded`` they are
        ``offset`` further.
        """
        where = self.geometry
        last = len(self) if count is None else min(len(self), first + count)
        return {
            "image": self.image.tolist(),
            "padded": self.padded.tolist(),
            "origins": [places.tolist() for places in where.origins()],
            "offset": [where.padding[0], where.padding[2]],
            "kernel": self.kernel.tolist(),
            "given_kernel": self.given_kernel.tolist(),
            "bias": self.bias.tolist(),
            "maps": self.maps.tolist(),
            "stride": list(where.stride),
            "dilation": list(where.dilation),
            "padding": list(where.padding),
            "padding_mode": where.padding_mode,
            "spread": list(where.spread),
            "window": list(where.window),
            "output": list(where.output),
            "groups": self.groups,
            "flip": self.flip,
            "transposed": self.transposed,
            "method": self.method,
            "multiply_adds": self.multiply_adds,
            "count": len(self),
            "first": first,
            "steps": [self[index].to_json() for index in range(first, last)],
        }


def lay_out(image: NDArray[Any], geometry: Geometry) -> NDArray[Any]:
    """``image (channels, rows, columns)`` with zeros between its cells and padding around, as asked."""
    import numpy as np

    down, across = geometry.origins()
    laid = image[:, np.maximum(down, 0)][:, :, np.maximum(across, 0)]
    if (down < 0).any() or (across < 0).any():
        laid[:, down < 0] = 0
        laid[:, :, across < 0] = 0
    return laid
