"""The application: routes, what is told of errors, and the layer around it all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from convscope._version import __version__
from convscope.desk.answers import PageError, error_body
from convscope.page.routes import add_routes, error_response
from convscope.page.settings import Settings
from convscope.page.shield import Shield
from convscope.page.state import State
from convscope.page.web import pack, packs

_KINDS = {".js": "text/javascript", ".css": "text/css"}
STYLES = ("tokens.css", "layout.css", "parts.css", "proof.css", "live.css", "lessons.css", "film.css")


class Page(FastAPI):
    """A FastAPI application inside the :class:`~convscope.page.shield.Shield`."""

    shield: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: through the shield, and only then as FastAPI does."""
        if scope.get("convscope.shielded"):
            await super().__call__(scope, receive, send)
        else:
            await self.shield({**scope, "convscope.shielded": True}, receive, send)


def make_app(settings: Settings) -> FastAPI:
    """The server as an ASGI application.

    Its workers start with its lifespan and end with it. Nothing is answered that does not carry the
    right ``Host``; see :mod:`convscope.page.shield`.

    Parameters
    ----------
    settings
        What it is started with; the port in it must be the one it is reached by.

    Examples
    --------
    >>> app = make_app(Settings(port=8000))
    >>> sorted(route.path for route in app.routes if route.path.startswith("/api/photos"))
    ['/api/photos', '/api/photos/{photo}']
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        state = State(settings)
        app.state.convscope = state
        state.start()
        try:
            yield
        finally:
            await state.stop()

    app = Page(
        title="convscope",
        version=__version__,
        lifespan=lifespan,
        openapi_url="/api/openapi.json" if settings.schema else None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.shield = Shield(app, settings)
    add_routes(app)
    _add_page(app)
    app.add_exception_handler(PageError, _page_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    return app


def _add_page(app: FastAPI) -> None:
    """The page itself: a table made once, so that no path of a request ever reaches a file system."""
    table = page_files()

    async def page(request: Request) -> Response:
        return _file(request, "index.html")

    async def patterns(request: Request) -> Response:
        return _file(request, "patterns.html")

    async def module(request: Request, name: str) -> Response:
        return _file(request, name)

    def _file(request: Request, name: str) -> Response:
        if name not in table:
            raise PageError(404, "no_such_file", "the page has no such file")
        kind, plain, packed = table[name]
        headers = {"vary": "Accept-Encoding"}
        if packs(request):
            return Response(packed, media_type=kind, headers={**headers, "content-encoding": "gzip"})
        return Response(plain, media_type=kind, headers=headers)

    app.add_api_route("/", page, methods=["GET"], include_in_schema=False)
    app.add_api_route("/patterns", patterns, methods=["GET"], include_in_schema=False)
    app.add_api_route("/viewer/{name}", module, methods=["GET"], include_in_schema=False)


def page_files() -> dict[str, tuple[str, bytes, bytes]]:
    """Everything the page is made of: kind, bytes and the same packed, by name.

    ``style.css`` is the viewer's style sheets in one.
    """
    viewer = resources.files("convscope") / "viewer"
    texts = {file.name: file.read_bytes() for file in viewer.iterdir() if file.is_file()}
    found = {
        name: (_KINDS[suffix], data, pack(data, 9))
        for name, data in texts.items()
        if (suffix := name[name.rfind(".") :]) in _KINDS
    }
    style = b"\n".join(texts[name] for name in STYLES)
    found["style.css"] = ("text/css", style, pack(style, 9))
    for name in ("index.html", "patterns.html"):
        shell = (resources.files("convscope") / "page" / name).read_bytes()
        found[name] = ("text/html; charset=utf-8", shell, pack(shell, 9))
    return found


async def _page_error(request: Request, error: Exception) -> Response:
    return error_response(cast(PageError, error))


async def _http_error(request: Request, error: Exception) -> Response:
    told = cast(HTTPException, error)
    code = {404: "no_such_page", 405: "wrong_method"}.get(told.status_code, "refused")
    return JSONResponse(error_body(code, str(told.detail)), told.status_code, dict(told.headers or {}))


async def _invalid(request: Request, error: Exception) -> Response:
    # What was sent is not sent back: where it stood and what is wrong with it is enough.
    problems: list[Any] = list(cast(RequestValidationError, error).errors())
    first = problems[0] if problems else {"loc": (), "msg": "invalid"}
    place = ".".join(str(part) for part in first["loc"] if str(part).isidentifier() or isinstance(part, int))
    return JSONResponse(error_body("invalid", f"`{place[:80]}`: {first['msg']}"[:300]), 422)
