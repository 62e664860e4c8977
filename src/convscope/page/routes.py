"""The interface under ``/api``: what each request does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal
from urllib.parse import unquote

from fastapi import Body, FastAPI, Path, Query, Request
from pydantic import TypeAdapter, ValidationError
from starlette.responses import JSONResponse, Response, StreamingResponse

from convscope.desk.answers import PageError
from convscope.desk.sample_photos import read_sample, sample_names
from convscope.page.bodies import AttributionBody, BoxBody, LookBody, SampleBody
from convscope.page.film_routes import FILM_ROUTES
from convscope.page.lesson_routes import LESSON_ROUTES
from convscope.page.looks import Look, Spec
from convscope.page.web import BINARY, JSON, WORTH_PACKING, pack, packed_response, packs, state_of

#: Kinds of what can be exported. A report is handed over as a file, never shown on this server's own ground.
EXPORTED = {
    "report": "text/html; charset=utf-8",
    "scene": "application/zip",
    "values": BINARY,
    "csv": "text/csv",
}

Key = Annotated[str, Path(max_length=64)]
Number = Annotated[int, Query(ge=0, le=1 << 30)]


async def health() -> Mapping[str, bool]:
    """Whether the server answers."""
    return {"ok": True}


async def models(
    request: Request,
    search: Annotated[str, Query(max_length=100)] = "",
    limit: Annotated[int, Query(ge=1, le=5000)] = 200,
) -> list[dict[str, Any]]:
    """Models whose name contains ``search``, those of the command line first."""
    state = state_of(request)
    state.learn_names()
    return state.catalog.entries(search)[:limit]


async def start(request: Request) -> dict[str, Any]:
    """What the page begins with, and the bounds everything is held to."""
    state = state_of(request)
    await state.loaded.wait()
    bounds = state.settings.bounds
    photos = [state.photos.get(key).as_dict() for key in state.given if state.photos.has(key)]
    return {
        "models": [
            {"id": entry["id"], "name": entry["name"], "film": state.films.has(entry["id"])}
            for entry in state.catalog.entries("")[: len(state.catalog.given)]
        ],
        "photos": photos,
        "default_model": state.catalog.default,
        "default_photo": photos[0]["id"] if photos else None,
        "samples": list(sample_names()),
        "limits": {
            "upload_bytes": bounds.upload_bytes,
            "photos": bounds.photos,
            "photo_bytes": bounds.photo_bytes,
            "looks": bounds.looks,
            "look_bytes": bounds.look_bytes,
            "trace_bytes": bounds.trace_bytes,
            "waiting": bounds.waiting,
        },
    }


async def add_photo(request: Request) -> dict[str, Any]:
    """Take a photo: the bytes of a picture file, its name in ``X-Name``; or the name of a sample."""
    photos = state_of(request).photos
    # Before the body is read: those who have no place are told so, not held in memory.
    with photos.admit():
        body = b"".join([chunk async for chunk in request.stream()])
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == JSON:
            name = _sample_body(body).sample
            body = read_sample(name)
        else:
            name = unquote(request.headers.get("x-name", ""), errors="replace") or "photo"
        return (await photos.add(body, name)).as_dict()


def _sample_body(body: bytes) -> SampleBody:
    try:
        return TypeAdapter(SampleBody).validate_json(body)
    except ValidationError:
        raise PageError(422, "invalid", 'the body must be {"sample": NAME}') from None


async def get_photo(request: Request, photo: Key) -> Response:
    """A photo, written anew as PNG; at most 2,048 pixels a side."""
    return Response(await state_of(request).photos.png(photo), media_type="image/png")


async def add_look(request: Request, body: Annotated[LookBody, Body()]) -> dict[str, str]:
    """Begin to look at a photo through a model, with layers and channels switched off or scaled."""
    state = state_of(request)
    base = state.looks.get(body.base).spec if body.base is not None else None
    if body.model is not None:
        normalize = True if body.normalize is None else body.normalize
        model = state.catalog.find(body.model, body.weights or "default", normalize)
    elif base is None or body.weights is not None or body.normalize is not None:
        raise PageError(422, "invalid", "`model` must be given")
    else:
        model = base.model
    photo = body.photo or (base.photo if base is not None else None)
    if photo is None:
        raise PageError(422, "invalid", "`photo` must be given")
    edits = tuple(
        (edit.node, None if edit.channels is None else tuple(edit.channels), edit.factor)
        for edit in body.edits
    )
    return {"id": state.looks.start(Spec(model, state.photos.get(photo).key, edits)).key}


async def progress(request: Request, look: Key) -> StreamingResponse:
    """Lines of JSON that say how far a look is; the last one is ``done`` or an error."""
    looks = state_of(request).looks
    return StreamingResponse(looks.progress(looks.get(look)), media_type="application/x-ndjson")


async def forget_look(request: Request, look: Key) -> Response:
    """Give a look up, and forget it."""
    state_of(request).looks.forget(look)
    return Response(status_code=204)


async def scene(request: Request, look: Key) -> Response:
    """The scene's manifest, the index of its arrays, and where the pieces of ``first`` are."""
    parcel = await state_of(request).looks.get(look).part("scene")
    return packed_response(request, parcel.read("scene"), JSON)


