"""The outermost layer: what it does not let through reaches nothing else.

One layer for http and websocket, deny by default, decided on the raw path and headers alone
(what later layers make of them may have been led astray by the very headers in question):

- ``Host`` must be, to the letter, one of the names this server has: in a page that has its own
  name point here (DNS rebinding) a browser sends neither Origin nor Sec-Fetch-Site.
- ``Origin`` must be this server's own and ``Sec-Fetch-Site`` say so, whatever the method.
- Everything but the page itself and its modules needs the token, in ``Authorization``.
- Bodies are counted as they come, and must come in time; so must the reader of an answer.
- Every answer, errors too, carries the headers that keep a browser strict.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Iterable, MutableMapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from convscope.desk.answers import error_bytes
from convscope.page.settings import Settings

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    b"content-security-policy": CONTENT_POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
    b"x-frame-options": b"DENY",
    b"permissions-policy": b"camera=(), microphone=(), geolocation=()",
}
#: Of a request's head, at most.
HEAD_BYTES = 32 * 1024
_DRAIN_BYTES = 8 << 20
_DRAIN_SECONDS = 2.0
_log = logging.getLogger("convscope.page")


class Refused(Exception):
    """A request that goes no further."""

    def __init__(self, status: int, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.body = error_bytes(code, message, hint)


class Shield:
    """The layer around ``app``; see the module."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self._hosts = frozenset(host.encode("ascii") for host in settings.allowed_hosts)
        self._token = b"Bearer " + settings.token.encode("ascii")
        self._bounds = settings.bounds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = _Exchange(receive, send, self._bounds.send_seconds)
        try:
            self._check(scope)
            cap, kinds = self._body_rule(scope["path"])
            _check_body(scope, cap, kinds)
            exchange.expect(cap, self._bounds.body_seconds)
            await self.app(scope, exchange.receive, exchange.send)
        except Refused as refusal:
            await exchange.refuse(refusal)
        except TimeoutError:
            raise ConnectionAbortedError("the reader of an answer took too long") from None
        except Exception as error:
            if not exchange.answered:
                # Texts of unforeseen errors may hold anything; the class is enough for the log.
                _log.error("%s %r failed: %s", scope["method"], scope["path"], type(error).__name__)
                told = "the server failed in a way it should not"
                await exchange.refuse(Refused(500, "failed", told, "This is a defect of convscope."))

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._check(scope)
            refusal = Refused(404, "no_websocket", "there are no websockets here")
        except Refused as error:
            refusal = error
        await receive()
        if "websocket.http.response" in scope.get("extensions", {}):
            headers = [*HEADERS.items(), (b"content-type", b"application/json")]
            await send(
                {"type": "websocket.http.response.start", "status": refusal.status, "headers": headers}
            )
            await send({"type": "websocket.http.response.body", "body": refusal.body})
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _check(self, scope: Scope) -> None:
        headers = scope["headers"]
        # The reader of heads counts only while one is not whole; a large one that comes at once passes it.
        if (
            sum(len(name) + len(value) for name, value in headers) + len(scope.get("query_string", b""))
            > HEAD_BYTES
        ):
            raise Refused(
                431, "too_many_bytes", f"a request's head may have at most {HEAD_BYTES // 1024} KiB"
            )
        hosts = _values(headers, b"host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            raise Refused(
                421,
                "wrong_host",
                "this server answers to its own address only",
                "Open the address that `convscope serve` printed.",
            )
        origins = _values(headers, b"origin")
        if origins and origins != [b"http://" + hosts[0]]:
            raise Refused(403, "wrong_origin", "requests from other pages are refused")
        sites = _values(headers, b"sec-fetch-site")
        if any(site not in (b"same-origin", b"none") for site in sites):
            raise Refused(403, "wrong_site", "requests from other pages are refused")
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD") and is_open(scope["path"]):
            return
        tokens = _values(headers, b"authorization")
        if len(tokens) != 1 or not hmac.compare_digest(tokens[0], self._token):
            raise Refused(
                401,
                "no_token",
                "this needs the token of this start of the server",
                "Open the address that `convscope serve` printed.",
            )

    def _body_rule(self, path: str) -> tuple[int, tuple[bytes, ...]]:
        """The most bytes a body may have, and its kinds (none: any)."""
        if path == "/api/photos":
            return self._bounds.upload_bytes, ()
        return self._bounds.json_bytes, (b"application/json",)


