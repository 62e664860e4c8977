"""How the server says that something cannot be done: one form for every error."""

from __future__ import annotations

import json
from typing import Any

from convscope.errors import ConvscopeError, ImageError, UnknownLayerError, UnknownModelError


class PageError(ConvscopeError):
    """A request that cannot be answered; ``status`` and ``code`` say why.

    ``retry_after`` is in seconds, where coming again may help; ``control`` names the control of a lesson that
    the sentence belongs to.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        hint: str = "",
        retry_after: int | None = None,
        control: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code
        self.retry_after = retry_after
        self.control = control


def busy(what: str, seconds: int = 1) -> PageError:
    """Too much is waiting already."""
    return PageError(
        503, "busy", f"too many {what} are waiting already", hint="Try again soon.", retry_after=seconds
    )


def not_now() -> PageError:
    """Something asked ahead, which nobody waits for, while there is other work."""
    return PageError(409, "not_now", "nothing is worked out ahead while there is other work")


def unknown(what: str) -> PageError:
    """No such thing, or no longer."""
    return PageError(404, f"no_such_{what}", f"there is no such {what}, or it is no longer kept")


def error_body(code: str, message: str, hint: str = "", control: str = "") -> dict[str, Any]:
    """The body of every error; ``control`` is there where it names one.

    Examples
    --------
    >>> error_body("busy", "too many looks are waiting already")["error"]["code"]
    'busy'
    """
    beside = {"control": control} if control else {}
    return {"error": {"code": code, "message": message, "hint": hint, **beside}}


def error_bytes(code: str, message: str, hint: str = "") -> bytes:
    """The same as UTF-8 text."""
    return json.dumps(error_body(code, message, hint)).encode()


def describe(error: BaseException) -> dict[str, Any]:
    """Code, sentence, hint and status of an error as it travels from a worker.

    What convscope did not raise on purpose is told by its class alone, since its text may hold anything.

    Examples
    --------
    >>> describe(PageError(503, "busy", "too many wait"))["status"]
    503
    """
    if isinstance(error, PageError):
        found = {"code": error.code, "status": error.status}
    elif isinstance(error, ImageError):
        found = {"code": error.code, "status": 422}
    elif isinstance(error, (UnknownModelError, UnknownLayerError)):
        found = {"code": _code(error), "status": 404}
    elif isinstance(error, ConvscopeError):
        found = {"code": _code(error), "status": 422}
    elif isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return {
            "code": "memory",
            "status": 422,
            "message": "this needs more memory than is allowed",
            "hint": "",
        }
    else:
        kind = type(error).__name__
        hint = "CONVSCOPE_DEBUG=1, set where the server is started, shows where."
        return {"code": "failed", "status": 422, "message": f"this failed with {kind}", "hint": hint}
    control = getattr(error, "control", "")
    beside = {"control": control} if control else {}
    return {**found, "message": error.message, "hint": error.hint, **beside}


def _code(error: ConvscopeError) -> str:
    own = getattr(error, "code", None)
    if isinstance(own, str):
        return own
    words = type(error).__name__.removesuffix("Error")
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in words).lstrip("_")
