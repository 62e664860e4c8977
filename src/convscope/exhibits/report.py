"""The report: one HTML file with the viewer and a whole scene in it.

It opens from disk, asks the network for nothing, and its content security policy lets nothing
run but the one script it was written with.
"""

from __future__ import annotations

import base64
import hashlib
import html
import os
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convscope.exhibits.film_data import pack_film
from convscope.exhibits.report_data import escaped_json, pack_json, pack_scene
from convscope.exhibits.report_modules import join_modules
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
    script, style = viewer_script(), viewer_style()
    title = f"{scene.manifest['image']['name']} · {scene.manifest['model']['name']} · convscope"
    blocks = "\n".join(
        f'<script type="text/plain" data-chunk="{html.escape(name)}">{text}</script>'
        for name, text in chunks.items()
    )
    return filled(
        _template(),
        {
            "policy": html.escape(page_policy(script, style), quote=True),
            "title": html.escape(printable(title)),
            "style": style,
            "manifest": escaped_json(_without_proofs(scene.manifest)),
            "index": pack_json(index),
            "film": film_text,
            "chunks": blocks,
            "script": script,
        },
    )


def page_policy(script: str, style: str) -> str:
    """The content security policy of a page that is one file: this script, this style, no network."""
    return (
        f"default-src 'none'; script-src {source_hash(script)}; style-src {source_hash(style)}; "
        "img-src blob: data:; base-uri 'none'; form-action 'none'"
    )


def filled(page: str, values: Mapping[str, str]) -> bytes:
    """A page with each ``<!--key-->`` replaced, in order, as UTF-8.

    Raises
    ------
    ValueError
        If the page has no place for one.
    """
    for key, value in values.items():
        before, mark, after = page.partition(f"<!--{key}-->")
        if not mark:
            raise ValueError(f"the page has no place for its {key}")
        page = before + value + after
    return page.encode("utf-8")


def _without_proofs(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest less what the index holds, where it is compressed."""
    nodes = [{key: value for key, value in node.items() if key != "proof"} for node in manifest["nodes"]]
    return {**manifest, "nodes": nodes}


def source_hash(text: str) -> str:
    """The content security policy's name for an inline script or style with this text.

    Examples
    --------
    >>> source_hash("")
    "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
    """
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


@cache
def viewer_script(entry: str = ENTRY) -> str:
    """The viewer's modules as one script that does what ``entry`` does; by default, start a report."""
    folder = resources.files("convscope") / "viewer"
    modules = {file.name: file.read_text("utf-8") for file in folder.iterdir() if file.name.endswith(".js")}
    return "\n" + join_modules(modules, entry)


@cache
def viewer_style(names: tuple[str, ...] = STYLES) -> str:
    """The viewer's style sheets as one; by default, those of a report."""
    folder = resources.files("convscope") / "viewer"
    return "\n" + "\n".join((folder / name).read_text("utf-8") for name in names)


@cache
def _template() -> str:
    return (resources.files("convscope") / "viewer" / "report.html").read_text("utf-8")


def printable(text: str) -> str:
    """Text that UTF-8 can write: stray halves of surrogate pairs (from file names) as ``\\udcxx``."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
