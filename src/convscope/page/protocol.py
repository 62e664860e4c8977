"""Connections that do not wait for ever, and refuse what is no HTTP in the same form as everything else."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from convscope.desk.answers import error_bytes
from convscope.page.settings import Bounds
from convscope.page.shield import HEADERS

#: A deadline that is noticed so late says nothing about the other side: this process was stopped, or starved.
STALL_SECONDS = 1.0


class PatientProtocol(H11Protocol):
    """uvicorn's protocol with a deadline for whatever a connection awaits, and a bound on connections.

    uvicorn itself leaves a connection open for as long as its request is not whole; and one answered before
    its body had come (no place for another photo) it would close while the body is still being sent, which
    takes the answer with it.
    """

    bounds = Bounds()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self._awaited: str | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request, or close at once where there are too many connections."""
        super().connection_made(transport)
        if len(self.connections) > self.bounds.connections:
            transport.abort()
            return
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._wait_for(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take a part of a request; the deadline goes on where it is not yet a whole head."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """After an answer the next request, too, has its deadline."""
        super().on_response_complete()
        # uvicorn's own patience knows one span for everything, and no body that comes after the answer.
        self._unset_keepalive_if_required()
        self._watch()

    def _watch(self) -> None:
        """Set the deadline of what is awaited now; one that is set already goes on."""
        awaited = None if self.transport.is_closing() else self._awaits()
        if awaited != self._awaited:
            self._wait_for(awaited)

    def _awaits(self) -> str | None:
        if self.cycle is not None and not self.cycle.response_complete:
            return None  # whoever answers has deadlines of their own
        if self.conn.their_state is h11.SEND_BODY:
            return "body"  # of a request that was answered before it had come as a whole
        fresh = self.cycle is None
        return "head" if fresh or self.conn.trailing_data[0] else "request"

    def _wait_for(self, awaited: str | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._awaited, self._deadline = awaited, None
        if awaited is not None:
            bounds = self.bounds
            spans = {"head": bounds.head_seconds, "body": bounds.body_seconds, "request": bounds.idle_seconds}
            due = self.loop.time() + spans[awaited]
            self._deadline = self.loop.call_at(due, self._too_late, due)

    def _too_late(self, due: float) -> None:
        awaited, self._awaited, self._deadline = self._awaited, None, None
        if self.transport.is_closing():
            return
        if self.loop.time() - due > STALL_SECONDS:
            # It was this process that stood still, and what is awaited may well be there to be read.
            self._watch()
        elif awaited == "request":
            self.transport.close()
        else:
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
