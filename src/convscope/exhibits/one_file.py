"""Pages that are one HTML file: style, script and data in it, and the network cut.

The content security policy lets nothing run but the one script the page was written with.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Mapping
from functools import cache
from importlib import resources

from convscope.exhibits.report_modules import join_modules

_PLAIN = "text/plain"


def one_file(
    kind: str,
    title: str,
    data: Mapping[str, str],
    chunks: Mapping[str, str],
    *,
    element: str,
    entry: str,
    styles: tuple[str, ...],
    sight: str,
) -> bytes:
    """The page, in UTF-8; the same data gives the same bytes.

    Parameters
    ----------
    kind, sight
        What the page calls itself, and what there is to see, where scripts are off: "report", "the layers".
    title
        Of the window.
    data
        Texts free of ``<`` by the ending of their element's name (``convscope-index``); ``manifest`` is JSON.
    chunks
        Texts that are read only when asked for, by name.
    element
        Name of the element that ``entry``, a module of the viewer, fills.
    styles
        Style sheets of the viewer.
    """
    script, style = viewer_script(entry), viewer_style(styles)
    return _filled(
        (resources.files("convscope") / "viewer" / "one_file.html").read_text("utf-8"),
        {
            "policy": html.escape(page_policy(script, style), quote=True),
            "title": html.escape(printable(title)),
            "style": style,
            "kind": kind,
            "sight": sight,
            "element": f"<{element}></{element}>",
            "data": "\n".join(
                _block(f'id="convscope-{name}"', text, "application/json" if name == "manifest" else _PLAIN)
                for name, text in data.items()
            ),
            "chunks": "\n".join(
                _block(f'data-chunk="{html.escape(name)}"', text) for name, text in chunks.items()
            ),
            "script": script,
        },
    )


def _block(attribute: str, text: str, kind: str = _PLAIN) -> str:
    """Text in an element that no browser reads before it is asked to."""
    return f'<script type="{kind}" {attribute}>{text}</script>'


def page_policy(script: str, style: str) -> str:
    """The content security policy of a page that is one file: this script, this style, no network."""
    return (
        f"default-src 'none'; script-src {source_hash(script)}; style-src {source_hash(style)}; "
        "img-src blob: data:; base-uri 'none'; form-action 'none'"
    )


def _filled(page: str, values: Mapping[str, str]) -> bytes:
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
def viewer_script(entry: str) -> str:
    """The viewer's modules as one script that does what ``entry`` does."""
    folder = resources.files("convscope") / "viewer"
    modules = {file.name: file.read_text("utf-8") for file in folder.iterdir() if file.name.endswith(".js")}
    return "\n" + join_modules(modules, entry)


@cache
def viewer_style(names: tuple[str, ...]) -> str:
    """The viewer's style sheets as one."""
    folder = resources.files("convscope") / "viewer"
    return "\n" + "\n".join((folder / name).read_text("utf-8") for name in names)


def printable(text: str) -> str:
    """Text that UTF-8 can write: stray halves of surrogate pairs (from file names) as ``\\udcxx``."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
