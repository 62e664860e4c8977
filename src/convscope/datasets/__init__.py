"""Many pictures with classes: read, split into training and test, described.

Torch and torchvision are imported only where they are needed: for a torch Dataset, and to fetch CIFAR-10.
"""

from __future__ import annotations

from convscope.datasets.dataset import Dataset
from convscope.datasets.load import load_dataset
from convscope.datasets.problems import Problem
from convscope.datasets.split import Split

__all__ = ["Dataset", "Problem", "Split", "load_dataset"]
