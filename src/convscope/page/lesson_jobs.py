"""What the worker with torch does for lessons: run them on photos it was sent and models it may load."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy

from convscope.data import Picture
from convscope.desk.answers import PageError
from convscope.desk.lessons import file_bytes, known_lesson, proof_bytes, run_bytes, steps_bytes
from convscope.desk.line import Line
from convscope.lesson import Tools
from convscope.lesson.photos import Previews
from convscope.lesson.wanted import until
from convscope.numerics import one_thread

if TYPE_CHECKING:
    from convscope.desk.passes import Passes
    from convscope.models import Model

#: Bytes of photos kept for the next run.
PHOTO_BYTES = 256 << 20


class LessonJobs:
    """Lessons for one worker; the photos used last stay at hand.

    Parameters
    ----------
    passes
        Where models are kept.
    """

    def __init__(self, passes: Passes) -> None:
        self._passes = passes
        self._photos: OrderedDict[str, Picture] = OrderedDict()
        self._previews = Previews()

    def handle(
        self, passes: Passes, payload: dict[str, Any], blob: bytes, line: Line
    ) -> tuple[dict[str, Any], bytes]:
        """Do what ``payload["task"]`` names: ``run``, ``steps``, ``proof`` or ``file``.

        Raises
        ------
        PageError
            409 ``photo_missing`` if the photo has to be sent along.
        GivenUp
            If nobody wants it any more.
        """
        # A preview is small, and the browser wants a processor too.
        with until(line.cancelled), one_thread() if payload.get("preview") else nullcontext():
            return self._handle(payload, blob)

    def _handle(self, payload: dict[str, Any], blob: bytes) -> tuple[dict[str, Any], bytes]:
        lesson, values = known_lesson(payload["lesson"]), payload["values"]
        tools = self._tools(payload, blob)
        task = payload["task"]
        if task == "run":
            return {}, run_bytes(lesson, values, tools, known=payload["known"])
        if task == "steps":
            return {}, steps_bytes(lesson, values, tools, payload["step"])
        if task == "proof":
            return {}, proof_bytes(lesson, values, tools, payload["step"])
        wanted = {key: payload[key] for key in ("what", "language", "per_second")}
        name, data = file_bytes(lesson, values, tools, first=payload["step"], **wanted)
        return {"name": name}, data

    def _tools(self, payload: dict[str, Any], blob: bytes) -> Tools:
        photo = self._photo(payload["photo"], blob) if "photo" in payload else None

        def picture(source: Any) -> Picture:
            # Only the photo the server checked; a name is never looked for among files.
            if photo is None:
                raise PageError(404, "no_such_photo", "there is no such photo")
            return photo

        def model(name: str, weights: str) -> Model:
            if "model" not in payload:
                raise PageError(404, "no_such_model", "there is no such model")
            return self._passes.model(payload["model"])

        return Tools(
            picture=picture, model=model, preview=bool(payload.get("preview")), previews=self._previews
        )

    def _photo(self, told: dict[str, Any], blob: bytes) -> Picture:
        key = told["id"]
        if blob:
            pixels = numpy.frombuffer(blob, numpy.uint8).reshape(told["height"], told["width"], 3)
            self._photos[key] = Picture(pixels, told["name"], "bytes", tuple(told["notes"]))
        if key not in self._photos:
            raise PageError(409, "photo_missing", "the photo is to be sent again")
        self._photos.move_to_end(key)
        while len(self._photos) > 1 and sum(p.pixels.nbytes for p in self._photos.values()) > PHOTO_BYTES:
            self._photos.popitem(last=False)
        return self._photos[key]
