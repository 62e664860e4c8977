"""Order and augmentation follow from seed, epoch and step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from convscope.training.batches import Batches

COUNT = 23


def pictures(rows: int = 8, columns: int = 8) -> Tensor:
    """Each pixel tells its picture, row and column."""
    images = torch.zeros(COUNT, rows, columns, 3, dtype=torch.uint8)
    images[..., 0] = torch.arange(COUNT).view(-1, 1, 1)
    images[..., 1] = torch.arange(rows).view(1, -1, 1)
    images[..., 2] = torch.arange(columns).view(1, 1, -1)
    return images.permute(0, 3, 1, 2)


def batches(**options: object) -> Batches:
    return Batches(pictures(), torch.arange(COUNT), **{"batch": 5, "seed": 3, **options})  # type: ignore[arg-type]


def whole(made: Batches, epoch: int, first: int = 0) -> tuple[Tensor, Tensor]:
    steps = list(made.epoch(epoch, first))
    return torch.cat([pixels for pixels, _ in steps]), torch.cat([labels for _, labels in steps])


def test_every_epoch_has_each_picture_once_in_an_order_of_its_own() -> None:
    orders = [whole(batches(), epoch)[1].tolist() for epoch in range(4)]
    assert all(sorted(order) == list(range(COUNT)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    assert whole(batches(seed=4), 0)[1].tolist() != orders[0]


@pytest.mark.parametrize(
    "options", [{}, {"flip": "random"}, {"flip": "alternating", "translate": 2}, {"crop": True}]
)
def test_an_epoch_gone_on_with_gives_the_very_same_pictures(options: dict[str, object]) -> None:
    pixels, labels = whole(batches(**options), 2)
    for first in (1, 3):
        torch.rand(9)  # what others draw in between makes no difference
        later, later_labels = whole(batches(**options), 2, first)
        assert torch.equal(later, pixels[5 * first :])
        assert torch.equal(later_labels, labels[5 * first :])


def test_pictures_and_labels_stay_together() -> None:
    pixels, labels = whole(batches(flip="random", translate=1), 0)
    assert torch.equal(pixels[:, 0], labels.view(-1, 1, 1).expand(-1, 8, 8).to(torch.uint8))


def mirrored(pixels: Tensor, labels: Tensor) -> dict[int, bool]:
    """Which pictures are mirrored, found by looking at their columns."""
    return {int(label): bool(p[2, 0, 0] > p[2, 0, -1]) for p, label in zip(pixels, labels, strict=True)}


def test_in_two_epochs_each_picture_is_seen_both_ways() -> None:
    made = batches(flip="alternating")
    epochs = [mirrored(*whole(made, epoch)) for epoch in range(4)]
    assert 4 < sum(epochs[0].values()) < COUNT - 4
    assert all(epochs[0][i] != epochs[1][i] for i in range(COUNT))
    assert epochs[0] == epochs[2]
    assert epochs[1] == epochs[3]


def test_random_flips_differ_from_epoch_to_epoch_and_none_are_none() -> None:
    made = batches(flip="random")
    assert len({tuple(sorted(mirrored(*whole(made, epoch)).items())) for epoch in range(4)}) == 4
    assert not any(mirrored(*whole(batches(), 0)).values())


def test_moved_pictures_are_those_numpy_pads_and_cuts() -> None:
    made = batches(translate=2)
    pixels, labels = whole(made, 0)
    originals = pictures().numpy()
    moves = set()
    for picture, label in zip(pixels.numpy(), labels.tolist(), strict=True):
        padded = np.pad(originals[label], ((0, 0), (2, 2), (2, 2)), mode="reflect")
        fits = [
            (down, right)
            for down in range(5)
            for right in range(5)
            if np.array_equal(padded[:, down : down + 8, right : right + 8], picture)
        ]
        assert len(fits) == 1
        moves.update(fits)
    assert len(moves) > 8


def test_the_pictures_given_are_not_changed() -> None:
    images = pictures()
    before = images.clone()
    made = Batches(images, torch.arange(COUNT), batch=COUNT, flip="random", translate=2)
    for pixels, _ in made.epoch(0):
        pixels.zero_()
    assert torch.equal(images, before)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_layout_in_memory_makes_no_difference(layout: torch.memory_format) -> None:
    images = pictures().contiguous(memory_format=layout)
    made = Batches(images, torch.arange(COUNT), batch=5, flip="random", translate=2, seed=3)
    assert torch.equal(whole(made, 1)[0], whole(batches(flip="random", translate=2), 1)[0])


def test_in_the_first_epochs_pictures_are_squares_of_themselves() -> None:
    made = batches(parts=[(5, 2)], translate=1)
    corners = set()
    for epoch in range(2):
        pixels, labels = whole(made, epoch)
        assert pixels.shape == (COUNT, 3, 5, 5)
        assert torch.equal(pixels[:, 0, 2, 2], labels.to(torch.uint8))
        top, left = pixels[:, 1, 0, 0], pixels[:, 2, 0, 0]
        assert torch.equal(pixels[:, 1, :, 0], top.unsqueeze(1) + torch.arange(5, dtype=torch.uint8))
        assert torch.equal(pixels[:, 2, 0, :], left.unsqueeze(1) + torch.arange(5, dtype=torch.uint8))
        corners |= set(zip(top.tolist(), left.tolist(), strict=True))
    assert {row for row, _ in corners} == {column for _, column in corners} == {0, 1, 2, 3}
    assert whole(made, 2)[0].shape == (COUNT, 3, 8, 8)
    assert whole(batches(parts=[(9, 1)]), 0)[0].shape == (COUNT, 3, 8, 8)
    again, _ = whole(made, 1, 2)
    assert torch.equal(again, whole(made, 1)[0][10:])