async def first(request: Request, look: Key) -> Response:
    """What is seen first: photo, input, logits and the strips of all layers, in one piece."""
    parcel = await state_of(request).looks.get(look).part("first")
    return packed_response(request, parcel.read("first"), BINARY)


async def array(
    request: Request,
    look: Key,
    number: Annotated[int, Path(ge=0, le=1 << 20)],
    channel: Annotated[int | None, Query(ge=0, le=1 << 30)] = None,
) -> Response:
    """One array of the scene, or one channel of it: little-endian numbers, row by row."""
    found = state_of(request).looks.get(look)
    data = await _array(found, number, channel)
    headers = {"vary": "Accept-Encoding"}
    if len(data) >= WORTH_PACKING and packs(request):
        data = await asyncio.to_thread(pack, data)
        headers["content-encoding"] = "gzip"
    return Response(data, media_type=BINARY, headers=headers)


async def _array(look: Look, number: int, channel: int | None) -> bytes:
    await look.part("first")  # the index comes with it
    if number >= len(look.index):
        raise PageError(404, "no_such_array", f"there is no array {number}: the scene has {len(look.index)}")
    parcel = await look.part(f"array/{number}")
    if channel is None:
        return parcel.read(f"array/{number}")
    channels = (look.index[number]["shape"] or [0])[0]
    if channel >= channels:
        raise PageError(422, "no_such_channel", f"there is no channel {channel}: the array has {channels}")
    size = parcel.parts[f"array/{number}"][1] // channels
    return parcel.read(f"array/{number}", channel * size, size)


async def value(
    request: Request,
    look: Key,
    node: Number,
    channel: Number = 0,
    row: Annotated[int | None, Query(ge=0, le=1 << 30)] = None,
    column: Annotated[int | None, Query(ge=0, le=1 << 30)] = None,
    steps: Annotated[int, Query(ge=1, le=6)] = 1,
    early: bool = False,
) -> Response:
    """Where one value comes from, term by term, and whether the sum is the model's own value.

    Where an op reads one value alone, that value's arithmetic comes with it, up to ``steps`` in a row.
    What nobody waits for yet is asked ``early``; the answer is ``null`` where there is other work.
    """
    if (row is None) != (column is None):
        raise PageError(422, "invalid", "`row` and `column` go together")
    looks = state_of(request).looks
    asked = {"node": node, "channel": channel, "row": row, "column": column, "steps": steps}
    spec = looks.get(look).spec
    if early:
        return Response(await looks.ask_ahead(spec, "value", asked) or b"null", media_type=JSON)
    _, found = await looks.ask(spec, "value", asked)
    return Response(found, media_type=JSON)


