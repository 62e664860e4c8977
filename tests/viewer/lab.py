"""A running JupyterLab with one notebook, and a browser on it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from viewer.live import LivePage

TOKEN = "only-for-this-test"


class Lab:
    """JupyterLab in a process of its own, on a free port, with settings of its own."""

    def __init__(self, folder: Path, cells: Sequence[str]) -> None:
        root = folder / "notebooks"
        root.mkdir(parents=True)
        made = [
            {"cell_type": "code", "id": f"cell{n}", "metadata": {}, "outputs": [], "source": text}
            | {"execution_count": None}
            for n, text in enumerate(cells)
        ]
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}, "cells": made}
        (root / "tried.ipynb").write_text(json.dumps(notebook))
        places = {f"JUPYTER_{kind}_DIR": str(folder / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
        settings = folder / "settings"
        news = settings / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
        news.parent.mkdir(parents=True)
        news.write_text('{"fetchNews": "false", "checkForUpdates": false}')
        places["JUPYTERLAB_SETTINGS_DIR"] = str(settings)
        told = {"IPYTHONDIR": str(folder / "ipython"), "OMP_NUM_THREADS": "1", **places}
        self.log = folder / "lab.log"
        options = [
            "--no-browser",
            "--allow-root",
            "--ip=127.0.0.1",
            "--port=0",
            f"--IdentityProvider.token={TOKEN}",
            f"--ServerApp.root_dir={root}",
            "--LabApp.expose_app_in_browser=True",
        ]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyterlab", *options],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **told},
                cwd=root,
            )
        until = time.monotonic() + 120
        while (found := re.search(r"(http://127\.0\.0\.1:\d+)/lab", self.log.read_text())) is None:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, f"JupyterLab does not start: {self.log.read_text()}"
            time.sleep(0.1)
        self.base = found[1]

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class LabPage(LivePage):
    """A notebook in a browser; ``viewer`` is the one in the widget."""

    def visit(self, lab: Lab, fragment: str = "") -> None:  # type: ignore[override]
        """Open the notebook and run all its cells."""
        self.driver.get(f"{lab.base}/lab/tree/tried.ipynb?token={TOKEN}&reset")
        self.until("return Boolean(window.jupyterapp?.shell?.currentWidget?.content?.widgets?.length)")
        self.until("return jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status === 'idle'")
        self.driver.execute_script("jupyterapp.commands.execute('notebook:run-all-cells')")

    def until(self, script: str, seconds: float = 150) -> Any:
        """Wait until a script gives something true; that."""
        end = time.monotonic() + seconds
        while not (found := self.driver.execute_script(script)):
            assert time.monotonic() < end, f"never came true: {script}"
            time.sleep(0.1)
        return found

    def run(self, script: str, *arguments: Any) -> Any:
        start = (
            "const place = document.querySelector('.convscope')?.shadowRoot?.querySelector('.notebook'), "
            "desk = place?.desk, viewer = desk?.viewer, root = viewer?.shadowRoot;"
        )
        return self.driver.execute_script(start + script, *arguments)
