"""Pictures turned, enlarged or made smaller, and moved: more pictures than there are.

Between pixels is interpolated, so no two of a picture's appearances share its noise (that of a JPEG, say),
which a network would otherwise learn by heart.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def warped(
    pixels: Tensor,
    random: torch.Generator,
    side: int = 0,
    *,
    turn: float = 0.0,
    zoom: float = 1.0,
    move: int = 0,
) -> Tensor:
    """Of each picture a rectangle, turned and scaled at random, as a picture of its own.

    Parameters
    ----------
    pixels
        ``uint8`` of shape ``(N, channels, rows, columns)``.
    side
        Pixels a side of the result, at most the picture's; 0 for the whole picture's size.
    turn
        Degrees, at most so many either way.
    zoom
        At least 1: scaled by 1 / ``zoom`` to ``zoom``, evenly in the logarithm.
    move
        Pixels the rectangle may reach beyond the picture, which is mirrored at its edges.

    Returns
    -------
    ``uint8`` of shape ``(N, channels, side, side)``, bilinear between pixels.

    Examples
    --------
    >>> ramp = torch.arange(8, dtype=torch.uint8).expand(1, 1, 8, 8)
    >>> warped(ramp, torch.Generator().manual_seed(0)).equal(ramp)
    True
    """
    count, channels, rows, columns = pixels.shape
    height, width = min(side or rows, rows), min(side or columns, columns)
    draws = torch.rand(4, count, generator=random) * 2 - 1
    scale = torch.exp(draws[0] * -math.log(zoom))
    angle = draws[1] * math.radians(turn)
    # In pixels: from the middle of the picture to that of the rectangle.
    right = draws[2] * ((columns - scale * width).clamp(min=0) / 2 + move)
    down = draws[3] * ((rows - scale * height).clamp(min=0) / 2 + move)
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    # From -1..1 over the result to -1..1 over the picture.
    sideways = torch.stack([cosine * width / columns, -sine * height / columns, right * 2 / columns], 1)
    downward = torch.stack([sine * width / rows, cosine * height / rows, down * 2 / rows], 1)
    places = functional.affine_grid(
        torch.stack([sideways, downward], 1), [count, channels, height, width], align_corners=False
    )
    values = functional.grid_sample(
        pixels.float().contiguous(), places, "bilinear", "reflection", align_corners=False
    )
    return values.round_().clamp_(0, 255).to(torch.uint8).contiguous(memory_format=torch.channels_last)