async def channel(request: Request, look: Key, node: Number, channel: Number) -> Response:
    """One channel of an op as the network computed it: little-endian float32, row by row."""
    looks = state_of(request).looks
    asked = {"node": node, "channel": channel}
    _, data = await looks.ask(looks.get(look).spec, "channel", asked)
    headers = {"vary": "Accept-Encoding"}
    if len(data) >= WORTH_PACKING and packs(request):
        data = await asyncio.to_thread(pack, data)
        headers["content-encoding"] = "gzip"
    return Response(data, media_type=BINARY, headers=headers)


async def box(request: Request, look: Key, body: Annotated[BoxBody, Body()]) -> Response:
    """Which channels of the whole net look at a box on the input, most telling first."""
    looks = state_of(request).looks
    _, found = await looks.ask(looks.get(look).spec, "box", body.model_dump())
    return Response(found, media_type=JSON)


async def export(
    request: Request,
    look: Key,
    what: Literal["report", "scene", "values", "csv"],
    node: Annotated[int | None, Query(ge=0, le=1 << 30)] = None,
) -> Response:
    """A file to keep: the report, the scene, or the exact values of one op as .npz or .csv."""
    if (node is None) is (what in ("values", "csv")):
        raise PageError(
            422, "invalid", "`node` goes with `what=values` and `what=csv`, and with nothing else"
        )
    looks = state_of(request).looks
    told, data = await looks.ask(looks.get(look).spec, "export", {"what": what, "node": node})
    name = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in str(told["name"]))
    headers = {"content-disposition": f'attachment; filename="{name[:120]}"'}
    return Response(data, media_type=EXPORTED[what], headers=headers)


async def attribution(request: Request, look: Key, body: Annotated[AttributionBody, Body()]) -> Response:
    """Where a class comes from, at one layer: a map of weights over the picture."""
    looks = state_of(request).looks
    _, found = await looks.ask(looks.get(look).spec, "attribution", body.model_dump())
    return Response(found, media_type=JSON)


def error_response(error: PageError) -> JSONResponse:
    """An error as the page is told it."""
    from convscope.desk.answers import error_body

    headers = {"retry-after": str(error.retry_after)} if error.retry_after is not None else {}
    body = error_body(error.code, error.message, error.hint, error.control)
    return JSONResponse(body, error.status, headers)


_PHOTO_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            BINARY: {"schema": {"type": "string", "format": "binary"}},
            JSON: {"schema": SampleBody.model_json_schema()},
        },
    }
}

#: Everything that is answered under ``/api``, and nothing else is.
ROUTES: tuple[tuple[str, str, Callable[..., Any], dict[str, Any]], ...] = (
    ("GET", "/api/health", health, {}),
    ("GET", "/api/models", models, {}),
    ("GET", "/api/start", start, {}),
    ("POST", "/api/photos", add_photo, {"openapi_extra": _PHOTO_BODY}),
    ("GET", "/api/photos/{photo}", get_photo, {}),
    ("POST", "/api/looks", add_look, {"status_code": 202}),
    ("DELETE", "/api/looks/{look}", forget_look, {"status_code": 204}),
    ("GET", "/api/looks/{look}/progress", progress, {}),
    ("GET", "/api/looks/{look}/scene", scene, {}),
    ("GET", "/api/looks/{look}/first", first, {}),
    ("GET", "/api/looks/{look}/arrays/{number}", array, {}),
    ("GET", "/api/looks/{look}/value", value, {}),
    ("GET", "/api/looks/{look}/channel", channel, {}),
    ("POST", "/api/looks/{look}/box", box, {}),
    ("POST", "/api/looks/{look}/attribution", attribution, {}),
    ("GET", "/api/looks/{look}/export", export, {}),
    *LESSON_ROUTES,
    *FILM_ROUTES,
)


def add_routes(app: FastAPI) -> None:
    """Put the whole table into an application."""
    for method, path, function, options in ROUTES:
        app.add_api_route(path, function, methods=[method], **options)
