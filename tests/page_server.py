"""A live server in a process of its own, and a client for it."""

from __future__ import annotations

import atexit
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

import httpx

_START = """
import json, sys
from convscope.page.run import bind, serve
from convscope.desk.catalog import GivenModel
from convscope.page.settings import Bounds, GivenPhoto, Settings
told = json.loads(sys.argv[1])
settings = Settings(
    models=tuple(GivenModel(spec) for spec in told["models"]),
    photos=tuple(GivenPhoto("small.png", bytes.fromhex(data)) for data in told["photos"]),
    bounds=Bounds(**told["bounds"]),
    schema=told["schema"],
)
serve(settings, bind("127.0.0.1", 0), lambda address: print(address, flush=True))
"""


class LiveServer:
    """A server in a process of its own; what it prints is in ``log``."""

    def __init__(self, command: list[str]) -> None:
        self.log = Path(tempfile.mkstemp(suffix=".log")[1])
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        atexit.register(self.stop)
        deadline = time.monotonic() + 60
        while (found := re.search(r"(http://(\S+?):(\d+))/#token=(\S+)", self.text())) is None:
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < deadline, f"the server does not start: {self.text()}"
            time.sleep(0.05)
        self.address, self.token = found[1], found[4]
        self.port = int(found[3])

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def client(self, **options: Any) -> httpx.Client:
        headers = {"authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        return httpx.Client(base_url=self.address, headers=headers, timeout=60, trust_env=False, **options)

    def raw(self, data: bytes, *, wait: float = 10.0) -> bytes:
        """Everything the server answers to ``data`` until it closes or is silent."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait) as connection:
            connection.sendall(data)
            answer = b""
            try:
                while part := connection.recv(65536):
                    answer += part
            except TimeoutError:
                pass
            return answer

    def children(self) -> list[int]:
        """Process ids of its workers."""
        text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(word) for word in text.split()]

    def worker(self, kind: str) -> int:
        """The worker with torch (``model``) or the one without (``decode``)."""
        torch = {pid: "libtorch" in Path(f"/proc/{pid}/maps").read_text() for pid in self.children()}
        return next(pid for pid, has in torch.items() if has is (kind == "model"))

    def stop(self, number: int = signal.SIGINT) -> float:
        """Ask it to end; the seconds that took."""
        began = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return time.monotonic() - began


def start(*, schema: bool = False, models: tuple[str, ...] = (), **bounds: Any) -> LiveServer:
    """A server of a small model, then of ``models``, on a small photo."""
    told = {
        "models": ["tutorial_tanh", *models],
        "photos": [picture().hex()],
        "bounds": bounds,
        "schema": schema,
    }
    return LiveServer([sys.executable, "-c", _START, json.dumps(told)])


def start_command(*words: str) -> LiveServer:
    code = "from convscope.cli import main; main()"
    return LiveServer([sys.executable, "-c", code, "serve", "--no-open", *words])


@cache
def shared_server() -> LiveServer:
    """One server for all tests that leave it as it was."""
    return start(schema=True)


def picture(width: int = 40, height: int = 36, kind: str = "PNG", seed: int = 0, **options: Any) -> bytes:
    """A picture file of noise over a ramp."""
    import io

    import numpy as np
    from PIL import Image

    ramp = np.linspace(0, 180, width)[None, :, None] + np.zeros((height, 1, 3))
    noise = np.random.default_rng(seed).integers(0, 70, (height, width, 3))
    out = io.BytesIO()
    Image.fromarray((ramp + noise).astype(np.uint8)).save(out, kind, **options)
    return out.getvalue()


def finished(client: httpx.Client, look: str) -> dict[str, Any]:
    """The last line of a look's progress."""
    with client.stream("GET", f"/api/looks/{look}/progress") as answer:
        assert answer.status_code == 200
        lines = [json.loads(line) for line in answer.iter_lines()]
    return lines[-1]


def begin(client: httpx.Client, **body: Any) -> str:
    """A new look of the shared model and photo, not waited for."""
    start = client.get("/api/start").json()
    told = {"model": start["default_model"], "photo": start["default_photo"], **body}
    answer = client.post("/api/looks", json=told)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def look(client: httpx.Client, **body: Any) -> str:
    """A new look, done."""
    key = begin(client, **body)
    assert finished(client, key).get("done") is True
    return key


def array(client: httpx.Client, look: str, scene: dict[str, Any], name: str) -> Any:
    """An array of a scene, by the name its index has for it."""
    import numpy as np

    number = next(n for n, entry in enumerate(scene["index"]) if entry["name"] == name)
    entry = scene["index"][number]
    data = client.get(f"/api/looks/{look}/arrays/{number}").content
    return np.frombuffer(data, np.dtype(entry["dtype"]).newbyteorder("<")).reshape(entry["shape"])


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
