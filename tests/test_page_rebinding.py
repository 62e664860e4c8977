"""A real browser, led astray: pages of strangers try to reach the server, and nothing gets in.

Three grounds to attack from: a name of the stranger's own that points here (DNS rebinding), another
page on another port of this machine, and a stranger's page. Each tries all it may: fetch, forms
without CORS, pictures, scripts, frames and websockets; the worst case, in which it knows the token.
"""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra `page` is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")
pytest.importorskip("selenium", reason="selenium is not installed")

from page_server import LiveServer, start

pytestmark = pytest.mark.browser

#: Tries everything and says what got through.
ATTACK = """
const [target, token, done] = arguments;
const headers = { Authorization: "Bearer " + token };
const text = (path, more) => fetch(target + path, more).then((answer) => answer.text());
const loaded = (element, seen = () => "loaded") => new Promise((yes, no) => {
  element.onload = () => { try { yes(seen(element)); } catch { no(); } };
  element.onerror = no;
  document.body.append(element);
});
const made = (tag, path) => Object.assign(document.createElement(tag), { src: target + path });
const form = { method: "POST", headers: { ...headers, "Content-Type": "text/plain" }, body: "{}" };
const tries = {
  get: () => text("/api/start", { headers }),
  plain: () => text("/api/start"),
  page: () => text("/"),
  credentials: () => text("/api/start", { credentials: "include" }),
  form: () => text("/api/looks", form),
  blind: () => fetch(target + "/api/photos", { method: "POST", mode: "no-cors", body: "x" })
    .then((answer) => answer.type),
  image: () => loaded(made("img", "/api/photos/x")),
  script: () => loaded(made("script", "/viewer/format.js")),
  frame: () => loaded(made("iframe", "/"), (frame) => frame.contentDocument.body.textContent),
  socket: () => new Promise((yes, no) => {
    const socket = new WebSocket(target.replace("http", "ws") + "/api/health");
    Object.assign(socket, { onopen: yes, onerror: no });
  }),
};
const late = () => new Promise((_, no) => setTimeout(no, 4000));
Promise.all(Object.entries(tries).map(([name, make]) =>
  Promise.race([make(), late()]).then((got) => [name, String(got)], () => [name, "stopped"]),
)).then((found) => done(Object.fromEntries(found)));
"""


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    found = start()
    yield found
    found.stop()


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A page of a stranger's, at a port of this machine."""
    folder = tmp_path_factory.mktemp("stranger")
    (folder / "index.html").write_text("<!doctype html><title>stranger</title><body>stranger</body>")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        yield other.server_address[1]
        other.shutdown()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium for which evil.test is this machine, and every other name nowhere."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    from viewer.browser import CHROMIUM, DRIVER, SWITCHES

    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no Chromium with its chromedriver on this machine")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    rules = "MAP evil.test 127.0.0.1, MAP localhost 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    profile = tmp_path_factory.mktemp("profile")
    for switch in SWITCHES:
        if not switch.startswith("--host-resolver-rules"):
            options.add_argument(switch)
    options.add_argument(f"--host-resolver-rules={rules}")
    options.add_argument(f"--user-data-dir={profile}")
    found = webdriver.Chrome(options=options, service=Service(DRIVER))
    found.set_script_timeout(30)
    yield found
    found.quit()


def photos(server: LiveServer) -> int:
    with server.client() as client:
        return len(client.get("/api/start").json()["photos"])


def test_under_a_name_of_the_strangers_own_not_even_the_page_is_shown(
    server: LiveServer, browser: Any
) -> None:
    for path in (f"/#token={server.token}", "/viewer/app.js"):
        browser.get(f"http://evil.test:{server.port}{path}")
        assert "wrong_host" in browser.page_source
    found = browser.execute_async_script(ATTACK, f"http://evil.test:{server.port}", server.token)
    # The page that asks and the refusal are of one origin, so it may read that it is refused.
    assert found.pop("blind") == "basic"
    for name in ("get", "plain", "page", "credentials", "form"):
        assert "wrong_host" in found.pop(name)
    assert found == dict.fromkeys(("image", "script", "frame", "socket"), "stopped")
    assert photos(server) == 1


@pytest.mark.parametrize("ground", ["evil.test", "127.0.0.1", "localhost"])
def test_from_another_page_nothing_gets_through(
    ground: str, server: LiveServer, stranger: int, browser: Any
) -> None:
    for target in (f"http://127.0.0.1:{server.port}", f"http://localhost:{server.port}"):
        browser.get(f"http://{ground}:{stranger}/")
        assert "stranger" in browser.page_source
        found = browser.execute_async_script(ATTACK, target, server.token)
        assert found == dict.fromkeys(found, "stopped")
        assert len(found) == 10
    assert photos(server) == 1


def test_on_its_own_ground_it_works_with_the_token_alone(server: LiveServer, browser: Any) -> None:
    """The attack is one that would be seen to succeed."""
    own = f"http://127.0.0.1:{server.port}"
    browser.get(f"{own}/viewer/format.js")
    found = browser.execute_async_script(ATTACK, own, server.token)
    assert found["get"].startswith('{"models":')
    assert found["page"].startswith("<!doctype html>")
    assert "no_token" in found["plain"]
    assert "no_token" in found["credentials"]


def test_the_page_moves_nothing_into_cookies(server: LiveServer, browser: Any) -> None:
    browser.get(f"http://127.0.0.1:{server.port}/#token={server.token}")
    time.sleep(0.2)
    assert browser.get_cookies() == []
    assert server.text().count(server.token) == 1
