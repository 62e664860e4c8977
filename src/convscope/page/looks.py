"""Looks: one model run on one photo, what there is to see of it, and how far it has come."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from secrets import token_urlsafe
from typing import Any

from convscope.desk.answers import PageError, describe, unknown
from convscope.page.hosts import WorkerHost
from convscope.page.photos import Photos
from convscope.page.settings import Bounds
from convscope.page.shelf import Parcel, Shelf

#: A stream that says nothing for so long says its last word again, so that a reader that left is noticed.
HEARTBEAT_SECONDS = 5.0
#: A question about a pass goes before a new pass, and both before what nobody waits for.
ASK_FIRST, LOOK_NEXT, WARM_LAST = 1, 5, 9


@dataclass(frozen=True)
class Spec:
    """What was asked to be looked at, as the worker is told; all of it checked before."""

    model: dict[str, Any]
    photo: str
    edits: tuple[tuple[int, tuple[int, ...] | None, float], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As it goes to the worker."""
        edits = [[node, None if c is None else list(c), factor] for node, c, factor in self.edits]
        return {"model": self.model, "photo": self.photo, "edits": edits}

    @property
    def origin(self) -> tuple[str, str]:
        """The pass itself, whatever is switched off in it."""
        return json.dumps(self.model, sort_keys=True), self.photo


@dataclass
class Look:
    """One look; ``stage`` is ``waiting``, ``loading``, ``running``, ``drawing``, ``first``, ``done`` or
    ``failed``, ``fraction`` how much of it all is done, 0 to 1."""

    key: str
    spec: Spec
    parcel: Parcel = field(default_factory=Parcel)
    stage: str = "waiting"
    fraction: float = 0.0
    error: dict[str, Any] | None = None
    index: list[dict[str, Any]] = field(default_factory=list)
    glimpse: dict[str, Any] | None = None
    task: asyncio.Task[None] | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def over(self) -> bool:
        """Whether it is done or has failed."""
        return self.stage in ("done", "failed")

    def tell(self, stage: str, fraction: float) -> None:
        """Note how far it is, and wake all who wait for that."""
        self.stage, self.fraction = stage, fraction
        self._changed.set()
        self._changed = asyncio.Event()

    async def change(self) -> None:
        """Wait until something is told."""
        await self._changed.wait()

    def line(self) -> dict[str, Any]:
        """How far it is, as the page is told."""
        if self.stage == "failed":
            return {"error": self.error}
        if self.stage == "done":
            return {"stage": "done", "fraction": 1.0, "done": True}
        found = {"stage": self.stage, "fraction": round(self.fraction, 4)}
        return {**found, "glimpse": self.glimpse} if self.stage == "drawing" else found

    async def part(self, name: str) -> Parcel:
        """The parcel, once it holds ``name``.

        Raises
        ------
        PageError
            If the look failed before, or has no such part.
        """
        while name not in self.parcel.parts:
            if self.error is not None:
                raise PageError(409, self.error["code"], self.error["message"], hint=self.error["hint"])
            if self.stage == "done":
                raise PageError(404, "no_such_part", "the look has no such part")
            await self.change()
        return self.parcel


