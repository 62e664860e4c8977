"""Worker processes seen from the server: a bounded queue each, deadlines, and a new start after a crash."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from convscope.desk.answers import PageError, busy
from convscope.page.frames import PREFIX, lengths, packed

#: Called with the head and the blob of everything a job says before its answer.
OnEvent = Callable[[dict[str, Any], bytes], None]

START_SECONDS = 120.0
#: How long a job that nobody wants any more may go on before its worker is ended.
GIVE_UP_SECONDS = 20.0
#: A worker lost so soon after a job began was most likely lost before: the job is tried once more.
LOST_AT_ONCE_SECONDS = 1.0


@dataclass(order=True)
class _Job:
    priority: int
    number: int
    op: str = field(compare=False)
    payload: dict[str, Any] = field(compare=False)
    blob: bytes = field(compare=False, repr=False)
    seconds: float = field(compare=False)
    on_event: OnEvent | None = field(compare=False)
    on_start: Callable[[], None] | None = field(compare=False)
    answer: asyncio.Future[tuple[dict[str, Any], bytes]] = field(compare=False)
    heard: bool = field(default=False, compare=False)
    tried: bool = field(default=False, compare=False)


class WorkerHost:
    """One worker process and the jobs that wait for it.

    Parameters
    ----------
    kind
        Of worker, see :data:`convscope.page.worker.KINDS`.
    hello
        What the worker is told first.
    capacity
        How many jobs may wait; one more is told to come again.
    """

    def __init__(self, kind: str, hello: dict[str, Any], *, capacity: int) -> None:
        self.kind = kind
        self.starts = 0
        self._hello = {"kind": kind, **hello}
        self._capacity = capacity
        self._waiting: list[_Job] = []
        self._numbers = itertools.count(1)
        self._more = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._runner: asyncio.Task[None] | None = None
        self._ready = False
        self._rest = asyncio.Event()

    @property
    def process_id(self) -> int | None:
        """Of the worker that runs now."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if self._process is not None and running else None

    @property
    def waiting(self) -> int:
        """How many jobs wait, the one at work not counted."""
        return len(self._waiting)

    @property
    def ready(self) -> bool:
        """Whether its process has started and takes jobs."""
        return self._ready and self.process_id is not None

    @property
    def idle(self) -> bool:
        """Whether a job given now would be begun at once."""
        return self.ready and self._rest.is_set()

    async def rest(self, seconds: float) -> None:
        """Wait until it has nothing to do, or so long."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._rest.wait(), seconds)

    def start(self) -> None:
        """Begin to serve jobs; the process is started at once, and again whenever it has ended."""
        if self._runner is None:
            self._runner = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End the worker, gently for a second; every job still there fails."""
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.gather(self._runner, return_exceptions=True)
        for job in self._waiting:
            _fail(job, _stopping())
        self._waiting.clear()
        await self._end(gently=1.0)

    async def submit(
        self,
        op: str,
        payload: dict[str, Any],
        blob: bytes = b"",
        *,
        seconds: float,
        priority: int = 5,
        on_event: OnEvent | None = None,
        on_start: Callable[[], None] | None = None,
    ) -> tuple[dict[str, Any], bytes]:
        """Have a job done; cancelling the caller cancels the job.

        Parameters
        ----------
        seconds
            Time it may take once it has begun; beyond it the worker is ended and started anew.
        priority
            Jobs of a lower number go first.
        on_event, on_start
            Called for everything the job says on its way, and when it is taken up.

        Raises
        ------
        PageError
            503 if too many wait already; what the worker answered; or why it gave no answer.
        """
        if len(self._waiting) >= self._capacity:
            raise busy("photos" if self.kind == "decode" else "jobs")
        answer = asyncio.get_running_loop().create_future()
        job = _Job(priority, next(self._numbers), op, payload, blob, seconds, on_event, on_start, answer)
        heapq.heappush(self._waiting, job)
        self._rest.clear()
        self._more.set()
        try:
            return await answer
        finally:
            if job in self._waiting:
                self._waiting.remove(job)
                heapq.heapify(self._waiting)

    async def _run(self) -> None:
        while True:
            try:
                self._ready = False
                self._rest.clear()
                await self._start_process()
                self._ready = True
                await self._serve()
            except PageError as error:
                # The process does not even start: those who wait are told, and so is whoever comes next.
                await self._end()
                while not self._waiting:
                    await self._next()
                while self._waiting:
                    _fail(heapq.heappop(self._waiting), error)
                await asyncio.sleep(1.0)

    async def _next(self) -> None:
        self._more.clear()
        if not self._waiting:
            await self._more.wait()

    async def _serve(self) -> None:
        """Do jobs until the process is lost."""
        assert self._process is not None
        ended = asyncio.create_task(self._process.wait())
        try:
            while not ended.done():
                if not self._waiting:
                    self._rest.set()
                    self._more.clear()
                    more = asyncio.create_task(self._more.wait())
                    await asyncio.wait({more, ended}, return_when=asyncio.FIRST_COMPLETED)
                    more.cancel()
                    continue
                job = heapq.heappop(self._waiting)
                if job.answer.done():
                    continue
                if not await self._do(job):
                    await self._end()
                    if not job.answer.done():
                        heapq.heappush(self._waiting, job)
                    return
                del job  # its answer may be a whole photo, and the next job may be long in coming
        finally:
            ended.cancel()

    async def _do(self, job: _Job) -> bool:
        """Do one job; whether the worker can go on afterwards."""
        if job.on_start is not None:
            job.on_start()
        began = asyncio.get_running_loop().time()
        talk = asyncio.create_task(self._talk(job))
        try:
            done, _ = await asyncio.wait(
                {talk, job.answer}, timeout=job.seconds, return_when="FIRST_COMPLETED"
            )
            if talk not in done and job.answer in done:  # nobody wants it any more
                await self._send({"cancel": job.number})
                done, _ = await asyncio.wait({talk}, timeout=GIVE_UP_SECONDS)
            if talk not in done:
                told = f"this took longer than {job.seconds:g} seconds and was ended"
                _fail(job, PageError(422, "too_slow", told, hint="Try a smaller photo or model."))
                return False
            try:
                _settle(job, *talk.result())
            except (OSError, EOFError, asyncio.IncompleteReadError, ValueError, KeyError):
                soon = asyncio.get_running_loop().time() - began < LOST_AT_ONCE_SECONDS
                if soon and not (job.heard or job.tried):
                    job.tried = True
                    return False
                told = "the process at work ended before it was done, for want of memory most likely"
                _fail(job, PageError(422, "worker_lost", told, hint="Try a smaller photo or model."))
                return False
            return True
        finally:
            talk.cancel()

    async def _talk(self, job: _Job) -> tuple[dict[str, Any], bytes]:
        await self._send({"job": job.number, "op": job.op, "payload": job.payload}, job.blob)
        while True:
            head, blob = await self._receive()
            if head.get("job") != job.number:
                continue
            job.heard = True
            if "event" not in head:
                return head, blob
            if job.on_event is not None and not job.answer.done():
                job.on_event(head["event"], blob)

    async def _start_process(self) -> None:
        self.starts += 1
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "convscope.page.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 22,
            # Out of reach of the terminal's Ctrl-C: the server ends its workers itself.
            start_new_session=os.name == "posix",
        )
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._send(self._hello)
                head, _ = await self._receive()
        except (OSError, ValueError, asyncio.IncompleteReadError, TimeoutError):
            head = {}
        if not head.get("ready"):
            raise PageError(
                503, "no_worker", f"the process for this ({self.kind}) does not start", retry_after=5
            )

    async def _send(self, head: dict[str, Any], blob: bytes = b"") -> None:
        stream = self._process.stdin if self._process is not None else None
        if stream is None:
            raise OSError("no process")
        stream.write(packed(head, len(blob)))
        if blob:
            stream.write(blob)
        await stream.drain()

    async def _receive(self) -> tuple[dict[str, Any], bytes]:
        stream = self._process.stdout if self._process is not None else None
        if stream is None:
            raise OSError("no process")
        head, blob = lengths(await stream.readexactly(PREFIX))
        text = await stream.readexactly(head)
        return json.loads(text), await stream.readexactly(blob) if blob else b""

    async def _end(self, gently: float = 0.0) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        if gently and process.returncode is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(gently):
                    await process.wait()
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        # Before waiting: a pipe whose reading is paused never tells its end, and waiting waits for that.
        _close_transport(process)
        await process.wait()


def _close_transport(process: asyncio.subprocess.Process) -> None:
    transport = getattr(process, "_transport", None)
    if transport is not None:
        transport.close()


def _settle(job: _Job, head: dict[str, Any], blob: bytes) -> None:
    if job.answer.done():
        return
    if "error" in head:
        told = head["error"]
        job.answer.set_exception(
            PageError(
                told["status"],
                told["code"],
                told["message"],
                hint=told["hint"],
                control=told.get("control", ""),
            )
        )
    else:
        job.answer.set_result((head["answer"], blob))


def _fail(job: _Job, error: PageError) -> None:
    if not job.answer.done():
        job.answer.set_exception(error)


def _stopping() -> PageError:
    return PageError(503, "stopping", "the server is being stopped")
