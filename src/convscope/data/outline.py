"""How many scans, frames and pieces a file has, found by stepping over it without decoding.

Asking the decoder for these means running it, which is what the limits are there to prevent.
Every walk here is linear in the file and ends after a fixed number of steps.

References: JPEG markers, ITU-T T.81 annex B; PNG chunks, ISO/IEC 15948 clause 5; GIF blocks,
GIF89a specification; RIFF container and VP8 headers, RFC 9649; image file directories, TIFF 6.0 section 2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from convscope.data.kinds import GIF, JPEG, PNG, TIFF, WEBP, Format

MOST_PIECES = 100_000  # 32 MiB of the smallest pieces are millions, and cost a decoder half a minute
MOST_FRAMES = 1000

# Restart markers and stuffed zeros stand inside the coded data and carry no length.
_MARKER = re.compile(rb"\xff([^\x00\x01\xff\xd0-\xd8])", re.DOTALL)


@dataclass(frozen=True)
class Outline:
    """What a file is made of.

    ``scans`` of a JPEG; ``frames`` of a GIF or TIFF, ``more_frames`` if counting stopped
    there; ``size`` (width, height) of a GIF's or WebP's canvas, ``None`` for other formats;
    ``overlong`` if the file has so many small pieces that it is not worth decoding.
    """

    scans: int = 1
    frames: int = 1
    more_frames: bool = False
    size: tuple[int, int] | None = None
    overlong: bool = False


def outline(data: bytes, form: Format) -> Outline:
    """Walk over ``data``, a file that starts like ``form``. Never raises: a walk ends where it fails.

    Examples
    --------
    >>> from convscope.data.kinds import GIF
    >>> outline(b"GIF89a" + bytes(7) + (b"," + bytes(10) + bytes(1)) * 3 + b";", GIF).frames
    3
    """
    walk = {JPEG: _jpeg, PNG: _png, GIF: _gif, TIFF: _tiff, WEBP: _webp}.get(form)
    return walk(data) if walk else Outline()


def _jpeg(data: bytes) -> Outline:
    scans, position = 0, 2
    for _ in range(MOST_PIECES):
        found = _MARKER.search(data, position)
        if found is None or found[1] == b"\xd9":
            return Outline(scans=max(scans, 1))
        scans += found[1] == b"\xda"
        position = found.end() + max(2, int.from_bytes(data[found.end() : found.end() + 2], "big"))
    return Outline(scans=scans, overlong=True)


def _png(data: bytes) -> Outline:
    position = 8
    for _ in range(MOST_PIECES):
        if position >= len(data):
            return Outline()
        position += 12 + int.from_bytes(data[position : position + 4], "big")
    return Outline(overlong=True)


def _gif(data: bytes) -> Outline:
    size = _little(data[6:8]), _little(data[8:10])
    frames, steps = 0, 0
    try:
        position = 13 + _palette_bytes(data[10])
        while frames < MOST_FRAMES and data[position] in b"\x21\x2c":
            if data[position] == 0x2C:
                frames += 1
                position += 11 + _palette_bytes(data[position + 9])
            else:
                position += 2
            while block := data[position]:
                position += block + 1
                steps += 1
                if steps > MOST_PIECES:
                    return Outline(frames=max(frames, 1), more_frames=True, size=size, overlong=frames == 0)
            position += 1
    except IndexError:
        return Outline(frames=max(frames, 1), size=size)
    return Outline(frames=max(frames, 1), more_frames=frames == MOST_FRAMES, size=size)


def _palette_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _tiff(data: bytes) -> Outline:
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    big = 43 in data[2:4]
    word, counter, entry = (8, 8, 20) if big else (4, 2, 12)

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)

    frames, seen, position = 0, set[int](), number(8 if big else 4, word)
    while 0 < position < len(data) and position not in seen and frames < MOST_FRAMES:
        seen.add(position)
        frames += 1
        position = number(position + counter + entry * number(position, counter), word)
    return Outline(frames=max(frames, 1), more_frames=frames == MOST_FRAMES)


def _webp(data: bytes) -> Outline:
    if data[12:16] == b"VP8X":
        return Outline(size=(1 + _little(data[24:27]), 1 + _little(data[27:30])))
    if data[12:16] == b"VP8L":
        packed = _little(data[21:25])
        return Outline(size=(1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF)))
    return Outline(size=(_little(data[26:28]) & 0x3FFF, _little(data[28:30]) & 0x3FFF))


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")
