"""From numpy arrays to RGB, by rules that never guess a range."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from convscope.errors import ImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convscope.data.limits import Limits

_SLACK = 1e-6  # float32 arithmetic leaves 1.0000001


def array_to_rgb(
    array: NDArray[Any], *, name: str, limits: Limits
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Pixels of ``array`` as a fresh ``uint8 (height, width, 3)``, and a note for each conversion.

    Parameters
    ----------
    array
        Shape ``(height, width)`` or ``(height, width, 1)`` for grey, ``(height, width, 3)`` for
        RGB, ``(height, width, 4)`` for RGB and alpha. ``uint8`` 0 to 255, ``uint16`` 0 to
        65535, floats 0 to 1, ``bool`` black and white.
    name
        Printable name, for messages.
    limits
        Held as for files.

    Raises
    ------
    ImageError
        ``not_an_image`` for another shape, ``empty``, ``too_many_pixels``, ``not_finite``, and
        ``unsupported_depth`` for other types and for floats outside 0 to 1.

    Examples
    --------
    >>> from convscope.data import Limits
    >>> pixels, notes = array_to_rgb(np.full((2, 3), 0.5), name="grey", limits=Limits())
    >>> pixels.shape, pixels[0, 0].tolist(), notes
    ((2, 3, 3), [128, 128, 128], ('floating point, 0 to 1, scaled to 8 bits',))
    """
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        turned = array.ndim == 3 and array.shape[0] in (1, 3, 4)
        raise ImageError(
            f"`{name}` has the shape {array.shape}, expected (height, width) or (height, width, 1, 3 or 4)",
            code="not_an_image",
            hint="Channels come last: use array.transpose(1, 2, 0)." if turned else "",
        )
    if array.size == 0:
        raise ImageError(f"`{name}` is empty: its shape is {array.shape}", code="empty")
    limits.check(array.shape[1], array.shape[0], name)
    notes: tuple[str, ...] = ()
    if array.dtype == np.uint8:
        pixels = array.astype(np.uint8, copy=False)
    elif array.dtype == np.bool_:
        pixels = array.astype(np.uint8) * np.uint8(255)
    elif array.dtype == np.uint16:
        pixels, notes = scale_integers(array.astype(np.uint16), 16), ("16-bit scaled to 8 bits",)
    elif np.issubdtype(array.dtype, np.floating):
        pixels, notes = scale_floats(array, name), ("floating point, 0 to 1, scaled to 8 bits",)
    else:
        raise ImageError(
            f"`{name}` is of type {array.dtype}, expected uint8, uint16, bool or floating point",
            code="unsupported_depth",
            hint="If its values are 0 to 255, use array.astype('uint8').",
        )
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        return grey_to_rgb(pixels.reshape(pixels.shape[:2])), notes
    if pixels.shape[2] == 4 and (pixels[..., 3] < 255).any():
        return over_white(pixels), (*notes, "transparent parts drawn over white")
    return np.array(pixels[..., :3], order="C"), notes


def grey_to_rgb(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``(height, width)`` three times, as a fresh array ``(height, width, 3)``."""
    return np.repeat(grey[..., np.newaxis], 3, axis=2)


def scale_integers(values: NDArray[np.uint16], bits: int) -> NDArray[np.uint8]:
    """Unsigned integers of ``bits`` bits, rounded to 0 to 255.

    Examples
    --------
    >>> scale_integers(np.array([0, 257, 32768, 65535], np.uint16), 16).tolist()
    [0, 1, 128, 255]
    """
    largest = (1 << bits) - 1
    table = (np.arange(1 << 16, dtype=np.uint32) * 255 + largest // 2) // largest
    return np.minimum(table, 255).astype(np.uint8)[values]


def scale_floats(values: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Floats of 0 to 1, rounded to 0 to 255.

    Raises
    ------
    ImageError
        ``not_finite`` for a not-a-number or an infinity, ``unsupported_depth`` for values
        outside 0 to 1.
    """
    bad = int(values.size - np.isfinite(values).sum())
    if bad:
        raise ImageError(
            f"`{name}` holds {bad} values that are not finite numbers (NaN or infinity)",
            code="not_finite",
            hint="Replace them first, with numpy.nan_to_num for example.",
        )
    low, high = float(values.min()), float(values.max())
    if low < -_SLACK or high > 1 + _SLACK:
        raise ImageError(
            f"`{name}` holds floating point values from {low:.6g} to {high:.6g}, expected 0 to 1",
            code="unsupported_depth",
            hint="Scale them to 0 to 1, or to 8-bit integers of 0 to 255.",
        )
    return np.rint(values.astype(np.float32).clip(0, 1) * 255).astype(np.uint8)


def over_white(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colours ``(height, width, 4)`` laid over white, ``(height, width, 3)``, rounded.

    Examples
    --------
    >>> over_white(np.array([[[255, 0, 0, 0], [255, 0, 0, 51]]], np.uint8)).tolist()
    [[[255, 255, 255], [255, 204, 204]]]
    """
    alpha = rgba[..., 3:].astype(np.uint16)
    return ((rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
