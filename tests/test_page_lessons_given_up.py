"""Runs of lessons whose page went on to something else: the server's workers do not go on with them."""

from __future__ import annotations

import asyncio
import math
import os
import time
from pathlib import Path
from typing import Any, cast

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("fastapi", reason="the extra `page` is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")

import httpx

from convscope.desk.catalog import Catalog
from convscope.page.hosts import WorkerHost
from convscope.page.lessons import Lessons
from convscope.page.settings import Bounds
from page_server import LiveServer, picture, shared_server


@pytest.fixture(scope="module")
def server() -> LiveServer:
    return shared_server()


@pytest.fixture(scope="module")
def photo(server: LiveServer) -> str:
    with server.client() as client:
        found = upload(client, 1200, 4)
        for preview in (True, False):  # its worker starts, and has the photo
            assert run(client, found, 0, preview=preview) == 200
    return found


def upload(client: httpx.Client, side: int, seed: int) -> str:
    return str(client.post("/api/photos", content=picture(side, side, "JPEG", seed=seed)).json()["id"])


def run(client: httpx.Client, photo: str, row: int, *, preview: bool, **more: Any) -> int:
    values = {"picture": photo, "box": f"{row},500,70,70"}
    answer = client.post("/api/lessons/cut", json={"values": values, "preview": preview}, **more)
    return answer.status_code


def seconds(pid: int) -> float:
    """Of processor time that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def settled(server: LiveServer) -> list[float]:
    """The same of the server's workers, in the order they were started, once they rest."""
    last: list[float] = []
    for _ in range(100):
        found = [seconds(pid) for pid in server.children()]
        if found == last:
            return found
        last = found
        time.sleep(0.3)
    raise AssertionError("the workers never rest")


def abandon(server: LiveServer, photo: str, row: int, after: float) -> None:
    with server.client() as own, pytest.raises(httpx.ReadTimeout):
        run(own, photo, row, preview=False, timeout=httpx.Timeout(60, read=after))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processor times are not told here")
def test_a_run_whose_page_has_gone_ends_early(server: LiveServer, photo: str) -> None:
    with server.client() as client:
        before = settled(server)
        began = time.perf_counter()
        assert run(client, photo, 10, preview=False) == 200
        took = time.perf_counter() - began
        whole = sum(settled(server)) - sum(before)
        shares = []
        for row in range(11, 14):
            before = settled(server)
            abandon(server, photo, row, took / 5)
            shares.append((sum(settled(server)) - sum(before)) / whole)
    assert sorted(shares)[1] < 0.7, (shares, whole)


class Worker:
    """Stands for a worker busy for so many seconds (for ever: not started); counts what it is asked."""

    def __init__(self, kind: str, busy: float) -> None:
        self.kind, self.ready, self.idle, self.asked = kind, busy < math.inf, not busy, 0
        self._busy = busy

    def start(self) -> None:
        pass

    async def rest(self, seconds: float) -> None:
        assert self.ready, "it may take seconds"
        await asyncio.sleep(min(seconds, self._busy))
        self.idle = self._busy <= seconds

    async def submit(self, *job: Any, **more: Any) -> tuple[dict[str, Any], bytes]:
        self.asked += 1
        return {}, b""


@pytest.mark.parametrize(
    ("busy", "asked"), [(0.0, (0, 1)), (0.01, (0, 1)), (5.0, (1, 0)), (math.inf, (1, 0))]
)
def test_who_drags_on_is_answered_by_the_worker_that_has_the_photo_if_it_is_free_soon(
    busy: float, asked: tuple[int, int]
) -> None:
    models, light = Worker("model", 0.0), Worker("light", busy)
    lessons = Lessons(cast(Any, models), cast(Any, light), cast(Any, None), Catalog(()), Bounds())
    asyncio.run(lessons.ask("counting", {}, {"task": "run", "preview": True}))
    assert (models.asked, light.asked) == asked


def test_a_worker_rests_once_its_jobs_are_done() -> None:
    async def work() -> list[bool]:
        host = WorkerHost("decode", {"memory": 0, "upload_bytes": 1000}, capacity=2)
        found = [host.idle]
        host.start()
        try:
            await host.rest(60)
            found.append(host.idle)
            jobs = [asyncio.create_task(host.submit("no such job", {}, seconds=60)) for _ in range(2)]
            await asyncio.sleep(0)
            found.append(host.idle)
            await host.rest(60)
            found += [host.idle, all(job.done() for job in jobs)]
            await asyncio.gather(*jobs, return_exceptions=True)
        finally:
            await host.stop()
        return found

    assert asyncio.run(work()) == [False, True, False, True, True]
