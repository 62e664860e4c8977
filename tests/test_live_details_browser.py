"""Details of the live page: fingers, narrow pages, large text, things taken away."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from viewer.live import LivePage, Server

pytestmark = pytest.mark.browser
CONV, ACT = "blocks.1.1.conv_dw", "blocks.1.1.bn1.act"


def touch(page: LivePage, *points: tuple[float, float]) -> None:
    """A finger on the photo, from one share of it to the next."""
    box = page.get(
        "(({left, top, width, height}) => [left, top, width, height])"
        "(root.querySelector('#photo-frame').getBoundingClientRect())"
    )
    for step, (x, y) in enumerate(points):
        at = {"x": box[0] + x * box[2], "y": box[1] + y * box[3], "id": 1}
        kind = "touchStart" if step == 0 else "touchMove"
        page.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [at]})
        time.sleep(0.03)
    page.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.settle()


def rest(page: LivePage) -> None:
    """Wait for the end of a scroll: a flung page goes on for a while."""
    until = time.monotonic() + 10
    at, since = page.get("scrollY"), time.monotonic()
    while time.monotonic() - since < 0.5:
        assert time.monotonic() < until, "the page scrolls on and on"
        time.sleep(0.05)
        if page.get("scrollY") != at:
            at, since = page.get("scrollY"), time.monotonic()


@pytest.fixture
def phone(live_browser: LivePage, server: Server) -> Iterator[LivePage]:
    driver = live_browser.driver
    driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 1})
    size = {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    live_browser.visit(server)
    yield live_browser
    driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
    assert live_browser.complaints() == []


def test_a_finger_on_the_photo_scrolls_and_draws_only_when_told_to(phone: LivePage) -> None:
    assert phone.get("getComputedStyle(root.querySelector('[data-key=box-mode]')).display") == "block"
    touch(phone, (0.3, 0.9), (0.4, 0.5), (0.5, 0.1))
    assert phone.get("viewer.state.box") == ""
    assert phone.get("scrollY") > 0
    rest(phone)
    phone.run("scrollTo(0, 0)")
    phone.run("root.querySelector('[data-key=box-mode]').click()")
    assert phone.get("root.querySelector('[data-key=box-mode]').getAttribute('aria-pressed')") == "true"
    touch(phone, (0.35, 0.2), (0.45, 0.4), (0.6, 0.7))
    assert phone.get("scrollY") == 0
    phone.wait("root.querySelector('.looking').dataset.ready === 'true'")
    assert phone.count(".looking li") > 3
    assert phone.get("root.querySelector('#photo-frame').classList.contains('boxing')") is False


@pytest.mark.parametrize("width", [1440, 400])
def test_nothing_on_the_page_is_wider_than_it(live: LivePage, width: int) -> None:
    live.choose(ACT, 8, "23,20")
    live.run("viewer.state.update({cam: '281', box: '20,20,80,90', pins: 'conv_stem:4'})")
    live.wait("root.querySelector('.looking').dataset.ready === 'true'")
    live.resize(width, 900)
    live.settle()
    assert live.get("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (400, 800)])
def test_text_at_twice_the_size_fits_on_the_live_page(live: LivePage, width: int, height: int) -> None:
    live.resize(width, height)
    live.driver.execute_cdp_cmd("Page.setFontSizes", {"fontSizes": {"standard": 32}})
    live.run(
        "viewer.state.update(arguments[0])", {"layer": ACT, "channel": 8, "proof": "23,20", "theme": "dark"}
    )
    live.wait("root.querySelector('.proof').dataset.ready === 'true'")
    live.settle()
    assert live.get("document.documentElement.scrollWidth") <= width
    for selector in (".proof", ".verdict", ".photo", ".answers"):
        box = live.get("root.querySelector(arguments[0]).getBoundingClientRect()", selector)
        assert 0 <= box["left"] < box["right"] <= width
    live.driver.execute_cdp_cmd("Page.setFontSizes", {"fontSizes": {"standard": 16}})


def test_sizes_that_are_not_square_are_shown_in_whole(live: LivePage, tmp_path: Path) -> None:
    cut = live.get(
        """[...root.querySelectorAll('.row.op .size')].filter((cell) => cell.scrollWidth > cell.clientWidth)
          .map((cell) => cell.textContent)"""
    )
    assert cut == []


def test_the_scene_is_saved_and_loads_again(live: LivePage, tmp_path: Path, seen: Any) -> None:
    from convscope import Scene

    live.driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
    )
    live.press("w")
    live.click(".menu [data-what=scene]")
    live.wait("root.querySelector('.menu [role=status]').textContent.includes('is saved')")
    until = time.monotonic() + 20
    while not (found := list(tmp_path.glob("*.scene"))):
        assert time.monotonic() < until
        time.sleep(0.05)
    scene = Scene.load(found[0])
    assert scene.manifest["model"]["name"] == "efficientnet_lite0"
    stats = scene.arrays[f"stats/{seen[CONV].index}"]
    np.testing.assert_array_equal(stats[:, 1], seen[CONV].value[0].flatten(1).amax(1).numpy())


def test_a_file_that_breaks_off_is_told_in_a_sentence(live: LivePage) -> None:
    # So it does where the browser's disk is full: the answer begins, and its body ends in an error.
    live.run(
        """
        window.ownFetch = window.fetch;
        window.fetch = async (path, options) => {
          if (!String(path).includes("/export")) return window.ownFetch(path, options);
          const broken = new ReadableStream({ pull: (to) => to.error(new TypeError("Failed to fetch")) });
          return new Response(broken);
        };
        """
    )
    try:
        live.press("w")
        live.click(".menu [data-what=scene]")
        live.wait("root.querySelector('.menu [role=status]').textContent.includes('broke off')")
        said = live.text(".menu [role=status]")
    finally:
        live.run("window.fetch = window.ownFetch")
    assert said == (
        "An answer broke off before its end. "
        "Is convscope serve still running, and is there room on this machine's disk?"
    )


def test_exact_values_are_saved_as_the_network_computed_them(
    live: LivePage, seen: Any, tmp_path: Path
) -> None:
    live.driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
    )
    live.choose("blocks.6.0.conv_pwl", 2)
    node = seen["blocks.6.0.conv_pwl"]
    for what, ending in (("values", "npz"), ("csv", "csv"), ("map", "png"), ("report", "html")):
        live.press("w")
        live.click(f"[data-what={what}]")
        until = time.monotonic() + 20
        while not (found := [file for file in tmp_path.glob(f"*.{ending}") if file.stat().st_size]):
            assert time.monotonic() < until, f"no .{ending} came: {live.text('.menu p')}"
            time.sleep(0.05)
        if what == "values":
            np.testing.assert_array_equal(np.load(found[0])["value"], node.value.numpy())
        if what == "csv":
            rows = list(csv.reader(io.StringIO(found[0].read_text())))
            assert len(rows) == node.value.numel() + 1
        if what == "map":
            from PIL import Image

            with Image.open(found[0]) as picture:
                assert picture.width % node.value.shape[-1] == 0
                assert picture.width >= 512
    assert live.complaints() == []


def test_a_copied_link_is_on_the_clipboard_and_opens_the_same_sight(live: LivePage, server: Server) -> None:
    live.driver.execute_cdp_cmd(
        "Browser.grantPermissions",
        {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"], "origin": server.base},
    )
    live.choose(ACT, 11)
    live.press("w")
    live.click(".menu [data-what=link]")
    live.wait("root.querySelector('.menu [role=status]').textContent.includes('copied')")
    copied = live.driver.execute_async_script(
        "const done = arguments[0]; navigator.clipboard.readText().then(done, (e) => done(String(e)));"
    )
    assert copied.startswith(f"{server.base}/#token={server.token}")
    live.driver.get("about:blank")
    live.driver.get(copied)
    live.awaken()
    assert live.get("[viewer.state.layer, viewer.state.channel]") == [ACT, 11]


def test_who_is_told_to_come_again_does_so_unnoticed(live: LivePage) -> None:
    told = live.driver.execute_async_script(
        """const done = arguments[0], plain = window.fetch, { api } = desk.session;
        const told = { status: 503, headers: { "Retry-After": "0.01" } };
        const error = { code: "busy", message: "too many", hint: "" };
        const busy = () => new Response(JSON.stringify({ error }), told);
        let tries = 0;
        (async () => {
          window.fetch = async (...asked) => ((tries += 1) < 3 ? busy() : plain(...asked));
          const health = await api.json("/api/health");
          window.fetch = async () => ((tries += 1), busy());
          const code = await api.json("/api/health").catch((cause) => cause.code);
          window.fetch = plain;
          return { health, code, tries };
        })().then(done, (cause) => done(String(cause)));"""
    )
    assert told == {"health": {"ok": True}, "code": "busy", "tries": 3 + 6}


def test_the_bar_is_one_line_with_whole_names_where_there_is_room(live: LivePage) -> None:
    line = "root.querySelector('.bar').getBoundingClientRect().height"
    names = "[...root.querySelectorAll('.bar h1 > *, .versus > *')]"
    cut = f"{names}.filter(name => name.scrollWidth > name.clientWidth + 1)"
    alone = live.get(line)
    live.resize(1024, 768)
    live.settle()
    assert live.get(line) == alone
    assert live.get(f"{cut}.length") == 0
    live.resize(1440, 900)
    live.run("viewer.context.toggle(2)")
    live.wait("root.querySelector('[data-key=versus]')")
    live.run("root.querySelector('[data-key=versus]').click()")
    live.wait("root.querySelector('.versus')")
    live.awaken()
    assert live.get(line) == pytest.approx(alone, abs=1)
    assert live.get(f"{cut}.length") == 0
    live.resize(800, 700)
    live.settle()
    assert live.get("document.documentElement.scrollWidth") == 800
