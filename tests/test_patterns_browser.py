"""The page that shows every part of the viewer by itself, with fixed data."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest

from viewer.live import LivePage, Server

pytest.importorskip("torch")
pytest.importorskip("uvicorn", reason="the extra `page` is not installed")
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server("tutorial_cnn", "sample:cat")
    yield server
    server.close()


@pytest.fixture(scope="module")
def page(live_browser: LivePage, server: Server) -> LivePage:
    live_browser.driver.get(f"{server.base}/patterns")
    until = time.monotonic() + 30
    while not live_browser.driver.execute_script("return document.querySelector('.patterns')?.dataset.ready"):
        assert time.monotonic() < until
        time.sleep(0.05)
    return live_browser


def parts(page: LivePage) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page.driver.execute_script(
        """return [...document.querySelectorAll('[data-pattern]')].map((section) => ({
          name: section.dataset.pattern,
          frames: [...section.querySelectorAll('convscope-pattern')].map((frame) => ({
            theme: frame.dataset.theme, height: frame.getBoundingClientRect().height,
            paper: getComputedStyle(frame.shadowRoot.querySelector('.viewer')).backgroundColor,
            text: frame.shadowRoot.textContent.trim(),
          })),
        }))"""
    )
    return found


def test_every_part_of_the_viewer_has_its_pattern() -> None:
    """A part is a class that makes its own `node`, or an exported function that makes a panel."""
    folder = resources.files("convscope") / "viewer"
    texts = {file.name: file.read_text("utf-8") for file in folder.iterdir() if file.name.endswith(".js")}
    shown = set(re.findall(r"""(?:^  \[|pattern\()"(\w+)", ["`]""", texts["patterns.js"], re.MULTILINE))
    shown |= set(re.findall(r"""pattern\("(\w+)", note""", texts["patterns.js"]))
    shown |= set(re.findall(r"""\["(\w+)", """, texts["lessonpatterns.js"]))
    reached, waiting = set(), ["report.js", "desk.js", "lessons.js"]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += re.findall(r'^import .* from "\./([\w-]+\.js)";', texts[name], re.MULTILINE)
    # Films are pages of their own; a lesson's stage only lays figures out, its boxes and exports need a run.
    own = ("film", "lessonstage", "lessonbox", "lessonexports")
    for name in sorted(name for name in reached if not name.startswith(own)):
        text = texts[name]
        for part, body in re.findall(r"^export class (\w+)(.*?)^}", text, re.MULTILINE | re.DOTALL):
            if "this.node = element(" in body:
                assert part in shown, f"{name}: {part} is not on the page of patterns"
        for part in re.findall(
            r"^export (?:async )?function (\w+(?:Panel|Sheet|Bar|Answers))\b", text, re.MULTILINE
        ):
            assert part in shown, f"{name}: {part} is not on the page of patterns"


def test_each_is_drawn_on_both_grounds_without_a_complaint(page: LivePage) -> None:
    for part in parts(page):
        light, dark = part["frames"]
        assert (light["theme"], dark["theme"]) == ("light", "dark")
        assert min(light["height"], dark["height"]) > 20, part["name"]
        assert light["text"], part["name"]
        assert light["text"] == dark["text"], part["name"]
        assert light["paper"] != dark["paper"], part["name"]
    assert page.complaints() == []


def test_it_asks_for_nothing_but_its_own_files(page: LivePage) -> None:
    """No token is needed, so there must be nothing of anyone in it."""
    asked = page.driver.execute_script(
        "return performance.getEntriesByType('resource').map(({name}) => new URL(name).pathname)"
    )
    assert asked
    assert all(path.startswith("/viewer/") for path in asked)


def test_no_part_makes_the_page_wider_than_a_phone(page: LivePage) -> None:
    page.resize(400, 800)
    assert page.driver.execute_script("return document.documentElement.scrollWidth") <= 400
    page.resize(1440, 900)


def test_a_sum_that_does_not_agree_has_a_cross(page: LivePage) -> None:
    verdicts = page.driver.execute_script(
        """return [...document.querySelectorAll('[data-pattern=ProofPanel] convscope-pattern')]
          .flatMap((frame) => [...frame.shadowRoot.querySelectorAll('.verdict')])
          .map((verdict) => [verdict.dataset.agrees, verdict.querySelector('.tick').textContent])"""
    )
    assert set(map(tuple, verdicts)) == {("true", "\u2713"), ("false", "\u2717")}
