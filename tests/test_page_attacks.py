"""Every way into servers of this kind that is on record, tried on ours; each test names its row.

The server and its workers are real processes; requests go over sockets, raw where a client would not
send them. Websockets, hosts and origins one by one are in test_page_shield.py.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra `page` is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")

import httpx

import convscope
from convscope.page import Settings, make_app
from page_server import begin, finished, look, picture, shared_server

EVIL = "evil.test"
PAGE = Path(convscope.__file__).parent / "page"


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with shared_server().client() as found:
        yield found


def operations() -> list[tuple[str, str]]:
    """Method and path of everything the application answers, with parameters filled in."""
    found = []
    for route in make_app(Settings(schema=True)).routes:
        path = re.sub(r"\{number\}", "0", route.path)
        path = re.sub(r"\{\w+\}", "x", path)
        found += [(method, path) for method in sorted(route.methods)]
    return found


def is_open(method: str, path: str) -> bool:
    return method in ("GET", "HEAD") and (path in ("/", "/patterns") or path.startswith("/viewer/"))


def test_the_routes_are_those_the_page_needs_and_no_others() -> None:
    """CVE-2024-34511: a function nobody meant to expose."""
    assert {path for _, path in operations()} == {
        "/",
        "/patterns",
        "/viewer/x",
        "/api/health",
        "/api/models",
        "/api/start",
        "/api/photos",
        "/api/photos/x",
        "/api/looks",
        "/api/looks/x",
        "/api/looks/x/progress",
        "/api/looks/x/scene",
        "/api/looks/x/first",
        "/api/looks/x/arrays/0",
        "/api/looks/x/value",
        "/api/looks/x/channel",
        "/api/looks/x/box",
        "/api/looks/x/attribution",
        "/api/looks/x/export",
        "/api/films/x",
        "/api/films/x/x",
        "/api/lessons",
        "/api/lessons/x",
        "/api/lessons/x/file",
        "/api/lessons/x/proof",
        "/api/lessons/x/steps",
        "/api/openapi.json",
    }
    assert all("openapi" not in getattr(route, "path", "") for route in make_app(Settings()).routes)


@pytest.mark.parametrize(("method", "path"), operations())
def test_every_route_asks_for_the_token_the_host_and_the_origin(method: str, path: str) -> None:
    """CVE-2026-39987, CVE-2024-28179, CVE-2021-32677: one door without a lock."""
    server = shared_server()
    with httpx.Client(base_url=server.address, trust_env=False) as stranger, server.client() as friend:
        assert stranger.request(method, path).status_code == (
            401 if not is_open(method, path) else 200 if path in ("/", "/patterns") else 404
        )
        for someone in (stranger, friend):
            assert someone.request(method, path, headers={"host": f"{EVIL}:{server.port}"}).status_code == 421
            for header in (
                {"origin": f"http://{EVIL}"},
                {"origin": "null"},
                {"sec-fetch-site": "cross-site"},
            ):
                assert someone.request(method, path, headers=header).status_code == 403


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "PATCH", "TRACE", "CONNECT", "PROPFIND"])
def test_methods_that_nobody_needs_are_refused(client: httpx.Client, method: str) -> None:
    for path in ("/", "/api/health", "/api/photos"):
        assert client.request(method, path).status_code in (400, 404, 405)


@pytest.mark.parametrize(
    "path",
    [
        "/viewer/../../../../etc/passwd",
        "/viewer/..%2f..%2f..%2fetc%2fpasswd",
        "/viewer/%2e%2e/%2e%2e/pyproject.toml",
        "/viewer/%252e%252e%252fapp.py",
        "/viewer/..%5c..%5capp.py",
        "/viewer/C:%5cWindows%5cwin.ini",
        "/viewer/%2fetc%2fpasswd",
        "/viewer//etc/passwd",
        "/viewer/app.js%00.png",
        "/viewer/%5c%5chost%5cshare",
        "/viewer/file:%2f%2f%2fetc%2fpasswd",
        "/file=/etc/passwd",
        "/api/photos/..%2f..%2fetc%2fpasswd",
        "/api/photos/%2fetc%2fpasswd",
        "/api/looks/..%2f..%2fx/scene",
        "/api/looks/x/arrays/..%2f1",
        "@evil/viewer/app.js",
        "http://evil.test/viewer/app.js",
        "//evil.test/",
        "/\\evil.test",
    ],
)
def test_no_path_leads_to_a_file_or_away(path: str) -> None:
    """CVE-2023-51449, -34239, CVE-2021-43831, CVE-2024-1561, CVE-2026-28414, GHSA-j36p-7w88-g82j,
    the mlflow traversals, CVE-2026-54282, -48818, open redirects (CVE-2024-4940, CVE-2020-26232)."""
    server = shared_server()
    request = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        f"Authorization: Bearer {server.token}\r\nConnection: close\r\n\r\n"
    )
    answer = server.raw(request.encode())
    status = int(answer.split()[1])
    assert status in (400, 404, 422)
    assert b"root:" not in answer
    assert b"location:" not in answer.lower()


def test_no_file_is_opened_by_what_a_request_says() -> None:
    """A request can only name keys in tables: no code of the page opens a path or an address."""
    for file in PAGE.rglob("*.py"):
        if file.name in ("run.py", "worker.py", "model_jobs.py", "files.py", "app.py", "sample_photos.py"):
            continue  # start-up, /proc, a temporary folder, the package's own files: no request in sight
        text = file.read_text("utf-8")
        calls = [node.func for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
        names = {getattr(call, "id", getattr(call, "attr", "")) for call in calls}
        assert not names & {"open", "urlopen", "FileResponse", "RedirectResponse", "read_text"}, file.name


@pytest.mark.parametrize(
    "name",
    [
        "http://evil.test/net.pt",
        "file:///etc/passwd",
        "/etc/passwd",
        "net.py:Net",
        "../net.py:Net",
        "torch.nn:Linear",
        "tutorial_tanh ",
        "timm:../x",
        "timm:hf-hub:evil/net",
        "hf_hub:evil/net",
        "os.system",
        "\\\\host\\share",
    ],
)
def test_models_are_taken_by_known_names_alone(client: httpx.Client, name: str) -> None:
    """CVE-2026-28416, CVE-2026-2393, ShellTorch (CVE-2023-43654), CVE-2024-51751, ComfyUI's names."""
    photo = client.get("/api/start").json()["default_photo"]
    answer = client.post("/api/looks", json={"model": name, "photo": photo})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_such_model")
    for weights in ("http://evil.test/w.pt", "/etc/passwd", "mine.safetensors", "IMAGENET1K_V1"):
        body = {"model": "tutorial_tanh", "photo": photo, "weights": weights}
        assert client.post("/api/looks", json=body).status_code == 422


