"""Networks for pictures of 32 x 32 that train well on a processor: ``cifar10_small`` and ``resnet9``."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def _pass_on(layer: nn.Conv2d) -> None:
    """Have a convolution begin as one that passes its maps on (Jordan, 2024), in each half of its maps."""
    maps, filters = layer.in_channels // 2, layer.out_channels // 2
    for half in range(2):
        first = layer.weight.data[half * filters : half * filters + maps]
        nn.init.dirac_(first.zero_()[:, half * maps : (half + 1) * maps])


class SmallBlock(nn.Module):
    """Convolution, pooling, batch norm, ReLU; then convolution, batch norm, ReLU.

    Parameters
    ----------
    channels, wider
        Maps that come in, and that go out; both even.
    pool
        What halves rows and columns; ``None`` for a block that leaves them as they are.
    """

    def __init__(self, channels: int, wider: int, pool: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, wider, 3, padding=1, bias=False)
        self.pool = pool
        self.bn1 = nn.BatchNorm2d(wider, momentum=0.4)
        self.act1 = nn.ReLU()
        self.conv2 = nn.Conv2d(wider, wider, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(wider, momentum=0.4)
        self.act2 = nn.ReLU()
        for layer in (self.conv1, self.conv2):
            _pass_on(layer)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps ``(N, wider, H / 2, W / 2)``, or ``(N, wider, H, W)``, of maps ``(N, channels, H, W)``."""
        maps = self.conv1(maps)
        if self.pool is not None:
            maps = self.pool(maps)
        maps = self.act1(self.bn1(maps))
        return self.act2(self.bn2(self.conv2(maps)))


def smooth_pool(side: int) -> nn.Sequential:
    """The largest value around each cell, then the mean of every four neighbours.

    Of maps moved by one cell it makes almost the same, as it would not by leaving cells out at once
    (Zhang, 2019).

    Parameters
    ----------
    side
        Cells along a side, or any number as even or odd: no column is left out at one side only, so that
        left and right are treated alike.

    Examples
    --------
    >>> [smooth_pool(side)(torch.zeros(1, 1, side, side)).shape[-1] for side in (13, 6)]
    [6, 3]
    """
    largest = nn.MaxPool2d(2, 1) if side % 2 else nn.MaxPool2d(3, 1, padding=1)
    return nn.Sequential(largest, nn.AvgPool2d(2))


