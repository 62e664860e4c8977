"""Dragging a box on the Lessons tab, from the pointer to the answer on screen, inside a headless Chromium.

A colour photo of 1024 x 1024 with a kernel of 70 x 70 cut from it, in the lesson `cut`: its box is moved by
real pointer events, first one move at a time, then after rests, then without waiting for the answers. Told is
the time from the event of a move to the end of the frame that shows its answer, and of what it is made up:
the way to the server and back with the computation, and drawing. Needs selenium, chromium and chromedriver.

    python benchmarks/bench_lesson_drag.py [--moves 25]
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import sys
import time
import urllib.request
from typing import Any

import numpy as np
from page_browser import Browser
from page_browser import browser as open_browser
from page_client import Report, Server
from PIL import Image

from convscope.data import load_image

SIDE, KERNEL = 1024, 70
BOX = (300, 500, KERNEL, KERNEL)
#: Pixels of the page the pointer goes each time, and milliseconds between moves that wait for nothing.
MOVE, PAUSE = 2, 16
#: Milliseconds after which a hand that rested moves on: the run at full size has just begun.
REST = 340
LESSONS = """
const lessons = document.querySelector("convscope-lessons");
const onScreen = () => JSON.parse(lessons?.dataset.shown?.replace(/^\\S+ /, "") ?? "{}").box;
const idle = () => lessons?.dataset.ready === "true" && lessons.isIdle;
"""
#: Asked again and again until it is true: the tab is not there at once.
OPENED = LESSONS + "done(Boolean(idle() && onScreen()));"
WATCH = (
    LESSONS
    + """
const moves = new Map(), seen = [];
lessons.root.addEventListener("pointermove", (event) => {
  const box = lessons.value("box");
  if (!moves.has(box)) moves.set(box, event.timeStamp);
});
new MutationObserver(async () => {
  const box = onScreen(), preview = lessons.dataset.preview;
  const asked = performance.getEntriesByType("resource").findLast(({ name }) => /lessons\\/cut$/.test(name));
  const drawn = performance.now(), shown = await frame();
  if (moves.has(box) && preview === "true" && !seen.some((one) => one.box === box)) {
    const began = moves.get(box);
    seen.push({ box, whole: shown - began, asked: asked.startTime - began, answered: asked.duration,
                built: drawn - asked.responseEnd, framed: shown - drawn, bytes: asked.transferSize });
  }
}).observe(lessons, { attributes: true, attributeFilter: ["data-shown"] });
window.dragged = { moves, seen };
const frame_ = lessons.root.querySelector("[data-map=photo] .boxframe");
const { left, top, width, height } = frame_.getBoundingClientRect();
done([left + width / 2, top + height / 2]);
"""
)
TOLD = (
    LESSONS
    + "until(() => dragged.seen.length >= arguments[0] || idle()).then(() => done(dragged.seen), done);"
)
NEW = "dragged.moves.clear(); dragged.seen.length = 0; performance.clearResourceTimings(); done(true);"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--moves", type=int, default=25)
    moves = parser.parse_args().moves
    report, server = Report(), Server()
    try:
        with open_browser() as browser:
            measure(server, browser, moves, report)
    except ImportError:
        print("selenium is not installed: nothing is timed in a browser")
    finally:
        server.stop()
    sys.exit(report.missed)


def measure(server: Server, browser: Browser, moves: int, report: Report) -> None:
    """The drags of one page."""
    photo = upload(server, colour_photo())
    box = "%2C".join(map(str, BOX))
    browser.driver.get(
        f"{server.base}/#token={server.token}&lesson=cut&lang=en&l.picture={photo}&l.box={box}"
    )
    while not browser.run(OPENED):
        time.sleep(0.1)
    x, y = browser.run(WATCH)
    pointer(browser, "mouseMoved", x, y, 0)
    pointer(browser, "mousePressed", x, y, 1)
    found = []
    for move in range(moves + 5):
        browser.run(NEW)
        x += MOVE
        pointer(browser, "mouseMoved", x, y, 1)
        told = browser.run(TOLD, 1)
        if move >= 5:
            found += told
    print(f"a colour photo of {SIDE} x {SIDE}, kernel {KERNEL} x {KERNEL}; medians of {len(found)} moves")
    tell(found, report, most=60)
    found = []
    for move in range(moves):
        browser.driver.execute_async_script(f"setTimeout(arguments[0], {REST})")
        browser.run(NEW)
        x += MOVE if move % 2 else -MOVE
        pointer(browser, "mouseMoved", x, y, 1)
        found += browser.run(TOLD, 1)
    print(f"moved on after a rest of {REST} ms, while the whole is computed; {len(found)} answers")
    tell(found, report, most=100)
    browser.run(NEW)
    for _ in range(2 * moves):
        x -= MOVE
        pointer(browser, "mouseMoved", x, y + MOVE, 1)
        browser.driver.execute_async_script(f"setTimeout(arguments[0], {PAUSE})")
    pointer(browser, "mouseReleased", x, y + MOVE, 0)
    found = browser.run(TOLD, 1000)
    print(f"moved on without waiting, {2 * moves} times; {len(found)} answers")
    tell(found, report, most=100)


def tell(found: list[dict[str, Any]], report: Report, *, most: float) -> None:
    """Figures of some moves."""
    middle = {name: statistics.median(one[name] for one in found) for name in found[0] if name != "box"}
    report.line("from the pointer to the answer on screen", middle["whole"], "ms", most=most)
    report.line(
        "  95th percentile", float(np.percentile([one["whole"] for one in found], 95)), "ms", most=100
    )
    report.line("  until it is asked", middle["asked"], "ms")
    report.line("  the server's answer", middle["answered"], "ms")
    report.line("  its pictures built", middle["built"], "ms")
    report.line("  to the end of the frame", middle["framed"], "ms")
    report.line("  bytes of an answer", middle["bytes"] / 1e3, "kB")


def pointer(browser: Browser, kind: str, x: float, y: float, buttons: int) -> None:
    """A real pointer event."""
    told = {
        "type": kind,
        "x": x,
        "y": y,
        "button": "left" if buttons else "none",
        "buttons": buttons,
        "clickCount": 1,
    }
    if kind == "mouseReleased":
        told["button"] = "left"
    browser.driver.execute_cdp_cmd("Input.dispatchMouseEvent", told)


def colour_photo() -> bytes:
    """A photo in colour as a file."""
    pixels = load_image("sample:astronaut").pixels
    out = io.BytesIO()
    Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(out, "JPEG", quality=92)
    return out.getvalue()


def upload(server: Server, data: bytes) -> str:
    """The id of a photo sent to the server."""
    request = urllib.request.Request(
        f"{server.base}/api/photos", data, {"Authorization": f"Bearer {server.token}", "X-Name": "astronaut"}
    )
    with urllib.request.urlopen(request) as answer:
        return str(json.load(answer)["id"])


if __name__ == "__main__":
    main()
