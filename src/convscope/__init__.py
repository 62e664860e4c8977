"""A microscope for convolutional neural networks.

Public names are resolved on first use, so that ``import convscope`` loads no torch.
"""

from __future__ import annotations

from convscope._version import __version__

__all__ = ["__version__"]
