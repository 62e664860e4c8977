"""Terms of long sums as columns of numbers: each becomes a :class:`Term` only when it is looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from convscope.tracing.arithmetic.result import Cell, Term

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells of one op, one a term: ``channels [count]``, ``at [count, axes]`` (``None`` for no map).

    ``known`` is false where a term has none: its input lies in the padding.
    """

    op: str
    output: int
    batches: NDArray[np.int64]
    channels: NDArray[np.int64]
    at: NDArray[np.int64] | None
    known: NDArray[np.bool_]

    def cell(self, place: int) -> Cell | None:
        """The cell of one term."""
        if not self.known[place]:
            return None
        at = None if self.at is None else tuple(self.at[place].tolist())
        return Cell(self.op, int(self.channels[place]), at, int(self.batches[place]), self.output)

    def take(self, order: NDArray[np.int64]) -> Cells:
        """The same in another order."""
        at = None if self.at is None else self.at[order]
        batches, channels, known = self.batches[order], self.channels[order], self.known[order]
        return Cells(self.op, self.output, batches, channels, at, known)


@dataclass(frozen=True, eq=False)
class Terms(Sequence[Term]):
    """The terms of a sum, equal to a tuple of the same; a slice of them is a tuple.

    Parameters
    ----------
    word, numbers
        Labels: ``channel 3`` is word and number.
    values
        ``float64 [count]``: what each adds.
    inputs, weights
        ``float64 [count]``, where each term is a single product.
    cells
        Where the inputs stand; ``None`` where they are no values of an op.

    Examples
    --------
    >>> import numpy as np
    >>> terms = Terms("input", np.arange(3), np.array([0.5, -2.0, 1.0])).ordered()
    >>> len(terms), terms[0].label, [term.value for term in terms[1:]]
    (3, 'input 1', [1.0, 0.5])
    """

    word: str
    numbers: NDArray[np.int64]
    values: NDArray[np.float64]
    inputs: NDArray[np.float64] | None = None
    weights: NDArray[np.float64] | None = None
    cells: Cells | None = None

    def ordered(self) -> Terms:
        """Largest first, those that are not a number among the infinite; else in the order they have."""
        import numpy as np

        size = np.where(np.isnan(self.values), np.inf, np.abs(self.values))
        order = np.argsort(-size, kind="stable")
        return Terms(
            self.word,
            self.numbers[order],
            self.values[order],
            None if self.inputs is None else self.inputs[order],
            None if self.weights is None else self.weights[order],
            None if self.cells is None else self.cells.take(order),
        )

    def label(self, place: int) -> str:
        """Label of one term."""
        return f"{self.word} {self.numbers[place]}"

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, place: int) -> Term: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Term, ...]: ...
    def __getitem__(self, place: int | slice) -> Term | tuple[Term, ...]:
        if isinstance(place, slice):
            return tuple(self[i] for i in range(*place.indices(len(self))))
        place = range(len(self))[place]
        return Term(
            self.label(place),
            float(self.values[place]),
            None if self.cells is None else self.cells.cell(place),
            None if self.inputs is None else float(self.inputs[place]),
            None if self.weights is None else float(self.weights[place]),
        )

    def __iter__(self) -> Iterator[Term]:
        return (self[place] for place in range(len(self)))

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, (tuple, Terms)) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))
