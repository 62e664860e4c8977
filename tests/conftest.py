"""Fixtures every test file may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real images that is not part of the project; tests that need it skip without it."""
    folder = Path(os.environ.get("CONVSCOPE_SHARED", Path(__file__).parents[2] / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"real images are not at hand (no folder {folder / 'data'})")
    return folder
