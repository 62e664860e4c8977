"""Pictures turned, scaled and moved: against a loop over pixels, and within what was asked for."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from convscope.errors import UsageError
from convscope.training import Recipe
from convscope.training.batches import Batches
from convscope.training.warping import warped

ROWS, COLUMNS = 12, 16


def seeded(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int = 3) -> Tensor:
    return torch.randint(256, (count, 3, ROWS, COLUMNS), generator=seeded(), dtype=torch.uint8)


def mirrored(place: float, size: int) -> float:
    """A place between the outer edges -0.5 and ``size - 0.5``, those outside mirrored at the edge."""
    folded = (place + 0.5) % (2 * size)
    return min(max((folded if folded < size else 2 * size - folded) - 0.5, 0), size - 1)


def by_hand(picture: Tensor, side: int, scale: float, angle: float, right: float, down: float) -> Tensor:
    """One cell after the other: where it comes from, and what lies there between four pixels."""
    result = torch.zeros(3, side, side)
    pixels = picture.double().numpy()
    for row in range(side):
        for column in range(side):
            x, y = column - (side - 1) / 2, row - (side - 1) / 2
            along = scale * (x * math.cos(angle) - y * math.sin(angle)) + right + (COLUMNS - 1) / 2
            below = scale * (x * math.sin(angle) + y * math.cos(angle)) + down + (ROWS - 1) / 2
            along, below = mirrored(along, COLUMNS), mirrored(below, ROWS)
            left, top = min(int(along), COLUMNS - 2), min(int(below), ROWS - 2)
            a, b = along - left, below - top
            upper = pixels[:, top, left] * (1 - a) + pixels[:, top, left + 1] * a
            lower = pixels[:, top + 1, left] * (1 - a) + pixels[:, top + 1, left + 1] * a
            result[:, row, column] = torch.from_numpy(upper * (1 - b) + lower * b)
    return result


def test_every_value_is_the_one_a_loop_over_pixels_finds() -> None:
    pictures, side, turn, zoom, move = noise(), 8, 30.0, 1.5, 3
    found = warped(pictures, seeded(), side, turn=turn, zoom=zoom, move=move)
    draws = (torch.rand(4, 3, generator=seeded()) * 2 - 1).double()
    for picture, mine, (grown, turned, right, down) in zip(pictures, found, draws.T.tolist(), strict=True):
        scale = zoom**-grown
        reach = [max(0.0, size - scale * side) / 2 + move for size in (COLUMNS, ROWS)]
        expected = by_hand(
            picture, side, scale, math.radians(turn) * turned, right * reach[0], down * reach[1]
        )
        # Rounded to whole numbers, of places that float32 knows to a hundred-thousandth of a pixel.
        np.testing.assert_allclose(mine.numpy(), expected.numpy(), atol=0.51)


def test_asked_for_nothing_the_picture_stays_and_a_part_is_a_part() -> None:
    pictures = noise()
    assert torch.equal(warped(pictures, seeded()), pictures)
    assert warped(pictures, seeded(), 5, turn=10).shape == (3, 3, 5, 5)
    assert warped(pictures, seeded(), 99, turn=10).shape == pictures.shape


def test_only_the_first_epochs_are_warped_and_a_later_step_needs_none_before_it() -> None:
    options = {"batch": 2, "turn": 20, "zoom": 1.2, "warp_epochs": 1, "parts": [(8, 2)], "seed": 3}
    made = Batches(noise(6), torch.arange(6), **options)  # type: ignore[arg-type]
    plain = Batches(noise(6), torch.arange(6), **{**options, "turn": 0, "zoom": 1})  # type: ignore[arg-type]
    steps = [pixels for pixels, _ in made.epoch(0)]
    assert {pixels.shape for pixels in steps} == {(2, 3, 8, 8)}
    assert torch.equal(next(iter(made.epoch(0, 2)))[0], steps[2])
    assert not torch.equal(steps[0], next(iter(plain.epoch(0)))[0])
    for epoch in (1, 2):
        for (one, _), (other, _) in zip(made.epoch(epoch), plain.epoch(epoch), strict=True):
            assert torch.equal(one, other)


def test_parts_are_typed_as_sides_and_shares() -> None:
    recipe = Recipe().with_text({"parts": "24:0.5,28:0.9", "turn": "10", "zoom": "1.25"})
    assert (recipe.parts, recipe.turn, recipe.zoom) == (((24, 0.5), (28, 0.9)), 10.0, 1.25)
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert recipe.with_text({"parts": ""}).parts == ()
    for text in ("24", "24:half", "24:0.5:3"):
        with pytest.raises(UsageError, match="`parts` must be sides and shares such as 24:"):
            Recipe().with_text({"parts": text})
    for text in ("24:0.5,28:0.4", "0:0.5", "24:1.5"):
        with pytest.raises(UsageError, match="`parts` must be sides of at least 1 with shares"):
            Recipe().with_text({"parts": text})
    with pytest.raises(UsageError, match="`zoom` must be between 1 and 10; got"):
        Recipe(zoom=0.5)
