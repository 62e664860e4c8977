"""What is wrong with a data set though it can be used: said once a kind, with a count and names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_SHOWN = 3


@dataclass(frozen=True)
class Problem:
    """One kind of trouble.

    Parameters
    ----------
    code
        ``unreadable``, ``not_a_picture``, ``not_a_file``, ``unsafe_name``, ``packed_too_tightly``,
        ``linked_twice``, ``outside_classes``, ``empty_class``, ``class_only_in_test``, ``unused_split``,
        ``one_class``, ``nothing_to_test``, ``in_train_and_test``, ``in_two_classes``, ``repeated_name`` or
        ``run_folder``.
    message
        One sentence that counts them and names the first few.
    names
        All of them, printable: files, or classes.
    """

    code: str
    message: str
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The message."""
        return self.message

    @property
    def count(self) -> int:
        """How many files or classes it concerns."""
        return len(self.names)

    def as_json(self) -> dict[str, Any]:
        """The problem in plain types; of very many names the first thousand."""
        return {
            "code": self.code,
            "count": self.count,
            "message": self.message,
            "names": list(self.names[:1000]),
        }


def listed(names: Iterable[str], shown: int = _SHOWN) -> str:
    """The first names, and how many more there are.

    Examples
    --------
    >>> listed(["a", "b"]), listed("abcdef")
    ('a, b', 'a, b, c and 3 more')
    """
    every = list(names)
    more = len(every) - shown
    return ", ".join(every[:shown]) + (f" and {more:,} more" if more > 0 else "")


def counted(number: int, thing: str, things: str = "") -> str:
    """A number with its noun.

    Examples
    --------
    >>> counted(1, "file"), counted(1200, "file"), counted(2, "class", "classes")
    ('1 file', '1,200 files', '2 classes')
    """
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"
