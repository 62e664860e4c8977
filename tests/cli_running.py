"""The command line, run in this process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from convscope.cli import main

NETS = """
import torch
from torch import nn
import torch.nn.functional as F


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.a_rather_long_name_for_a_convolution_of_a_network_of_ones_own = nn.Conv2d(3, 8, 3)
        self.relu = nn.ReLU(inplace=True)
        self.fc = nn.Linear(8, 10)

    def forward(self, x):
        x = self.a_rather_long_name_for_a_convolution_of_a_network_of_ones_own(x)
        return self.fc(self.relu(x).mean((2, 3)))


class Grey(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)

    def forward(self, x):
        return self.conv(x).mean((2, 3))


class FiveChannels(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(5, 4, 3)

    def forward(self, x):
        return self.conv(x)


class ThirtyTwo(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.fc = nn.Linear(4 * 30 * 30, 10)

    def forward(self, x):
        return self.fc(self.conv(x).flatten(1))


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, left, right):
        return self.conv(left) + self.conv(right)


class NaNWeights(Small):
    def __init__(self):
        super().__init__()
        self.fc.weight.data[3, 3] = float("nan")


class NaNValues(Small):
    def forward(self, x):
        return super().forward(x).abs().neg().log()


class NoScores(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return {"maps": self.conv(x)}


class Exits(nn.Module):
    def forward(self, x):
        raise SystemExit(0)
"""


#: What the folder holds that commands are run in.
HERE = {"nets.py", "photo.png", "__pycache__"}


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Command:
    """Calls ``convscope`` and gives what it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *words: object) -> Ran:
        self.capsys.readouterr()
        with pytest.raises(SystemExit, match=r"^\d+$") as left:
            main([str(word) for word in words])
        out, err = self.capsys.readouterr()
        assert "Traceback" not in out + err
        return Ran(int(left.value.code or 0), out, err)
