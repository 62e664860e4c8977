"""Lessons as the server has them run: it says which photo and which model, the worker computes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convscope.desk.answers import PageError
from convscope.desk.lessons import known_lesson, model_of, picture_of
from convscope.desk.sample_photos import read_sample
from convscope.errors import ControlError
from convscope.page.hosts import WorkerHost
from convscope.page.photos import Photos
from convscope.page.settings import Bounds

if TYPE_CHECKING:
    from convscope.desk.catalog import Catalog

#: Someone drags: before a new look, beside questions about one.
LESSON_FIRST = 1
#: How long a run that nobody wants any more takes to end.
GIVING_UP_SECONDS = 0.1


@dataclass
class Lessons:
    """Runs of lessons; a photo is sent to a worker once, and again only where it was lost.

    What needs a model goes to the worker with the models, everything else to the ``light`` one, so that
    nobody waits while a network is loaded.
    """

    models: WorkerHost
    light: WorkerHost
    photos: Photos
    catalog: Catalog
    bounds: Bounds

    def __post_init__(self) -> None:
        self._samples: dict[str, asyncio.Task[str]] = {}
        self._sent: set[tuple[str, str]] = set()

    async def ask(
        self, name: str, values: Mapping[str, Any], task: Mapping[str, Any]
    ) -> tuple[dict[str, Any], bytes]:
        """Have the worker run a lesson.

        Parameters
        ----------
        task
            What is wanted of it, as :class:`~convscope.page.lesson_jobs.LessonJobs` takes it.

        Raises
        ------
        PageError
            404 if there is no such lesson; 422 with ``control`` where a control cannot take its value.
        """
        lesson = known_lesson(name)
        try:
            picture, model = picture_of(lesson, values), model_of(lesson, values)
        except ControlError as error:
            raise PageError(422, "control", error.message, hint=error.hint, control=error.control) from None
        payload: dict[str, Any] = {"lesson": name, "values": dict(values), **task}
        if model is not None:
            payload["model"] = self._model(*model)
        host = await self._host(payload)
        if picture is None:
            return await self._submit(host, payload)
        try:
            key = await self._photo(picture)
            payload["photo"] = self.photos.get(key).as_dict()
        except PageError as error:
            raise _beside(error, "picture") from None
        if (host.kind, key) in self._sent:
            try:
                return await self._submit(host, payload)
            except PageError as error:
                if error.code != "photo_missing":
                    raise
        if len(self._sent) > 1000:
            self._sent.clear()
        pixels = await self.photos.pixels(key)
        self._sent.add((host.kind, key))
        return await self._submit(host, payload, pixels)

    async def _host(self, payload: dict[str, Any]) -> WorkerHost:
        if "model" in payload:
            return self.models
        if not self.models.ready:
            return self.models  # two that start beside each other would both be late
        self.light.start()
        if self.light.ready:
            # Whoever drags on has just given up the run at full size, and the photo is there.
            await self.light.rest(GIVING_UP_SECONDS)
        return next((host for host in (self.light, self.models) if host.idle), self.light)

    async def _submit(
        self, host: WorkerHost, payload: dict[str, Any], blob: bytes = b""
    ) -> tuple[dict[str, Any], bytes]:
        seconds = self.bounds.look_seconds if "model" in payload else self.bounds.ask_seconds
        return await host.submit("lesson", payload, blob, seconds=seconds, priority=LESSON_FIRST)

    async def _photo(self, text: str) -> str:
        """The key of the photo a control names: by its id, or ``sample:NAME``."""
        if not text.startswith("sample:"):
            return self.photos.get(text).key
        sample = text.removeprefix("sample:")
        read = self._samples.get(sample)
        if read is None or (read.done() and not (self._well(read) and self.photos.has(read.result()))):
            # One task for all who want it, whoever of them goes away meanwhile.
            read = self._samples[sample] = asyncio.create_task(self._read(sample))
        return await asyncio.shield(read)

    async def _read(self, sample: str) -> str:
        with self.photos.admit():
            return (await self.photos.add(read_sample(sample), sample)).key

    @staticmethod
    def _well(read: asyncio.Task[str]) -> bool:
        return not read.cancelled() and read.exception() is None

    def _model(self, name: str, weights: str) -> dict[str, Any]:
        """A model the server knows; one of the command line by its id or as it was given there."""
        given = {model.spec: key for key, model in self.catalog.given.items()}
        try:
            return self.catalog.find(given.get(name, name), weights)
        except PageError as error:
            raise _beside(error, "kernel") from None


def _beside(error: PageError, control: str) -> PageError:
    """The same error, to be said beside a control."""
    return PageError(
        422 if error.status == 404 else error.status,
        error.code,
        error.message,
        hint=error.hint,
        retry_after=error.retry_after,
        control=control,
    )
