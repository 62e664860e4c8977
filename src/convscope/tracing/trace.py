"""A recorded forward pass, and the function that makes one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

import numpy
import torch
from torch import Tensor, nn

from convscope.data import Picture, load_image
from convscope.errors import ModelError, NoSuchOpError, TraceError, UnknownLayerError, UsageError
from convscope.models import Card, Geometry, Model, load_model
from convscope.showing import Shown
from convscope.tracing.allocation import reuse_freed_memory
from convscope.tracing.answers import Prediction, Scores, find_logits, kind_of_scores, predict
from convscope.tracing.build import build_calls, build_ops
from convscope.tracing.changes import find_tensor
from convscope.tracing.fields import Box, field_box
from convscope.tracing.graph import ModuleCall, Op
from convscope.tracing.observers import Keep, Names, Observer
from convscope.tracing.record import Recording, record

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import NDArray

    from convscope.tracing.arithmetic import Arithmetic

#: Kinds of ops that give the numbers they take, in another shape or type at most.
_SAME_NUMBERS = (
    *("clone", "contiguous", "detach", "flatten", "getitem", "reshape", "squeeze", "unsqueeze", "view"),
    *("bfloat16", "double", "float", "half", "to"),
)


class Trace(Shown):
    """One forward pass of one model, op by op, with the values as they were when computed.

    Made by :func:`trace`. Iterating gives the ops in call order; ``trace[name]`` gives an op
    or a module call by the name a person would type, ``trace[index]`` an op by its place.

    Attributes
    ----------
    model
        The :class:`~convscope.models.Model`, with its card.
    output
        What the model returned; ``None`` where the pass was stopped early.
    picture, geometry
        The photo and where the model's input lies on it; ``None`` for a batch prepared by hand.
    inputs
        What the model was given.
    seconds
        Wall time of the pass, the recording included.
    """

    def __init__(
        self,
        recording: Recording,
        model: Model,
        inputs: Any,
        picture: Picture | None,
        geometry: Geometry | None,
    ) -> None:
        self.model = model
        self.inputs = inputs
        self.picture = picture
        self.geometry = geometry
        self.output = recording.output
        self.stopped = recording.stopped
        self.seconds = recording.seconds
        self.parameter_marks = recording.marks
        self._recording = recording

    @property
    def card(self) -> Card:
        """What belongs to the model."""
        return self.model.card

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know beside the numbers: of the model, then of the picture."""
        return (*self.card.notes, *(self.picture.notes if self.picture is not None else ()))

    @cached_property
    def ops(self) -> tuple[Op, ...]:
        """Every op in call order, inputs first."""
        return build_ops(self._recording.events, self.model.module, self._parameter_shapes)

    @cached_property
    def calls(self) -> tuple[ModuleCall, ...]:
        """Every module call in the order they began, the model itself (named ``""``) first."""
        return build_calls(self._recording.calls)

    @cached_property
    def _parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(p.shape) for name, p in self.model.module.named_parameters()}

    @cached_property
    def _by_name(self) -> dict[str, Op | ModuleCall]:
        named: dict[str, Op | ModuleCall] = {call.name: call for call in self.calls if call.name}
        for op in self.ops:
            named[op.name] = op
        return named

    @property
    def names(self) -> tuple[str, ...]:
        """Every name ``trace[...]`` knows: ops in call order, then module calls of more than one op."""
        ops = dict.fromkeys(op.name for op in self.ops)
        return (*ops, *(c.name for c in self.calls if c.name and c.name not in ops))

    def __getitem__(self, name: str | int) -> Op | ModuleCall:
        if isinstance(name, int):
            try:
                return self.ops[name]
            except IndexError:
                raise NoSuchOpError(name, len(self.ops)) from None
        try:
            return self._by_name[name]
        except KeyError:
            raise UnknownLayerError(name, self.names) from None

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[Op]:
        return iter(self.ops)

    def __len__(self) -> int:
        return len(self.ops)

    def op(self, name: str | int) -> Op:
        """The op called ``name``; for a module of several ops the one that made its output."""
        found = self[name]
        if isinstance(found, Op):
            return found
        if not found.outputs:
            raise TraceError(f"`{found.name}` gave no tensor in this pass")
        return self.ops[found.outputs[0][0]]

    def select(self, patterns: str | Iterable[str]) -> list[Op]:
        """Ops whose names match a name or glob pattern, in call order.

        Raises
        ------
        UnknownLayerError
            If a pattern matches nothing.
        """
        wanted = (patterns,) if isinstance(patterns, str) else tuple(patterns)
        chosen: dict[int, Op] = {}
        for pattern in wanted:
            matches = Names(pattern)
            found = [op for op in self.ops if matches(op.name)]
            if not found:
                found = [self.op(name) for name in self.names if matches(name)]
            if not found:
                raise UnknownLayerError(pattern, self.names)
            chosen.update((op.index, op) for op in found)
        return [chosen[i] for i in sorted(chosen)]

    def parameter(self, name: str) -> Tensor:
        """A parameter or buffer of the model by its qualified name."""
        module = self.model.module
        found = find_tensor(module, name)
        if found is None:
            raise UnknownLayerError(name, [*dict(module.named_parameters()), *dict(module.named_buffers())])
        return found.detach()

    def value_of(
        self, name: str | int, channel: int = 0, at: tuple[int, ...] | None = None, *, batch: int = 0
    ) -> Arithmetic:
        """How one value was computed, term by term, held against the recorded one.

        Parameters
        ----------
        name
            Op or module call.
        channel
            Channel of a map, entry of a vector.
        at
            ``(row, column)`` of a map; where not given, the cell of the channel's largest |value|.

        Raises
        ------
        UsageError
            If there is no such channel or cell.
        TraceError
            If this kind of op is not covered, or its parameters changed since the trace was made.

        Examples
        --------
        >>> import torch, convscope
        >>> net = torch.nn.Conv2d(1, 1, 3, bias=False)
        >>> trace = convscope.trace(net, torch.ones(1, 1, 5, 5))
        >>> trace.value_of("conv2d", channel=0, at=(1, 2)).agrees
        True
        """
        from convscope.tracing.arithmetic import explain_value

        if at is None:
            at = self._peak(self.op(name), channel, batch)
        return explain_value(self, name, channel, at, batch=batch)

    def _peak(self, op: Op, channel: int, batch: int) -> tuple[int, ...] | None:
        if op.spatial is None or len(op.shape) != 4 or not 0 <= batch < op.shape[0]:
            return None
        rows, columns = (axis - 1 for axis in op.spatial)
        maps = op.value[batch].detach().permute(3 - rows - columns, rows, columns)
        if not 0 <= channel < len(maps):
            return None
        plane = maps[channel].abs().nan_to_num(nan=float("inf"))
        row, column = divmod(int(plane.flatten().argmax()), plane.shape[1])
        return row, column

    def field_box(self, name: str | int, row: int | None = None, column: int | None = None) -> Box | None:
        """The box of input pixels that a cell of an op's output depends on; see :func:`field_box`."""
        return field_box(self.ops, self.op(name).index, row, column)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of the whole pass."""
        return sum(op.multiply_adds for op in self.ops)

    @property
    def parameters(self) -> int:
        """Parameters of the model, shared ones counted once."""
        return sum(prod(shape) for shape in self._parameter_shapes.values())

    @cached_property
    def logits(self) -> Tensor | None:
        """Scores of the classes, ``[N, classes]``; ``None`` for a model that gives none."""
        return find_logits(self.output)

    @cached_property
    def scores_are(self) -> Scores:
        """What ``logits`` are: ``"logits"``; or probabilities, where the network ends in a ``"softmax"``, in
        which all classes share, or a ``"sigmoid"``, one for each class by itself.
        """
        if self.logits is None:
            return "logits"
        made = [self.ops[n] for n, output in self.calls[0].outputs if output == 0] if self.calls else []
        op = next((op for op in made if op.shape == tuple(self.logits.shape)), None)
        while op is not None and op.kind in _SAME_NUMBERS:
            op = self.ops[op.inputs[0]] if op.inputs else None
        return kind_of_scores(self.logits, "" if op is None else op.kind)

    def predictions(self, count: int = 5) -> list[Prediction]:
        """The ``count`` most probable classes of the first picture, most probable first.

        By softmax of the logits; of a network that ends in softmax or sigmoid, as it says itself.

        Raises
        ------
        TraceError
            If the model gives no class scores, or they are not finite (no class can be named then).
        """
        if self.logits is None:
            raise TraceError(
                "this model gives no class scores, so there is nothing to predict",
                hint="Look at its layers instead: `print(trace)` lists them.",
            )
        return predict(self.logits, self.card.categories, count, self.scores_are)

    def __str__(self) -> str:
        width = min(48, max((len(op.name) for op in self.ops), default=4))
        lines = [
            f"{self.card.name}: {len(self.ops)} ops, {self.parameters:,} parameters, "
            f"{self.multiply_adds:,} multiply-adds"
        ]
        for op in self.ops:
            shape = "×".join(map(str, op.shape)) or "scalar"
            lines.append(f"{op.index:>4}  {op.name:<{width}}  {op.kind:<18} {shape}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Trace of {self.card.name}: {len(self.ops)} ops>"


def trace(
    model: nn.Module | Model | str,
    image: str | PathLike[str] | Picture | NDArray[Any] | Tensor | Any,
    *,
    keep: str | Iterable[str] | None = None,
    observers: Sequence[Observer] = (),
    weights: str = "default",
    training: bool = False,
    grad: bool = False,
) -> Trace:
    """Run a model once and record every op of the pass, with its value.

    Parameters
    ----------
    model
        A module, a loaded :class:`~convscope.models.Model`, or a name (``resnet50``,
        ``timm:convnext_tiny``, ``net.py:Net``). Run in eval mode and left exactly as found.
    image
        A path, ``sample:cat``, a :class:`~convscope.data.Picture`, a ``uint8`` array or a Pillow
        image is preprocessed as belongs to the model. A tensor is a prepared batch
        ``[N, C, H, W]`` (or ``[C, H, W]``), given to the model as it is; a list is handed over
        as one argument, a tuple as several, a dict as keyword arguments.
    keep
        Names or patterns of the values to keep; all where ``None``. Ops are recorded either way.
    observers
        Further :class:`~convscope.tracing.Observer` objects, asked after the values are kept.
    weights
        For a model given by name, as in :func:`~convscope.models.load_model`.
    training
        Run in the model's own training modes instead of eval mode.
    grad
        Record gradients, for attributions.

    Raises
    ------
    ForwardError
        If the model raises.

    Examples
    --------
    >>> import torch, convscope
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(inplace=True))
    >>> trace = convscope.trace(net, torch.zeros(1, 3, 8, 8))
    >>> [(op.name, op.shape) for op in trace]
    [('input', (1, 3, 8, 8)), ('0', (1, 4, 6, 6)), ('1', (1, 4, 6, 6))]
    >>> bool((trace["0"].value < 0).any() or (trace["0"].value >= 0).all())
    True
    """
    loaded = load_model(model, weights=weights) if not isinstance(model, Model) else model
    inputs, picture, geometry = prepare(loaded, image)
    reuse_freed_memory()
    watching = [Keep(keep), *observers]
    recording = record(loaded.module, inputs, watching, training=training, grad=grad)
    if recording.stale:
        recording = record(loaded.module, inputs, watching, training=training, grad=grad, careful=True)
    return Trace(recording, loaded, inputs, picture, geometry)


def prepare(model: Model, image: Any) -> tuple[Any, Picture | None, Geometry | None]:
    """What the model is to be given: a picture preprocessed, a batch made to fit its numbers and device."""
    if isinstance(image, (list, tuple, dict)):
        return image, None, None
    like = next((p for p in model.module.parameters() if p.is_floating_point()), None)
    if isinstance(image, Tensor):
        if image.ndim == 3:
            image = image.unsqueeze(0)
        if image.ndim != 4 and image.ndim < 2:
            raise UsageError(f"`image` must be a batch of shape (N, C, H, W); got shape {tuple(image.shape)}")
        return _cast(image, like), None, None
    picture = image if isinstance(image, Picture) else load_image(image)
    prepared = model.card.preprocessing.apply(picture.pixels)
    return _cast(prepared.tensor, like), _noting_enlargement(picture, prepared.geometry), prepared.geometry


def _noting_enlargement(picture: Picture, geometry: Geometry) -> Picture:
    """The picture, with a note where it has fewer pixels than the model looks at."""
    if min(geometry.scale) > 0.5:
        return picture
    rows, columns = geometry.input_size
    small = (
        f"smaller than the model's input: {picture.height}×{picture.width} pixels were enlarged to fill "
        f"{rows}×{columns}, so there is little to see"
    )
    return replace(picture, notes=(*picture.notes, small))


def blank_input(model: Model) -> Tensor:
    """An input of the model's own size, black all over: for what depends on shapes alone."""
    height, width = model.card.preprocessing.input_size or (224, 224)
    black = model.card.preprocessing.apply(numpy.zeros((height, width, 3), numpy.uint8))
    return black.tensor


def _cast(tensor: Tensor, like: Tensor | None) -> Tensor:
    if like is None:
        return tensor if tensor.is_floating_point() else tensor.to(torch.get_default_dtype())
    if like.is_meta:
        raise ModelError("the model's parameters are on the meta device and hold no values")
    if tensor.is_floating_point() or tensor.dtype == torch.uint8:
        tensor = tensor.to(like.dtype)
    return tensor.to(like.device)
