"""The articles' own networks, layer by layer, for CIFAR-10 pictures of 32 x 32.

``tutorial_tanh`` is written three ways (a list of layers, modules called one by one, and
functions called one by one) that compute the same numbers from the same weights; a tool
that watches modules only misses half of the last one.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

CIFAR10_CATEGORIES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2470, 0.2435, 0.2616)


class TutorialCnn(nn.Module):
    """Two convolutions, dropout, one pooling and two linear layers: 4,210,090 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, padding=1)
        self.act1 = nn.ReLU()
        self.drop1 = nn.Dropout(0.3)
        self.conv2 = nn.Conv2d(32, 32, 3, padding=1)
        self.act2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.flat = nn.Flatten()
        self.fc3 = nn.Linear(8192, 512)
        self.act3 = nn.ReLU()
        self.drop3 = nn.Dropout(0.5)
        self.fc4 = nn.Linear(512, 10)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of shape ``(N, 10)`` for images of shape ``(N, 3, 32, 32)``."""
        maps = self.drop1(self.act1(self.conv1(image)))
        maps = self.pool2(self.act2(self.conv2(maps)))
        return self.fc4(self.drop3(self.act3(self.fc3(self.flat(maps)))))


def tutorial_tanh() -> nn.Sequential:
    """Two convolutions with tanh and pooling, then two linear layers: 18,354 parameters."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.Tanh(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 8, 3, padding=1),
        nn.Tanh(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(512, 32),
        nn.Tanh(),
        nn.Linear(32, 10),
    )


class TutorialTanhModules(nn.Module):
    """``tutorial_tanh`` as modules with names, called one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1)
        self.act1 = nn.Tanh()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(16, 8, 3, padding=1)
        self.act2 = nn.Tanh()
        self.pool2 = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(512, 32)
        self.act3 = nn.Tanh()
        self.fc2 = nn.Linear(32, 10)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of shape ``(N, 10)`` for images of shape ``(N, 3, 32, 32)``."""
        maps = self.pool1(self.act1(self.conv1(image)))
        maps = self.pool2(self.act2(self.conv2(maps)))
        return self.fc2(self.act3(self.fc1(maps.view(-1, 512))))


class TutorialTanhFunctional(nn.Module):
    """``tutorial_tanh`` with modules for the weights only; the rest are function calls."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 8, 3, padding=1)
        self.fc1 = nn.Linear(512, 32)
        self.fc2 = nn.Linear(32, 10)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of shape ``(N, 10)`` for images of shape ``(N, 3, 32, 32)``."""
        maps = functional.max_pool2d(torch.tanh(self.conv1(image)), 2)
        maps = functional.max_pool2d(torch.tanh(self.conv2(maps)), 2)
        return self.fc2(torch.tanh(self.fc1(maps.view(-1, 512))))


def tutorial_mlp() -> nn.Sequential:
    """Four linear layers with tanh between them: 3,738,506 parameters."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(3072, 1024),
        nn.Tanh(),
        nn.Linear(1024, 512),
        nn.Tanh(),
        nn.Linear(512, 128),
        nn.Tanh(),
        nn.Linear(128, 10),
    )


def respell_tanh(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of ``tutorial_tanh`` under the names the other spelling uses.

    The list of layers numbers its weights ``0 3 7 9``; the two spellings with names call the
    same ones ``conv1 conv2 fc1 fc2``. Other keys stay as they are.

    Examples
    --------
    >>> sorted(respell_tanh(tutorial_tanh().state_dict()))[:3]
    ['conv1.bias', 'conv1.weight', 'conv2.bias']
    """
    numbers = {"0": "conv1", "3": "conv2", "7": "fc1", "9": "fc2"}
    table = {**numbers, **{name: number for number, name in numbers.items()}}
    renamed = {}
    for key, value in state.items():
        head, dot, tail = key.partition(".")
        renamed[table.get(head, head) + dot + tail] = value
    return renamed
