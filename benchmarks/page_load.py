"""What the server stands: many readers, many uploads, bombs, and connections that say nothing."""

from __future__ import annotations

import asyncio
import contextlib
import io
import struct
import time
import zlib
from collections import Counter
from typing import Any

import numpy as np
from page_client import Connection, Report, Server, health, settled
from PIL import Image

CONNECTIONS = 200
READS = 20_000
UPLOADS = 1_000
BOMBS = 200
HALF_OPEN = 1_000


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


def photo(seed: int) -> bytes:
    """A photo of about 100 kB, each different."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 255, (30, 40, 3)).astype(np.uint8)
    image = Image.fromarray(coarse).resize((640, 480), Image.Resampling.BICUBIC)
    noisy = np.asarray(image).astype(int) + random.integers(-12, 12, (480, 640, 1))
    out = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=90)
    return out.getvalue()


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
