"""``convscope serve`` as a person starts and ends it."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra `page` is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")

from cli_running import Command
from convscope.page.run import is_loopback, names_of
from page_server import LiveServer, alive, look, picture, shared_server, start, start_command


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_within_five_seconds_with_no_child_left(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    (tmp_path / "mine.png").write_bytes(picture())
    server = start_command("tutorial_tanh", str(tmp_path / "mine.png"))
    with server.client() as client:
        assert [photo["name"] for photo in client.get("/api/start").json()["photos"]] == ["mine.png"]
        key = look(client)
        # A reader that holds a stream open does not hold the server.
        with client.stream("GET", f"/api/looks/{key}/progress"):
            children = server.children()
            assert len(children) == 2
            assert server.stop(number) < 5
    assert server.process.returncode == code
    assert not any(alive(pid) for pid in children)
    text = server.text()
    assert "Traceback" not in text
    assert text.count(server.token) == 1
    assert text.splitlines()[-1] == "convscope has ended"


def test_a_server_that_is_killed_leaves_no_worker_behind() -> None:
    server = start()
    with server.client() as client:
        look(client)
    children = server.children()
    server.process.kill()
    server.process.wait()
    deadline = time.monotonic() + 5
    while any(alive(pid) for pid in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_ends_at_once_while_a_model_runs() -> None:
    server = start()
    with server.client() as client:
        photo = client.get("/api/start").json()["default_photo"]
        body = {"model": "vgg16", "photo": photo, "weights": "none"}
        assert client.post("/api/looks", json=body).status_code == 202
        time.sleep(0.2)
    children = server.children()
    assert server.stop() < 5
    assert not any(alive(pid) for pid in children)


def test_a_picture_may_come_without_a_model(tmp_path: Path) -> None:
    (tmp_path / "one.png").write_bytes(picture())
    server = start_command(str(tmp_path / "one.png"))
    with server.client() as client:
        told = client.get("/api/start").json()
    assert told["models"] == []
    assert [photo["name"] for photo in told["photos"]] == ["one.png"]
    server.stop()


def test_an_own_class_of_the_command_line_can_be_looked_through_and_named_by_its_key_alone(
    tmp_path: Path,
) -> None:
    (tmp_path / "net.py").write_text(
        "from torch import nn\nclass Net(nn.Sequential):\n"
        "    def __init__(self):\n        super().__init__(nn.Conv2d(3, 4, 3), nn.ReLU())\n"
    )
    (tmp_path / "one.png").write_bytes(picture())
    spec = f"{tmp_path / 'net.py'}:Net"
    server = start_command(spec, str(tmp_path / "one.png"), "--weights", "none")
    with server.client() as client:
        key = look(client)
        manifest = client.get(f"/api/looks/{key}/scene").json()["manifest"]
        assert manifest["model"]["type"] == "Net"
        photo = client.get("/api/start").json()["default_photo"]
        answer = client.post("/api/looks", json={"model": spec, "photo": photo})
        assert answer.status_code == 404
    server.stop()


def test_beyond_loopback_it_warns_and_keeps_the_token() -> None:
    server = start_command("tutorial_tanh", "--host", "0.0.0.0")
    assert "other machines" in server.text()
    import httpx

    own = f"http://127.0.0.1:{server.port}"
    assert httpx.get(f"{own}/api/health", trust_env=False).status_code == 401
    headers = {"authorization": f"Bearer {server.token}"}
    assert httpx.get(f"{own}/api/health", headers=headers, trust_env=False).status_code == 200
    headers["host"] = f"evil.test:{server.port}"
    assert httpx.get(f"{own}/api/health", headers=headers, trust_env=False).status_code == 421
    server.stop()


def test_names_are_exact() -> None:
    assert names_of("127.0.0.1") == names_of("::1") == ("127.0.0.1", "localhost", "[::1]")
    assert names_of("192.0.2.7") == ("127.0.0.1", "localhost", "[::1]", "192.0.2.7")
    assert "0.0.0.0" not in names_of("0.0.0.0")
    assert "*" not in "".join(names_of("::"))
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "10.0.0.1", "::")] == [
        True,
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("words", "told", "code"),
    [
        (("resnet5O",), "there is no model `resnet5O`", 1),
        (("nothing.png",), "there is no file `nothing.png`", 1),
        (("tutorial_tanh", "nothing.png"), "there is no file `nothing.png`", 1),
        (("tutorial_tanh", "--host", "no.such.host.invalid"), "`--host` takes an address of this machine", 2),
        (("tutorial_tanh", "--host", "192.0.2.7"), "`--host` takes an address of this machine", 2),
        (("tutorial_tanh", "--port", "70000"), "port", 2),
    ],
)
def test_what_cannot_be_started_is_said_in_a_sentence(
    run: Command, words: tuple[str, ...], told: str, code: int
) -> None:
    ran = run("serve", "--no-open", *words)
    assert ran.code == code
    assert told in ran.err


def test_a_port_in_use_is_said(run: Command) -> None:
    ran = run("serve", "tutorial_tanh", "--no-open", "--port", shared_server().port)
    assert ran.code == 2
    assert "leave `--port` out" in ran.err


def test_without_the_extra_one_sentence_says_what_to_install(
    run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convscope.cli.serve.find_spec", lambda name: None)
    ran = run("serve", "--no-open")
    assert ran.code == 1
    assert "pip install 'convscope[page]'" in ran.err


def test_a_photo_that_cannot_be_read_is_said_and_the_server_starts(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(picture()[:-40])
    server = start_command("tutorial_tanh", str(tmp_path / "bad.png"))
    with server.client() as client:
        assert client.get("/api/start").json()["photos"] == []
    server.stop()
    assert "bad.png" in server.text()


def test_help_states_how_much_is_kept(run: Command) -> None:
    ran = run("serve", "--help")
    assert "1024" in ran.out
    assert "Megabytes" in ran.out


def test_the_browser_is_opened_unless_told_not_to(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    code = (
        f"import webbrowser; webbrowser.open = lambda a: open({str(seen)!r}, 'w').write(a)\n"
        "from convscope.cli import main; main()"
    )
    server = LiveServer([sys.executable, "-c", code, "serve", "tutorial_tanh"])
    deadline = time.monotonic() + 10
    while not seen.exists() or not seen.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert seen.read_text() == f"{server.address}/#token={server.token}"
    server.stop()
