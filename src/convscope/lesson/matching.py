"""How well a kernel matches each place of an image: raw, zero-mean and normalised cross-correlation."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from convscope.lesson.convolve import FFT_CELLS, FFT_WORK, convolve, quick_size
from convscope.lesson.wanted import still_wanted
from convscope.numerics import one_thread

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

#: A window whose variance is below this share of its mean square counts as flat.
_FLAT = 1e-10
#: Spectra of images with at most so many values are kept: 35 MB.
KEPT_VALUES = 4_000_000


class Matcher:
    """An image that kernels are matched with again and again: what depends on it alone is worked out once.

    Parameters
    ----------
    image
        ``(rows, columns)`` or ``(channels, rows, columns)``, of any scale.
    """

    def __init__(self, image: ArrayLike) -> None:
        import numpy as np

        values = np.asarray(image, dtype=np.float64)
        self._values = values[None] if values.ndim == 2 else values
        # The image's mean is taken first: in the sums it would cancel most digits.
        still_wanted()
        self._centred = self._values - self._values.mean()
        self._sums = WindowSums(self._values.sum(axis=0))
        self._squares = WindowSums((self._values**2).sum(axis=0))

    def match(self, kernel: ArrayLike) -> dict[str, NDArray[np.float64]]:
        """The answers to one kernel, as :func:`match` gives them."""
        import numpy as np

        weights = np.asarray(kernel, dtype=np.float64)
        weights = weights[None] if weights.ndim == 2 else weights
        size = (weights.shape[1], weights.shape[2])
        mean = weights.mean()
        centred = weights - mean
        sums, squares = self._sums(size), self._squares(size)
        if self._by_fft(size):
            with one_thread():
                zero_mean = self._correlated(centred)
            # One transform does for both; the window's sum adds what the mean is worth.
            raw = zero_mean + mean * sums
        else:
            raw = convolve(self._values, weights).maps[0]
            zero_mean = convolve(self._centred, centred).maps[0]
        still_wanted()
        spread = squares - sums**2 / weights.size
        own = float((centred**2).sum())
        flat = spread <= _FLAT * np.maximum(squares, 1e-300)
        if own <= _FLAT * float((weights**2).sum()):
            flat[...] = True
        normalised = zero_mean / np.sqrt(np.where(flat, 1.0, spread) * (own or 1.0))
        normalised[flat] = 0
        return {"raw": raw, "zero_mean": zero_mean, "normalised": np.clip(normalised, -1, 1, out=normalised)}

    def _by_fft(self, size: tuple[int, int]) -> bool:
        _, rows, columns = self._values.shape
        fits = rows >= size[0] and columns >= size[1]
        work = size[0] * size[1] * (rows - size[0] + 1) * (columns - size[1] + 1)
        return fits and size[0] * size[1] >= FFT_CELLS and work > FFT_WORK and self._finite

    @cached_property
    def _finite(self) -> bool:
        import numpy as np

        # A value that is not finite would spread over the whole result.
        return bool(np.isfinite(self._values).all())

    @cached_property
    def _size(self) -> tuple[int, int]:
        _, rows, columns = self._values.shape
        return quick_size(rows), quick_size(columns)

    @cached_property
    def _spectra(self) -> list[Tensor]:
        return [self._spectrum(channel) for channel in range(len(self._values))]

    def _spectrum(self, channel: int) -> Tensor:
        import torch

        still_wanted()
        return torch.fft.rfft2(torch.from_numpy(self._centred[channel]), self._size)

    def _correlated(self, kernel: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum over channels and windows of image less its mean, times kernel; by Fourier transforms."""
        import torch

        channels, rows, columns = self._values.shape
        last = rows - kernel.shape[1] + 1, columns - kernel.shape[2] + 1
        kept = self._values.size <= KEPT_VALUES
        with torch.no_grad():
            # Rows below the kernel are zeros: they need no transform of their own.
            across = torch.fft.rfft(torch.from_numpy(kernel), self._size[1], dim=2)
            answer = torch.zeros(self._size[0], across.shape[2], dtype=across.dtype)
            # One channel after the other: large photos in colour would fill the memory otherwise.
            for channel in range(channels):
                spectrum = self._spectra[channel] if kept else self._spectrum(channel)
                still_wanted()
                answer.addcmul_(spectrum, torch.fft.fft(across[channel], self._size[0], dim=0).conj())
            still_wanted()
            down = torch.fft.ifft(answer, dim=0)[: last[0]]
            found: NDArray[np.float64] = torch.fft.irfft(down, self._size[1], dim=1)[:, : last[1]].numpy()
        return found


