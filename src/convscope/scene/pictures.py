"""The photo and the model's input, as RGB bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from convscope.tracing import Trace

PHOTO_SIDE = 512


def describe_image(trace: Trace) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The manifest's ``image`` and the arrays ``photo`` and ``input``, where there are any."""
    picture, geometry = trace.picture, trace.geometry
    if picture is not None and geometry is not None:
        arrays = {"photo": shrink(picture.pixels), "input": _seen(trace)}
        entry = {
            "name": picture.name,
            "width": picture.width,
            "height": picture.height,
            "photo": "photo",
            "input": "input",
            "scale": list(geometry.scale),
            "offset": list(geometry.offset),
            "notes": list(picture.notes),
        }
        return entry, arrays
    value = first_input(trace)
    drawn = draw_tensor(value) if value is not None else None
    rows, columns = (drawn.shape[0], drawn.shape[1]) if drawn is not None else (0, 0)
    entry = {
        "name": "prepared input",
        "width": int(columns),
        "height": int(rows),
        "scale": [1.0, 1.0],
        "offset": [0.0, 0.0],
        "notes": [
            "no photo: the input was handed over as a tensor, and is drawn with its smallest value black "
            "and its largest white"
            if drawn is not None
            else "no photo: the input was handed over as a tensor that is not a picture"
        ],
    }
    if drawn is None:
        return entry, {}
    return {**entry, "photo": "photo", "input": "input"}, {"photo": shrink(drawn), "input": drawn}


def first_input(trace: Trace) -> Tensor | None:
    """The first picture given to the model, ``[channels, rows, columns]``; ``None`` where it is none."""
    op = next((op for op in trace.ops if op.kind == "input"), None)
    if op is None or not op.values or op.values[0] is None:
        return None
    value = op.values[0]
    value = value[0] if value.ndim == 4 and len(value) else value
    if value.ndim != 3 or value.shape[0] not in (1, 3) or value.numel() == 0 or value.is_complex():
        return None
    return value


def draw_tensor(value: Tensor) -> NDArray[np.uint8]:
    """``[channels, rows, columns]`` as RGB ``[rows, columns, 3]``, smallest value 0 and largest 255.

    Values that are not finite are black; a constant tensor is mid-grey.

    Examples
    --------
    >>> import torch
    >>> draw_tensor(torch.tensor([[[-1.0, 0.0, 1.0]]]))[0, :, 0].tolist()
    [0, 128, 255]
    """
    numbers = value.detach().double().cpu().numpy()
    finite = np.isfinite(numbers)
    low, high = (numbers[finite].min(), numbers[finite].max()) if finite.any() else (0.0, 0.0)
    with np.errstate(over="ignore", invalid="ignore"):
        share = np.where(finite, (numbers - low) / (high - low) if high > low else 0.5, 0)
    pixels = np.floor(share * 255 + 0.5).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(pixels, (3, *pixels.shape[1:])).transpose(1, 2, 0))


def shrink(pixels: NDArray[np.uint8], side: int = PHOTO_SIDE) -> NDArray[np.uint8]:
    """RGB ``[rows, columns, 3]`` with its longer side at most ``side``, proportions kept."""
    height, width = pixels.shape[:2]
    longest = max(height, width)
    if longest <= side:
        return np.ascontiguousarray(pixels)
    from PIL import Image

    size = (max(1, round(width * side / longest)), max(1, round(height * side / longest)))
    small = Image.fromarray(np.ascontiguousarray(pixels)).resize(
        size, Image.Resampling.LANCZOS, reducing_gap=3.0
    )
    return np.asarray(small)


def _seen(trace: Trace) -> NDArray[np.uint8]:
    """What the model saw of the photo, its normalisation undone."""
    return trace.card.preprocessing.invert(trace.inputs[0])
