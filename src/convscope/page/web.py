"""Small words of HTTP that the routes share."""

from __future__ import annotations

import gzip
import zlib

from starlette.requests import Request
from starlette.responses import Response

from convscope.page.state import State

JSON = "application/json"
BINARY = "application/octet-stream"
#: Below so many bytes packing is not worth its while.
WORTH_PACKING = 1024


def state_of(request: Request) -> State:
    """What the server holds."""
    state: State = request.app.state.convscope
    return state


def packs(request: Request) -> bool:
    """Whether the other side takes gzip.

    Only the name counts: a browser that takes it says so without conditions.
    """
    accepted = request.headers.get("accept-encoding", "")
    return any(part.strip().lower() == "gzip" for part in accepted.split(","))


def packed_response(request: Request, packed: bytes, kind: str) -> Response:
    """Bytes that are kept packed, unpacked for whoever does not take them so."""
    headers = {"vary": "Accept-Encoding"}
    if packs(request):
        return Response(packed, media_type=kind, headers={**headers, "content-encoding": "gzip"})
    return Response(gzip.decompress(packed), media_type=kind, headers=headers)


def pack(data: bytes, level: int = 1) -> bytes:
    """``data`` as gzip: quickly, or at a higher ``level`` in fewer bytes."""
    packer = zlib.compressobj(level, zlib.DEFLATED, 31, 8, zlib.Z_DEFAULT_STRATEGY)
    return packer.compress(data) + packer.flush()
