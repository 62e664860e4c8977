"""Workers that crash, hang and are overrun: the server goes on."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra `page` is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")

import httpx

from page_server import LiveServer, alive, begin, finished, look, picture, start


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    """A server with little room, so that it is soon full."""
    found = start(waiting=2, uploads=2, photos=3, looks=2, decode_seconds=2.0, trace_bytes=1 << 20)
    yield found
    found.stop()


@pytest.fixture
def client(server: LiveServer) -> Iterator[httpx.Client]:
    with server.client() as found:
        yield found


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """What it is given to do waits."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def png_bomb(side: int) -> bytes:
    """A small PNG file of ``side`` x ``side`` black pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    row = bytes(side + 1)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_after_the_model_worker_is_killed_the_next_question_is_answered(
    server: LiveServer, client: httpx.Client
) -> None:
    key = look(client)
    asked = {"node": 1, "channel": 1, "row": 2, "column": 3}
    before = client.get(f"/api/looks/{key}/value", params=asked).json()
    pid = server.worker("model")
    os.kill(pid, signal.SIGKILL)
    after = client.get(f"/api/looks/{key}/value", params=asked)
    assert after.status_code == 200
    assert after.json() == before
    assert server.worker("model") != pid
    assert finished(client, begin(client))["done"] is True


def test_what_is_asked_ahead_is_answered_only_where_there_is_no_other_work(
    server: LiveServer, client: httpx.Client
) -> None:
    key = look(client)
    asked = {"node": 1, "channel": 1, "row": 2, "column": 3}
    early = {**asked, "early": True}
    told = client.get(f"/api/looks/{key}/value", params=asked).json()
    assert client.get(f"/api/looks/{key}/value", params=early).json() == told
    start = client.get("/api/start").json()
    slow = begin(client, model="vgg16", weights="none", photo=start["default_photo"])
    with client.stream("GET", f"/api/looks/{slow}/progress") as said:
        taken_up = next(line for line in said.iter_lines() if json.loads(line)["stage"] != "waiting")
    assert json.loads(taken_up)["stage"] in ("loading", "running"), "the look was over first"
    assert client.get(f"/api/looks/{key}/value", params=early).json() is None
    assert client.get(f"/api/looks/{key}/value", params=asked).json() == told
    client.delete(f"/api/looks/{slow}")
    # One megabyte of passes holds no second one: what has to be recorded first is not asked ahead.
    photo = client.post("/api/photos", content=picture(seed=8)).json()["id"]
    other = look(client, photo=photo, model="tutorial_cnn", weights="none")
    assert client.get(f"/api/looks/{key}/value", params=early).json() is None
    assert client.get(f"/api/looks/{other}/value", params=early).json()["agrees"] is True


def test_a_lesson_does_not_wait_for_a_network(server: LiveServer, client: httpx.Client) -> None:
    look(client)
    with frozen(server.worker("model")):
        slow = begin(client, model="vgg16", weights="none")
        for _ in range(2):  # the first time its own worker has to start
            assert client.post("/api/lessons/counting", json={"values": {}}).status_code == 200
    assert finished(client, slow)["done"] is True


def test_a_sample_that_many_lessons_want_at_once_is_read_once(server: LiveServer) -> None:
    """There are two places for photos only; a drag right after a start sends more lessons than that."""

    def run(_: int) -> int:
        with server.client() as own:
            values = {"picture": "sample:coins", "box": "168,188,48,48"}
            return own.post("/api/lessons/cut", json={"values": values, "preview": True}).status_code

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(run, range(3))) == [200] * 3


def test_after_the_decoder_is_killed_the_next_photo_is_taken(
    server: LiveServer, client: httpx.Client
) -> None:
    pid = server.worker("decode")
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while (answer := client.post("/api/photos", content=picture())).status_code != 200:
        assert answer.status_code in (422, 503)
        assert time.monotonic() < deadline
    assert server.worker("decode") != pid


def test_a_worker_killed_at_work_fails_that_look_alone(server: LiveServer, client: httpx.Client) -> None:
    photo = client.get("/api/start").json()["default_photo"]
    body = {"model": "vgg16", "photo": photo, "weights": "none"}
    slow = client.post("/api/looks", json=body).json()["id"]
    with client.stream("GET", f"/api/looks/{slow}/progress") as answer:
        for text in answer.iter_lines():
            line = json.loads(text)
            if line.get("fraction", 0) > 0:
                os.kill(server.worker("model"), signal.SIGKILL)
                break
    line = finished(client, slow)
    assert line["error"]["code"] == "worker_lost"
    assert "hint" in line["error"]
    assert finished(client, begin(client))["done"] is True


def test_a_frozen_decoder_is_replaced_at_its_deadline(server: LiveServer, client: httpx.Client) -> None:
    client.post("/api/photos", content=picture())
    pid = server.worker("decode")
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    answer = client.post("/api/photos", content=picture())
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "too_slow")
    assert time.monotonic() - began < 8
    assert client.post("/api/photos", content=picture()).status_code == 200
    assert not alive(pid)


def test_beyond_the_queue_looks_are_told_to_come_again(server: LiveServer, client: httpx.Client) -> None:
    photo = client.get("/api/start").json()["default_photo"]
    body = {"model": "vgg16", "photo": photo, "weights": "none"}
    answers = [client.post("/api/looks", json=body) for _ in range(6)]
    statuses = [answer.status_code for answer in answers]
    assert statuses == sorted(statuses)
    assert set(statuses) == {202, 503}
    refused = answers[-1]
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["error"]["code"] == "busy"
    for answer in answers:
        if answer.status_code == 202:
            assert client.delete(f"/api/looks/{answer.json()['id']}").status_code == 204
    assert finished(client, begin(client))["done"] is True


def test_beyond_the_places_uploads_are_told_to_come_again(server: LiveServer, client: httpx.Client) -> None:
    os.kill(server.worker("decode"), signal.SIGSTOP)  # whoever came first waits for its deadline

    def upload(_: int) -> int:
        with server.client() as own:
            return own.post("/api/photos", content=picture()).status_code

    with ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(upload, range(6)))
    assert set(statuses) <= {200, 422, 503}
    assert statuses.count(503) >= 3
    deadline = time.monotonic() + 20
    while client.post("/api/photos", content=picture()).status_code != 200:
        assert time.monotonic() < deadline


def test_photos_and_looks_are_bounded_and_the_oldest_go(client: httpx.Client) -> None:
    photos = [client.post("/api/photos", content=picture(seed=n)).json()["id"] for n in range(5)]
    found = [client.get(f"/api/photos/{key}").status_code for key in photos]
    assert found == [404, 404, 200, 200, 200]
    looks = [look(client, photo=photos[-1]) for _ in range(3)]
    found = [client.get(f"/api/looks/{key}/scene").status_code for key in looks]
    assert found == [404, 200, 200]


def test_a_pass_that_went_is_recorded_again_unnoticed(client: httpx.Client) -> None:
    """One megabyte of passes holds no two of these, so each of them drives the other out."""
    photos = [client.post("/api/photos", content=picture(seed=n)).json()["id"] for n in range(2)]
    looks = [look(client, photo=photo, model="tutorial_cnn", weights="none") for photo in photos]
    asked = {"node": 1, "channel": 0, "row": 4, "column": 4}
    values = [client.get(f"/api/looks/{key}/value", params=asked).json()["value"] for key in looks * 2]
    assert values[:2] == values[2:]
    assert values[0] != values[1]


def test_while_bombs_are_decoded_the_server_answers(server: LiveServer) -> None:
    bombs = [png_bomb(6000), png_bomb(12000), png_bomb(40000)[:4000]]
    slowest: list[float] = []
    over = threading.Event()

    def watch() -> None:
        with server.client() as own:
            while not over.is_set():
                began = time.monotonic()
                assert own.get("/api/health").status_code == 200
                slowest.append(time.monotonic() - began)

    def upload(number: int) -> int:
        with server.client() as own:
            return own.post("/api/photos", content=bombs[number % 3]).status_code

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(upload, range(6)))
    over.set()
    watcher.join()
    assert set(statuses) <= {200, 422, 503}
    assert max(slowest) < 1.0


def test_the_deadline_of_a_body_and_of_a_head_hold_on_the_wire() -> None:
    server = start(head_seconds=0.5, body_seconds=0.5)
    own = f"Host: 127.0.0.1:{server.port}\r\nAuthorization: Bearer {server.token}\r\n"
    began = time.monotonic()
    assert server.raw(b"GET / HTTP/1.1\r\nHost:") == b""
    assert time.monotonic() - began < 5
    slow = server.raw(f"POST /api/photos HTTP/1.1\r\n{own}Content-Length: 100\r\n\r\nabc".encode())
    assert slow.startswith(b"HTTP/1.1 408")
    # After an answer, too, half a request does not hold the connection.
    began = time.monotonic()
    two = server.raw(f"GET / HTTP/1.1\r\n{own}\r\nGET / HT".encode())
    assert two.count(b"HTTP/1.1 200") == 1
    assert time.monotonic() - began < 5
    assert server.stop() < 5


def answered(connection: socket.socket, data: bytes) -> bytes:
    """First line of the answer to ``data``."""
    connection.sendall(data)
    answer = b""
    while b"\r\n\r\n" not in answer:
        part = connection.recv(65536)
        assert part, "the connection was closed"
        answer += part
    head, _, rest = answer.partition(b"\r\n\r\n")
    left = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]) - len(rest)
    while left > 0:
        left -= len(connection.recv(left))
    return head.split(b"\r\n")[0]


def test_a_server_that_stood_still_drops_nobody() -> None:
    """Stopped and continued, or starved: its deadlines are over then, but nobody else was late."""
    server = start(head_seconds=1.0, idle_seconds=1.0)
    own = f"Host: 127.0.0.1:{server.port}\r\nAuthorization: Bearer {server.token}\r\n"
    ask = f"GET /api/health HTTP/1.1\r\n{own}\r\n".encode()
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=10) as idle,
        socket.create_connection(("127.0.0.1", server.port), timeout=10) as half,
    ):
        assert answered(idle, ask) == b"HTTP/1.1 200 OK"
        half.sendall(ask[:30])
        time.sleep(0.2)
        os.kill(server.process.pid, signal.SIGSTOP)
        time.sleep(2.5)
        os.kill(server.process.pid, signal.SIGCONT)
        time.sleep(0.3)
        assert answered(idle, ask) == b"HTTP/1.1 200 OK"
        assert answered(half, ask[30:]) == b"HTTP/1.1 200 OK"
        # Whoever is late while the server is awake is told so.
        began = time.monotonic()
        assert idle.recv(1) == b""
        assert 0.5 < time.monotonic() - began < 5
    server.stop()


def test_whoever_is_refused_early_may_send_the_rest_and_ask_again() -> None:
    """A connection closed while a body is on its way takes the answer with it."""
    server = start(uploads=1, head_seconds=0.5, idle_seconds=0.5, body_seconds=6.0)
    own = f"Host: 127.0.0.1:{server.port}\r\nAuthorization: Bearer {server.token}\r\n"
    post = f"POST /api/photos HTTP/1.1\r\n{own}Content-Length: 200000\r\n\r\n".encode()
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=10) as first,
        socket.create_connection(("127.0.0.1", server.port), timeout=10) as second,
    ):
        first.sendall(post + bytes(1000))
        time.sleep(0.3)
        assert answered(second, post + bytes(1000)) == b"HTTP/1.1 503 Service Unavailable"
        for _ in range(4):
            time.sleep(0.4)
            second.sendall(bytes(49750))
        ask = f"GET /api/health HTTP/1.1\r\n{own}\r\n".encode()
        assert answered(second, ask) == b"HTTP/1.1 200 OK"
        # The rest of a body has its deadline too.
        assert answered(second, post + bytes(1000)) == b"HTTP/1.1 503 Service Unavailable"
        began = time.monotonic()
        with suppress(ConnectionResetError):
            assert second.recv(1) == b""
        assert 3 < time.monotonic() - began < 10
    server.stop()


def test_with_more_connections_than_allowed_the_last_are_closed() -> None:
    server = start(connections=5)
    open_ = [socket.create_connection(("127.0.0.1", server.port), timeout=5) for _ in range(8)]
    time.sleep(0.3)
    closed = 0
    for connection in open_:
        connection.settimeout(0.2)
        try:
            closed += connection.recv(1) == b""
        except ConnectionResetError:
            closed += 1
        except TimeoutError:
            pass
        connection.close()
    assert closed >= 3
    server.stop()


def test_frames_come_through_a_pipe_whole() -> None:
    import io

    from convscope.page.frames import read_frame, write_frame

    stream: Any = io.BytesIO()
    write_frame(stream, {"job": 3, "text": "ü"}, bytes(range(256)) * 50)
    write_frame(stream, {"job": 4})
    stream.seek(0)
    assert read_frame(stream) == ({"job": 3, "text": "ü"}, bytes(range(256)) * 50)
    assert read_frame(stream) == ({"job": 4}, b"")
    with pytest.raises(EOFError, match=r"^$"):
        read_frame(stream)
