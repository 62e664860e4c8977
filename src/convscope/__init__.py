"""A microscope for convolutional neural networks.

Public names are resolved on first use, so that ``import convscope`` loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from convscope._version import __version__
from convscope.errors import ConvscopeError
from convscope.showing import drawn_by

if TYPE_CHECKING:
    from convscope.data import Picture, load_image
    from convscope.datasets import Dataset, load_dataset
    from convscope.exhibits.film_page import write_film
    from convscope.exhibits.layers import draw_filters, draw_maps, draw_scores, save_picture
    from convscope.exhibits.report import write_report
    from convscope.explain import Edit, channels_in_box, grad_cam, rerun
    from convscope.filming import Film, film, open_film
    from convscope.models import Model, load_model
    from convscope.notebook import show
    from convscope.scene import Scene, make_scene
    from convscope.tracing import Replace, Trace, trace
    from convscope.training import Recipe, Run, evaluate, train

_HOME = {
    "Dataset": "datasets",
    "Edit": "explain",
    "Film": "filming",
    "Model": "models",
    "Picture": "data",
    "Recipe": "training",
    "Replace": "tracing",
    "Run": "training",
    "Scene": "scene",
    "Trace": "tracing",
    "channels_in_box": "explain",
    "draw_filters": "exhibits.layers",
    "draw_maps": "exhibits.layers",
    "draw_scores": "exhibits.layers",
    "evaluate": "training",
    "film": "filming",
    "grad_cam": "explain",
    "load_dataset": "datasets",
    "load_image": "data",
    "load_model": "models",
    "make_scene": "scene",
    "open_film": "filming",
    "rerun": "explain",
    "save_picture": "exhibits.layers",
    "show": "notebook",
    "trace": "tracing",
    "train": "training",
    "write_film": "exhibits.film_page",
    "write_report": "exhibits.report",
}

__all__ = [
    "ConvscopeError",
    "Dataset",
    "Edit",
    "Film",
    "Model",
    "Picture",
    "Recipe",
    "Replace",
    "Run",
    "Scene",
    "Trace",
    "__version__",
    "channels_in_box",
    "draw_filters",
    "draw_maps",
    "draw_scores",
    "evaluate",
    "film",
    "grad_cam",
    "load_dataset",
    "load_image",
    "load_model",
    "make_scene",
    "open_film",
    "rerun",
    "save_picture",
    "show",
    "trace",
    "train",
    "write_film",
    "write_report",
]


def _draw(thing: Any) -> str | None:
    """What a trace or a scene is in a notebook; the exhibits are loaded when the first one is shown."""
    html: str | None = import_module(f"{__name__}.exhibits.inline").inline_html(thing)
    return html


drawn_by(_draw)


def __getattr__(name: str) -> Any:
    if name == "lesson":
        return import_module(f"{__name__}.lesson")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
