"""Tables for the terminal.

Laid out here and not by rich, which cuts and wraps names to fit; a layer's name is there
to be typed again, so it is always whole.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from convscope.cli.options import say
from convscope.data.names import printable

if TYPE_CHECKING:
    from convscope.models import Card


def width() -> int | None:
    """Columns of the terminal, ``None`` where the output is no terminal and lines may be of any length."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def cells(text: str) -> int:
    """Columns ``text`` takes on a terminal.

    Examples
    --------
    >>> cells("conv1"), cells("層")
    (5, 2)
    """
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def lay_out(
    rows: Sequence[Sequence[str]], right: Iterable[int] = (), *, gap: int = 2, most: Mapping[int, int] = {}
) -> list[str]:
    """Lines of a table; the first row may be its head.

    A cell wider than its column may be (``most``) stands on a line of its own, whole, with the rest of its
    row below it.

    Parameters
    ----------
    right
        Numbers of the columns set flush right.
    gap
        Spaces between columns.
    most
        Largest width by column number, for columns that may be narrower than their widest cell.

    Examples
    --------
    >>> for line in lay_out([["name", "size"], ["conv1", "9"], ["fc", "100"]], right=[1]):
    ...     print(line)
    name   size
    conv1     9
    fc      100
    >>> lay_out([["layer1.0.conv1", "9"], ["fc", "100"]], right=[1], most={0: 4})
    ['layer1.0.conv1', '        9', 'fc    100']
    """
    # A line break within a name would break the table.
    rows = [[printable(cell) for cell in row] for row in rows]
    flush = set(right)
    widths = [
        min(max((cells(row[i]) for row in rows), default=0), most.get(i, 1 << 30))
        for i in range(len(rows[0]))
    ]
    lines = []
    for row in rows:
        shown = list(row)
        for i, cell in enumerate(row):
            if cells(cell) > widths[i]:
                before = sum(widths[:i]) + gap * i
                lines.append(" " * before + cell if i == 0 else _line(shown[:i], widths, flush, gap, cell))
                shown[: i + 1] = [""] * (i + 1)
        lines.append(_line(shown, widths, flush, gap))
    return lines


def _line(row: Sequence[str], widths: Sequence[int], right: set[int], gap: int, last: str = "") -> str:
    parts = []
    for i, cell in enumerate(row):
        space = " " * (widths[i] - cells(cell))
        parts.append(space + cell if i in right else cell + space)
    return (" " * gap).join([*parts, *([last] if last else [])]).rstrip()


def print_table(rows: Sequence[Sequence[str]], right: Iterable[int] = (), **options: Any) -> None:
    """Print rows under a head (their first), with a line between."""
    head, *lines = lay_out(rows, right, **options)
    say(head, strong=True)
    say("─" * max(cells(line) for line in (head, *lines)))
    for line in lines:
        say(line)


def print_predictions(
    image: str, card: Card, answers: Sequence[Mapping[str, Any]], why_none: str = ""
) -> None:
    """The answers of a network as bars, or why it gives none."""
    weights = "random weights: the answers mean nothing" if card.random else f"weights: {card.weights}"
    say(f"{image} through {card.name} ({weights})", strong=True)
    if not answers:
        say(f"  {why_none or 'this model gives no class scores'}")
        return
    room = max(12, (width() or 100) - 26)
    longest = min(room, max(cells(a["label"]) for a in answers))
    for answer in answers:
        label = answer["label"] if cells(answer["label"]) <= longest else answer["label"][: longest - 1] + "…"
        bar = _bar(answer["probability"], min(30, max(0, (width() or 100) - longest - 13)))
        say(f"  {label}{' ' * (longest - cells(label))}  {answer['probability']:>7.2%}  {bar}".rstrip())


def _bar(share: float, longest: int) -> str:
    eighths = round(share * longest * 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def print_models(entries: Sequence[Any]) -> None:
    """Names of models, where they come from and whether trained weights exist."""
    rows = [[e.name, e.source, "yes" if e.weights else "no", e.note or _family(e)] for e in entries]
    print_table([["name", "from", "trained weights", "note"], *rows])


def _family(entry: Any) -> str:
    return "" if entry.family == "classification" else entry.family.replace("_", " ")
