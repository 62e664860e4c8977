"""Connections that do not wait for ever, and refuse what is no HTTP in the same form as everything else."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from convscope.desk.answers import error_bytes
from convscope.page.settings import Bounds
from convscope.page.shield import HEADERS


class PatientProtocol(H11Protocol):
    """uvicorn's protocol with a deadline for heads and a bound on connections.

    uvicorn itself leaves a connection open for as long as its request is not whole.
    """

    bounds = Bounds()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request, or close at once where there are too many connections."""
        super().connection_made(transport)
        if len(self.connections) > self.bounds.connections:
            transport.abort()
            return
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._unwatch()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take a part of a request; the deadline goes on where it is not yet a whole head."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """After an answer the next request, too, has its deadline."""
        super().on_response_complete()
        self._watch()

    def _watch(self) -> None:
        waits = self.cycle is None or self.cycle.response_complete
        if not waits or self.transport.is_closing():
            self._unwatch()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.bounds.head_seconds, self._too_late)

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        body = error_bytes("no_http", "this is no valid HTTP request")
        headers = [
            *HEADERS.items(),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        for event in (
            h11.Response(status_code=400, headers=headers),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def patient(bounds: Bounds) -> type[PatientProtocol]:
    """The protocol with the bounds of one server."""
    return type("PatientProtocol", (PatientProtocol,), {"bounds": bounds})