@pytest.mark.parametrize(
    "name", ["../../x.png", "/etc/passwd", "C:\\x", "http://evil.test/a.png", "sample:cat"]
)
def test_samples_and_photos_are_picked_from_lists(client: httpx.Client, name: str) -> None:
    """CVE-2024-51751, GHSA-j36p-7w88-g82j: a path that comes back from the client."""
    assert client.post("/api/photos", json={"sample": name}).status_code == 404
    assert client.post("/api/photos", json={"path": name}).status_code == 422
    assert client.post("/api/looks", json={"model": "tutorial_tanh", "photo": name}).status_code == 404


def test_keys_cannot_be_guessed(client: httpx.Client) -> None:
    told = [client.post("/api/photos", content=picture()).json()["id"] for _ in range(3)]
    assert len(set(told)) == 3
    assert all(len(key) >= 16 for key in told)


def test_what_was_uploaded_is_never_served(client: httpx.Client) -> None:
    """CVE-2018-21030, CVE-2023-40170, ComfyUI CVE-2026-56670 to 56674: an upload on the server's ground."""
    svg = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"
    assert (
        client.post("/api/photos", content=svg, headers={"content-type": "image/svg+xml"}).status_code == 422
    )
    both = picture(kind="GIF") + b"<script>alert(1)</script>"
    told = client.post("/api/photos", content=both).json()
    shown = client.get(f"/api/photos/{told['id']}")
    assert shown.headers["content-type"] == "image/png"
    assert shown.headers["x-content-type-options"] == "nosniff"
    assert b"script" not in shown.content


@pytest.mark.parametrize(
    "data",
    [
        b"%PDF-1.4",
        b"%!PS-Adobe",
        b"8BPS\x00\x01",
        b"SIMPLE  =",
        b"\x00\x00\x00\x0cjP  \r\n",
        b"P6 1 1 255 abc",
    ],
)
def test_only_the_formats_of_photos_are_parsed(client: httpx.Client, data: bytes) -> None:
    """CVE-2026-25990, -42311 (PSD), -40192 (FITS), -42310 (PDF), -59203 (EPS), -59204 (JPEG 2000)."""
    answer = client.post("/api/photos", content=data + bytes(200))
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "not_an_image")


def test_names_come_back_as_text_in_json_and_harmless_in_reports(client: httpx.Client) -> None:
    """CVE-2018-19352, CVE-2023-27494, CVE-2021-32670: a name that is a script."""
    name = "</script><img src=x onerror=alert(1)>\r\nX: y\x1b[31m"
    from urllib.parse import quote

    told = client.post("/api/photos", content=picture(), headers={"x-name": quote(name)}).json()
    assert "\x1b" not in told["name"]
    assert "\n" not in told["name"]
    key = begin(client, photo=told["id"])
    assert finished(client, key)["done"]
    report = client.get(f"/api/looks/{key}/export", params={"what": "report"})
    assert "<img src=x" not in report.text
    assert set(report.headers["content-disposition"]) <= set(map(chr, range(32, 127)))
    assert "<" not in report.headers["content-disposition"]


def test_errors_do_not_repeat_what_was_sent(client: httpx.Client) -> None:
    """CVE-2021-32670: reflected text; what is said is JSON all the same."""
    text = "<script>alert(1)</script>"
    for answer in (
        client.get(f"/api/looks/{text}/scene"),
        client.get("/api/looks/x/value", params={"node": text}),
        client.post("/api/looks", json={"model": text, "photo": text}),
        client.post("/api/looks", json={text: text}),
        client.get(f"/{text}"),
    ):
        assert answer.headers["content-type"].startswith("application/json")
        assert text not in answer.text


def test_json_cannot_be_read_by_a_script_tag(client: httpx.Client) -> None:
    """CVE-2019-9644 (XSSI), CVE-2026-40864: a fetch without CORS is not our own page."""
    answer = client.get("/api/start")
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    for mode in ("no-cors", "cors", "navigate"):
        headers = {"sec-fetch-mode": mode, "sec-fetch-site": "same-site"}
        assert client.get("/api/start", headers=headers).status_code == 403


def test_no_answer_sets_a_cookie_or_opens_the_door_to_other_origins(client: httpx.Client) -> None:
    """CVE-2026-40934, SameSite and ports: there is no cookie to steal."""
    for path in ("/", "/api/start", "/viewer/app.js", "/nowhere"):
        headers = {
            name.lower() for name in client.get(path, headers={"origin": str(client.base_url)}).headers
        }
        assert not any(name.startswith("access-control") or name == "set-cookie" for name in headers)


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
