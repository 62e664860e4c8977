"""Requests no client would send, and what the processes behind the page may hold and know."""

from __future__ import annotations

import inspect
import json
import re
import socket
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra `page` is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")

import httpx

import convscope
from convscope.page import Settings
from page_server import look, picture, shared_server

EVIL = "evil.test"
PAGE = Path(convscope.__file__).parent / "page"


@pytest.mark.parametrize(
    ("request_", "statuses"),
    [
        (b"GET / HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\n\r\n", {400, 421}),
        (b"GET / HTTP/1.1\r\n\r\n", {400, 421}),
        (b"GET / HTTP/1.0\r\n\r\n", {421}),
        (b"GET / HTTP/1.1\r\nHost: {host}\r\nContent-Length: -5\r\n\r\n", {400}),
        (b"GET / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", {400}),
        (b"GET / HTTP/1.1\r\nHost : {host}\r\n\r\n", {400}),
        (b"GET / HTTP/1.1\r\nHost: {host}\r\nX: a\x00b\r\n\r\n", {400}),
        (b"nonsense\r\n\r\n", {400}),
        (b"GET / HTTP/1.1\r\nHost: {host}\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", {400, 431}),
        (
            b"GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            {200},
        ),
        (
            b"GET /api/health HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            {401},
        ),
    ],
)
def test_odd_requests_are_refused_with_the_strict_headers(request_: bytes, statuses: set[int]) -> None:
    """CVE-2025-43859, CVE-2020-7695, CVE-2026-39987: framing, header and upgrade tricks."""
    server = shared_server()
    answer = server.raw(request_.replace(b"{host}", f"127.0.0.1:{server.port}".encode()), wait=1.0)
    assert int(answer.split()[1]) in statuses
    assert b"x-frame-options: DENY" in answer
    assert b"101" not in answer.split(b"\r\n")[0]


def test_a_second_request_hidden_in_a_body_is_not_taken_for_one() -> None:
    """CVE-2025-43859: length and chunks that disagree."""
    server = shared_server()
    own = f"Host: 127.0.0.1:{server.port}\r\nAuthorization: Bearer {server.token}\r\n"
    hidden = f"GET /api/start HTTP/1.1\r\n{own}\r\n"
    request = (
        f"POST /api/looks HTTP/1.1\r\n{own}"
        f"Content-Type: application/json\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
        f"{len(hidden):x}\r\n{hidden}\r\n0\r\n\r\n"
    )
    answer = server.raw(request.encode(), wait=1.0)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"default_photo" not in answer


def test_a_body_beyond_the_cap_is_413_and_the_connection_closed() -> None:
    """CVE-2023-30798, CVE-2024-47874, -24762, -53981: bodies without end, counted as they come."""
    server = shared_server()
    head = (
        f"POST /api/photos HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        f"Authorization: Bearer {server.token}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(head.encode())
        for _ in range(33):
            connection.sendall(chunk)
        connection.sendall(b"0\r\n\r\n")
        answer = b""
        while part := connection.recv(65536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "too_many_bytes"


def test_forms_are_not_parsed_at_all(client: httpx.Client) -> None:
    """CVE-2024-24762, CVE-2024-53981, CVE-2026-28356: the form parser is not there to be attacked."""
    answer = client.post("/api/looks", files={"a": b"b"})
    assert answer.status_code == 415
    assert client.post("/api/photos", files={"a": picture()}).status_code == 422


def test_a_flood_of_uploads_from_another_page_fills_nothing() -> None:
    """GHSA-48cq-79qq-6f7x: CSRF that fills the disk."""
    server = shared_server()
    with httpx.Client(base_url=server.address, trust_env=False) as stranger:
        for headers in ({"origin": f"http://{EVIL}"}, {"sec-fetch-site": "cross-site"}, {}):
            assert stranger.post("/api/photos", content=picture(), headers=headers).status_code in (401, 403)


def test_the_token_is_in_no_log(client: httpx.Client) -> None:
    """CVE-2022-24757, -24758: a secret in the log when something fails."""
    server = shared_server()
    client.get("/api/looks/x/value", params={"node": 1})
    client.get(f"/api/nowhere?token={server.token}")
    server.raw(
        f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n\r\n".encode(), wait=0.5
    )
    server.raw(f"nonsense {server.token}\r\n\r\n".encode(), wait=0.5)
    text = server.text()
    assert text.count(server.token) == 1, "printed once, as the page's address"
    for pid in [server.process.pid, *server.children()]:
        for file in ("cmdline", "environ"):
            assert server.token.encode() not in Path(f"/proc/{pid}/{file}").read_bytes()


def test_two_starts_have_two_tokens() -> None:
    """CVE-2026-40934, CVE-2023-25823: a secret that lives on."""
    assert len({Settings().token for _ in range(10)}) == 10
    assert len(Settings().token) >= 43
    assert Settings().token not in repr(Settings())


def test_the_server_process_has_no_torch_and_the_decoder_none_either(client: httpx.Client) -> None:
    look(client)
    server = shared_server()
    assert "libtorch" not in Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "libtorch" not in Path(f"/proc/{server.worker('decode')}/maps").read_text()
    limits = Path(f"/proc/{server.worker('decode')}/limits").read_text()
    assert re.search(r"Max address space +2147483648 ", limits)
    limits = Path(f"/proc/{server.worker('model')}/limits").read_text()
    assert not re.search(r"Max address space +unlimited ", limits)


def test_workers_are_not_spoken_to_in_pickles() -> None:
    """CVE-2025-32434, -10155 and the like: a worker that was taken over cannot take over the server."""
    from convscope.page import frames

    source = inspect.getsource(frames)
    assert "import json" in source
    for file in PAGE.rglob("*.py"):
        text = file.read_text("utf-8")
        assert not re.search(
            r"^\s*(import|from) (pickle|marshal|shelve|multiprocessing)\b", text, re.MULTILINE
        )
    with pytest.raises(ValueError, match="bytes"):
        frames.lengths(b"\xff" * frames.PREFIX)


def test_the_versions_asked_for_are_past_the_known_holes() -> None:
    """h11 CVE-2025-43859, Starlette CVE-2026-48710 and -48818, Pillow [R]: floors."""
    import tomllib

    text = (Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8")
    project = tomllib.loads(text)["project"]
    told = [*project["dependencies"], *project["optional-dependencies"]["page"]]
    floors = dict(entry.split(">=") for entry in told if ">=" in entry)

    def at_least(name: str, wanted: tuple[int, ...]) -> bool:
        return tuple(map(int, floors[name].split("."))) >= wanted

    assert at_least("h11", (0, 16))
    assert at_least("starlette", (1, 1))
    assert at_least("pillow", (12, 3))
    assert "python-multipart" not in text


def test_every_body_model_is_strict_and_refuses_what_it_does_not_know() -> None:
    from pydantic import BaseModel

    from convscope.page import bodies

    models = [
        value
        for value in vars(bodies).values()
        if isinstance(value, type) and issubclass(value, BaseModel) and value is not BaseModel
    ]
    assert len(models) >= 4
    assert all(model.model_config == {"extra": "forbid", "strict": True} for model in models)
