"""What a data set is once it is read: classes, and two parts of labelled pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from convscope.datasets.problems import Problem
from convscope.datasets.split import Split

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Dataset:
    """Pictures with classes, in a part to train on and a part kept apart.

    Parameters
    ----------
    name
        What it was asked for by.
    classes
        Names of the classes; a label is an index into them.
    train, test
        The two parts. No picture file is in both.
    split
        ``"given"``, or how the test part was made: ``"seeded 20% (seed 0)"``.
    notes
        One sentence for each thing that changes what a number means (resized, JPEG copy).
    found
        Problems met while reading it.

    Examples
    --------
    >>> from convscope.datasets import load_dataset
    >>> digits = load_dataset("digits")
    >>> len(digits.classes), digits.train.shape, digits.split
    (10, (8, 8, 1), 'seeded 20% (seed 0)')
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    test: Split
    split: str = "given"
    notes: tuple[str, ...] = ()
    found: tuple[Problem, ...] = ()

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with it, what streaming has met since included."""
        return (*self.found, *self.train.problems, *self.test.problems)

    @property
    def parts(self) -> dict[str, Split]:
        """``{"train": ..., "test": ...}``."""
        return {"train": self.train, "test": self.test}

    def counts(self, split: Split) -> NDArray[np.int64]:
        """``int64`` array of shape ``(classes,)``: pictures of each class in ``split``."""
        import numpy as np

        return np.bincount(split.labels, minlength=len(self.classes)).astype(np.int64)
