"""The live page: what a person waits for, and what the server stands.

A server of its own is started for it, and everything stays on 127.0.0.1. Each figure is printed
beside what it is to be; the exit code is 1 if one is missed. Drawing, proofs and first pictures are
timed inside a headless Chromium (with selenium); everything on as many cores as there are, so that
whatever else runs on the machine counts too.

    python benchmarks/bench_page.py [--only first|drawing|ablation|bytes|reading|uploads|bombs|half-open]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import io
import json
import re
import signal
import statistics
import struct
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
from page_browser import GRID, HOVER, NEW_PHOTO, PROOF, Browser
from page_browser import browser as open_browser
from PIL import Image

CONNECTIONS = 200
READS = 20_000
UPLOADS = 1_000
BOMBS = 200
HALF_OPEN = 1_000
PHOTOS = 15
PROOFS = 20
#: Milliseconds between pressing a mouse's button and letting it go.
PRESSED = 80
KINDS = ["first", "drawing", "ablation", "bytes", "reading", "uploads", "bombs", "half-open"]


class Server:
    """``convscope serve`` in a process of its own."""

    def __init__(self) -> None:
        code = "from convscope.cli import main; main()"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, "serve", "--no-open"], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        found = re.search(r"http://127.0.0.1:(\d+)/#token=(\S+)", self.process.stdout.readline())
        assert found is not None, "the server does not start"
        self.port, self.token = int(found[1]), found[2]
        self.base = f"http://127.0.0.1:{self.port}"
        self.head = f"Host: 127.0.0.1:{self.port}\r\nAuthorization: Bearer {self.token}\r\n"

    def memory(self) -> float:
        """Resident megabytes of the server and its workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        total = 0
        for pid in (self.process.pid, *children):
            status = Path(f"/proc/{pid}/status").read_text()
            total += int(re.search(r"VmRSS:\s+(\d+)", status)[1])  # type: ignore[index]
        return total / 1024

    def busy(self) -> bool:
        """Whether any of its processes runs, or would if it were let."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        stats = (Path(f"/proc/{pid}/stat").read_text() for pid in (self.process.pid, *children))
        return any(stat.rpartition(") ")[2][0] in "RD" for stat in stats)

    def stop(self) -> None:
        """End it."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)


