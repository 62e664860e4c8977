"""A running ``convscope serve`` and a browser on it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from typing import Any
from urllib.request import Request, urlopen

from viewer.browser import SWITCHES, Page

#: The page comes from this machine, and everything else stays cut off.
LOCAL = tuple(
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1" if "resolver" in switch else switch
    for switch in SWITCHES
)


class Server:
    """``convscope serve`` in a process of its own, on a free port."""

    def __init__(self, *arguments: str) -> None:
        start = "from convscope.cli import main; main()"
        command = [sys.executable, "-c", start, "serve", "--no-open", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self.process.stdout is not None
        said = ""
        while not (found := re.search(r"(http://\S+)/#token=(\S+)", said)):
            line = self.process.stdout.readline()
            assert line, f"the server ended: {said}"
            said += line
        self.base, self.token = found.groups()

    def ask(self, path: str, body: Any = None) -> Any:
        """Answer of the interface, as JSON."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        with urlopen(Request(self.base + path, data=data, headers=headers)) as answer:
            return json.load(answer)

    def close(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=10)


class LivePage(Page):
    """The live page in a browser."""

    switches = LOCAL

    def visit(self, server: Server, fragment: str = "") -> None:
        """Open the page as `convscope serve` would, and wait for its first sight."""
        self.driver.get("about:blank")
        self.driver.get(f"{server.base}/#token={server.token}{'&' if fragment else ''}{fragment}")
        self.awaken()

    def awaken(self) -> None:
        self.wait("viewer?.dataset.ready === 'true' && desk.viewer === viewer")
        self.settle()

    def run(self, script: str, *arguments: Any) -> Any:
        start = (
            "const viewer = document.querySelector('convscope-viewer:not(.coming)'), "
            "root = viewer?.shadowRoot;"
        )
        return self.driver.execute_script(start + script, *arguments)

    def wait(self, condition: str, *arguments: Any) -> None:
        until = time.monotonic() + 60
        while not self.get(f"Boolean({condition})", *arguments):
            assert time.monotonic() < until, f"never came true: {condition}"
            time.sleep(0.03)

    def choose(self, layer: str, channel: int, proof: str | None = None) -> None:
        """Show a channel of a layer, and the arithmetic of a cell of it (``"row,column"``)."""
        self.run("viewer.state.update(arguments[0])", {"layer": layer, "channel": channel, "proof": proof})
        self.wait("viewer.dataset.layer === viewer.state.layer")
        if proof is not None:
            self.wait("root.querySelector('.proof').dataset.ready === 'true'")
        self.settle()

    def verdict(self, step: int = 0) -> dict[str, Any]:
        """What a step of the arithmetic ends with: the sum, the model's value, whether they agree."""
        return dict(self.get("({...root.querySelectorAll('.verdict')[arguments[0]].dataset})", step))

    def texts(self, selector: str) -> list[str]:
        return list(
            self.get("[...root.querySelectorAll(arguments[0])].map(item => item.textContent)", selector)
        )
