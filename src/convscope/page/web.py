"""Small words of HTTP that the routes share."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from convscope.desk.answers import PageError
from convscope.page.state import State

JSON = "application/json"
BINARY = "application/octet-stream"
#: Below so many bytes packing is not worth its while.
WORTH_PACKING = 1024

Found = TypeVar("Found")


def state_of(request: Request) -> State:
    """What the server holds."""
    state: State = request.app.state.convscope
    return state


async def while_there(request: Request, work: Coroutine[Any, Any, Found]) -> Found:
    """What ``work`` finds; it is cancelled once whoever asked has gone away.

    Raises
    ------
    PageError
        410 if they have, which nobody reads.
    """
    tasks = asyncio.create_task(work), asyncio.create_task(_gone(request))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():
            return tasks[0].result()
        raise PageError(410, "given_up", "this was given up")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


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
