"""A headless Chromium with the network cut, and a few words to work a report in it."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any, TypeVar

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",  # containers have little shared memory
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--force-device-scale-factor=1",
    "--window-size=1440,900",
)


P = TypeVar("P", bound="Page")


class Page:
    """One report in a browser."""

    switches = SWITCHES

    def __init__(self, profile: Path) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        options.binary_location = str(CHROMIUM)
        for switch in (*self.switches, f"--user-data-dir={profile}"):
            options.add_argument(switch)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
        self.driver.set_script_timeout(20)
        self.address = ""
        self.resize(1440, 900)

    def open(self, report: Path, fragment: str = "") -> None:
        """Load a report anew and wait until its first sight is drawn."""
        self.driver.get("about:blank")
        self.address = report.as_uri()
        self.driver.get(self.address + fragment)
        self.wait("viewer.dataset.ready === 'true'")

    def resize(self, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def run(self, script: str, *arguments: Any) -> Any:
        """Value of a script that may say ``viewer`` and ``root`` (its shadow root)."""
        start = "const viewer = document.querySelector('convscope-viewer'), root = viewer.shadowRoot;"
        return self.driver.execute_script(start + script, *arguments)

    def get(self, expression: str, *arguments: Any) -> Any:
        return self.run(f"return {expression};", *arguments)

    def text(self, selector: str) -> str:
        return str(self.get("root.querySelector(arguments[0]).textContent", selector))

    def count(self, selector: str) -> int:
        return int(self.get("root.querySelectorAll(arguments[0]).length", selector))

    def wait(self, condition: str, *arguments: Any) -> None:
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, 15, poll_frequency=0.03).until(
            lambda _: self.get(f"Boolean({condition})", *arguments), f"never came true: {condition}"
        )

    def settle(self) -> None:
        """Wait for two frames, so that all that was asked for is drawn."""
        self.driver.execute_async_script(
            "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done()));"
        )

    def look(self, layer: str) -> None:
        """Click the row of a layer and wait for its channels."""
        self.click(f'.row[data-name="{layer}"] .size')
        self.wait("viewer.dataset.layer === viewer.state.layer")
        self.settle()

    def click(self, selector: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        element = self.get("root.querySelector(arguments[0])", selector)
        assert element is not None, f"nothing on the page is {selector}"
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        ActionChains(self.driver).click(element).perform()

    def point(self, selector: str, x: float, y: float, *, click: bool = False) -> None:
        """Move the mouse to a place in an element, in CSS pixels from its upper left corner."""
        from selenium.webdriver.common.action_chains import ActionChains

        box = self.get(
            "(({left, top}) => [left, top])(root.querySelector(arguments[0]).getBoundingClientRect())",
            selector,
        )
        actions = ActionChains(self.driver, duration=0)
        # A mouse stands on whole pixels; rounding up keeps it inside a cell of one pixel.
        actions.w3c_actions.pointer_action.move_to_location(math.ceil(box[0] + x), math.ceil(box[1] + y))
        if click:
            actions.click()
        actions.perform()
        self.settle()

    def press(self, *keys: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()
        self.settle()

    def complaints(self) -> list[str]:
        """Everything the console holds since the last call: errors, refusals, warnings."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def close(self) -> None:
        self.driver.quit()


def new_page(profile: Path, kind: type[P] = Page) -> P:
    """A page, or a skip that says what is missing."""
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no Chromium with its chromedriver on this machine")
    pytest.importorskip("selenium", reason="selenium is not installed")
    return kind(profile)
