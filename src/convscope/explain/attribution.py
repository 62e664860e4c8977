"""Attributions: where on a map the score of a class comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from convscope.errors import TraceError, UsageError
from convscope.explain.boxes import stages
from convscope.explain.edits import Change, Target, channel_axis, locate
from convscope.explain.engine import CannotReplay, Engine
from convscope.explain.running import EditedTrace, by_place, run_whole, wanted_changes
from convscope.models import Model
from convscope.tracing import Trace, trace
from convscope.tracing.answers import find_logits

GRAD_CAM = (
    "Selvaraju et al., Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization, "
    "ICCV 2017"
)


@dataclass(frozen=True, eq=False)
class Attribution:
    """How much each cell of a layer speaks for a class.

    Parameters
    ----------
    map
        ``float32 [rows, columns]`` in logits an activation, as the method shows it. Maps may be
        compared within one picture and layer, not between layers.
    signed
        The same before negative values were set to 0.
    target, label
        The class and its name (``"class 7"`` where names are unknown).
    score
        The class's logit.
    node, name
        The op whose cells these are.
    method, reference
        What computed it, and where that is described.
    whole_pass
        Whether the model had to be run from the start, because the recording did not say enough.
    """

    map: NDArray[np.float32] = field(repr=False)
    signed: NDArray[np.float32] = field(repr=False)
    target: int
    label: str
    score: float
    node: int
    name: str
    method: str
    reference: str = field(repr=False)
    whole_pass: bool = False


def grad_cam(
    trace_or_model: Trace | nn.Module | Model | str,
    image: Any = None,
    target: int | None = None,
    node: int | str | None = None,
    *,
    relu: bool = True,
) -> Attribution:
    """Grad-CAM: channels of a map weighted by how the logit of a class grows with their mean.

    Each channel's weight is the mean over its cells of the logit's gradient; the map is the weighted
    sum of the channels, where negative values (which speak for other classes) are set to 0. No
    hooks are used and nothing is written into the model or its gradients: the layers after
    ``node`` are run again from the trace with gradients recorded, parameters frozen or not.

    Parameters
    ----------
    trace_or_model
        A trace (edits made to it stay made), or what :func:`convscope.trace` takes as a model.
    image
        For a model, what :func:`convscope.trace` takes; for a trace ``None``.
    target
        Class, counted from 0; the most probable one where ``None``.
    node
        Index or name of a layer with a map; the last such of the network where ``None``.
    relu
        Whether negative values are set to 0 in ``map``; ``signed`` always has them.

    Raises
    ------
    UsageError
        If there is no such class, or the layer has no map.
    TraceError
        If the model gives no class scores, or they do not depend on the layer.

    References
    ----------
    Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
    Localization", ICCV 2017.

    Examples
    --------
    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    >>> picture = torch.tensor([[[[0.0, 4.0]], [[2.0, 0.0]]]])
    >>> grad_cam(net, picture, target=0, node="0").map
    array([[0., 2.]], dtype=float32)
    """
    if not isinstance(trace_or_model, Trace):
        if image is None:
            raise UsageError("`image` must be given with a model")
        trace_or_model = trace(trace_or_model, image)
    elif image is not None:
        raise UsageError("`image` must be left out with a trace, which has its own")
    known = trace_or_model
    classes = 0 if known.logits is None else known.logits.shape[1]
    if not classes:
        raise TraceError(
            "this model gives no class scores, so nothing can be attributed to a class",
            hint="Grad-CAM needs an output of shape (N, classes).",
        )
    if target is None:
        target = known.predictions(1)[0].index
    if isinstance(target, bool) or not isinstance(target, int) or not 0 <= target < classes:
        raise UsageError(
            f"`target` must be between 0 and {classes - 1}, the last class of the model; got {target!r}"
        )
    if node is None:
        maps = stages(known.ops)
        if not maps:
            raise UsageError("this model has no map to show an attribution on")
        node = maps[-1].index
    place = locate(known, node)
    op = known.ops[place.index]
    if op.spatial is None or place.output or not op.dtype.startswith(("float", "bfloat")):
        raise UsageError(
            f"`{place.name}` is not a map, and Grad-CAM shows a map",
            hint="Choose a layer before the network pools or flattens its maps.",
        )
    value, gradient, score, whole = _gradient(known, place, target)
    signed = _weighted(value, gradient, op.spatial, channel_axis(op))
    return Attribution(
        map=np.maximum(signed, 0) if relu else signed.copy(),
        signed=signed,
        target=target,
        label=known.card.categories[target] if target < len(known.card.categories) else f"class {target}",
        score=score,
        node=place.index,
        name=place.name,
        method="grad_cam",
        reference=GRAD_CAM,
        whole_pass=whole,
    )


def _weighted(
    value: Tensor, gradient: Tensor, spatial: tuple[int, int], axis: int | None
) -> NDArray[np.float32]:
    """The channels' sum, each weighted by the mean of its gradient, of the first picture of a batch."""
    last = (*spatial, *([] if axis is None else [axis]))
    others = [i for i in range(value.ndim) if i not in last]
    order = (*others, *([] if axis is None else [axis]), *spatial)
    value, gradient = value.permute(order).double(), gradient.permute(order).double()
    for _ in others:
        value, gradient = value[0], gradient[0]
    cam = (gradient.mean((-2, -1), keepdim=True) * value).flatten(0, -3).sum(0)
    found: NDArray[np.float32] = cam.float().cpu().numpy()
    return found


class _Leaf:
    """Puts a copy of a value in its place, and holds it as what gradients are taken for."""

    tensor: Tensor

    def __call__(self, value: Tensor) -> Tensor:
        self.tensor = value.detach().clone().requires_grad_()
        return self.tensor.clone()


def _gradient(known: Trace, place: Target, target: int) -> tuple[Tensor, Tensor, float, bool]:
    """Value at ``place``, gradient of the logit there, the logit, and whether the whole model ran."""
    wanted: dict[Target, list[Change]] = {}
    base = known
    if isinstance(known, EditedTrace):
        base = known.base
        wanted = wanted_changes(base, known.edits)
        if known.whole_pass:
            place = locate(base, place.name)
    leaf = _Leaf()
    same = next((t for t in wanted if (t.index, t.output) == (place.index, place.output)), place)
    wanted.setdefault(same, []).append(leaf)
    whole = False
    with torch.inference_mode(False), torch.enable_grad():
        try:
            engine = Engine(base, by_place(wanted))
            engine.run()
            logits = find_logits(engine.output())
        except CannotReplay:
            whole = True
            logits = find_logits(run_whole(base, wanted, [], grad=True).output)
        if logits is None:
            raise TraceError("the model gave no class scores when it was run again")
        score = logits[0, target]
        if not score.requires_grad:
            gradient = None
        else:
            (gradient,) = torch.autograd.grad(score, leaf.tensor, allow_unused=True)
    if gradient is None:
        raise TraceError(
            f"the class scores do not depend on `{place.name}`, or the model detaches them from it"
        )
    return leaf.tensor.detach(), gradient, float(score.detach()), whole