class Looks:
    """The looks of one server."""

    def __init__(self, models: WorkerHost, photos: Photos, bounds: Bounds) -> None:
        self._models = models
        self._photos = photos
        self._bounds = bounds
        self._shelf = Shelf(size=bounds.look_bytes, count=bounds.looks, free_disk=bounds.free_disk)
        self._all: OrderedDict[str, Look] = OrderedDict()
        # What the worker has been given the photo for; it may have forgotten since, and says so then.
        self._recorded: set[tuple[str, str]] = set()

    def start(self, spec: Spec) -> Look:
        """Begin a look.

        Raises
        ------
        PageError
            503 if too many wait already, 507 if the disk is full.
        """
        going = sum(not look.over for look in self._all.values())
        if going > self._bounds.waiting:
            raise PageError(
                503, "busy", "too many looks are waiting already", hint="Try again soon.", retry_after=2
            )
        self._shelf.check_disk()
        look = Look(token_urlsafe(12), spec)
        self._all[look.key] = look
        look.task = asyncio.create_task(self._work(look))
        return look

    def get(self, key: str) -> Look:
        """The look of a key.

        Raises
        ------
        PageError
            404 if there is none, or no longer.
        """
        if key not in self._all:
            raise unknown("look")
        self._shelf.get(key)
        return self._all[key]

    def forget(self, key: str) -> None:
        """Cancel a look that goes on, and forget it."""
        look = self.get(key)
        if look.task is not None:
            look.task.cancel()
        self._drop(key)

    def _drop(self, key: str) -> None:
        look = self._all.pop(key, None)
        if look is not None:
            look.error = look.error or describe(PageError(410, "forgotten", "the look was given up"))
            look.tell("failed", look.fraction)
            look.parcel.close()
        self._shelf.drop(key)

    async def _work(self, look: Look) -> None:
        def said(head: dict[str, Any], blob: bytes) -> None:
            if "part" in head:
                look.parcel.add(head["part"], blob)
                look.index = head.get("index", look.index)
            look.glimpse = head.get("glimpse", look.glimpse)
            if "stage" in head:
                look.tell(str(head["stage"]), float(head["fraction"]))
            elif "part" in head:
                look.tell(look.stage, look.fraction)

        try:
            await self.ask(
                look.spec,
                "look",
                {},
                seconds=self._bounds.look_seconds,
                priority=LOOK_NEXT,
                on_event=said,
                on_start=lambda: look.tell("loading", 0.0),
            )
            for gone in self._shelf.put(look.key, look.parcel):
                self._drop(gone)
            look.tell("done", 1.0)
        except PageError as error:
            look.error = describe(error)
            look.tell("failed", look.fraction)
        except OSError as error:
            told = f"the look could not be kept: {error.strerror}"
            look.error = describe(PageError(507, "disk_full", told))
            look.tell("failed", look.fraction)
        finally:
            if look.stage != "done":
                look.parcel.close()
            self._trim()

    def _trim(self) -> None:
        """Forget the oldest of the looks that failed, so that they too are bounded."""
        failed = [key for key, look in self._all.items() if look.stage == "failed"]
        for key in failed[: max(0, len(failed) - self._bounds.looks)]:
            self._drop(key)

    async def ask(
        self, spec: Spec, op: str, payload: dict[str, Any], *, seconds: float | None = None, **options: Any
    ) -> tuple[dict[str, Any], bytes]:
        """Ask the model worker something about a pass.

        Passes it has forgotten, or lost in a crash, are recorded again from the photo: nobody notices but by
        the time it takes.
        """
        options.setdefault("priority", ASK_FIRST)
        limit = seconds or self._bounds.ask_seconds
        photo = self._photos.get(spec.photo).as_dict()
        payload = {**payload, "spec": spec.as_dict(), "photo": photo}
        if spec.origin in self._recorded:
            try:
                return await self._models.submit(op, payload, seconds=limit, **options)
            except PageError as error:
                if error.code != "pass_missing":
                    raise
        pixels = await self._photos.pixels(spec.photo)
        if len(self._recorded) > 1000:
            self._recorded.clear()
        self._recorded.add(spec.origin)
        # Recording it anew takes as long as a look may.
        return await self._models.submit(
            op, payload, pixels, seconds=max(limit, self._bounds.look_seconds), **options
        )

    async def ask_ahead(self, spec: Spec, op: str, payload: dict[str, Any]) -> bytes | None:
        """Ask what nobody waits for yet; ``None`` where the worker is busy, or the pass is not at hand."""
        if not self._models.idle:
            return None
        photo = self._photos.get(spec.photo).as_dict()
        asked = {**payload, "spec": spec.as_dict(), "photo": photo, "early": True}
        try:
            _, found = await self._models.submit(
                op, asked, seconds=self._bounds.ask_seconds, priority=WARM_LAST
            )
        except PageError as error:
            if error.code == "not_now":
                return None
            raise
        return found

    async def progress(self, look: Look) -> AsyncIterator[bytes]:
        """Lines of JSON: how far a look is, each time that changes, to its end."""
        while True:
            line, over = look.line(), look.over
            yield json.dumps(line).encode() + b"\n"
            if over:
                return
            try:
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    while look.line() == line:
                        await look.change()
            except TimeoutError:
                pass

    async def close(self) -> None:
        """Forget all of them."""
        tasks = [look.task for look in self._all.values() if look.task is not None]
        for task in tasks:
            task.cancel()
        for key in list(self._all):
            self._drop(key)
        await asyncio.gather(*tasks, return_exceptions=True)
        self._shelf.close()
