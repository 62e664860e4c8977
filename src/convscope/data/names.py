"""Names as people may safely see them."""

from __future__ import annotations

import os
import unicodedata


def printable(name: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> str:
    r"""``name`` with everything that is not printable written as an escape.

    Line breaks, terminal codes, marks that turn the direction of writing and bytes that are
    not UTF-8 become ``\n``, ``\x1b``, ``\u202e``, ``\xff``. The result can be printed, encoded
    and put in one line; it is *not* escaped for HTML.

    Examples
    --------
    >>> printable("cat\nrm.png")
    'cat\\nrm.png'
    >>> printable(b"caf\xe9.png")
    'caf\\xe9.png'
    >>> printable("Zürich.jpg")
    'Zürich.jpg'
    """
    text = os.fsdecode(name)
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)


def composed(name: str) -> str:
    r"""``name`` with each accent and its letter as one character, as most systems write them; macOS does not.

    Examples
    --------
    >>> composed("cafe\N{COMBINING ACUTE ACCENT}") == "caf\N{LATIN SMALL LETTER E WITH ACUTE}"
    True
    """
    return unicodedata.normalize("NFC", name)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # os.fsdecode hides a byte that is not UTF-8 here
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
