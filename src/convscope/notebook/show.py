"""``convscope.show``: the live viewer as the output of a notebook's cell."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from convscope.data import load_image, samples
from convscope.errors import MissingExtraError, UsageError
from convscope.notebook.given import Given

if TYPE_CHECKING:
    from convscope.notebook.widget import LiveWidget


def show(what: Any = None, beside: Any = None, *, weights: str = "default", height: int = 720) -> LiveWidget:
    """The live viewer in a notebook: proofs of values, channels switched off, boxes asked about, two looks.

    It asks the kernel for what it shows, over the notebook's own channel: there is no server, and nothing
    comes from the network. Long work runs in a thread, tells how far it is, and can be cancelled; leave a
    model alone while a look through it is running.

    Parameters
    ----------
    what
        A :class:`~convscope.Trace`, which is shown as it is; or a model, as :func:`convscope.trace` takes
        it: a module, a loaded model, a name. By default the demo's network.
    beside
        After a trace, a second trace, held beside it with the difference. After a model, the photo to look
        at, as :func:`convscope.load_image` takes it; by default the demo's cat.
    weights
        For a model given by name: ``"default"`` or ``"none"``.
    height
        Of the widget, in pixels, at least 200.

    Returns
    -------
    A widget; as the last expression of a cell it shows itself.

    Raises
    ------
    MissingExtraError
        If anywidget is not installed.
    UsageError
        If these things cannot be shown.

    Examples
    --------
    >>> import convscope, torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    >>> convscope.show(convscope.trace(net, torch.rand(1, 3, 8, 8))).height
    720
    """
    if find_spec("anywidget") is None:
        raise MissingExtraError(
            "the live widget needs anywidget, not installed here",
            hint="Install it with: pip install 'convscope[notebook]'",
        )
    if isinstance(height, bool) or not isinstance(height, int) or height < 200:
        raise UsageError(f"`height` must be a number of pixels, at least 200; got {height!r}")
    given = Given()
    if _is_trace(what):
        _give_traces(given, what, beside)
    elif hasattr(what, "manifest"):
        raise UsageError(
            "a scene has no network behind it that could be asked",
            hint="Show the trace it was made from; the scene shows itself as the last expression of a cell.",
        )
    else:
        _give_model(given, what, beside, weights)
    from convscope.notebook.widget import LiveWidget

    return LiveWidget(given, height=height)


def _is_trace(what: Any) -> bool:
    return hasattr(what, "ops") and hasattr(what, "value_of")


def _give_traces(given: Given, what: Any, beside: Any) -> None:
    if beside is not None and not _is_trace(beside):
        raise UsageError(
            f"beside a trace goes another trace; got {type(beside).__name__}",
            hint="convscope.show(model, photo) looks at a photo through a model.",
        )
    given.first = given.add_trace(what)
    if beside is not None:
        given.second = given.add_trace(beside)


def _give_model(given: Given, what: Any, photo: Any, weights: str) -> None:
    if weights not in ("default", "none"):
        raise UsageError(f'`weights` must be "default" or "none"; got {weights!r}')
    if what is not None:
        from convscope.models import load_model

        given.first["model"] = given.add_model(load_model(what, weights=weights))
    if photo is None and "cat" in samples():
        photo = "sample:cat"
    if photo is not None:
        given.first["photo"] = given.add_picture(load_image(photo), given=True).key
