"""The layer around the server, asked directly: what it lets through, and what every answer carries."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra `page` is not installed")

from convscope.page.settings import Bounds, Settings
from convscope.page.shield import HEADERS, Shield

TOKEN = "a-token-for-tests"
HOST = b"127.0.0.1:8000"
AUTHORIZED = (b"authorization", b"Bearer " + TOKEN.encode())
Application = Callable[..., Any]


async def hello(scope: Any, receive: Any, send: Any) -> None:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"reached with %d bytes" % len(body)})


def ask(
    method: str = "GET",
    path: str = "/api/health",
    *headers: tuple[bytes, bytes],
    host: bytes | None = HOST,
    kind: str = "http",
    chunks: tuple[bytes, ...] = (b"",),
    app: Application = hello,
    extensions: dict[str, Any] | None = None,
    pause: float = 0.0,
    **bounds: Any,
) -> tuple[int, dict[bytes, bytes], bytes, list[dict[str, Any]]]:
    """Status, headers, body and all messages of the answer."""
    sent: list[dict[str, Any]] = []
    waiting = list(chunks)

    async def receive() -> dict[str, Any]:
        if kind == "websocket":
            return {"type": "websocket.connect"}
        if pause:
            await asyncio.sleep(pause)
        if not waiting:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    scope = {
        "type": kind,
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [*([(b"host", host)] if host is not None else []), *headers],
        "extensions": extensions or {},
    }
    shield = Shield(app, Settings(port=8000, token=TOKEN, bounds=Bounds(**bounds)))
    asyncio.run(shield(scope, receive, send))
    starts = [m for m in sent if m["type"].endswith("response.start")]
    status = starts[0]["status"] if starts else 0
    body = b"".join(m.get("body", b"") for m in sent if m["type"].endswith("response.body"))
    return status, dict(starts[0]["headers"]) if starts else {}, body, sent


@pytest.mark.parametrize("host", [b"127.0.0.1:8000", b"localhost:8000", b"LOCALHOST:8000", b"[::1]:8000"])
def test_own_names_are_answered(host: bytes) -> None:
    assert ask("GET", "/api/health", AUTHORIZED, host=host)[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        None,
        b"",
        b"127.0.0.1",
        b"127.0.0.1:8001",
        b"127.0.0.1:80000",
        b"localhost",
        b"evil.test:8000",
        b"evil.test",
        b"localhost.evil.test:8000",
        b"evil.test@localhost:8000",
        b"localhost:8000@evil.test",
        b"localhost:8000.evil.test",
        b"localhost:8000,evil.test",
        b"0.0.0.0:8000",
        b"127.0.0.2:8000",
        b"2130706433:8000",
        b"[::]:8000",
        b"localhost.:8000",
        b"localhost:8000/",
        b"\xffocalhost:8000",
    ],
)
@pytest.mark.parametrize("path", ["/", "/viewer/app.js", "/api/health"])
def test_any_other_host_is_misdirected(host: bytes | None, path: str) -> None:
    status, _, body, _ = ask("GET", path, AUTHORIZED, host=host)
    assert status == 421
    assert json.loads(body)["error"]["code"] == "wrong_host"


def test_two_hosts_are_misdirected_even_if_both_are_right() -> None:
    assert ask("GET", "/", (b"host", HOST))[0] == 421


def test_without_a_port_only_where_that_is_the_schemes_own() -> None:
    assert "localhost" in Settings(port=80).allowed_hosts
    assert Settings(port=8080).allowed_hosts == {"127.0.0.1:8080", "localhost:8080", "[::1]:8080"}


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
@pytest.mark.parametrize(
    "header",
    [
        (b"origin", b"http://evil.test"),
        (b"origin", b"null"),
        (b"origin", b""),
        (b"origin", b"http://127.0.0.1:9000"),
        (b"origin", b"https://127.0.0.1:8000"),
        (b"origin", b"http://127.0.0.1:8000.evil.test"),
        (b"origin", b"http://127.0.0.1:80000"),
        (b"origin", b"http://localhost:8000"),
        (b"sec-fetch-site", b"cross-site"),
        (b"sec-fetch-site", b"same-site"),
        (b"sec-fetch-site", b"no-cors"),
        (b"sec-fetch-site", b""),
    ],
)
def test_requests_of_other_pages_are_refused_with_the_token_too(
    method: str, header: tuple[bytes, bytes]
) -> None:
    assert ask(method, "/api/health", AUTHORIZED, header)[0] == 403


@pytest.mark.parametrize("site", [b"same-origin", b"none"])
def test_requests_of_the_page_itself_are_let_through(site: bytes) -> None:
    own = (b"origin", b"http://" + HOST)
    assert ask("GET", "/api/health", AUTHORIZED, own, (b"sec-fetch-site", site))[0] == 200


def test_a_second_origin_is_not_overlooked() -> None:
    own, other = (b"origin", b"http://" + HOST), (b"origin", b"http://evil.test")
    assert ask("GET", "/api/health", AUTHORIZED, own, other)[0] == 403
    assert ask("GET", "/api/health", AUTHORIZED, other, own)[0] == 403


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ((b"authorization", b"Bearer wrong"),),
        ((b"authorization", b"Bearer "),),
        ((b"authorization", TOKEN.encode()),),
        ((b"authorization", b"Basic " + TOKEN.encode()),),
        ((b"authorization", b"Bearer " + TOKEN.encode() + b"x"),),
        ((b"authorization", b"Bearer " + TOKEN[:-1].encode()),),
        (AUTHORIZED, AUTHORIZED),
        ((b"cookie", b"token=" + TOKEN.encode()),),
        ((b"x-token", TOKEN.encode()),),
    ],
)
def test_without_the_token_nothing_but_the_page_is_answered(headers: tuple[tuple[bytes, bytes], ...]) -> None:
    for path in (
        "/api/health",
        "/api/nowhere",
        "/nowhere",
        "/viewer",
        "/viewer/a/b",
        "/docs",
        "/favicon.ico",
    ):
        status, told, _, _ = ask("GET", path, *headers)
        assert (status, told[b"www-authenticate"]) == (401, b"Bearer")
    for method in ("OPTIONS", "POST", "DELETE"):
        assert ask(method, "/", *headers)[0] == 401
    assert ask("GET", "/", *headers)[0] == 200


def test_the_token_is_not_taken_from_the_address() -> None:
    assert ask("GET", f"/api/health?token={TOKEN}")[0] == 401


@pytest.mark.parametrize(
    ("path", "headers", "host"),
    [
        ("/", (), HOST),
        ("/api/health", (), HOST),
        ("/api/health", (AUTHORIZED,), HOST),
        ("/", (), b"evil.test"),
        ("/", ((b"origin", b"null"),), HOST),
    ],
)
def test_every_answer_carries_the_strict_headers(path: str, headers: Any, host: bytes) -> None:
    _, told, _, _ = ask("GET", path, *headers, host=host)
    assert {name: told.get(name) for name in HEADERS} == HEADERS
    assert not any(name.startswith(b"access-control") for name in told)
    policy = told[b"content-security-policy"]
    assert b"default-src 'none'" in policy
    assert b"unsafe" not in policy
    assert b"*" not in policy


def test_an_application_cannot_loosen_the_headers() -> None:
    async def loose(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"Content-Security-Policy", b"default-src *"), (b"cache-control", b"public")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    _, told, _, sent = ask(app=loose, path="/")
    assert {name: told.get(name) for name in HEADERS} == HEADERS
    assert len(sent[0]["headers"]) == len(HEADERS)


@pytest.mark.parametrize("headers", [(), (AUTHORIZED,)])
@pytest.mark.parametrize("host", [HOST, b"evil.test:8000"])
def test_websockets_are_refused_by_default(headers: Any, host: bytes) -> None:
    async def open_door(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})

    for path in ("/", "/api/health"):
        _, _, _, sent = ask("GET", path, *headers, host=host, kind="websocket", app=open_door)
        assert sent == [{"type": "websocket.close", "code": 1008}]
        extension = {"websocket.http.response": {}}
        status, told, _, _ = ask(
            "GET", path, *headers, host=host, kind="websocket", app=open_door, extensions=extension
        )
        assert status in ((421,) if host != HOST else (401, 404))
        assert told[b"x-frame-options"] == b"DENY"


def test_a_body_is_counted_as_it_comes_whatever_length_it_claims() -> None:
    json_kind = (b"content-type", b"application/json")
    chunks = (b"x" * 600,) * 2
    status, told, body, _ = ask(
        "POST", "/api/looks", AUTHORIZED, json_kind, (b"content-length", b"4"), chunks=chunks, json_bytes=1000
    )
    assert (status, told[b"connection"]) == (413, b"close")
    assert json.loads(body)["error"]["code"] == "too_many_bytes"
    assert (
        ask("POST", "/api/looks", AUTHORIZED, json_kind, chunks=(b"x" * 500,) * 2, json_bytes=1000)[0] == 200
    )


def test_a_length_beyond_the_cap_is_refused_before_anything_is_read() -> None:
    def never(*_: Any) -> None:
        raise AssertionError("the application was reached")

    status, told, _, _ = ask(
        "POST",
        "/api/photos",
        AUTHORIZED,
        (b"content-length", b"33554433"),
        app=never,
    )
    assert (status, told[b"connection"]) == (413, b"close")


def test_what_the_application_says_after_the_cut_is_not_heard() -> None:
    async def careless(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"all is well"})

    status, _, body, sent = ask(
        "POST", "/api/photos", AUTHORIZED, chunks=(b"x" * 9, b"x"), app=careless, upload_bytes=9
    )
    assert status == 413
    assert b"all is well" not in body
    assert [m["type"] for m in sent].count("http.response.start") == 1


def test_a_body_that_comes_too_slowly_is_cut() -> None:
    status, told, _, _ = ask(
        "POST", "/api/photos", AUTHORIZED, chunks=(b"x",) * 100, pause=0.02, body_seconds=0.1
    )
    assert (status, told[b"connection"]) == (408, b"close")


def test_a_reader_that_takes_nothing_is_left() -> None:
    async def stuck(message: Any) -> None:
        await asyncio.sleep(30)

    async def run() -> None:
        shield = Shield(hello, Settings(port=8000, token=TOKEN, bounds=Bounds(send_seconds=0.05)))
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", HOST)]}

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b""}

        await shield(scope, receive, stuck)

    with pytest.raises(ConnectionAbortedError, match="took too long"):
        asyncio.run(run())


@pytest.mark.parametrize(
    "kind",
    [b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x", b"", None],
)
def test_json_is_taken_only_when_it_is_called_so(kind: bytes | None) -> None:
    headers = [
        AUTHORIZED,
        (b"content-length", b"2"),
        *([(b"content-type", kind)] if kind is not None else []),
    ]
    assert ask("POST", "/api/looks", *headers, chunks=(b"{}",))[0] == 415


def test_an_unforeseen_failure_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError(f"secret {TOKEN} in a text")

    with caplog.at_level(logging.DEBUG):
        status, told, body, _ = ask("GET", "/api/\x1b[31mhealth\n", AUTHORIZED, app=broken)
    assert status == 500
    assert {name: told.get(name) for name in HEADERS} == HEADERS
    assert b"secret" not in body
    assert TOKEN not in caplog.text
    assert "\x1b" not in caplog.text
    assert "RuntimeError" in caplog.text
