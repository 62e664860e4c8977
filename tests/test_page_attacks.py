"""Every way into servers of this kind that is on record, tried on ours; each test names its row.

The server and its workers are real processes; requests go over sockets, raw where a client would not
send them. Websockets, hosts and origins one by one are in test_page_shield.py.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra `page` is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")

import httpx

import convscope
from convscope.page import Settings, make_app
from page_server import begin, finished, picture, shared_server

EVIL = "evil.test"
PAGE = Path(convscope.__file__).parent / "page"


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
        "/api/films/x/x/x",
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