class Connection:
    """One connection that is kept, and as little else as can be: the client must not be what is measured."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.reader: asyncio.StreamReader | None = None

    async def ask(self, method: str, path: str, body: bytes = b"", headers: str = "") -> tuple[int, bytes]:
        """Status and body of an answer."""
        if self.reader is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        length = f"Content-Length: {len(body)}\r\n" if method == "POST" else ""
        self.writer.write(
            f"{method} {path} HTTP/1.1\r\n{self.server.head}{headers}{length}\r\n".encode() + body
        )
        with contextlib.suppress(ConnectionError):
            await self.writer.drain()
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        found = re.search(r"content-length: (\d+)", head)
        data = await self.reader.readexactly(int(found[1])) if found else await self._chunks()
        if "connection: close" in head:
            self.close()
        return int(head[9:12]), data

    async def _chunks(self) -> bytes:
        assert self.reader is not None
        data = b""
        while size := int(await self.reader.readline(), 16):
            data += await self.reader.readexactly(size)
            await self.reader.readexactly(2)
        await self.reader.readexactly(2)
        return data

    def close(self) -> None:
        """Let go of it; the next question opens another."""
        if self.reader is not None:
            self.writer.close()
        self.reader = None


class Report:
    """Figures beside what they are to be."""

    def __init__(self) -> None:
        self.missed = False

    def line(
        self, what: str, value: float, unit: str, *, most: float | None = None, least: float | None = None
    ) -> None:
        """Print one, and whether it is as it is to be."""
        ok = (most is None or value <= most) and (least is None or value >= least)
        self.missed |= not ok
        wanted = (
            f"at most {most:g}" if most is not None else f"at least {least:g}" if least is not None else ""
        )
        mark = "" if most is None and least is None else "  ✓" if ok else "  ✗"
        print(f"  {what:<58}{value:>10.4g} {unit:<5} {wanted}{mark}", flush=True)


async def finished(server: Server, body: dict[str, Any]) -> str:
    connection = Connection(server)
    kind = "Content-Type: application/json\r\n"
    status, answer = await connection.ask("POST", "/api/looks", json.dumps(body).encode(), kind)
    assert status == 202, answer
    look = str(json.loads(answer)["id"])
    _, lines = await connection.ask("GET", f"/api/looks/{look}/progress")
    assert json.loads(lines.splitlines()[-1]).get("done"), lines
    connection.close()
    return look


async def begin(server: Server) -> tuple[dict[str, Any], str]:
    start = json.loads((await Connection(server).ask("GET", "/api/start"))[1])
    if start["default_photo"] is None:
        status, answer = await Connection(server).ask("POST", "/api/photos", photo(0))
        assert status == 200
        start["default_photo"] = json.loads(answer)["id"]
    body = {"model": "resnet50", "photo": start["default_photo"], "weights": "none"}
    return start, await finished(server, body)


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


async def reading(server: Server, look: str, report: Report) -> None:
    paths = [
        "/api/health",
        "/",
        "/viewer/app.js",
        "/viewer/grid.js",
        "/api/start",
        f"/api/looks/{look}/scene",
        f"/api/looks/{look}/arrays/1?channel=0",
        f"/api/looks/{look}/arrays/2?channel=1",
    ]
    packed = "Accept-Encoding: gzip\r\n"
    statuses: Counter[Any] = Counter()
    left = READS

    async def read(number: int) -> None:
        nonlocal left
        connection = Connection(server)
        while left > 0:
            left -= 1
            try:
                status, _ = await connection.ask("GET", paths[(number + left) % len(paths)], headers=packed)
                statuses[status] += 1
            except (OSError, EOFError, ValueError) as error:
                statuses[type(error).__name__] += 1
                connection.close()
        connection.close()

    began = time.perf_counter()
    await asyncio.gather(*(read(number) for number in range(CONNECTIONS)))
    seconds = time.perf_counter() - began
    print(f"{CONNECTIONS} connections reading {READS:,} answers of eight kinds: {dict(statuses)}")
    report.line("requests a second", READS / seconds, "", least=1000)
    report.line("failures", READS - statuses[200], "", most=0)


@contextlib.asynccontextmanager
async def health(server: Server) -> AsyncIterator[list[float]]:
    """Asks for the health check all the while; its times in milliseconds."""
    times: list[float] = []
    over = asyncio.Event()

    async def watch() -> None:
        connection = Connection(server)
        while not over.is_set():
            began = time.perf_counter()
            try:
                status, _ = await connection.ask("GET", "/api/health")
            except (OSError, EOFError) as error:
                print(
                    "  the health check failed:", type(error).__name__, f"{time.perf_counter() - began:.3f} s"
                )
                connection.close()
                continue
            assert status == 200
            times.append(1000 * (time.perf_counter() - began))
            await asyncio.sleep(0.01)
        connection.close()

    task = asyncio.create_task(watch())
    try:
        yield times
    finally:
        over.set()
        await task


async def send_photos(server: Server, files: list[bytes], at_once: int) -> Counter[Any]:
    """Upload every file; who is told to come again does."""
    statuses: Counter[Any] = Counter()
    waiting = list(enumerate(files))

    async def send() -> None:
        connection = Connection(server)
        while waiting:
            _, data = waiting.pop()
            while True:
                try:
                    status, _ = await connection.ask("POST", "/api/photos", data)
                except (OSError, EOFError, ValueError) as error:
                    status = type(error).__name__
                    connection.close()
                statuses[status] += 1
                if status != 503:
                    break
                await asyncio.sleep(0.5)
        connection.close()

    await asyncio.gather(*(send() for _ in range(at_once)))
    return statuses


def photo(seed: int) -> bytes:
    """A photo of about 100 kB, each different."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 255, (30, 40, 3)).astype(np.uint8)
    image = Image.fromarray(coarse).resize((640, 480), Image.Resampling.BICUBIC)
    noisy = np.asarray(image).astype(int) + random.integers(-12, 12, (480, 640, 1))
    out = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=90)
    return out.getvalue()


