"""Poolings as they are typed (``3/2``: windows of 3, stride 2) and computed, by torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from convscope.errors import ControlError
from convscope.lesson.controls import Control
from convscope.lesson.result import Text, both
from convscope.lesson.wanted import still_wanted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Ways to make one number of a window.
KINDS: dict[str, Text] = {
    "max": both("maximum", "最大值"),
    "average": both("average", "平均值"),
    "l2": both("L2 norm", "L2 范数"),
}
#: The sizes and strides of the article.
ARTICLE = ((3, 2), (5, 3), (7, 4))


@dataclass(frozen=True, kw_only=True)
class Pools(Control):
    """Windows with their strides, such as ``3/2 5/3 7/4``."""

    kind: ClassVar[str] = "pools"
    at_most: int = 6
    largest: int = 64

    def check(self, value: Any) -> tuple[tuple[int, int], ...]:
        """Pairs of size and stride."""
        expected = (
            f"1 to {self.at_most} windows with their stride, such as 3/2 5/3, each up to {self.largest}"
        )
        try:
            if isinstance(value, str):
                parts = [word.split("/") for word in value.replace(",", " ").split()]
                found = tuple((int(part[0]), int(part[1] if len(part) > 1 else part[0])) for part in parts)
                if any(len(part) > 2 for part in parts):
                    raise ValueError
            else:
                found = tuple((int(size), int(stride)) for size, stride in value)
        except (TypeError, ValueError):
            raise self.wrong(expected, value) from None
        if not 1 <= len(found) <= self.at_most or not all(
            1 <= n <= self.largest for pair in found for n in pair
        ):
            raise self.wrong(expected, value)
        return found

    def plain(self, value: Any) -> str:
        """As it is typed."""
        return " ".join(f"{size}/{stride}" for size, stride in value)


def pool(
    values: NDArray[Any], kind: str, size: int, stride: int, control: str = "pools"
) -> NDArray[np.float64]:
    """Pool one map.

    Parameters
    ----------
    values
        ``(rows, columns)``.
    kind
        ``"max"``, ``"average"`` or ``"l2"`` (square root of the sum of squares).
    size, stride
        Rows and columns of the window, and its steps.

    Returns
    -------
    ``float64 ((rows - size) // stride + 1, ...)``, values from torch.

    Raises
    ------
    ControlError
        If the window is larger than the map.

    Examples
    --------
    >>> import numpy as np
    >>> pool(np.array([[1.0, 2.0], [3.0, 4.0]]), "max", 2, 2).tolist()
    [[4.0]]
    """
    import numpy as np
    import torch
    from torch.nn import functional

    if size > min(values.shape):
        raise ControlError(
            f"`{control}` has a window of {size} x {size}, larger than the map of {values.shape[0]} x "
            f"{values.shape[1]}",
            control=control,
        )
    still_wanted()
    given = torch.from_numpy(np.array(values, dtype=np.float64))[None, None]
    if kind == "max":
        found = functional.max_pool2d(given, size, stride)
    elif kind == "average":
        found = functional.avg_pool2d(given, size, stride)
    else:
        found = functional.lp_pool2d(given, 2.0, size, stride)
    result: NDArray[np.float64] = found[0, 0].numpy()
    return result


def pooled_size(size: int, window: int, stride: int) -> int:
    """Rows (columns) that pooling leaves of ``size``.

    Examples
    --------
    >>> pooled_size(43, 7, 4)
    10
    """
    return (size - window) // stride + 1
