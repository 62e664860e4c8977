"""The widget: the viewer's modules as the one script anywidget wants, and the channel to the kernel."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import anywidget
import traitlets

from convscope.exhibits.one_file import viewer_script, viewer_style
from convscope.notebook.given import Given
from convscope.notebook.host import Host

ENTRY = "widget.js"
STYLES = ("tokens.css", "layout.css", "parts.css", "proof.css", "live.css", "widget.css")
#: Rows of pixels of the widget.
HEIGHT = 720
#: Widgets that keep what they show. A notebook never forgets a widget, however often its cell is run.
MOST_LIVE = 8
_live: list[Host] = []


@cache
def widget_script() -> str:
    """The viewer's modules as one module that exports what a notebook calls.

    Examples
    --------
    >>> widget_script().splitlines()[-1]
    'export default { render: (view) => renderWidget(view, widgetStyle) };'
    """
    style = json.dumps(widget_style())
    start = "export default { render: (view) => renderWidget(view, widgetStyle) };"
    return f"{viewer_script(ENTRY)}\nconst widgetStyle = {style};\n{start}\n"


@cache
def widget_style() -> str:
    """The viewer's style sheets, narrow where the widget is, whatever the window around it.

    Examples
    --------
    >>> "@media (max-width" in widget_style(), widget_style().count("@container viewer (max-width") > 3
    (False, True)
    """
    return re.sub(r"@media \((?=m(ax|in)-width)", "@container viewer (", viewer_style(STYLES))


class LiveWidget(anywidget.AnyWidget):
    """The live viewer in a notebook; made by :func:`convscope.show`.

    Attributes
    ----------
    height
        Of the widget, in pixels.
    """

    _esm = widget_script()
    height = traitlets.Int(HEIGHT).tag(sync=True)

    def __init__(self, given: Given, **traits: Any) -> None:
        super().__init__(**traits)
        self._host = Host(self._tell, given)
        self.on_msg(self._hear)
        _live.append(self._host)
        while len(_live) > MOST_LIVE:
            _live.pop(0).let_go()

    def _tell(self, message: dict[str, Any], buffers: Any) -> None:
        self.send(message, list(buffers))

    def _hear(self, widget: Any, message: Any, buffers: Any) -> None:
        self._host.hear(message, buffers or ())
