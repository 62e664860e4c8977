"""A test part for data that has none: the same one for the same seed, on every machine and for ever."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from hashlib import blake2b
from os import fsencode
from typing import TypeVar

TEST_SHARE = 0.2
Item = TypeVar("Item")


def split_name(seed: int) -> str:
    """How such a split is recorded.

    Examples
    --------
    >>> split_name(3)
    'seeded 20% (seed 3)'
    """
    return f"seeded {TEST_SHARE:.0%} (seed {seed})"


def choose_test(
    names: Sequence[str], classes: Sequence[object], seed: int, same: Sequence[Hashable] | None = None
) -> list[bool]:
    """Which items are kept apart for testing: of each class a fifth, rounded, and one at least of two.

    The order of a class is that of a keyed hash of the names, so it depends on nothing else: not on the
    order they come in, not on a library's random numbers. It is a rank that decides and not the hash alone,
    which would leave small classes with no test picture or with half of them; so where pictures are added
    to a class, a few of the others change parts.

    Parameters
    ----------
    names
        A name for each item, which must not repeat.
    classes
        The class of each item.
    same
        For each item what it has in common with its copies, and with nothing else. Copies stay in one part;
        those of several classes are trained on.

    Examples
    --------
    >>> chosen = choose_test([f"{i}.png" for i in range(10)], "aaaaabbbbb", seed=0)
    >>> sum(chosen[:5]), sum(chosen[5:])
    (1, 1)
    """
    key = f"convscope split {seed}".encode()
    ranks = [blake2b(fsencode(name), digest_size=16, key=key).digest() for name in names]
    copies: dict[Hashable, list[int]] = defaultdict(list)
    for place, mark in enumerate(same if same is not None else range(len(names))):
        copies[mark].append(place)
    groups: dict[object, list[tuple[bytes, list[int]]]] = defaultdict(list)
    for places in copies.values():
        if len({classes[place] for place in places}) == 1:
            groups[classes[places[0]]].append((min(ranks[place] for place in places), places))
    sizes = Counter(classes)
    chosen = [False] * len(names)
    for class_, group in groups.items():
        for place in _first_fifth(sorted(group), sizes[class_]):
            chosen[place] = True
    return chosen


def _first_fifth(groups: Sequence[tuple[bytes, list[int]]], size: int) -> list[int]:
    """The first groups that together are no more than a fifth of a class; the smallest if all are more."""
    count = max(round(size * TEST_SHARE), int(size > 1))
    taken: list[int] = []
    for _, places in groups:
        if len(taken) + len(places) <= count:
            taken += places
    smallest = min((places for _, places in groups), key=len, default=[])
    return taken if taken or len(smallest) == size else smallest


def parted(items: Sequence[Item], chosen: Sequence[bool]) -> tuple[list[Item], list[Item]]:
    """Those not chosen, and those chosen, each in order.

    Examples
    --------
    >>> parted("abc", [False, True, False])
    (['a', 'c'], ['b'])
    """
    rest = [item for item, is_chosen in zip(items, chosen, strict=True) if not is_chosen]
    return rest, [item for item, is_chosen in zip(items, chosen, strict=True) if is_chosen]
