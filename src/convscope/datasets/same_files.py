"""Files of a folder or zip that hold the same bytes, found without decoding them.

Only files of one length, whose last bytes agree too (in a zip, whose checksum does), are read whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from hashlib import blake2b

from convscope.datasets.settings import Progress
from convscope.datasets.trees import Tree


def same_files(tree: Tree, files: Sequence[str], on_progress: Progress) -> list[int]:
    """For each file the place of the first with the same bytes, its own if it is the first or alone.

    A file that cannot be read is like no other.

    Parameters
    ----------
    on_progress
        Called now and then with how many files were looked at, and of how many.
    """
    first = list(range(len(files)))
    done = 0

    def read(look: Callable[[str], bytes], place: int) -> Hashable:
        nonlocal done
        done += 1
        if done % 1024 == 0:
            on_progress(min(done, len(files)), len(files))
        found = look(files[place])
        return found or place

    # Empty files have nothing in common but that they cannot be read.
    for length in _groups(first, lambda place: tree.length(files[place]) or -1 - place):
        for mark in _groups(length, lambda place: read(tree.mark, place)):
            for group in _groups(mark, lambda place: _digest(tree, files[place]) or place):
                for place in group:
                    first[place] = group[0]
    return first


def _groups(places: Iterable[int], key: Callable[[int], Hashable]) -> list[list[int]]:
    """Places that have a key in common with another."""
    found: dict[Hashable, list[int]] = defaultdict(list)
    for place in places:
        found[key(place)].append(place)
    return [group for group in found.values() if len(group) > 1]


def _digest(tree: Tree, name: str) -> bytes:
    """Hash of all bytes of a file; empty if it cannot be read."""
    hashed = blake2b(digest_size=16)
    try:
        for piece in tree.pieces(name):
            hashed.update(piece)
    except OSError:
        return b""
    return hashed.digest()
