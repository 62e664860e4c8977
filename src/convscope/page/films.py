"""The films of runs the server was started with: a request names a model given at its start, never a path."""

from __future__ import annotations

import asyncio
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convscope.desk.answers import PageError, unknown
from convscope.desk.catalog import Catalog
from convscope.errors import FilmError
from convscope.filming import open_film


@dataclass(frozen=True)
class PackedFilm:
    """A film as the page takes it; ``version`` is of the files it was made from, and in its manifest too."""

    version: str
    manifest: dict[str, Any]
    chunks: dict[str, str]


class Films:
    """Packs a film when it is asked for, and again when its training has gone on."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._packed: dict[str, PackedFilm] = {}
        self._lock = asyncio.Lock()

    def has(self, model: str) -> bool:
        """Whether a model of the command line is a run with a film."""
        given = self._catalog.given.get(model)
        if given is None:
            return False
        try:
            open_film(given.spec)
        except (FilmError, OSError, ValueError):
            return False
        return True

    async def manifest(self, model: str) -> dict[str, Any]:
        """What the page must know of a film.

        Raises
        ------
        PageError
            404 if there is none; 422 if it cannot be read.
        """
        given = self._catalog.given.get(model)
        if given is None:
            raise unknown("film")
        async with self._lock:
            try:
                found = await asyncio.to_thread(_packed, given.spec, self._packed.get(model))
                self._packed[model] = found
            except FilmError as error:
                if error.code == "damaged":
                    raise PageError(422, "damaged", error.message, hint=error.hint) from error
                raise unknown("film") from error
        return found.manifest

    def chunk(self, model: str, version: str, name: str) -> str:
        """One frame, or the pictures, as text.

        Raises
        ------
        PageError
            404 if there is none, or the film has not been asked for; 409 if it has been packed anew since.
        """
        found = self._packed.get(model)
        if found is None:
            raise unknown("film")
        if found.version != version:
            said = "the training has gone on since its film was opened"
            raise PageError(409, "outdated", said, hint="Open the film again.")
        if name not in found.chunks:
            raise unknown("film")
        return found.chunks[name]


def _packed(spec: str, before: PackedFilm | None) -> PackedFilm:
    """The film as its files are now: that of ``before`` if they are the same."""
    from convscope.exhibits.film_data import pack_film

    strip = open_film(spec)
    # Taken before the frames are read: what is written in the meantime makes it outdated.
    version = _version(strip.folder)
    if before is not None and before.version == version:
        return before
    manifest, chunks = pack_film(strip)
    return PackedFilm(version, manifest | {"version": version}, chunks)


def _version(folder: Path) -> str:
    """Changes when a file of the film, or the run's metrics, is written again."""
    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    seen = [
        (path.name, found.st_mtime_ns, found.st_size)
        for path in (*files, folder.parent / "metrics.csv")
        if (found := _stat(path)) is not None
    ]
    return hashlib.sha256(repr(seen).encode()).hexdigest()[:16]


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
