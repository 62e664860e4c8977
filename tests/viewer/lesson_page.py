"""The Lessons tab of the live page, worked as a person does."""

from __future__ import annotations

import time
from typing import Any

from viewer.live import LivePage, Server


class LessonPage:
    """The Lessons tab in a browser."""

    def __init__(self, page: LivePage, server: Server) -> None:
        self.page, self.server, self.driver = page, server, page.driver

    def open(self, fragment: str, *, fresh: bool = False) -> None:
        """Go to a lesson; ``fresh`` loads the page anew."""
        begun = self.driver.current_url.startswith(self.server.base)
        if (
            begun
            and not fresh
            and self.get("page !== null && location.hash !== '#' + arguments[0]", fragment)
        ):
            self.driver.execute_async_script(
                "const [text, done] = arguments; addEventListener('hashchange', () => done(), {once: true});"
                "location.hash = text;",
                fragment,
            )
            self.ready()
            return
        self.driver.get("about:blank")
        self.driver.get(f"{self.server.base}/#token={self.server.token}&{fragment}")
        self.ready()

    def get(self, expression: str, *arguments: Any) -> Any:
        start = "const page = document.querySelector('convscope-lessons'), root = page?.shadowRoot;"
        return self.driver.execute_script(f"{start} return {expression};", *arguments)

    def wait(self, condition: str, *arguments: Any) -> None:
        until = time.monotonic() + 90
        while not self.get(f"Boolean({condition})", *arguments):
            assert time.monotonic() < until, f"never came true: {condition}"
            time.sleep(0.02)

    def ready(self) -> None:
        """Everything asked for has come and is drawn."""
        self.wait("page?.dataset.ready === 'true' && page.isIdle")
        self.page.settle()

    def find(self, selector: str) -> Any:
        found = self.get("root.querySelector(arguments[0])", selector)
        assert found is not None, f"nothing on the page is {selector}"
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", found)
        return found

    def text(self, selector: str) -> str:
        return str(self.find(selector).text)

    def click(self, selector: str) -> None:
        self.find(selector).click()
        self.ready()

    def type(self, selector: str, words: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        field = self.find(selector)
        # Over what stands there, as a person types; clearing it first would be a change of its own.
        self.driver.execute_script("arguments[0].focus(); arguments[0].select()", field)
        ActionChains(self.driver, duration=0).send_keys(words).perform()
        self.driver.execute_script("arguments[0].blur()", field)
        self.ready()

    def drag(self, selector: str, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag the mouse within an element, from share to share of its width and height."""
        from selenium.webdriver.common.action_chains import ActionChains

        box = self.find(selector).rect
        left, top = self.get(
            "(({left, top}) => [left, top])(root.querySelector(arguments[0]).getBoundingClientRect())",
            selector,
        )
        actions = ActionChains(self.driver, duration=30)
        pointer = actions.w3c_actions.pointer_action
        across, down = (round(left + start[0] * box["width"]), round(top + start[1] * box["height"]))
        pointer.move_to_location(across, down)
        pointer.pointer_down()
        for share in (0.5, 1.0):
            x, y = (s + (e - s) * share for s, e in zip(start, end, strict=True))
            pointer.move_to_location(round(left + x * box["width"]), round(top + y * box["height"]))
        pointer.pointer_up()
        actions.perform()
        self.ready()

    def value(self, control: str) -> str:
        return str(self.get("String(page.value(arguments[0]))", control))

    def numbers(self) -> Any:
        return self.get("page.answer.numbers")
