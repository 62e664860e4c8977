"""What a trace is made of: ops, the calls of modules, and the edges between them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from convscope.errors import NotKeptError

if TYPE_CHECKING:
    from torch import Tensor


class Stored(Protocol):
    """A kept value: ``tensor`` gives it, as it was when it was computed."""

    @property
    def tensor(self) -> Tensor:
        """The value."""


@dataclass(frozen=True)
class Operand:
    """One tensor that went into an op.

    ``role`` is the argument's name (``input``, ``weight``, ``bias``, ``other``, ``tensors.1``).
    Exactly one of the three origins is set: ``op`` (index of the op that made it, with
    ``output`` telling which of its outputs), ``parameter`` (qualified name of a parameter
    or buffer), or ``constant`` (the tensor itself, made outside anything recorded).
    """

    role: str
    shape: tuple[int, ...]
    op: int | None = None
    output: int = 0
    parameter: str | None = None
    constant: Tensor | None = dataclasses.field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Field:
    """Receptive field of every cell of a map in closed form, in input pixels, as (rows, columns).

    Cell ``i`` covers the ``size`` pixels from ``start + stride * i``; parts outside the
    picture are padding.
    """

    size: tuple[int, int]
    stride: tuple[int, int]
    start: tuple[int, int]

    @property
    def center(self) -> tuple[float, float]:
        """Middle of the receptive field of cell (0, 0), in input pixels."""
        return (self.start[0] + (self.size[0] - 1) / 2, self.start[1] + (self.size[1] - 1) / 2)


@dataclass(frozen=True, eq=False)
class Op:
    """One torch function call of the forward pass, as it happened.

    Parameters
    ----------
    index
        Place in call order; 0 and up to the number of inputs are the ``input`` ops.
    name
        What a person types: the module's path for a module that is one op
        (``layer1.0.conv1``), else ``path.kind`` (``layer1.0.add``); repeats end in ``_1``, ``_2``.
    kind
        ``input``, ``conv2d``, ``batch_norm``, ``relu``, ``add``, ``cat``, ``max_pool2d``, ...
    path, module_type
        Path and class name of the innermost module that ran it (``""`` and the model's
        own class at the top).
    shapes
        Shape of each output tensor; most ops have one.
    spatial
        Axes of (rows, columns) in the first output, ``(2, 3)`` for a feature map of shape
        ``(N, C, H, W)``; ``None`` for anything that is not a map.
    operands
        The tensors that went in, by role.
    attributes
        The arguments that are not tensors, by their documented names; convolutions and
        poolings always have ``kernel_size``, ``stride``, ``padding``, ``dilation`` as pairs.
    parameters
        Qualified names of the parameters (not buffers) it used, with their sizes.
    multiply_adds
        Multiplications each followed by an addition; 0 for ops without.
    seconds
        Wall time of the call.
    field
        Receptive field in closed form; ``None`` where it has none (the op sees everything,
        or its windows are uneven).
    """

    index: int
    name: str
    kind: str
    path: str
    module_type: str
    shapes: tuple[tuple[int, ...], ...]
    dtype: str
    operands: tuple[Operand, ...]
    attributes: Mapping[str, Any]
    parameters: Mapping[str, int]
    multiply_adds: int
    seconds: float
    spatial: tuple[int, int] | None = None
    field: Field | None = None
    stored: tuple[Stored | None, ...] = dataclasses.field(default=(), repr=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the first output, ``(N, C, H, W)`` for a feature map."""
        return self.shapes[0] if self.shapes else ()

    @property
    def inputs(self) -> tuple[int, ...]:
        """Indices of the ops whose outputs went in, each once, in argument order."""
        return tuple(dict.fromkeys(o.op for o in self.operands if o.op is not None))

    @property
    def values(self) -> tuple[Tensor | None, ...]:
        """Every output as it was when it was computed; ``None`` where it was not kept."""
        return tuple(None if s is None else s.tensor for s in self.stored)

    @property
    def value(self) -> Tensor:
        """The first output as it was when it was computed; later in-place ops do not reach it.

        Raises
        ------
        NotKeptError
            If the trace was told to keep other values only.
        """
        if not self.stored or self.stored[0] is None:
            raise NotKeptError(
                f"the value of `{self.name}` was not kept in this trace",
                hint=f"Trace again with keep=[..., {self.name!r}], or without `keep` to keep everything.",
            )
        return self.stored[0].tensor


@dataclass(frozen=True, eq=False)
class ModuleCall:
    """One call of one module: which ops ran inside it and which of them made its outputs.

    ``first`` and ``last`` bound the ops run inside, ``last`` exclusive; they are equal for a
    module that ran none (``nn.Identity``). ``outputs`` are ``(op index, output)`` pairs, in
    the order of the flattened output.
    """

    name: str
    path: str
    module_type: str
    number: int
    first: int
    last: int
    outputs: tuple[tuple[int, int], ...]
    leaf: bool
    stored: tuple[Stored | None, ...] = dataclasses.field(default=(), repr=False)

    @property
    def values(self) -> tuple[Tensor | None, ...]:
        """Every output as it was when it was computed; ``None`` where it was not kept."""
        return tuple(None if s is None else s.tensor for s in self.stored)

    @property
    def value(self) -> Tensor:
        """The first output tensor of the call, as it was when the module returned."""
        if not self.stored or self.stored[0] is None:
            raise NotKeptError(
                f"the value of `{self.name}` was not kept in this trace",
                hint=f"Trace again with keep=[..., {self.name!r}], or without `keep` to keep everything.",
            )
        return self.stored[0].tensor
