"""Answers what the viewer asks of the kernel, message by message, in the words of the live server.

A message in is ``{"id", "method", "path", "body"}``, with the bytes of a photo as buffers, in pieces. A
message out is ``{"id", "status", "headers", "packed"}`` with the answer's bytes as its one buffer
(``packed``: as gzip), ``{"id", "status", "error"}``, or, of a progress, several ``{"id", "line"}`` of which
the last has ``"over"``. Paths are those of :mod:`convscope.page.routes`. What needs torch is done in a
thread.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from convscope.data import load_image
from convscope.desk.answers import PageError, describe, unknown
from convscope.desk.looking import send_look
from convscope.desk.plain import plain_json
from convscope.desk.questions import QUESTIONS
from convscope.notebook.given import Given
from convscope.notebook.looks import ASK_FIRST, LOOK_NEXT, Look, LookShelf, Worker

Buffer = bytes | memoryview
#: ``send(message, buffers)``; may be called from any thread.
Send = Callable[[dict[str, Any], Sequence[Buffer]], None]

JSON, BINARY = "application/json", "application/octet-stream"
WORKER, SHELF = Worker(), LookShelf()
#: Looks that may wait at one time.
MOST_WAITING = 8
MOST_MODELS = 300


class _Silent:
    """The line of a job nobody watches."""

    def emit(self, head: dict[str, Any], blob: bytes | memoryview = b"") -> None:
        pass

    def cancelled(self) -> bool:
        return False


class Asked:
    """One message, and the ways to answer it."""

    def __init__(self, send: Send, message: Mapping[str, Any], buffers: Sequence[Buffer]) -> None:
        self._send = send
        self.id = str(message["id"])
        self.method = str(message["method"])
        address = urlsplit(str(message["path"]))
        self.path = address.path
        self.query = {key: values[-1] for key, values in parse_qs(address.query).items()}
        self.body: Any = message.get("body") or {}
        self.pieces = (int(message.get("piece", 0)), int(message.get("pieces", 1)))
        self.buffers = buffers

    def number(self, name: str, default: int | None = None) -> int | None:
        """A number of the query."""
        return int(self.query[name]) if name in self.query else default

    def answer(self, data: Buffer, kind: str = BINARY, *, packed: bool = False, **headers: str) -> None:
        """Answer with bytes."""
        named = {"content-type": kind, **{key.replace("_", "-"): text for key, text in headers.items()}}
        self._send({"id": self.id, "status": 200, "headers": named, "packed": packed}, [data])

    def tell(self, value: Any) -> None:
        """Answer with JSON."""
        self.answer(plain_json(value), JSON)

    def line(self, told: dict[str, Any], *, over: bool) -> None:
        """Send one line of a progress."""
        self._send({"id": self.id, "line": told, "over": over}, [])

    def fail(self, error: BaseException) -> None:
        """Answer that it cannot be done."""
        told = described(error)
        self._send({"id": self.id, "status": told.pop("status"), "error": told}, [])


def described(error: BaseException) -> dict[str, Any]:
    """An error as the viewer is told it; whose kernel it is may read all of it.

    Examples
    --------
    >>> described(ZeroDivisionError("division by zero"))["message"]
    'this failed with ZeroDivisionError: division by zero'
    """
    told = describe(error)
    if told["code"] == "failed":
        return {**told, "message": f"this failed with {type(error).__name__}: {error}", "hint": ""}
    return told


class Host:
    """What stands behind one widget.

    Parameters
    ----------
    send
        Sends a message to the viewer.
    given
        What there is to be looked at.
    """

    def __init__(
        self, send: Send, given: Given, *, worker: Worker = WORKER, shelf: LookShelf = SHELF
    ) -> None:
        self._send = send
        self._given = given
        self._worker = worker
        self._shelf = shelf
        self._coming: dict[str, dict[int, bytes]] = {}
        self._over = False

    def let_go(self) -> None:
        """Forget everything that was given; whatever is asked from now on is refused."""
        self._over, self._given = True, Given()

    def hear(self, message: Mapping[str, Any], buffers: Sequence[Buffer] = ()) -> None:
        """Answer a message, now or when what it asks for is there; never raises."""
        if not isinstance(message, Mapping) or not {"id", "method", "path"} <= message.keys():
            return
        asked = Asked(self._send, message, buffers)
        try:
            if self._over:
                raise PageError(
                    410,
                    "let_go",
                    "this view was let go when newer ones were opened",
                    hint="Run its cell again.",
                )
            for method, pattern, answer in ROUTES:
                found = re.fullmatch(pattern, asked.path)
                if found and method == asked.method:
                    answer(self, asked, *found.groups())
                    return
            raise unknown("page")
        except (KeyError, TypeError, ValueError) as error:
            asked.fail(
                PageError(422, "invalid", f"this cannot be asked so ({type(error).__name__}: {error})")
            )
        except Exception as error:
            asked.fail(error)

    def start(self, asked: Asked) -> None:
        """What the viewer begins with."""
        asked.tell(self._given.start())

    def models(self, asked: Asked) -> None:
        """Models whose name contains ``search``."""
        asked.tell(self._given.entries(asked.query.get("search", ""))[:MOST_MODELS])

    def add_photo(self, asked: Asked) -> None:
        """Take a photo: the bytes of a picture file, piece by piece, or the name of a sample."""
        if not asked.buffers:
            asked.tell(self._given.add_sample(str(asked.body["sample"])).as_dict())
            return
        piece, pieces = asked.pieces
        coming = self._coming.setdefault(asked.id, {})
        coming[piece] = bytes(asked.buffers[0])
        if len(coming) < pieces:
            return
        data = b"".join(part for _, part in sorted(self._coming.pop(asked.id).items()))
        name = unquote(asked.query.get("name", "")) or "photo"
        self._do(asked, lambda: asked.tell(self._given.add_picture(load_image(data, name=name)).as_dict()))

    def photo(self, asked: Asked, key: str) -> None:
        """A photo as PNG."""
        picture = self._given.photo(key).picture
        if picture is None:
            raise unknown("picture")
        asked.answer(picture._repr_png_(), "image/png")

    def add_look(self, asked: Asked) -> None:
        """Begin to look at a photo through a model, with layers and channels switched off or scaled."""
        body = asked.body
        if sum(not look.over for look in self._shelf.looks.values()) > MOST_WAITING:
            raise PageError(503, "busy", "too many looks are waiting already", hint="Try again soon.")
        model = self._given.find(str(body["model"]), body.get("weights") or "default")
        photo = self._given.photo(str(body["photo"]))
        edits = [[int(e["node"]), e["channels"], float(e["factor"])] for e in body.get("edits", [])]
        look = Look({"model": model, "photo": photo.key, "edits": edits})
        self._shelf.put(look)
        self._worker.submit(LOOK_NEXT, lambda: self._draw(look, photo.seeing))
        asked.tell({"id": look.key})

    def _draw(self, look: Look, seeing: Callable[[], Any]) -> None:
        try:
            if not look.given_up:
                send_look(self._given.passes, look.spec, seeing, look)
                look.emit({"stage": "done", "fraction": 1.0})
                self._shelf.put(look)
        except BaseException as error:  # a model may raise anything, SystemExit too
            look.fail(described(error))
        if look.given_up:
            look.fail(described(PageError(410, "forgotten", "the look was given up")))

    def _look(self, key: str) -> Look:
        found = self._shelf.get(key)
        if found is None:
            raise unknown("look")
        return found

    def progress(self, asked: Asked, key: str) -> None:
        """Lines that say how far a look is; the last one is ``done`` or an error."""
        look = self._look(key)
        told: list[dict[str, Any]] = []

        def tell() -> bool:
            line, over = look.line(), look.over
            if not told or told[-1] != line:
                told[:] = [line]
                asked.line(line, over=over)
            return over

        look.listen(tell)

    def forget_look(self, asked: Asked, key: str) -> None:
        """Give a look up, and forget it."""
        self._look(key)
        self._shelf.drop(key)
        asked.tell(None)

    def _send_part(self, asked: Asked, look: Look, name: str, answer: Callable[[Buffer], None]) -> None:
        """Answer with a part of a look once it has come."""

        def send() -> bool:
            try:
                part = look.part(name)
                if part is not None:
                    answer(part)
                return part is not None
            except Exception as error:
                asked.fail(error)
                return True

        look.listen(send)

    def scene(self, asked: Asked, key: str) -> None:
        """The scene's manifest, the index of its arrays, and where the pieces of ``first`` are."""
        self._send_part(asked, self._look(key), "scene", lambda part: asked.answer(part, JSON, packed=True))

    def first(self, asked: Asked, key: str) -> None:
        """What is seen first."""
        self._send_part(asked, self._look(key), "first", lambda part: asked.answer(part, packed=True))

    def array(self, asked: Asked, key: str, number: str) -> None:
        """One array of the scene: little-endian numbers, row by row."""
        self._send_part(asked, self._look(key), f"array/{number}", asked.answer)

    def _ask(self, asked: Asked, key: str, question: str, told: Mapping[str, Any]) -> None:
        """Ask about the pass of a look; it is recorded again if it was let go."""
        look = self._look(key)
        photo = self._given.photo(look.spec["photo"])

        def answer() -> None:
            found = self._given.passes.find(look.spec, photo.seeing, _Silent())
            head, data = QUESTIONS[question](found, told)
            if question == "export":
                name = re.sub(r"[^\w.-]", "_", str(head["name"]), flags=re.ASCII)[:120]
                asked.answer(data, content_disposition=f'attachment; filename="{name}"')
            else:
                asked.answer(data, BINARY if question == "channel" else JSON)

        self._do(asked, answer)

    def _do(self, asked: Asked, job: Callable[[], None]) -> None:
        def work() -> None:
            try:
                job()
            except BaseException as error:
                asked.fail(error)

        self._worker.submit(ASK_FIRST, work)

    def value(self, asked: Asked, key: str) -> None:
        """Where one value comes from, term by term."""
        numbers = {name: asked.number(name) for name in ("node", "row", "column")}
        told = {**numbers, "channel": asked.number("channel", 0), "steps": asked.number("steps", 1)}
        if "early" in asked.query and not (
            self._worker.idle and self._given.passes.holds(self._look(key).spec)
        ):
            asked.tell(None)
            return
        self._ask(asked, key, "value", told)

    def channel(self, asked: Asked, key: str) -> None:
        """One channel of an op as the network computed it."""
        told = {"node": int(asked.query["node"]), "channel": int(asked.query["channel"])}
        self._ask(asked, key, "channel", told)

    def box(self, asked: Asked, key: str) -> None:
        """Which channels of the whole net look at a box on the input."""
        sides = {side: float(asked.body[side]) for side in ("top", "left", "bottom", "right")}
        self._ask(asked, key, "box", {**sides, "count": int(asked.body.get("count", 50))})

    def attribution(self, asked: Asked, key: str) -> None:
        """Where a class comes from, at one layer."""
        told = {"target": asked.body.get("target"), "node": asked.body.get("node")}
        self._ask(asked, key, "attribution", told)

    def export(self, asked: Asked, key: str) -> None:
        """A file to keep."""
        self._ask(asked, key, "export", {"what": asked.query["what"], "node": asked.number("node")})


_LOOK = r"/api/looks/([\w-]+)"
#: Everything that is answered: method, pattern of the path, and by what.
ROUTES: tuple[tuple[str, str, Callable[..., None]], ...] = (
    ("GET", "/api/start", Host.start),
    ("GET", "/api/models", Host.models),
    ("POST", "/api/photos", Host.add_photo),
    ("GET", r"/api/photos/([\w-]+)", Host.photo),
    ("POST", "/api/looks", Host.add_look),
    ("DELETE", _LOOK, Host.forget_look),
    ("GET", f"{_LOOK}/progress", Host.progress),
    ("GET", f"{_LOOK}/scene", Host.scene),
    ("GET", f"{_LOOK}/first", Host.first),
    ("GET", rf"{_LOOK}/arrays/(\d+)", Host.array),
    ("GET", f"{_LOOK}/value", Host.value),
    ("GET", f"{_LOOK}/channel", Host.channel),
    ("POST", f"{_LOOK}/box", Host.box),
    ("POST", f"{_LOOK}/attribution", Host.attribution),
    ("GET", f"{_LOOK}/export", Host.export),
)
