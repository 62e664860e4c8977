"""Many pictures with classes: read, split into training and test, described.

Torch and torchvision are imported only where they are needed: for a torch Dataset, and to fetch CIFAR-10.
"""

from __future__ import annotations

from convscope.datasets.dataset import Dataset
from convscope.datasets.load import load_dataset
from convscope.datasets.problems import Problem
from convscope.datasets.sheet import contact_sheet
from convscope.datasets.split import Split
from convscope.datasets.statistics import Description, describe, normalization

__all__ = [
    "Dataset",
    "Description",
    "Problem",
    "Split",
    "contact_sheet",
    "describe",
    "load_dataset",
    "normalization",
]
