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
MOST_SEGMENTS = 2000  # of a JPEG before its first scan (a colour profile takes 255), tags of a TIFF
MOST_CAMERA_SEGMENTS = 16  # Pillow joins EXIF segments one by one, copying all it has each time
MOST_FRAMES = 1000

# Restart markers and stuffed zeros stand inside the coded data and carry no length.
_MARKER = re.compile(rb"\xff([^\x00\x01\xff\xd0-\xd8])", re.DOTALL)
_STRIP_TAGS = (273, 324)  # offsets of a TIFF's strips or tiles
_BLOCK = re.compile(rb"[!,;]")


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
    scans, segments, padding, camera, position = 0, 0, 0, 0, 2
    while segments <= MOST_PIECES:
        found = _MARKER.search(data, position)
        if found is None or found[1] == b"\xd9":
            return Outline(scans=max(scans, 1))
        segments += 1
        scans += found[1] == b"\xda"
        if scans == 0:  # Pillow itself steps over all that stands before the first scan, byte by byte
            padding += found.start() - position
            camera += data.startswith(b"Exif\0\0", found.end() + 2)
            if segments > MOST_SEGMENTS or padding > MOST_PIECES or camera > MOST_CAMERA_SEGMENTS:
                break
        position = found.end() + max(2, int.from_bytes(data[found.end() : found.end() + 2], "big"))
    return Outline(scans=max(scans, 1), overlong=True)


def _png(data: bytes) -> Outline:
    position = 8
    for _ in range(MOST_PIECES):
        if position >= len(data):
            return Outline()
        position += 12 + int.from_bytes(data[position : position + 4], "big")
    return Outline(overlong=True)


def _gif(data: bytes) -> Outline:
    size = _little(data[6:8]), _little(data[8:10])
    frames, steps, overlong = 0, 0, False
    try:
        position = 13 + _palette_bytes(data[10])
        while frames < MOST_FRAMES and steps <= MOST_PIECES and (found := _BLOCK.search(data, position)):
            steps += 1 + found.start() - position  # bytes between blocks are stepped over one by one
            overlong = steps > MOST_PIECES and frames == 0
            if found[0] == b";":
                break
            frames += found[0] == b","
            head = 11 + _palette_bytes(data[found.start() + 9]) if found[0] == b"," else 2
            position = found.start() + head
            while (length := data[position]) and steps <= MOST_PIECES:
                position += length + 1
                steps += 1
                overlong = overlong or (steps > MOST_PIECES and frames == 0)
            position += 1
    except IndexError:
        return Outline(frames=max(frames, 1), size=size, overlong=overlong)
    more = frames == MOST_FRAMES or steps > MOST_PIECES
    return Outline(frames=max(frames, 1), more_frames=more, size=size, overlong=overlong)


def _palette_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _tiff(data: bytes) -> Outline:
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    big = 43 in data[2:4]
    word, counter, entry = (8, 8, 20) if big else (4, 2, 12)

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)

    frames, seen, position = 0, set[int](), number(8 if big else 4, word)
    entries = number(position, counter)
    places = range(position + counter, len(data), entry)[: min(entries, MOST_SEGMENTS)]
    strips = max((number(at + 4, word) for at in places if number(at, 2) in _STRIP_TAGS), default=0)
    while 0 < position < len(data) and position not in seen and frames < MOST_FRAMES:
        seen.add(position)
        frames += 1
        position = number(position + counter + entry * number(position, counter), word)
    overlong = entries > MOST_SEGMENTS or strips > MOST_PIECES
    return Outline(frames=max(frames, 1), more_frames=frames == MOST_FRAMES, overlong=overlong)


def _webp(data: bytes) -> Outline:
    if data[12:16] == b"VP8X":
        return Outline(size=(1 + _little(data[24:27]), 1 + _little(data[27:30])))
    if data[12:16] == b"VP8L":
        packed = _little(data[21:25])
        return Outline(size=(1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF)))
    return Outline(size=(_little(data[26:28]) & 0x3FFF, _little(data[28:30]) & 0x3FFF))


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")
