"""Small data sets on disk, for tests."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from convscope.datasets import Dataset
from convscope.datasets.problems import Problem


def picture(number: int, size: tuple[int, int] = (12, 10)) -> np.ndarray:
    """RGB of ``size`` (height, width), another for every number."""
    return np.random.default_rng(number).integers(0, 256, (*size, 3), np.uint8)


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def write(folder: Path, files: Mapping[str, bytes | np.ndarray | None]) -> Path:
    """Files by name under ``folder``: bytes, a picture, or ``None`` for an empty folder."""
    for name, content in files.items():
        path = folder / name
        if content is None:
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(content) if isinstance(content, np.ndarray) else content)
    return folder


def zipped(
    path: Path, files: Mapping[str, bytes | np.ndarray | None], method: int = zipfile.ZIP_STORED
) -> Path:
    """The same as a zip file; names are written as they are."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            if content is None:
                archive.writestr(zipfile.ZipInfo(f"{name}/"), b"")
            else:
                archive.writestr(name, png(content) if isinstance(content, np.ndarray) else content)
    return path


def pets(each: int = 10, classes: str = "cat dog owl") -> dict[str, np.ndarray]:
    """``each`` pictures of every class."""
    return {
        f"{name}/{number:03}.png": picture(100 * place + number)
        for place, name in enumerate(classes.split())
        for number in range(each)
    }


def pictures_of(dataset: Dataset) -> dict[str, tuple[str, np.ndarray]]:
    """Pictures by name, over both parts, with the name of their class."""
    return {
        name: (dataset.classes[label], image)
        for split in dataset.parts.values()
        for name, label, image in zip(split.names, split.labels, split.images, strict=True)
    }


def problems_of(dataset: Dataset) -> dict[str, Problem]:
    """What is wrong with a data set, by code."""
    return {problem.code: problem for problem in dataset.problems}
