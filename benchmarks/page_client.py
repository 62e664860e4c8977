"""A live page's server in a process of its own, connections to it, and figures beside what they are to be."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any


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
