"""A film as it is read again: one frame at a time, with the numbers of the run beside it."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convscope.errors import FilmError
from convscope.filming import store


@dataclass(frozen=True)
class Frame:
    """One kept step.

    Parameters
    ----------
    step
        Steps done.
    kernels
        By number of the layer: ``float32 (filters, inputs, rows, columns)``, exactly as they were; ``None``
        where the weights are no parameter.
    maps, scales
        By number of the layer: ``uint8 (images, channels, rows, columns)`` with ``float32 (images,
        channels)``; value = (byte - 128) x scale, byte 0 is not finite.
    probabilities
        ``float32 (images, classes)``; ``None`` for a network without class scores.
    numbers
        What was known of the step, such as ``loss``.
    """

    step: int
    kernels: tuple[NDArray[np.float32] | None, ...] = field(repr=False)
    maps: tuple[NDArray[np.uint8], ...] = field(repr=False)
    scales: tuple[NDArray[np.float32], ...] = field(repr=False)
    probabilities: NDArray[np.float32] | None = field(repr=False)
    numbers: Mapping[str, float] = field(default_factory=dict)

    def values(self, layer: int) -> NDArray[np.float32]:
        """Maps of a layer as numbers, each at most half a scale off; NaN where not finite."""
        steps = self.maps[layer].astype(np.float32) - 128
        found = steps * self.scales[layer][:, :, None, None]
        found[self.maps[layer] == 0] = np.nan
        return found


class Strip:
    """All frames of a film; made by :func:`open_film`.

    Attributes
    ----------
    folder, manifest
        Where it is, and what ``film.json`` says.
    steps
        Of the frames, in order.
    rows
        One mapping an epoch of the run, as in ``metrics.csv``; empty for a loop of one's own.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any], steps: tuple[int, ...]) -> None:
        self.folder = folder
        self.manifest = manifest
        self.steps = steps
        self.rows = _metrics(folder.parent / "metrics.csv")
        self._types = store.frame_types(manifest)

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, index: int) -> Frame:
        """Frame number ``index``.

        Raises
        ------
        FilmError
            ``damaged`` if it cannot be read.
        """
        step = self.steps[index]
        arrays, numbers = store.read_arrays(store.frame_path(self.folder, step), self._types)
        layers = range(len(self.layers))
        return Frame(
            step,
            tuple(arrays.get(f"kernels_{n}") for n in layers),
            tuple(arrays[f"maps_{n}"] for n in layers),
            tuple(arrays[f"scales_{n}"] for n in layers),
            arrays.get("probabilities"),
            numbers,
        )

    def __iter__(self) -> Iterator[Frame]:
        return (self[n] for n in range(len(self)))

    @property
    def layers(self) -> list[dict[str, Any]]:
        """The layers kept: ``name``, ``kernels``, ``maps`` (shapes), ``reads_image``."""
        layers: list[dict[str, Any]] = self.manifest["layers"]
        return layers

    @property
    def classes(self) -> list[str]:
        """A name for each output."""
        given = self.manifest["classes"]
        return [given[n] if n < len(given) else f"class {n}" for n in range(self.manifest["outputs"])]

    @cached_property
    def pictures(self) -> NDArray[np.uint8]:
        """The images as they are shown, ``uint8 (N, rows, columns, 3)``."""
        shape = (len(self.manifest["images"]), *self.manifest["picture"], 3)
        arrays, _ = store.read_arrays(self.folder / store.IMAGES, {"pictures": ("uint8", shape)})
        return arrays["pictures"]

    def row_at(self, step: int) -> Mapping[str, float | None] | None:
        """The last epoch that had ended at ``step``."""
        return next((row for row in reversed(self.rows) if (row["step"] or 0) <= step), None)

    def latest(self, name: str, step: int) -> float | None:
        """What was measured last of a number of epochs, up to ``step``."""
        rows = (row for row in reversed(self.rows) if (row["step"] or 0) <= step)
        return next((row[name] for row in rows if row.get(name) is not None), None)


def open_film(run: str | os.PathLike[str]) -> Strip:
    """The film of a run.

    Parameters
    ----------
    run
        The folder of the run, or that of the film in it.

    Raises
    ------
    FilmError
        ``missing`` if there is none, ``empty`` if it has no frame yet, ``damaged`` if it cannot be read.

    Examples
    --------
    >>> open_film("no/such/run")
    Traceback (most recent call last):
    ...
    convscope.errors.FilmError: `no/such/run` holds no film of a training
    ...
    """
    folder = Path(run).expanduser()
    if not (folder / store.MANIFEST).is_file():
        folder /= store.FOLDER
    manifest = store.read_manifest(folder)
    steps = tuple(store.frame_steps(folder))
    if not steps:
        raise FilmError(f"the film in `{folder.parent}` has no frame yet", code="empty")
    try:
        return Strip(folder, manifest, steps)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FilmError(f"`{folder / store.MANIFEST}` is damaged: {error!r}", code="damaged") from error


def _metrics(path: Path) -> tuple[dict[str, float | None], ...]:
    """The rows of ``metrics.csv``, numbers as numbers; none where there is no such file."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [{key: _number(text) for key, text in row.items() if key} for row in csv.DictReader(file)]
    except (OSError, ValueError, csv.Error):
        return ()
    return tuple(row for row in rows if row.get("step") is not None)


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
