"""The part of the interface that is about films of trainings: ``/api/films``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Path, Request
from starlette.responses import JSONResponse, Response

from convscope.exhibits.report_data import finite
from convscope.page.web import pack, packed_response, state_of

Model = Annotated[str, Path(max_length=64)]
Version = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$")]
Part = Annotated[str, Path(pattern=r"^(pictures|\d{1,15})$")]


async def film(request: Request, model: Model) -> Response:
    """What the film of a run given at the start holds: layers, images, steps, answers and curves."""
    return JSONResponse(finite(await state_of(request).films.manifest(model)))


async def part(request: Request, model: Model, version: Version, part: Part) -> Response:
    """One step's frame, or the pictures, as a report has it: text of compressed arrays."""
    text = state_of(request).films.chunk(model, version, f"film/{part}")
    return packed_response(request, pack(text.encode("ascii")), "text/plain; charset=us-ascii")


FILM_ROUTES: tuple[tuple[str, str, Callable[..., Any], dict[str, Any]], ...] = (
    ("GET", "/api/films/{model}", film, {}),
    ("GET", "/api/films/{model}/{version}/{part}", part, {}),
)
