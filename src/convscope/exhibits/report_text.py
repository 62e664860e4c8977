"""Bytes as printable text, 13 bits in two characters: a tenth shorter than base64.

The characters are the 91 of printable ASCII that mean nothing in HTML (no space, ``<``, ``>``, ``&``);
91 x 91 pairs can say 8192 things. The first character tells how many bytes at the end are padding.
The idea of 13 bits in a pair is J. Henke's basE91 (2005), here in blocks of 13 bytes.
"""

from __future__ import annotations

import numpy as np

ALPHABET = "".join(chr(code) for code in range(33, 127) if chr(code) not in "<>&")
_BLOCK = 13
_PAIRS = 8
_CODES = np.frombuffer(ALPHABET.encode("ascii"), np.uint8)
# Both characters of each of the 8192 pairs, as one number.
_TABLE = np.stack([_CODES[np.arange(1 << 13) // 91], _CODES[np.arange(1 << 13) % 91]], axis=1).view(
    np.uint16
)[:, 0]


def to_text(data: bytes) -> str:
    """``data`` as text of 16 characters for 13 bytes.

    Examples
    --------
    >>> to_text(b""), to_text(b"abc")
    ('!', ',(c*g!!!!!!!!!!!!')
    >>> from_text(to_text(b"abc"))
    b'abc'
    """
    padding = -len(data) % _BLOCK
    blocks = np.zeros(((len(data) + padding) // _BLOCK, 16), np.uint8)
    blocks[:, :_BLOCK] = np.frombuffer(data + bytes(padding), np.uint8).reshape(-1, _BLOCK)
    low, high = blocks.view("<u8").T
    numbers = np.empty((len(blocks), _PAIRS), np.uint16)
    for pair in range(_PAIRS):
        start = 13 * pair
        if start < 52:
            bits = low >> np.uint64(start)
        elif start == 52:
            bits = low >> np.uint64(52) | high << np.uint64(12)
        else:
            bits = high >> np.uint64(start - 64)
        numbers[:, pair] = bits & np.uint64(8191)
    return ALPHABET[padding] + _TABLE[numbers].tobytes().decode("ascii")


def from_text(text: str) -> bytes:
    """The bytes :func:`to_text` was given, as the page reads them."""
    places = {character: place for place, character in enumerate(ALPHABET)}
    codes = [places[character] for character in text]
    padding, pairs = codes[0], codes[1:]
    bits, held, found = 0, 0, bytearray()
    for first, second in zip(pairs[::2], pairs[1::2], strict=True):
        bits |= (first * 91 + second) << held
        held += 13
        while held >= 8:
            found.append(bits & 255)
            bits >>= 8
            held -= 8
    return bytes(found[: len(found) - padding])
