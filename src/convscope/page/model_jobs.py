"""What the worker with torch does: record passes, make scenes of them, answer questions about them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy

from convscope.data import Picture
from convscope.desk.answers import PageError, not_now
from convscope.desk.line import Line
from convscope.desk.looking import send_look
from convscope.desk.passes import Passes
from convscope.desk.questions import QUESTIONS
from convscope.page.lesson_jobs import LessonJobs
from convscope.page.worker import Handler, limit_beyond


def make_handler(hello: dict[str, Any]) -> Handler:
    """The handler of this worker's jobs; torch is loaded here, so that no one waits for it later."""
    for name in ("scene", "tracing", "tracing.arithmetic", "desk.pieces", "desk.values"):
        import_module(f"convscope.{name}")
    # Scenes are made by several threads in small steps; each would wait for the other as long as this.
    sys.setswitchinterval(0.0005)
    limit_beyond(int(hello["model_memory"]))
    passes = Passes(int(hello["trace_bytes"]))
    lessons = LessonJobs(passes)
    doors = {"warm": warm, "look": look, "lesson": lessons.handle}

    def handle(
        op: str, payload: dict[str, Any], blob: bytes, line: Line
    ) -> tuple[dict[str, Any], bytes | memoryview]:
        if op in QUESTIONS:
            if payload.get("early") and not passes.holds(payload["spec"]):
                raise not_now()
            found = passes.find(payload["spec"], seeing(payload["photo"], blob), line)
            return QUESTIONS[op](found, payload)
        if op not in doors:
            raise PageError(400, "no_such_job", f"there is no job {op!r}")
        return doors[op](passes, payload, blob, line)

    return handle


def warm(passes: Passes, payload: dict[str, Any], blob: bytes, line: Line) -> tuple[dict[str, Any], bytes]:
    """Load a model before anyone asks for it."""
    passes.model(payload["model"])
    return {}, b""


def look(passes: Passes, payload: dict[str, Any], blob: bytes, line: Line) -> tuple[dict[str, Any], bytes]:
    """Record a pass and send its scene: manifest, what is seen first, then array by array."""
    send_look(passes, payload["spec"], seeing(payload["photo"], blob), line)
    return {}, b""


def seeing(photo: dict[str, Any], pixels: bytes) -> Callable[[], Picture] | None:
    """What a pass is to be recorded of; ``None`` where the photo did not come along."""
    if not pixels:
        return None

    def picture() -> Picture:
        array = numpy.frombuffer(pixels, numpy.uint8).reshape(photo["height"], photo["width"], 3)
        return Picture(array, photo["name"], "bytes", tuple(photo["notes"]))

    return picture
