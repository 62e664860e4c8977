"""A report inside a notebook: the one file of :mod:`convscope.exhibits.report` in a frame of its own.

The frame holds the whole report, so it works wherever the notebook's page is shown, without a kernel, a
server or the network. It is sandboxed: nothing in it reaches the notebook around it.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from convscope.errors import ConvscopeError
from convscope.exhibits.report import report_bytes

if TYPE_CHECKING:
    from convscope.scene import Scene

#: Bytes of a report above which it is not put into a notebook, whose every save would carry it.
MOST_BYTES = 20_000_000
#: Rows of pixels of the frame.
HEIGHT = 720
_ANSWERS = 3


def inline_html(thing: Any) -> str | None:
    """HTML that shows a trace or a scene; ``None`` for anything else.

    It never raises: a notebook that shows a value is no place for a failure. What cannot be drawn is
    told in a sentence.

    Examples
    --------
    >>> import convscope, torch
    >>> trace = convscope.trace(torch.nn.Conv2d(3, 4, 3), torch.rand(1, 3, 8, 8))
    >>> text = inline_html(trace)
    >>> text.count("<iframe "), 'sandbox="allow-scripts allow-downloads"' in text
    (1, True)
    """
    try:
        scene = _scene_of(thing)
        return None if scene is None else _framed(scene)
    except ConvscopeError as error:
        return _paragraph(f"This cannot be drawn: {error.message}. {error.hint}".strip())
    except Exception as error:
        return _paragraph(
            f"This could not be drawn ({type(error).__name__}: {error}). print() shows it as text."
        )


def _scene_of(thing: Any) -> Scene | None:
    # Torch has been loaded by whoever holds a trace; a scene is shown without it.
    from convscope.scene.scene import Scene

    if isinstance(thing, Scene):
        return thing
    if not hasattr(thing, "ops"):
        return None
    from convscope.scene import make_scene

    return make_scene(thing)


def _framed(scene: Scene) -> str:
    said = summary(scene.manifest)
    report = report_bytes(scene)
    size = f"{len(report) / 1e6:.1f} MB"
    if len(report) > MOST_BYTES:
        return _paragraph(
            f"{said}. The report has {size}, more than the {MOST_BYTES / 1e6:.0f} MB that are put into a "
            "notebook. convscope.write_report(convscope.make_scene(trace), 'report.html') writes it as a "
            "file; convscope.show(trace) shows it live, with the extra `notebook`."
        )
    # In single quotes, since a report is full of double ones.
    inside = report.decode("utf-8").replace("&", "&amp;").replace("'", "&#39;")
    inside = inside.replace("<", "&lt;").replace(">", "&gt;")
    title = html.escape(said, quote=True)
    place = f"display: block; inline-size: 100%; block-size: {HEIGHT}px"
    style = f"{place}; border: 1px solid #8886; border-radius: 4px"
    frame = f'<iframe title="{title}" sandbox="allow-scripts allow-downloads" style="{style}" '
    return f"{frame}srcdoc='{inside}'></iframe>{_paragraph(f'{said}. {size} of this notebook.')}"


def summary(manifest: dict[str, Any]) -> str:
    """What was looked at, and the first answers.

    Examples
    --------
    >>> answers = [{"label": "tiger cat", "probability": 0.393}]
    >>> summary({"model": {"name": "net", "random": True}, "image": {"name": "cat"}, "predictions": answers})
    'net (random weights) looking at cat: tiger cat 39 %'
    """
    model, image = manifest["model"], manifest["image"]
    random = " (random weights)" if model.get("random") else ""
    answers = ", ".join(
        f"{answer['label']} {100 * answer['probability']:.0f} %"
        for answer in manifest["predictions"][:_ANSWERS]
    )
    return f"{model['name']}{random} looking at {image['name']}" + (f": {answers}" if answers else "")


def _paragraph(text: str) -> str:
    style = "margin: 0.3em 0; opacity: 0.75; font-size: 0.85em"
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return f'<p style="{style}">{html.escape(text)}</p>'