class Cifar10Small(nn.Module):
    """32 filters of 7 x 7, then three blocks of 64, 208 and 208 maps: 1,352,000 parameters.

    In training mode the second block keeps every other row and column of its smoothed maps. In evaluation
    mode it keeps them all, and the convolutions after it read every other one of them: what they make of
    6 x 6 cells in training they make of each of the four ways to choose these, and the largest value of all
    counts (dense evaluation: Sermanet et al., 2014; dilation for stride: Chen et al., 2018). So it matters
    less where in the picture a thing begins. For four ways of 6 x 6 cells the picture's edge is repeated once
    around it. A pass of one picture costs 84 million multiply-adds in training mode, 217 million in
    evaluation mode.

    Examples
    --------
    >>> net, picture = cifar10_small(), torch.rand(2, 3, 32, 32)
    >>> hook = net.layer3.register_forward_hook(lambda layer, inputs, maps: print(maps.shape[2:]))
    >>> scores = net.train()(picture), net.eval()(picture)
    torch.Size([6, 6])
    torch.Size([12, 12])
    """

    def __init__(self) -> None:
        super().__init__()
        self.pad = nn.ReplicationPad2d(1)
        # Without padding: 26 x 26 cells, a third less to compute than 32 x 32.
        self.conv1 = nn.Conv2d(3, 32, 7, bias=False)
        self.bn1 = nn.BatchNorm2d(32, momentum=0.4)
        self.act1 = nn.ReLU()
        self.layer1 = SmallBlock(32, 64, nn.MaxPool2d(2))
        self.layer2 = SmallBlock(64, 208, smooth_pool(13))
        self.layer3 = SmallBlock(208, 208, None)
        self.pool = nn.AdaptiveMaxPool2d(1)
        self.flat = nn.Flatten()
        self.fc = nn.Linear(208, 10, bias=False)
        # Of maps' maxima the scores come out large: begun smaller, no class is ruled out early.
        self.fc.weight.data.div_(9)
        self._choose_cells()

    def train(self, mode: bool = True) -> Cifar10Small:
        """Set the mode, and with it which cells are read."""
        super().train(mode)
        self._choose_cells()
        return self

    def _choose_cells(self) -> None:
        self.dense = not self.training
        smoothing = self.layer2.get_submodule("pool.1")
        assert isinstance(smoothing, nn.AvgPool2d)
        smoothing.stride = 1 if self.dense else 2
        apart = 2 if self.dense else 1
        for layer in (self.layer2.conv2, self.layer3.conv1, self.layer3.conv2):
            layer.padding = layer.dilation = (apart, apart)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of shape ``(N, 10)`` for images of shape ``(N, 3, 32, 32)``."""
        if self.dense == self.training:
            self._choose_cells()  # the mode was set past `train`
        maps = self.act1(self.bn1(self.conv1(self.pad(image) if self.dense else image)))
        maps = self.layer3(self.layer2(self.layer1(maps)))
        return self.fc(self.flat(self.pool(maps)))


def _unit(channels: int, wider: int, pool: bool = False) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(channels, wider, 3, padding=1, bias=False),
        nn.BatchNorm2d(wider),
        nn.ReLU(),
    ]
    return nn.Sequential(*layers, *([nn.MaxPool2d(2)] if pool else []))


class Residual(nn.Module):
    """Two convolutions with batch norm and ReLU, added to what came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _unit(channels, channels)
        self.second = _unit(channels, channels)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps of the shape that came in."""
        return maps + self.second(self.first(maps))


class ResNet9(nn.Module):
    """The nine-layer residual network of fast CIFAR-10 training (Page, 2018): 6,573,120 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.prep = _unit(3, 64)
        self.layer1 = nn.Sequential(_unit(64, 128, pool=True), Residual(128))
        self.layer2 = _unit(128, 256, pool=True)
        self.layer3 = nn.Sequential(_unit(256, 512, pool=True), Residual(512))
        self.pool = nn.MaxPool2d(4)
        self.flat = nn.Flatten()
        self.fc = nn.Linear(512, 10, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of shape ``(N, 10)`` for images of shape ``(N, 3, 32, 32)``."""
        maps = self.layer3(self.layer2(self.layer1(self.prep(image))))
        # Page's factor, which keeps the softmax from being certain too early.
        return self.fc(self.flat(self.pool(maps))) * 0.125


@torch.no_grad()
def even_filters(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Bring every filter to the largest weight 1, and have the batch norm after it undo that exactly.

    A filter's length means nothing where batch norm follows; of one length, all can be seen in one picture.

    Parameters
    ----------
    conv
        Without bias; changed in place.
    norm
        Its statistics and scales are changed with it, for evaluation mode.

    Examples
    --------
    >>> conv, norm = nn.Conv2d(3, 4, 7, bias=False), nn.BatchNorm2d(4).eval()
    >>> image = torch.rand(1, 3, 9, 9)
    >>> before = norm(conv(image))
    >>> even_filters(conv, norm)
    >>> largest = conv.weight.abs().amax((1, 2, 3))
    >>> torch.allclose(norm(conv(image)), before, atol=1e-5), torch.allclose(largest, torch.ones(4))
    (True, True)
    """
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None
    assert variance is not None
    factor = 1 / conv.weight.abs().amax((1, 2, 3))
    before = (variance + norm.eps).sqrt()
    conv.weight.mul_(factor.view(-1, 1, 1, 1))
    mean.mul_(factor)
    variance.mul_(factor.square())
    norm.weight.mul_((variance + norm.eps).sqrt() / (before * factor))


def cifar10_small() -> Cifar10Small:
    """The project's own network, with random weights."""
    return Cifar10Small()


def resnet9() -> ResNet9:
    """ResNet-9, with random weights.

    Examples
    --------
    >>> sum(p.numel() for p in resnet9().parameters())
    6573120
    >>> len([layer for layer in resnet9().modules() if isinstance(layer, nn.Conv2d)])
    8
    """
    return ResNet9()
