"""Words in which tests ask about a report."""

from __future__ import annotations

from typing import Any

from viewer.browser import Page
from viewer.synthetic import SyntheticScene


def node_named(scene: SyntheticScene, name: str) -> dict[str, Any]:
    return next(node for node in scene.manifest["nodes"] if node["name"] == name)


def painted(page: Page, selector: str) -> int:
    """How many different colours a canvas shows."""
    return int(
        page.get(
            """(() => {
              const canvas = root.querySelector(arguments[0]);
              const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
              return new Set(new Uint32Array(data.buffer)).size;
            })()""".replace("arguments[0]", repr(selector))
        )
    )
