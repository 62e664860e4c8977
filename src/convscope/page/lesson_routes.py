"""The part of the interface that is about lessons: ``/api/lessons``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Body, Path, Request
from starlette.responses import Response

from convscope.desk.lessons import lesson_list
from convscope.page.bodies import LessonBody, LessonFileBody, LessonRunBody, LessonStepBody
from convscope.page.web import BINARY, JSON, state_of, while_there

#: Kinds of what can be exported.
FILES = {
    "png": "image/png",
    "gif": "image/gif",
    "webp": "image/webp",
    "mp4": "video/mp4",
    "json": JSON,
    "csv": "text/csv",
}

Name = Annotated[str, Path(max_length=64)]


async def lessons() -> list[dict[str, Any]]:
    """All lessons: titles and texts in English and Chinese, controls with their ranges and defaults."""
    return lesson_list()


async def run(request: Request, lesson: Name, body: Annotated[LessonRunBody, Body()]) -> Response:
    """Run a lesson: a JSON head and arrays, see :func:`convscope.desk.lessons.run_bytes`."""
    task = {"task": "run", "preview": body.preview, "known": body.known}
    _, data = await _ask(request, lesson, body, task)
    return Response(data, media_type=BINARY)


async def steps(request: Request, lesson: Name, body: Annotated[LessonStepBody, Body()]) -> Response:
    """Sums of 256 steps of a lesson's convolution, from ``step`` on."""
    return await _json(request, lesson, body, "steps")


async def proof(request: Request, lesson: Name, body: Annotated[LessonStepBody, Body()]) -> Response:
    """The arithmetic of one step, as ``/api/looks/{look}/value`` tells that of a network's value."""
    return await _json(request, lesson, body, "proof")


async def _ask(
    request: Request, lesson: str, body: LessonBody, task: dict[str, Any]
) -> tuple[dict[str, Any], bytes]:
    """Ask the worker; a run whose page went on to other values is given up."""
    return await while_there(request, state_of(request).lessons.ask(lesson, body.values, task))


async def _json(request: Request, lesson: str, body: LessonStepBody, task: str) -> Response:
    _, data = await _ask(request, lesson, body, {"task": task, "step": body.step})
    return Response(data, media_type=JSON)


async def file(request: Request, lesson: Name, body: Annotated[LessonFileBody, Body()]) -> Response:
    """A file to keep: the lesson's picture, its animation, or its numbers."""
    wanted = body.model_dump(exclude={"values", "preview"})
    told, data = await _ask(request, lesson, body, {"task": "file", **wanted})
    headers = {"content-disposition": f'attachment; filename="{told["name"]}"'}
    return Response(data, media_type=FILES[body.what], headers=headers)


LESSON_ROUTES: tuple[tuple[str, str, Callable[..., Any], dict[str, Any]], ...] = (
    ("GET", "/api/lessons", lessons, {}),
    ("POST", "/api/lessons/{lesson}", run, {}),
    ("POST", "/api/lessons/{lesson}/steps", steps, {}),
    ("POST", "/api/lessons/{lesson}/proof", proof, {}),
    ("POST", "/api/lessons/{lesson}/file", file, {}),
)
