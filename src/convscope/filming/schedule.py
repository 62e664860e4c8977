"""Which steps of a training are kept: many early ones, when filters form, and fewer later.

It depends on nothing but the step before, so that a training that goes on chooses as one that was never
interrupted.
"""

from __future__ import annotations

#: Frames for each doubling of the step, before an epoch is over (or all along, where its length is unknown).
_A_DOUBLING = 2
_A_DOUBLING_ALONE = 4
#: About so many frames a training of known length has after its first epoch.
_LATER = 48


def next_due(last: int, every: int | None = None) -> int:
    """The step to be kept after ``last``.

    Parameters
    ----------
    last
        The step kept last; -1 before the first.
    every
        From step ``every`` on, its multiples are kept (an epoch, say); before it, two steps a doubling.
        ``None``: four steps a doubling, without end.

    Examples
    --------
    >>> steps = [-1]
    >>> while steps[-1] < 135:
    ...     steps.append(next_due(steps[-1], every=45))
    >>> steps[1:]
    [0, 1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 90, 135]
    >>> next_due(100), next_due(10**6)
    (108, 1048576)
    """
    if last < 0:
        return 0
    if every is not None and last >= every:
        return (last // every + 1) * every
    a_doubling = _A_DOUBLING_ALONE if every is None else _A_DOUBLING
    place = a_doubling * max(0, last.bit_length() - 1)
    while (due := round(2 ** (place / a_doubling))) <= last:
        place += 1
    return due if every is None else min(due, every)


def epochs_apart(epochs: int) -> int:
    """Epochs between two frames of a training of so many.

    Examples
    --------
    >>> epochs_apart(12), epochs_apart(100)
    (1, 3)
    """
    return max(1, -(-epochs // _LATER))
