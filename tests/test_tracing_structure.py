"""What a network is built of: convolutions in the main path and in shortcuts, residual blocks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from convscope.tracing import trace
from convscope.tracing.structure import structure


class Looks(nn.Module):
    """A chain that looks at a picture and at its mirror image, or at the picture twice."""

    def __init__(self, mirror: bool) -> None:
        super().__init__()
        self.chain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3))
        self.mirror = mirror

    def forward(self, image: Tensor) -> Tensor:
        return self.chain(image) + self.chain(image.flip(3) if self.mirror else image)


class Block(nn.Module):
    """Two convolutions, and one beside them; the activation is the same for both."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.beside = (nn.Conv2d(3, 3, 3, padding=1) for _ in range(3))
        self.act = nn.PReLU()

    def forward(self, image: Tensor) -> Tensor:
        return self.act(self.two(self.one(image))) + self.act(self.beside(image))


@pytest.mark.parametrize("mirror", [True, False])
def test_two_looks_of_one_chain_are_no_block_with_a_shortcut(mirror: bool) -> None:
    found = structure(trace(Looks(mirror), torch.randn(1, 3, 12, 12)))
    assert (found.convolutions, found.shortcut_convolutions, found.residual_blocks) == (2, 0, 0)


def test_a_shortcut_is_the_shorter_of_two_branches() -> None:
    found = structure(trace(nn.Sequential(Block(), Block()), torch.randn(1, 3, 12, 12)))
    assert (found.convolutions, found.shortcut_convolutions, found.residual_blocks) == (6, 2, 2)
    assert found.main_path_convolutions == 4
    assert found.containers == {"Block": 2}


def test_an_addition_inside_an_activation_is_no_block() -> None:
    class Cubic(nn.Module):
        def forward(self, maps: Tensor) -> Tensor:
            return maps + 0.044715 * maps**3

    found = structure(trace(nn.Sequential(nn.Conv2d(3, 4, 3), Cubic()), torch.randn(1, 3, 12, 12)))
    assert (found.convolutions, found.residual_blocks) == (1, 0)
