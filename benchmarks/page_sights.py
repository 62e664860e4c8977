"""What a person waits for: pictures, grids, proofs, an ablation, and the bytes of a first sight."""

from __future__ import annotations

import gzip
import re
import statistics
import time
from collections import Counter

import numpy as np
from page_browser import GRID, HOVER, NEW_PHOTO, PROOF, Browser
from page_browser import browser as open_browser
from page_client import Connection, Report, Server

PHOTOS = 15
PROOFS = 20
#: Milliseconds between pressing a mouse's button and letting it go, and for which a mouse rests on a cell.
PRESSED, RESTED = 80, 100


async def first_sight(server: Server, look: str, report: Report) -> None:
    """Everything a browser fetches until photo, answers and the whole spine with its strips are drawn."""
    connection, packed = Connection(server), "Accept-Encoding: gzip\r\n"
    sizes = Counter[str]()
    _, page = await connection.ask("GET", "/", headers=packed)
    sizes["page"] += len(page)
    wanted = re.findall(r"/viewer/[\w.-]+", gzip.decompress(page).decode())
    seen: set[str] = set()
    while wanted:
        path = wanted.pop()
        if path in seen:
            continue
        seen.add(path)
        status, data = await connection.ask("GET", path, headers=packed)
        if status != 200:
            print(f"  {path} is not there")
            continue
        sizes["modules and style"] += len(data)
        if path.endswith(".js"):
            # Types named in comments are not loaded.
            names = re.findall(
                r'^(?:import|export|\}).*"\./([\w.-]+\.js)"', gzip.decompress(data).decode(), re.M
            )
            wanted += [f"/viewer/{name}" for name in names]
    for name, path in (
        ("start", "/api/start"),
        ("scene", f"/api/looks/{look}/scene"),
        ("first", f"/api/looks/{look}/first"),
    ):
        sizes[name] += len((await connection.ask("GET", path, headers=packed))[1])
    print(
        "bytes to the first sight of ResNet-50:", ", ".join(f"{k} {v / 1e3:.0f} kB" for k, v in sizes.items())
    )
    report.line("all of it", sum(sizes.values()) / 1e6, "MB", most=0.6)


def first_pictures(server: Server, browser: Browser, report: Report) -> None:
    """A new photo in the page of the demo network, in turn with bare forward passes of that network."""
    import torch

    import convscope

    module = convscope.load_model("efficientnet_lite0").module
    batch = torch.randn(1, 3, 224, 224)

    def bare() -> float:
        began = time.perf_counter()
        with torch.inference_mode():
            module(batch)
        return 1000 * (time.perf_counter() - began)

    browser.visit(server.base, server.token, "")
    seen: dict[str, list[float]] = {"bare": [], "photo": [], "first": [], "drawn": [], "whole": []}
    for turn in range(PHOTOS + 2):
        bare()
        times = {"bare": statistics.median(bare() for _ in range(3))}
        time.sleep(0.3)  # torch's threads spin on for a while, and would take the page's cores
        times |= browser.run(NEW_PHOTO, turn)
        if turn >= 2:
            for name, row in seen.items():
                row.append(times[name])
    limits = [1.3 * taken + 150 for taken in seen["bare"]]
    middle = {name: statistics.median(row) for name, row in seen.items()}
    print(
        f"a new photo in the demo page, {PHOTOS} times; bare forward pass {middle['bare']:.0f} ms, "
        f"1.3 x that plus 150 ms is {statistics.median(limits):.0f} ms"
    )
    report.line("the photo itself", middle["photo"], "ms")
    ratios = [taken / limit for taken, limit in zip(seen["first"], limits, strict=True)]
    report.line("answers and first maps", middle["first"], "ms")
    report.line("of what it may take, turn by turn", statistics.median(ratios), "x", most=1)
    report.line("strips of all layers", middle["drawn"], "ms")
    report.line("everything", middle["whole"], "ms")


def drawing(server: Server, browser: Browser, report: Report) -> None:
    """Grids, hovering and proofs in the page of a ResNet-50."""
    browser.visit(server.base, server.token, "model=resnet50&weights=none")
    print("ResNet-50 in the page, 1440 x 900; medians")
    for layer, limit in (("layer1.0.conv3", 20), ("layer4.0.conv3", 60)):
        found = browser.run(GRID, layer, 20)
        what = f"grid of {found['channels']} channels, {layer}"
        report.line(what, statistics.median(found["taken"]), "ms", most=limit)
        report.line("  to the end of its frame", statistics.median(found["framed"]), "ms")
    hovered = browser.run(HOVER, "layer1.0.conv3", 60)["taken"]
    report.line("hovering over a cell, 95th percentile", float(np.percentile(hovered, 95)), "ms", most=16)
    browser.run(PROOF, "layer4.0.conv2", 4, 0, 0)
    for layer, what, rested, pressed in (
        ("layer4.1.conv2", "after a click", 0, PRESSED),
        ("layer4.2.conv2", "pressed and let go at once", 0, 0),
        ("layer4.0.conv2", "the same after a rest on the cell", RESTED, 0),
    ):
        found = browser.run(PROOF, layer, PROOFS, rested, pressed)
        taken = statistics.median(found["taken"])
        report.line(f"proof of 4,608 terms, {what}", taken, "ms", most=30)
        report.line("  of which building and layout", statistics.median(found["building"]), "ms")


def in_browser(server: Server, only: str | None, report: Report) -> None:
    """What is timed in a browser, where there is one."""
    jobs = {"first": first_pictures, "drawing": drawing}
    wanted = [job for name, job in jobs.items() if only in (None, name)]
    if not wanted:
        return
    try:
        with open_browser() as browser:
            for job in wanted:
                job(server, browser, report)
    except ImportError:
        print("selenium is not installed: nothing is timed in a browser")


async def ablation(server: Server, look: str, report: Report) -> None:
    """A channel of layer4 switched off, in turn with whole forward passes."""
    import torch

    import convscope

    model = convscope.load_model("resnet50", weights="none")
    batch = torch.randn(1, 3, 224, 224)
    trace = convscope.trace(model, batch)
    edit = [convscope.Edit("layer4.0.conv1", channels=(3,))]
    ratios = []
    for turn in range(22):
        began = time.perf_counter()
        with torch.inference_mode():
            model.module(batch)
        between = time.perf_counter()
        convscope.rerun(trace, edit)
        if turn >= 2:
            ratios.append((time.perf_counter() - between) / (between - began))
    print("a channel of layer4.0.conv1 of ResNet-50 switched off, 20 times")
    report.line("of a whole forward pass", statistics.median(ratios), "x", most=0.5)
