"""The film of a training as one HTML file: a slider over its steps, offline like the report."""

from __future__ import annotations

import html
import os
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from convscope.exhibits.film_data import pack_film
from convscope.exhibits.report import filled, page_policy, printable, viewer_script, viewer_style
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
    script, style = viewer_script(ENTRY), viewer_style(STYLES)
    template = (resources.files("convscope") / "viewer" / "film.html").read_text("utf-8")
    return filled(
        template,
        {
            "policy": html.escape(page_policy(script, style), quote=True),
            "title": html.escape(printable(f"{strip.manifest['title']} · film · convscope")),
            "style": style,
            "film": pack_json(manifest),
            "chunks": chunk_blocks(chunks),
            "script": script,
        },
    )


def chunk_blocks(chunks: dict[str, str]) -> str:
    """The chunks as elements that no browser reads before it is asked to."""
    return "\n".join(
        f'<script type="text/plain" data-chunk="{html.escape(name)}">{text}</script>'
        for name, text in chunks.items()
    )
