"""The film of a training as one HTML file: a slider over its steps, offline like the report."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convscope.exhibits.film_data import pack_film
from convscope.exhibits.one_file import one_file
from convscope.exhibits.report_data import pack_json
from convscope.files import atomic_write

if TYPE_CHECKING:
    from convscope.filming import Strip

ENTRY = "filmpage.js"
STYLES = ("tokens.css", "layout.css", "film.css")


def write_film(strip: Strip, path: str | os.PathLike[str], **choices: Any) -> Path:
    """Write a film as one HTML file, whole or not at all; returns its path.

    Parameters
    ----------
    choices
        ``layer``, ``image`` and ``progress`` of :func:`~convscope.exhibits.film_data.pack_film`.

    Raises
    ------
    UsageError
        If the film has no such layer or image.
    OutputError
        If ``path`` cannot be written.
    FilmError
        If a frame cannot be read.
    """
    return atomic_write(path, film_bytes(strip, **choices))


def film_bytes(strip: Strip, **choices: Any) -> bytes:
    """The HTML file :func:`write_film` writes; the same film gives the same bytes."""
    return page_bytes(*pack_film(strip, **choices))


def page_bytes(manifest: Mapping[str, Any], chunks: Mapping[str, str]) -> bytes:
    """The HTML file of a film that is packed; see :func:`~convscope.exhibits.film_data.pack_film`."""
    return one_file(
        "film",
        f"{manifest['title']} · film · convscope",
        {"film": pack_json(manifest)},
        chunks,
        element="convscope-film",
        entry=ENTRY,
        styles=STYLES,
        sight="the training",
    )
