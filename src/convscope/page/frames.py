"""Messages between the server and its workers: a JSON head and raw bytes. Never a pickle.

A worker handles what strangers made; should one be taken over, what it can send back is
still only text and numbers.
"""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO

_LENGTHS = struct.Struct(">IQ")
HEAD_LIMIT = 1 << 20
BLOB_LIMIT = 1 << 31


def packed(head: dict[str, Any], size: int) -> bytes:
    """Lengths and head of a message whose blob of ``size`` bytes follows.

    Examples
    --------
    >>> packed({"id": 1}, 5)
    b'\\x00\\x00\\x00\\x08\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x05{"id":1}'
    """
    text = json.dumps(head, allow_nan=False, separators=(",", ":")).encode("ascii")
    return _LENGTHS.pack(len(text), size) + text


def lengths(data: bytes) -> tuple[int, int]:
    """Lengths of a message's head and blob, from its first :data:`PREFIX` bytes.

    Raises
    ------
    ValueError
        If they are beyond all reason, so that the other side cannot be believed.
    """
    head, blob = _LENGTHS.unpack(data)
    if head > HEAD_LIMIT or blob > BLOB_LIMIT:
        raise ValueError(f"a message of {head} + {blob} bytes")
    return head, blob


PREFIX = _LENGTHS.size


def write_frame(stream: BinaryIO, head: dict[str, Any], blob: bytes | memoryview = b"") -> None:
    """Send one message."""
    stream.write(packed(head, len(blob)))
    stream.write(blob)
    stream.flush()


def read_frame(stream: BinaryIO) -> tuple[dict[str, Any], bytes]:
    """Wait for one message.

    Raises
    ------
    EOFError
        If the other side is gone.
    """
    head, blob = lengths(_exactly(stream, PREFIX))
    return json.loads(_exactly(stream, head)), _exactly(stream, blob)


def _exactly(stream: BinaryIO, count: int) -> bytes:
    data = stream.read(count) if count else b""
    if len(data) < count:
        raise EOFError
    return data
