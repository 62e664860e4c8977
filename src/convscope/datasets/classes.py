"""Choosing classes by name."""

from __future__ import annotations

from collections.abc import Sequence

from convscope.data.names import composed, printable
from convscope.datasets.problems import listed
from convscope.errors import DatasetError, UsageError, nearest


def choose_classes(wanted: Sequence[str] | None, known: Sequence[str], name: str) -> tuple[str, ...]:
    """The classes a person wants, in their order, once it is plain that all are there.

    Raises
    ------
    DatasetError
        ``no_such_class``, with the nearest names.
    UsageError
        If a class is named twice.

    Examples
    --------
    >>> choose_classes(["ship", "cat"], ["cat", "dog", "ship"], "cifar10")
    ('ship', 'cat')
    >>> choose_classes(None, ["cat", "dog"], "pets")
    ('cat', 'dog')
    """
    if wanted is None:
        return tuple(known)
    wanted = _joined([composed(one) for one in wanted], known)
    for one in wanted:
        if one not in known:
            near = nearest(one, known) or nearest(one.lower(), known)
            hint = f"Did you mean {', '.join(map(printable, near))}?" if near else f"It has {_all(known)}."
            raise DatasetError(
                f"`{name}` has no class `{printable(one)}`", code="no_such_class", hint=hint
            )  # fmt: skip
    if len(set(wanted)) != len(wanted):
        twice = next(one for one in wanted if list(wanted).count(one) > 1)
        raise UsageError(f"the class `{printable(twice)}` is named twice")
    return tuple(wanted)


def distinct(names: Sequence[str]) -> tuple[str, ...]:
    """The names, with a number after each that stood before: what has one name cannot be told apart.

    Examples
    --------
    >>> distinct(["crane", "crane", "dog"])
    ('crane', 'crane (2)', 'dog')
    """
    found: dict[str, None] = {}
    for name in names:
        number, one = 1, name
        while one in found or (number > 1 and one in names):
            number += 1
            one = f"{name} ({number})"
        found[one] = None
    return tuple(found)


def _joined(wanted: list[str], known: Sequence[str]) -> list[str]:
    """The names wanted, put together again where a comma within a name has taken one apart.

    Examples
    --------
    >>> _joined(["cat", "x", "y"], ["cat", "x,y"]), _joined(["cat", "x"], ["cat", "x, y"])
    (['cat', 'x,y'], ['cat', 'x'])
    """
    names = set(known)
    found: list[str] = []
    while len(found) < len(wanted):
        first = len(found)
        for end in range(len(wanted), first + 1, -1):
            whole = {mark.join(wanted[first:end]) for mark in (",", ", ")} & names
            if whole:
                wanted = [*wanted[:first], whole.pop(), *wanted[end:]]
                break
        found.append(wanted[first])
    return found


def _all(known: Sequence[str]) -> str:
    return listed((printable(one) for one in known), shown=20)
