"""What one server holds while it runs."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress
from typing import Any

from convscope.desk.answers import PageError
from convscope.desk.catalog import Catalog
from convscope.page.films import Films
from convscope.page.hosts import WorkerHost
from convscope.page.lessons import Lessons
from convscope.page.looks import WARM_LAST, Looks
from convscope.page.photos import Photos
from convscope.page.settings import GivenPhoto, Settings

_log = logging.getLogger("convscope.page")


class State:
    """Workers, photos, looks and models of one server.

    ``given`` holds the keys of the photos it began with, complete once ``loaded`` is set.
    """

    def __init__(self, settings: Settings) -> None:
        bounds = settings.bounds
        self.settings = settings
        self.decoder = WorkerHost(
            "decode",
            {"memory": bounds.decode_memory, "upload_bytes": bounds.upload_bytes},
            # Whoever was admitted, and whoever looks at a photo that is kept.
            capacity=bounds.uploads + bounds.waiting,
        )
        self.models = WorkerHost(
            "model",
            {"model_memory": bounds.model_memory, "trace_bytes": bounds.trace_bytes},
            capacity=2 * bounds.waiting,
        )
        # Started when it is first needed.
        self.light = WorkerHost("light", {"model_memory": bounds.model_memory}, capacity=2 * bounds.waiting)
        self.catalog = Catalog(settings.models)
        self.photos = Photos(self.decoder, bounds)
        self.looks = Looks(self.models, self.photos, bounds)
        self.lessons = Lessons(self.models, self.light, self.photos, self.catalog, bounds)
        self.films = Films(self.catalog)
        self.given: list[str] = []
        self.loaded = asyncio.Event()
        self._asked = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start the workers and, beside everything else, what they can do before anyone asks."""
        self.decoder.start()
        self.models.start()
        self._tasks = [asyncio.create_task(self._load_photos()), asyncio.create_task(self._warm())]

    async def stop(self) -> None:
        """End the workers and forget everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.looks.close()
        await asyncio.gather(self.decoder.stop(), self.models.stop(), self.light.stop())
        self.photos.close()

    async def _load_photos(self) -> None:
        try:
            for photo in self.settings.photos or _sample_photos():
                try:
                    self.given.append((await self.photos.add(photo.data, photo.name)).key)
                except PageError as error:
                    _log.warning("%s", error.message)
        finally:
            self.loaded.set()

    async def _warm(self) -> None:
        model = self.catalog.default
        if model is not None:
            with suppress(PageError):  # whoever looks through it is told what is wrong
                seconds = self.settings.bounds.look_seconds
                payload: dict[str, Any] = {"model": self.catalog.find(model)}
                await self.models.submit("warm", payload, seconds=seconds, priority=WARM_LAST)

    def learn_names(self) -> None:
        """Find out, once and beside everything else, which of timm's models have trained weights."""
        if not self._asked:
            self._asked = True
            self.light.start()
            self._tasks.append(asyncio.create_task(self._learn_names()))

    async def _learn_names(self) -> None:
        with suppress(PageError):
            _, names = await self.light.submit("names", {}, seconds=120.0, priority=WARM_LAST)
            self.catalog.trained = frozenset(json.loads(names))


def _sample_photos() -> tuple[GivenPhoto, ...]:
    from convscope.desk.sample_photos import read_sample, sample_names

    return (GivenPhoto("cat", read_sample("cat")),) if "cat" in sample_names() else ()