def is_open(path: str) -> bool:
    """Whether a path may be read without the token: the page itself, which holds nothing of anyone.

    Examples
    --------
    >>> is_open("/viewer/app.js"), is_open("/viewer/../api/start"), is_open("/api/health")
    (True, False, False)
    """
    folder, _, name = path.rpartition("/")
    return path in ("/", "/patterns") or (folder == "/viewer" and bool(name))


def _values(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    return [value.strip() for key, value in headers if key.lower() == name]


def _check_body(scope: Scope, cap: int, kinds: tuple[bytes, ...]) -> None:
    headers = scope["headers"]
    told = _values(headers, b"content-length")
    if told and told[0].isdigit() and int(told[0]) > cap:
        raise too_large(cap)
    has_body = bool(_values(headers, b"transfer-encoding")) or (bool(told) and told[0] != b"0")
    if kinds and has_body:
        given = [value.partition(b";")[0].strip().lower() for value in _values(headers, b"content-type")]
        if len(given) != 1 or given[0] not in kinds:
            raise Refused(415, "wrong_kind", f"a body here must be {b' or '.join(kinds).decode()}")


def too_large(cap: int) -> Refused:
    """A body beyond what may come."""
    size = f"{cap / (1 << 20):g} MiB" if cap >= 1 << 20 else f"{cap // 1024} KiB"
    return Refused(413, "too_many_bytes", f"a body may have at most {size} here")


class _Exchange:
    """One request and its answer: what comes in is counted and timed, what goes out gets its headers."""

    def __init__(self, receive: Receive, send: Send, send_seconds: float) -> None:
        self._receive = receive
        self._send = send
        self._send_seconds = send_seconds
        self._cap = 0
        self._left = 0
        self._until: float | None = None
        self._whole = False
        self.answered = False
        self._refused = False

    def expect(self, cap: int, seconds: float) -> None:
        """How large the body may be and how long it may take."""
        self._cap = self._left = cap
        self._until = asyncio.get_running_loop().time() + seconds

    async def receive(self) -> Message:
        if self._refused:
            return {"type": "http.disconnect"}
        if self._whole:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            return await self._cut(Refused(408, "too_slow", "the body took too long to come"))
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            self._whole = not message.get("more_body", False)
            if self._left < 0:
                return await self._cut(too_large(self._cap))
        return message

    async def _cut(self, refusal: Refused) -> Message:
        """Answer at once, and let the application believe that the other side has gone."""
        await self.refuse(refusal)
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self._refused:
            return
        if message["type"] == "http.response.start":
            self.answered = True
            _strict(message)
        async with asyncio.timeout(self._send_seconds):
            await self._send(message)

    async def refuse(self, refusal: Refused) -> None:
        if self.answered or self._refused:
            return
        self._refused = True
        headers = [
            *HEADERS.items(),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(refusal.body)).encode()),
        ]
        cut = refusal.status in (408, 413)
        if cut:
            headers.append((b"connection", b"close"))
        if refusal.status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        async with asyncio.timeout(self._send_seconds):
            await self._send({"type": "http.response.start", "status": refusal.status, "headers": headers})
            await self._send({"type": "http.response.body", "body": refusal.body, "more_body": cut})
            if cut:
                await self._drain()
                await self._send({"type": "http.response.body", "body": b""})

    async def _drain(self) -> None:
        """Read on for a moment: a connection closed with bytes unread takes the answer with it."""
        left = _DRAIN_BYTES
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while left > 0 and not self._whole:
                    message = await self._receive()
                    left -= len(message.get("body", b""))
                    if message["type"] != "http.request" or not message.get("more_body", False):
                        break
        except TimeoutError:
            pass


def _strict(message: MutableMapping[str, Any]) -> None:
    """Put the headers of :data:`HEADERS` in an answer, over its own."""
    kept = [(key, value) for key, value in message.get("headers", []) if key.lower() not in HEADERS]
    message["headers"] = [*kept, *HEADERS.items()]
