"""How well a kernel matches each place of an image: raw, zero-mean and normalised cross-correlation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convscope.lesson.convolve import convolve

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

#: A window whose variance is below this share of its mean square counts as flat.
_FLAT = 1e-10


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
    import numpy as np

    values, weights = (np.asarray(a, dtype=np.float64) for a in (image, kernel))
    values, weights = (a[None] if a.ndim == 2 else a for a in (values, weights))
    raw = convolve(values, weights).maps[0]
    count = weights.size
    sums = _window_sums(values.sum(axis=0), weights.shape[1:])
    squares = _window_sums((values**2).sum(axis=0), weights.shape[1:])
    # The kernel's mean is taken first: subtracted afterwards it would cancel most digits.
    centred = weights - weights.mean()
    zero_mean = convolve(values - values.mean(), centred).maps[0]
    spread = squares - sums**2 / count
    own = float((centred**2).sum())
    flat = (spread <= _FLAT * np.maximum(squares, 1e-300)) | (own <= _FLAT * float((weights**2).sum()))
    size = np.sqrt(np.where(flat, 1.0, spread) * (own or 1.0))
    normalised = np.where(flat, 0.0, np.clip(zero_mean / size, -1, 1))
    return {"raw": raw, "zero_mean": zero_mean, "normalised": normalised}


def window_means(image: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.float64]:
    """Mean of every window of ``size`` rows and columns of ``(rows, columns)``.

    Examples
    --------
    >>> import numpy as np
    >>> window_means(np.array([[1.0, 3.0, 5.0]]), (1, 2)).tolist()
    [[2.0, 4.0]]
    """
    return _window_sums(image.astype("float64"), size) / (size[0] * size[1])


def _window_sums(image: NDArray[np.float64], size: tuple[int, ...]) -> NDArray[np.float64]:
    import numpy as np

    rows, columns = size
    table = np.zeros((image.shape[0] + 1, image.shape[1] + 1))
    table[1:, 1:] = image.cumsum(0).cumsum(1)
    found: NDArray[np.float64] = (
        table[rows:, columns:] - table[:-rows, columns:] - table[rows:, :-columns] + table[:-rows, :-columns]
    )
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
