"""The report: one HTML file with the viewer and a whole scene in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convscope.exhibits.film_data import pack_film
from convscope.exhibits.one_file import one_file
from convscope.exhibits.report_data import escaped_json, pack_json, pack_scene
from convscope.files import atomic_write

if TYPE_CHECKING:
    from convscope.filming import Strip
    from convscope.scene import Scene

ENTRY = "report.js"
STYLES = ("tokens.css", "layout.css", "parts.css", "proof.css", "film.css")

#: Characters of a film's frames in a report; of a longer film it shows fewer steps.
FILM_CHARACTERS = 6_000_000


def write_report(scene: Scene, path: str | os.PathLike[str], *, film: Strip | None = None) -> Path:
    """Write ``scene`` as one HTML file, whole or not at all; returns its path.

    Parameters
    ----------
    film
        Of the training of the network that is looked at: the report gets a slider over it.

    Raises
    ------
    OutputError
        If ``path`` cannot be written.
    """
    return atomic_write(path, report_bytes(scene, film))


def report_bytes(scene: Scene, film: Strip | None = None) -> bytes:
    """The HTML file :func:`write_report` writes, in UTF-8; the same scene gives the same bytes."""
    index, chunks = pack_scene(scene)
    film_text = ""
    if film is not None:
        manifest, frames = pack_film(film, FILM_CHARACTERS)
        film_text = pack_json(manifest)
        chunks |= frames
    return one_file(
        "report",
        f"{scene.manifest['image']['name']} · {scene.manifest['model']['name']} · convscope",
        {
            "manifest": escaped_json(_without_proofs(scene.manifest)),
            "index": pack_json(index),
            "film": film_text,
        },
        chunks,
        element="convscope-viewer",
        entry=ENTRY,
        styles=STYLES,
        sight="the layers",
    )


def _without_proofs(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest less what the index holds, where it is compressed."""
    nodes = [{key: value for key, value in node.items() if key != "proof"} for node in manifest["nodes"]]
    return {**manifest, "nodes": nodes}
