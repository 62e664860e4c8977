"""What the second worker with torch does: lessons that need no model, and lists; it never holds up a look."""

from __future__ import annotations

import json
from typing import Any

from convscope.desk.answers import PageError
from convscope.desk.line import Line
from convscope.desk.passes import Passes
from convscope.page.lesson_jobs import LessonJobs
from convscope.page.worker import Handler, limit_beyond


def make_handler(hello: dict[str, Any]) -> Handler:
    """The handler of this worker's jobs: ``lesson`` and ``names``."""
    limit_beyond(int(hello["model_memory"]))
    passes = Passes(0)  # no job here names a model
    doors = {"lesson": LessonJobs(passes).handle, "names": names}

    def handle(op: str, payload: dict[str, Any], blob: bytes, line: Line) -> tuple[dict[str, Any], bytes]:
        if op not in doors:
            raise PageError(400, "no_such_job", f"there is no job {op!r}")
        return doors[op](passes, payload, blob, line)

    return handle


def names(passes: Passes, payload: dict[str, Any], blob: bytes, line: Line) -> tuple[dict[str, Any], bytes]:
    """Names of timm's models that have trained weights: to know, torch has to be loaded."""
    from convscope.models import list_models

    trained = [entry.name for entry in list_models("timm:*") if entry.weights]
    return {}, json.dumps(trained).encode()