def match(image: ArrayLike, kernel: ArrayLike) -> dict[str, NDArray[np.float64]]:
    """Three answers of an image to a kernel at every place where the kernel fits.

    Parameters
    ----------
    image, kernel
        ``(rows, columns)``, or both ``(channels, rows, columns)``.

    Returns
    -------
    ``float64`` maps with a cell for each place where the kernel fits: ``raw``, the sum of the products;
    ``zero_mean``, the same with the kernel's mean taken from it, so that mere brightness adds nothing;
    ``normalised``, the coefficient of correlation between kernel and window, -1 to 1, and 0 where one of
    them is flat. Over channels all values count together.

    References
    ----------
    Lewis, "Fast normalized cross-correlation", Vision Interface, 1995.

    Examples
    --------
    >>> found = match([[0, 0, 5, 5], [0, 1, 5, 5]], [[0, 0], [0, 1]])
    >>> found["raw"].tolist(), found["normalised"].round(2).tolist()
    ([[1.0, 5.0, 5.0]], [[1.0, 0.57, 0.0]])
    """
    return Matcher(image).match(kernel)


class WindowSums:
    """Sums over every window of ``(rows, columns)``, of any size, from one table (a summed-area table).

    References
    ----------
    Crow, "Summed-area tables for texture mapping", SIGGRAPH 1984.

    Examples
    --------
    >>> import numpy as np
    >>> sums = WindowSums(np.array([[1.0, 3.0, 5.0]]))
    >>> sums((1, 2)).tolist(), sums.means((1, 2)).tolist()
    ([[4.0, 8.0]], [[2.0, 4.0]])
    """

    def __init__(self, image: NDArray[np.floating]) -> None:
        import numpy as np

        still_wanted()
        self._table = np.zeros((image.shape[0] + 1, image.shape[1] + 1))
        inner = self._table[1:, 1:]
        np.cumsum(image, axis=0, dtype=np.float64, out=inner)
        np.cumsum(inner, axis=1, out=inner)

    def __call__(self, size: tuple[int, int]) -> NDArray[np.float64]:
        """Sums of all windows of ``size`` rows and columns."""
        rows, columns = size
        table = self._table
        still_wanted()
        found: NDArray[np.float64] = table[rows:, columns:] - table[:-rows, columns:]
        found -= table[rows:, :-columns]
        found += table[:-rows, :-columns]
        return found

    def means(self, size: tuple[int, int]) -> NDArray[np.float64]:
        """Means of all windows of ``size`` rows and columns."""
        found = self(size)
        found /= size[0] * size[1]
        return found


def peaks(response: NDArray[np.floating], count: int, apart: tuple[int, int]) -> list[tuple[int, int]]:
    """Rows and columns of the largest values, largest first, none within ``apart`` of a larger one.

    Examples
    --------
    >>> import numpy as np
    >>> peaks(np.array([[9.0, 8.0, 1.0, 5.0]]), 2, (1, 2))
    [(0, 0), (0, 3)]
    """
    import numpy as np

    still_wanted()
    left = response.astype(np.float64).copy()
    found = []
    for _ in range(count):
        row, column = (int(n) for n in np.unravel_index(int(left.argmax()), left.shape))
        if left[row, column] == -np.inf:
            break
        found.append((row, column))
        down, across = max(1, apart[0]), max(1, apart[1])
        left[max(0, row - down + 1) : row + down, max(0, column - across + 1) : column + across] = -np.inf
    return found
