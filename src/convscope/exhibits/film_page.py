"""The film of a training as one HTML file: a slider over its steps, offline like the report."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from convscope.exhibits.film_data import pack_film
from convscope.exhibits.one_file import one_file
from convscope.exhibits.report_data import pack_json
from convscope.files import atomic_write

if TYPE_CHECKING:
    from convscope.filming import Strip

ENTRY = "filmpage.js"
STYLES = ("tokens.css", "layout.css", "film.css")


def write_film(strip: Strip, path: str | os.PathLike[str]) -> Path:
    """Write a film as one HTML file, whole or not at all; returns its path.

    Raises
    ------
    OutputError
        If ``path`` cannot be written.
    FilmError
        If a frame cannot be read.
    """
    return atomic_write(path, film_bytes(strip))


def film_bytes(strip: Strip) -> bytes:
    """The HTML file :func:`write_film` writes; the same film gives the same bytes."""
    manifest, chunks = pack_film(strip)
    return one_file(
        "film",
        f"{strip.manifest['title']} · film · convscope",
        {"film": pack_json(manifest)},
        chunks,
        element="convscope-film",
        entry=ENTRY,
        styles=STYLES,
        sight="the training",
    )