async def settled(server: Server) -> float:
    """Megabytes, once whatever a server does at its start or after its work is done."""
    last, since = server.memory(), time.perf_counter()
    began = since
    while (now := time.perf_counter()) - since < 3 and now - began < 90:
        await asyncio.sleep(0.25)
        memory = server.memory()
        if server.busy() or abs(memory - last) > 2:
            last, since = memory, time.perf_counter()
    return server.memory()


async def uploads(server: Server, report: Report) -> None:
    photos = [photo(seed) for seed in range(50)]
    # As after a first day's use: whatever is kept for good (buffers, modules) is there already.
    await send_photos(server, photos[:20] * 2, 20)
    before = await settled(server)
    began = time.perf_counter()
    async with health(server) as times:
        statuses = await send_photos(server, photos * (UPLOADS // len(photos)), CONNECTIONS)
    seconds = time.perf_counter() - began
    after = await settled(server)
    size = sum(map(len, photos)) / len(photos) / 1e3
    print(f"{UPLOADS:,} uploads of {size:.0f} kB, {CONNECTIONS} at once, {seconds:.1f} s: {dict(statuses)}")
    bad = sum(count for status, count in statuses.items() if status not in (200, 503))
    report.line("answers that are neither 200 nor 503", bad, "", most=0)
    report.line("photos taken", statuses[200], "", least=UPLOADS)
    report.line("health check, 99th percentile", float(np.percentile(times, 99)), "ms", most=500)
    report.line("memory afterwards less before", after - before, "MB", most=50)


def bomb(side: int) -> bytes:
    """A small PNG file of ``side`` x ``side`` pixels, all black."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    row = bytes(3 * side + 1)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


async def bombs(server: Server, report: Report) -> None:
    # One in ten is within the limits, and is decoded: a second's work each.
    sizes = [6_300, *[13_000, 20_000] * 4, 13_000]
    made = {side: bomb(side) for side in set(sizes)}
    files = [made[side] for side in sizes]
    before = await settled(server)
    began = time.perf_counter()
    async with health(server) as times:
        statuses = await send_photos(server, [files[n % len(files)] for n in range(BOMBS)], BOMBS)
    seconds = time.perf_counter() - began
    largest = max(map(len, files)) / 1e6
    print(f"{BOMBS} bombs of up to {largest:.1f} MB at once, {seconds:.1f} s: {dict(statuses)}")
    report.line("health check, slowest", max(times), "ms", most=1000)
    report.line(
        "answers that are none of 200, 422, 503",
        sum(n for s, n in statuses.items() if s not in (200, 422, 503)),
        "",
        most=0,
    )
    report.line("memory afterwards less before", await settled(server) - before, "MB", most=50)


async def half_open(server: Server, report: Report) -> None:
    async def hold() -> float:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1")
        began = time.perf_counter()
        with contextlib.suppress(OSError):
            async with asyncio.timeout(60):
                await reader.read()
        writer.close()
        return time.perf_counter() - began

    async with health(server) as times:
        held = await asyncio.gather(*(hold() for _ in range(HALF_OPEN)))
    print(f"{HALF_OPEN:,} half-open connections")
    report.line("the last one closed after", max(held), "s", most=30)
    report.line("health check meanwhile, 99th percentile", float(np.percentile(times, 99)), "ms")


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
    browser.run(PROOF, "layer4.0.conv2", 4, 0)
    for layer, what, pressed in (
        ("layer4.1.conv2", "after a click", PRESSED),
        ("layer4.2.conv2", "pressed and let go at once", 0),
    ):
        found = browser.run(PROOF, layer, PROOFS, pressed)
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


async def run(only: str | None) -> bool:
    report = Report()
    server = Server()
    try:
        await asyncio.to_thread(in_browser, server, only, report)
        _, look = await begin(server)
        for name, work in (("ablation", ablation), ("bytes", first_sight), ("reading", reading)):
            if only in (None, name):
                await work(server, look, report)
        for name, job in (("uploads", uploads), ("bombs", bombs), ("half-open", half_open)):
            if only in (None, name):
                await job(server, report)
    finally:
        server.stop()
    return report.missed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--only", choices=KINDS)
    sys.exit(asyncio.run(run(parser.parse_args().only)))


if __name__ == "__main__":
    main()
