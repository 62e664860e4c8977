"""How a film is drawn: which kernels and maps, as which bytes, and in which words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convscope.errors import UsageError, nearest

if TYPE_CHECKING:
    from convscope.filming import Strip

#: Most tiles of a panel.
TILES = 36


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
    filters, inputs, rows, columns = described.get("weight_shape") or described["kernels"]
    size = f"{some_of(min(TILES, described['kernels'][0]), filters)} filters of {rows} x {columns}"
    if described["reads_image"] and inputs == 3:
        pictures = strip.pictures
        if (pictures == pictures[..., :1]).all():
            return KernelView("sum", f"{size}, over the grey picture")
        return KernelView("rgb", f"{size}, in colour")
    if inputs == 1:
        return KernelView("first", size)
    return KernelView("first", f"{size}, over input channel 0")


def some_of(shown: int, there: int) -> str:
    """How many of a kind are shown.

    Examples
    --------
    >>> some_of(36, 512), some_of(16, 16)
    ('36 of 512', '16')
    """
    return f"{shown} of {there}" if shown < there else str(there)


def size_words(layer: Mapping[str, Any]) -> str:
    """The size of a layer's maps, and that of what is kept of them where larger ones were averaged.

    Examples
    --------
    >>> size_words({"map_shape": [64, 112, 112], "maps": [32, 56, 56]})
    '112 x 112, averaged to 56 x 56'
    """
    true, kept = (" x ".join(map(str, layer[key][1:])) for key in ("map_shape", "maps"))
    return true if true == kept else f"{true}, averaged to {kept}"


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


def image_number(strip: Strip, image: int) -> int:
    """The number of an image, as it is.

    Raises
    ------
    UsageError
        If the film has none of that number.
    """
    there = len(strip.manifest["images"])
    if not 0 <= image < there:
        raise UsageError(f"the film has images 0 to {there - 1}; got {image}")
    return image


def true_class(strip: Strip, image: int) -> int | None:
    """The true class of an image; ``None`` where it has none, or one that is none of the outputs."""
    label = strip.manifest["images"][image]["label"]
    count = strip.manifest["outputs"] or len(strip.manifest["classes"])
    return label if type(label) is int and 0 <= label < count else None


def as_bytes(values: NDArray[np.floating[Any]], limits: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Values as places in a table of colours: 128 is zero, 1 and 255 ``-limit`` and ``limit``, 0 not finite.

    Examples
    --------
    >>> as_bytes(np.array([[-2.0, 0.0, 1.0, np.nan, np.inf]]), np.array([2.0])).tolist()
    [[1, 128, 192, 0, 0]]
    """
    scale = np.where(limits > 0, limits, 1).reshape(limits.shape + (1,) * (values.ndim - limits.ndim))
    with np.errstate(invalid="ignore"):
        places = np.clip(np.rint(128 + values / scale * 127), 1, 255)
    found: NDArray[np.uint8] = np.where(np.isfinite(values), places, 0).astype(np.uint8)
    return found
