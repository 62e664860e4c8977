"""How a film is drawn: which kernels and maps, in which range, and the curves along its frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convscope.errors import UsageError, nearest

if TYPE_CHECKING:
    from convscope.filming import Frame, Strip

#: What the numbers of a frame and of an epoch are called beside the curves, and in which order.
CURVES = (
    ("loss", "train_loss", "training loss"),
    ("accuracy", "train_accuracy", "training accuracy"),
    ("test_accuracy", "test_accuracy", "test accuracy"),
)


@dataclass(frozen=True)
class KernelView:
    """How the kernels of a layer become tiles.

    ``kind`` is ``"rgb"`` (red, green and blue together), ``"sum"`` (their sum: the pictures are grey, so that
    it is all that counts) or ``"first"`` (the kernel over the first input channel, signed).
    """

    kind: str
    words: str

    def planes(self, kernels: NDArray[np.float32]) -> NDArray[np.float32]:
        """``(filters, rows, columns)``, or ``(filters, rows, columns, 3)`` of colours."""
        if self.kind == "rgb":
            return kernels.transpose(0, 2, 3, 1)
        found: NDArray[np.float32] = kernels.sum(1) if self.kind == "sum" else kernels[:, 0]
        return found


def kernel_view(strip: Strip, layer: int) -> KernelView | None:
    """How the kernels of a layer are drawn; ``None`` where the film has none."""
    described = strip.layers[layer]
    if described["kernels"] is None:
        return None
    filters, inputs, rows, columns = described["kernels"]
    size = f"{filters} filters of {rows} x {columns}"
    if described["reads_image"] and inputs == 3:
        pictures = strip.pictures
        if (pictures == pictures[..., :1]).all():
            return KernelView("sum", f"{size}, over the grey picture")
        return KernelView("rgb", f"{size}, in colour")
    if inputs == 1:
        return KernelView("first", size)
    return KernelView("first", f"{size}, over input channel 0")


def layer_number(strip: Strip, name: str | int | None) -> int:
    """The number of a layer by its name; the first if not given.

    Raises
    ------
    UsageError
        If the film has none of that name.
    """
    if name is None:
        return 0
    names = [layer["name"] for layer in strip.layers]
    if isinstance(name, int) and 0 <= name < len(names):
        return name
    if name not in names:
        near = nearest(str(name), names) or names
        raise UsageError(f"the film has no layer `{name}`", hint=f"It has {', '.join(near[:8])}.")
    return names.index(str(name))


def kernel_limits(frames: Sequence[Frame], layer: int, view: KernelView) -> NDArray[np.float32]:
    """The largest ``|weight|`` of each filter in the whole film, ``float32 (filters,)``."""
    largest = [_largest(view.planes(kernels)) for f in frames if (kernels := f.kernels[layer]) is not None]
    found: NDArray[np.float32] = np.max(largest, axis=0)
    return found


def _largest(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    finite = np.where(np.isfinite(planes), np.abs(planes), 0)
    found: NDArray[np.float32] = finite.reshape(len(planes), -1).max(axis=1)
    return found


def map_limits(frames: Sequence[Frame], layer: int) -> NDArray[np.float32]:
    """The largest ``|value|`` of each map in the whole film, ``float32 (images, channels)``."""
    found: NDArray[np.float32] = np.max([frame.scales[layer] for frame in frames], axis=0) * 127
    return found


def as_bytes(values: NDArray[np.floating[Any]], limits: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Values as places in a table of colours: 128 is zero, 1 and 255 ``-limit`` and ``limit``, 0 not finite.

    Examples
    --------
    >>> as_bytes(np.array([[-2.0, 0.0, 1.0, np.nan]]), np.array([2.0])).tolist()
    [[1, 128, 192, 0]]
    """
    scale = np.where(limits > 0, limits, 1).reshape(limits.shape + (1,) * (values.ndim - limits.ndim))
    places = np.clip(128 + values / scale * 127, 1, 255)
    with np.errstate(invalid="ignore"):
        found: NDArray[np.uint8] = np.where(np.isfinite(places), np.rint(places), 0).astype(np.uint8)
    return found


def curves(strip: Strip, frames: Sequence[Frame]) -> dict[str, list[tuple[float, float]]]:
    """Loss and accuracy along the film: points ``(place, value)``, places counted in frames from 0.

    A step between two frames has a place between theirs. Numbers of ended epochs go before those told of
    single steps within the same epoch's end.
    """
    steps = np.array([frame.step for frame in frames], np.float64)
    found: dict[str, list[tuple[float, float]]] = {}
    for own, of_epoch, words in CURVES:
        points: dict[float, float] = {f.step: f.numbers[own] for f in frames if own in f.numbers}
        points |= {row["step"]: row[of_epoch] for row in strip.rows if _known(row, of_epoch)}  # type: ignore[misc]
        kept = {step: value for step, value in points.items() if steps[0] <= step <= steps[-1]}
        if kept:
            places = np.interp(sorted(kept), steps, np.arange(len(steps)))
            found[words] = [(float(p), kept[step]) for p, step in zip(places, sorted(kept), strict=True)]
    return found


def _known(row: Mapping[str, float | None], name: str) -> bool:
    return row.get(name) is not None and row.get("step") is not None


def told(strip: Strip, frame: Frame) -> dict[str, float]:
    """What is known at a frame, by the words of the curves, and ``"epoch"`` where the run counts them.

    The test accuracy is the one measured last; training's are of the step, or of an epoch that ends there.
    """
    found: dict[str, float] = {}
    row = strip.row_at(frame.step)
    for own, of_epoch, words in CURVES:
        value = frame.numbers.get(own)
        if own == "test_accuracy":
            value = strip.latest(of_epoch, frame.step) if value is None else value
        elif row is not None and row["step"] == frame.step and _known(row, of_epoch):
            value = row[of_epoch]
        if value is not None:
            found[words] = value
    first = strip.rows[0] if strip.rows else None
    if first is not None and first["step"] and first.get("epoch"):
        found["epoch"] = frame.step / (first["step"] / (first["epoch"] or 1))
    return found
