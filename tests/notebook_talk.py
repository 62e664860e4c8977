"""Talk with the kernel's side of the widget, as the widget does."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Sequence
from typing import Any

from convscope.notebook.given import Given
from convscope.notebook.host import Host
from convscope.notebook.looks import LookShelf, Worker


class Talk:
    """A host and everything it says, by the id of the message it answers."""

    def __init__(self, given: Given, *, shelf: LookShelf | None = None) -> None:
        self.said: dict[str, list[tuple[dict[str, Any], bytes]]] = {}
        self._news = threading.Condition()
        self.count = 0
        self.host = Host(self._take, given, worker=Worker(), shelf=shelf or LookShelf())

    def _take(self, message: dict[str, Any], buffers: Sequence[Any]) -> None:
        json.dumps(message, allow_nan=False)  # a browser must be able to read it
        with self._news:
            self.said.setdefault(message["id"], []).append((message, b"".join(map(bytes, buffers))))
            self._news.notify_all()

    def send(self, method: str, path: str, body: Any = None, **further: Any) -> str:
        self.count += 1
        key = str(further.pop("id", self.count))
        buffers = further.pop("buffers", ())
        self.host.hear({"id": key, "method": method, "path": path, "body": body, **further}, buffers)
        return key

    def last(self, key: str, seconds: float = 20) -> tuple[dict[str, Any], bytes]:
        """The last message that answers ``key``."""
        with self._news:
            assert self._news.wait_for(
                lambda: key in self.said and self.said[key][-1][0].get("over", True), seconds
            ), f"no answer: {self.said.get(key)}"
            return self.said[key][-1]

    def ask(self, method: str, path: str, body: Any = None, **further: Any) -> Any:
        """The answer: JSON, bytes, or the description of an error."""
        message, data = self.last(self.send(method, path, body, **further))
        if "error" in message:
            return message["error"]
        if message.get("packed"):
            data = gzip.decompress(data)
        return json.loads(data) if message["headers"]["content-type"] == "application/json" else data

    def lines(self, key: str) -> list[dict[str, Any]]:
        self.last(key)
        return [message["line"] for message, _ in self.said[key]]

    def look(self, **body: Any) -> str:
        """A look of what there is to begin with, done."""
        start = self.ask("GET", "/api/start")
        told = {"model": start["default_model"], "photo": start["default_photo"], **body}
        key = str(self.ask("POST", "/api/looks", told)["id"])
        assert self.lines(self.send("GET", f"/api/looks/{key}/progress"))[-1] == {
            "stage": "done",
            "fraction": 1.0,
            "done": True,
        }
        return key
