"""A test part for data that has none: the same one for the same seed, on every machine and for ever."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
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


def choose_test(names: Sequence[str], classes: Iterable[object], seed: int) -> list[bool]:
    """Which items are kept apart for testing: of each class a fifth, rounded, and one at least of two.

    The order of a class is that of a keyed hash of the names, so it depends on nothing else: not on the
    order they come in, not on a library's random numbers.

    Parameters
    ----------
    names
        A name for each item, which must not repeat.
    classes
        The class of each item.

    Examples
    --------
    >>> chosen = choose_test([f"{i}.png" for i in range(10)], "aaaaabbbbb", seed=0)
    >>> sum(chosen[:5]), sum(chosen[5:])
    (1, 1)
    """
    key = f"convscope split {seed}".encode()
    groups: dict[object, list[tuple[bytes, int]]] = defaultdict(list)
    for place, (name, class_) in enumerate(zip(names, classes, strict=True)):
        groups[class_].append((blake2b(fsencode(name), digest_size=16, key=key).digest(), place))
    chosen = [False] * len(names)
    for group in groups.values():
        count = max(round(len(group) * TEST_SHARE), int(len(group) > 1))
        for _, place in sorted(group)[:count]:
            chosen[place] = True
    return chosen


def parted(items: Sequence[Item], chosen: Sequence[bool]) -> tuple[list[Item], list[Item]]:
    """Those not chosen, and those chosen, each in order.

    Examples
    --------
    >>> parted("abc", [False, True, False])
    (['a', 'c'], ['b'])
    """
    rest = [item for item, is_chosen in zip(items, chosen, strict=True) if not is_chosen]
    return rest, [item for item, is_chosen in zip(items, chosen, strict=True) if is_chosen]
