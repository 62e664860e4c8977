"""Kernels by name, typed kernels, and numbers typed as rows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from convscope.errors import ControlError
from convscope.lesson.result import Text, both

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Kernels by name, and what each is called. Written as they are laid on the image (not flipped).
KERNELS: dict[str, tuple[str, Text]] = {
    "identity": ("0 0 0; 0 1 0; 0 0 0", both("identity", "恒等")),
    "box": ("1/9 1/9 1/9; 1/9 1/9 1/9; 1/9 1/9 1/9", both("box blur", "均值模糊")),
    "gaussian": ("1/16 2/16 1/16; 2/16 4/16 2/16; 1/16 2/16 1/16", both("Gaussian blur", "高斯模糊")),
    "sharpen": ("0 -1 0; -1 5 -1; 0 -1 0", both("sharpen", "锐化")),
    "edge": ("1 0 -1; 1 0 -1; 1 0 -1", both("edge, bright to dark", "边缘（亮到暗）")),
    "edge-turned": ("-1 0 1; -1 0 1; -1 0 1", both("edge, dark to bright", "边缘（暗到亮）")),
    "sobel-x": ("-1 0 1; -2 0 2; -1 0 1", both("Sobel, across", "Sobel（水平）")),
    "sobel-y": ("-1 -2 -1; 0 0 0; 1 2 1", both("Sobel, down", "Sobel（垂直）")),
    "prewitt-x": ("-1 0 1; -1 0 1; -1 0 1", both("Prewitt, across", "Prewitt（水平）")),
    "prewitt-y": ("-1 -1 -1; 0 0 0; 1 1 1", both("Prewitt, down", "Prewitt（垂直）")),
    "laplacian": ("0 1 0; 1 -4 1; 0 1 0", both("Laplacian", "拉普拉斯")),
    "emboss": ("-2 -1 0; -1 1 1; 0 1 2", both("emboss", "浮雕")),
}

_HINT = "Numbers stand apart by spaces, rows by `;`: 1 0 -1; 1 0 -1; 1 0 -1"


def named_kernel(name: str) -> NDArray[np.float64]:
    """The kernel of that name, ``float64 (rows, columns)``.

    Raises
    ------
    ControlError
        If there is none.

    Examples
    --------
    >>> named_kernel("sobel-x").tolist()
    [[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]
    """
    if name not in KERNELS:
        raise ControlError(
            f"there is no kernel `{name}`", control="kernel", hint=f"There are {', '.join(KERNELS)}."
        )
    found: NDArray[np.float64] = read_numbers(KERNELS[name][0], "kernel")
    return found


def read_numbers(
    text: Any, control: str, *, largest: int = 32, channels: int = 1, name: str = ""
) -> NDArray[np.float64]:
    """Numbers typed as rows.

    Parameters
    ----------
    text
        Numbers apart by spaces or commas, rows by ``;`` or line breaks, channels by ``|``; ``1/9`` is a
        number. Lists of numbers are taken too.
    control
        Whose text it is, for the error.
    largest
        Most rows and columns.
    channels
        Most channels; the result has three axes where ``|`` is used.
    name
        How the error calls it, if not by the control's name.

    Returns
    -------
    ``float64 (rows, columns)`` or ``(channels, rows, columns)``.

    Raises
    ------
    ControlError
        If it is not that.

    Examples
    --------
    >>> read_numbers("1 0 -1; 1/2, 0, -.5", "kernel").tolist()
    [[1.0, 0.0, -1.0], [0.5, 0.0, -0.5]]
    """
    import numpy as np

    called = f"`{name or control}`"

    def wrong(why: str) -> ControlError:
        return ControlError(f"{called} must be rows of numbers, {why}", control=control, hint=_HINT)

    if not isinstance(text, str):
        try:
            array = np.asarray(text, dtype=np.float64)
        except (TypeError, ValueError):
            raise wrong("all equally long") from None
        layers = list(array) if array.ndim == 3 else [array]
        if array.ndim not in (2, 3) or not array.size:
            raise wrong(f"got shape {array.shape}")
    else:
        layers = []
        for part in text.strip().strip("|").split("|"):
            lines = [line for line in part.replace("\n", ";").split(";") if line.strip()]
            rows = [[_number(word, wrong) for word in line.replace(",", " ").split()] for line in lines]
            if not rows:
                raise wrong("and is empty")
            uneven = next((row for row in rows if len(row) != len(rows[0])), None)
            if uneven is not None:
                raise wrong(f"all equally long; got rows of {len(rows[0])} and of {len(uneven)}")
            layers.append(np.array(rows))
    if any(layer.shape != layers[0].shape for layer in layers):
        raise wrong("the same rows and columns in every channel")
    if len(layers) > channels:
        raise wrong(f"in at most {channels} channel{'s' if channels > 1 else ''}; got {len(layers)}")
    rows_, columns = layers[0].shape
    if max(rows_, columns) > largest:
        raise wrong(f"at most {largest} x {largest} of them; got {rows_} x {columns}")
    stacked: NDArray[np.float64] = np.stack(layers) if len(layers) > 1 else layers[0]
    if not np.isfinite(stacked).all() or np.abs(stacked).max() > 1e9:
        raise wrong("each between -1,000,000,000 and 1,000,000,000")
    return stacked


def _number(word: str, wrong: Any) -> float:
    above, slash, below = word.partition("/")
    try:
        value = float(above) / float(below) if slash else float(above)
    except (ValueError, ZeroDivisionError):
        raise wrong(f"and {word[:20]!r} is no number") from None
    if not math.isfinite(value):
        raise wrong(f"and {word[:20]!r} is no number")
    return value


def typed(values: Any) -> str:
    """Numbers as they are typed; the other way of ``read_numbers``.

    Examples
    --------
    >>> typed([[1.0, 0.5], [-2.0, 0.0]])
    '1 0.5; -2 0'
    """
    import numpy as np

    array = np.asarray(values, dtype=np.float64)
    layers = array if array.ndim == 3 else array[None]
    return " | ".join("; ".join(" ".join(f"{v:.10g}" for v in row) for row in layer) for layer in layers)
