"""What is known of one value: where it comes from, term by term, and whether the sum is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Cell:
    """One value of one op: ``channel`` and, for a map, ``at`` = (row, column); ``output`` counts outputs."""

    op: str
    channel: int
    at: tuple[int, ...] | None = None
    batch: int = 0
    output: int = 0

    def __str__(self) -> str:
        place = "" if self.at is None else f" at {', '.join(map(str, self.at))}"
        return f"{self.op} channel {self.channel}{place}"


@dataclass(frozen=True)
class Term:
    """One summand (or, for a maximum, one candidate).

    ``value`` is what it adds. ``cell`` is where its input stands (``None`` for numbers that
    are not values of an op); for a sum over a whole kernel it is the cell of the largest
    product. ``input`` and ``weight`` are the factors, where the term is a single product.
    """

    label: str
    value: float
    cell: Cell | None = None
    input: float | None = None
    weight: float | None = None


@dataclass(frozen=True, eq=False)
class Arithmetic:
    """How one value of a network comes about, checked against the value the network computed.

    Parameters
    ----------
    cell, kind, dtype
        Which value of which op.
    value
        As recorded.
    total
        The same, computed here from the recorded inputs and the weights, in float64.
    terms
        What the total is made of, largest first: one an input channel for a convolution, one
        an input for other sums; for a maximum the winner first.
    bias
        Added after the terms; ``None`` where the op has none.
    formula
        In words a person can check: ``Σ input · weight + bias``.
    quantities
        Further numbers of the formula by name (``mean``, ``var``, ``eps``, ``divisor``).
    tolerance
        How far the network's value may lie from ``total`` by rounding alone (see
        :mod:`convscope.numerics.rounding`); 0 where a value is only copied or picked.
    inputs, weights, products
        Convolutions: ``float64 [channels, *kernel]``, ``products = inputs * weights``, 0 in the
        padding. Linear: ``[features]``.
    places
        Convolutions: for each kernel axis the input rows (columns) its entries stand on; outside
        the map they are padding.
    first_channel
        Convolutions: the input channel of ``inputs[0]``, above 0 where there are groups.
    source
        Name of the op the inputs come from, where they come from one.
    notes
        Sentences to be shown with it.
    """

    cell: Cell
    kind: str
    dtype: str
    value: float
    total: float
    terms: Sequence[Term]
    formula: str
    tolerance: float
    bias: float | None = None
    quantities: Mapping[str, float] = field(default_factory=dict)
    inputs: NDArray[np.float64] | None = field(default=None, repr=False)
    weights: NDArray[np.float64] | None = field(default=None, repr=False)
    products: NDArray[np.float64] | None = field(default=None, repr=False)
    places: tuple[tuple[int, ...], ...] = ()
    first_channel: int = 0
    source: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether value and total differ by no more than rounding; two NaN or equal infinities agree."""
        if self.value == self.total or (self.value != self.value and self.total != self.total):
            return True
        if not (isfinite(self.value) and isfinite(self.total)):
            return False
        return abs(self.value - self.total) <= self.tolerance

    @property
    def parents(self) -> tuple[Cell, ...]:
        """Where to look upstream: the cells of the terms, largest first, each once."""
        return tuple(dict.fromkeys(term.cell for term in self.terms if term.cell is not None))

    def __str__(self) -> str:
        from convscope.tracing.arithmetic_text import format_arithmetic

        return format_arithmetic(self)
