"""The films of runs the server was started with: a request names a model given at its start, never a path."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from convscope.desk.answers import PageError, unknown
from convscope.desk.catalog import Catalog
from convscope.errors import FilmError
from convscope.filming import open_film


@dataclass(frozen=True)
class PackedFilm:
    """A film as the page takes it, and the steps the folder held then."""

    steps: tuple[int, ...]
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
                strip = open_film(given.spec)
                found = self._packed.get(model)
                if found is None or found.steps != strip.steps:
                    found = await asyncio.to_thread(_packed, given.spec)
                    self._packed[model] = found
            except FilmError as error:
                if error.code == "damaged":
                    raise PageError(422, "damaged", error.message, hint=error.hint) from error
                raise unknown("film") from error
        return found.manifest

    def chunk(self, model: str, name: str) -> str:
        """One frame, or the pictures, as text.

        Raises
        ------
        PageError
            404 if there is none, or the film has not been asked for.
        """
        found = self._packed.get(model)
        if found is None or name not in found.chunks:
            raise unknown("film")
        return found.chunks[name]


def _packed(spec: str) -> PackedFilm:
    from convscope.exhibits.film_data import pack_film

    strip = open_film(spec)
    return PackedFilm(strip.steps, *pack_film(strip))
