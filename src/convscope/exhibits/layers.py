"""Pictures of a trace's layers: feature maps, filters, the answer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convscope.errors import ModelError, TraceError, UsageError
from convscope.exhibits.sheets import filters_sheet, maps_sheet, save_png, vector_picture
from convscope.tracing.structure import CONVOLUTIONS

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from PIL import Image

    from convscope.tracing import Op, Trace


def drawable(op: Op) -> bool:
    """Whether an op's output can be drawn: a stack of maps, or a vector."""
    return bool(op.shapes) and 0 not in op.shape and (_is_map(op) or _is_vector(op))


def _is_map(op: Op) -> bool:
    return (
        op.spatial is not None
        and len(op.shape) == 4
        and op.shape[op.spatial[0]] * op.shape[op.spatial[1]] > 1
    )


def _is_vector(op: Op) -> bool:
    return len(op.shape) >= 2 and max(op.shape[1:]) > 1 and sum(size > 1 for size in op.shape[1:]) == 1


def maps_of(op: Op) -> NDArray[Any]:
    """Feature maps of the first picture of the batch as ``float32 (channels, rows, columns)``.

    Raises
    ------
    UsageError
        If the op's output is not a stack of maps.
    """
    if op.spatial is None or len(op.shape) != 4:
        raise UsageError(
            f"`{op.name}` gives values of shape {_times(op.shape)}, which are not feature maps",
            hint="`convscope maps --json` prints the statistics of any layer.",
        )
    rows, columns = (axis - 1 for axis in op.spatial)
    channel = next(axis for axis in range(3) if axis not in (rows, columns))
    values: NDArray[Any] = op.value[0].detach().float().cpu().permute(channel, rows, columns).numpy()
    return values


def draw_maps(
    trace: Trace,
    layer: str | Op,
    *,
    range: str = "channel",
    strongest: int | None = None,
    limit: int | None = 64,
    title: str | None = None,
) -> Image.Image:
    """A layer's feature maps as a grid, or its vector as a picture.

    Parameters
    ----------
    layer
        Name or op.
    range, strongest, limit
        As in :func:`~convscope.exhibits.sheets.maps_sheet`.
    title
        First line; the model's, layer's and picture's names if not given.

    Raises
    ------
    UnknownLayerError
        If there is no such layer.
    UsageError
        If its values are neither maps nor a vector.

    Examples
    --------
    >>> import convscope
    >>> model = convscope.load_model("resnet18", weights="none")
    >>> trace = convscope.trace(model, "sample:cat")
    >>> convscope.draw_maps(trace, "conv1").mode
    'P'
    """
    op = trace.op(layer) if isinstance(layer, str) else layer
    name = layer if isinstance(layer, str) else op.name
    if title is None:
        title = f"{trace.card.name} {name}" + (f" of {trace.picture.name}" if trace.picture else "")
    note = "random weights" if trace.card.random else ""
    if _is_map(op):
        return maps_sheet(maps_of(op), title=title, range=range, strongest=strongest, limit=limit, note=note)
    if _is_vector(op):
        return vector_picture(op.value[0].detach().float().cpu().flatten().numpy(), title=title, note=note)
    raise UsageError(
        f"`{name}` gives values of shape {_times(op.shape)}, neither maps nor a vector",
        hint="`convscope maps --json` prints the statistics of any layer.",
    )


def convolutions(trace: Trace) -> list[Op]:
    """Every convolution with a learned kernel, each kernel once, in call order.

    Raises
    ------
    ModelError
        If there is none.
    """
    found: dict[str, Op] = {}
    for op in trace.ops:
        weight = _weight(op)
        if weight is not None:
            found.setdefault(weight, op)
    if not found:
        linear = sum(op.kind == "linear" for op in trace.ops)
        raise ModelError(
            f"no convolution found in {trace.card.name}: {linear} linear layers among {len(trace.ops)} ops",
            hint="`convscope layers` lists what there is.",
        )
    return list(found.values())


def _weight(op: Op) -> str | None:
    if op.kind not in CONVOLUTIONS:
        return None
    return next((o.parameter for o in op.operands if o.role == "weight"), None)


def filters_of(trace: Trace, layer: str | Op) -> NDArray[Any]:
    """Kernels of a convolution as ``float32 (output channels, input channels, rows, columns)``.

    Raises
    ------
    ModelError
        If the layer is no convolution with a learned kernel.
    """
    op = trace.op(layer) if isinstance(layer, str) else layer
    name = _weight(op)
    if name is None:
        some = [other.name for other in convolutions(trace)]
        raise ModelError(
            f"`{op.name}` is of kind {op.kind} and has no filters of its own",
            hint=f"Convolutions here: {', '.join(some[:6])}{', ...' if len(some) > 6 else ''}",
        )
    weight = trace.parameter(name)
    if op.kind.startswith("conv_transpose"):
        weight = weight.transpose(0, 1)
    while weight.ndim < 4:
        weight = weight.unsqueeze(-2)
    weight = weight.flatten(1, -3)
    kernels: NDArray[Any] = weight.float().cpu().numpy()
    return kernels


def draw_filters(
    trace: Trace, layer: str | Op, *, together: bool = True, grey: bool = False, limit: int | None = 64
) -> Image.Image:
    """A convolution's filters; see :func:`~convscope.exhibits.sheets.filters_sheet`.

    Examples
    --------
    >>> import convscope
    >>> trace = convscope.trace(convscope.load_model("resnet18", weights="none"), "sample:cat")
    >>> convscope.draw_filters(trace, "conv1").mode
    'RGB'
    """
    op = trace.op(layer) if isinstance(layer, str) else layer
    return filters_sheet(
        filters_of(trace, op),
        title=f"{trace.card.name} {op.name} filters",
        together=together,
        grey=grey,
        limit=limit,
        note="random weights" if trace.card.random else "",
    )


def draw_scores(trace: Trace, *, top: int = 5) -> Figure:
    """The class scores of the first picture as a line plot, the largest ones named (needs matplotlib).

    Raises
    ------
    TraceError
        If the model gives none.
    MissingExtraError
        If matplotlib is not installed.
    """
    from convscope.exhibits.plots import line_plot

    if trace.logits is None:
        raise TraceError("this model gives no class scores to plot")
    scores = trace.logits[0].detach().float().cpu().numpy()
    names = trace.card.categories if len(trace.card.categories) == len(scores) else ()
    title = f"{trace.card.name}: scores" + (f" of {trace.picture.name}" if trace.picture else "")
    note = "random weights" if trace.card.random else ""
    return line_plot(scores, title=title, labels=names, top=top, note=note)


def save_picture(path: str | os.PathLike[str], drawn: Image.Image | Figure) -> Path:
    """Write what the functions above drew, whole or not at all: pictures as .png, plots as .svg or .pdf too.

    Raises
    ------
    UsageError
        If the name has another ending.
    OutputError
        If it cannot be written.
    """
    from PIL import Image

    if isinstance(drawn, Image.Image):
        if Path(path).suffix.lower() != ".png":
            raise UsageError(f"a picture is written as .png; got {Path(path).name!r}")
        return save_png(path, drawn)
    from convscope.exhibits.plots import save_plot

    return save_plot(path, drawn)


def _times(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "a single number"
