"""What a person waits for on the live page, measured inside a browser."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--force-device-scale-factor=1",
    "--window-size=1440,900",
)
#: Words of the scripts below. A thing is drawn when the page is laid out and a frame of it has been made.
WORDS = """
const done = arguments[arguments.length - 1];
const viewer = document.querySelector("convscope-viewer:not(.coming)"), root = viewer?.shadowRoot;
const frame = () => new Promise((go) => requestAnimationFrame(() => {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => go(performance.now());
  port2.postMessage(0);
}));
const until = async (true_) => {
  while (!true_()) await new Promise((go) => setTimeout(go, 5));
};
const chosen = async (layer, channel) => {
  viewer.state.update({ layer, channel, proof: null });
  await until(() => viewer.dataset.layer === layer);
  await frame(); await frame();
};
"""
GRID = """
(async () => {
  const [layer, times] = arguments;
  await chosen(layer, 0);
  const taken = [], framed = [];
  for (let turn = 0; turn < times; turn += 1) {
    await frame();
    const began = performance.now();
    viewer.grid.draw();
    taken.push(performance.now() - began);
    framed.push(await frame() - began);
  }
  return { taken, framed, channels: viewer.grid.layer.channels };
})().then(done, (error) => done({ error: String(error) }));
"""
HOVER = """
(async () => {
  const [layer, times] = arguments;
  await chosen(layer, 1);
  const plate = root.querySelector("#plate"), box = plate.getBoundingClientRect();
  const taken = [];
  for (let turn = 0; turn < times; turn += 1) {
    const clientX = box.left + box.width * ((turn * 0.37 + 0.05) % 1);
    const clientY = box.top + box.height * ((turn * 0.61 + 0.1) % 1);
    const began = performance.now();
    plate.dispatchEvent(new MouseEvent("mousemove", { clientX, clientY, bubbles: true }));
    viewer.getBoundingClientRect();
    taken.push(performance.now() - began);
    await frame();
  }
  return { taken };
})().then(done, (error) => done({ error: String(error) }));
"""
PROOF = """
(async () => {
  const [layer, times, rested, pressed] = arguments;
  const pause = (time) => new Promise((go) => setTimeout(go, time));
  const taken = [], framed = [], asking = [], building = [];
  for (let turn = 0; turn < times; turn += 1) {
    await chosen(layer, 33 + turn + rested);
    const plate = root.querySelector("#plate"), proof = root.querySelector(".proof");
    const { left, top, width, height } = plate.getBoundingClientRect();
    const at = { clientX: left + width / 2, clientY: top + height / 2, bubbles: true, pointerType: "mouse" };
    plate.dispatchEvent(new MouseEvent("mousemove", at));
    await frame();
    if (rested) await pause(rested);
    if (pressed) {
      plate.dispatchEvent(new PointerEvent("pointerdown", at));
      await pause(pressed);
    }
    const ready = new Promise((go) => {
      const watch = new MutationObserver(() => proof.dataset.ready === "true" && (watch.disconnect(), go()));
      watch.observe(proof, { attributes: true });
    });
    performance.clearResourceTimings();
    const began = performance.now();
    plate.dispatchEvent(new MouseEvent("click", at));
    await ready;
    proof.getBoundingClientRect();
    taken.push(performance.now() - began);
    framed.push(await frame() - began);
    const asked = performance.getEntriesByType("resource").filter(({ name }) => /\\/value/.test(name));
    asking.push(Math.max(0, ...asked.map(({ responseEnd }) => responseEnd - began)));
    building.push(taken.at(-1) - asking.at(-1));
  }
  return { taken, framed, asking, building };
})().then(done, (error) => done({ error: String(error) }));
"""


NEW_PHOTO = """
(async () => {
  const [seed] = arguments;
  const canvas = new OffscreenCanvas(480, 360), context = canvas.getContext("2d");
  for (let spot = 0; spot < 400; spot += 1) {
    const [hue, light] = [(spot * 47 + seed * 13) % 360, 20 + ((spot * 31 + seed) % 60)];
    context.fillStyle = `hsl(${hue} 70% ${light}%)`;
    context.fillRect((spot * 97 + seed * 7) % 480, (spot * 53) % 360, 40, 30);
  }
  const blob = await canvas.convertToBlob({ type: "image/jpeg" });
  const file = new File([blob], `photo ${seed}.jpg`, { type: "image/jpeg" });
  const old = desk.viewer;
  await frame();
  const began = performance.now();
  desk.receive(file);
  const seen = async (true_) => {
    while (!true_()) {
      await new Promise((go) => setTimeout(go, 1));
      if (performance.now() - began > 60000) throw new Error("the new photo never came");
    }
    return await frame() - began;
  };
  const photo = await seen(() => desk.status.photo.childElementCount || desk.viewer !== old);
  const first = await seen(() => desk.status.glimpse || desk.viewer !== old);
  const drawn = await seen(() => desk.viewer !== old);
  const whole = await seen(() => desk.viewer.dataset.ready === "true");
  return { photo, first, drawn, whole };
})().then(done, (error) => done({ error: String(error) }));
"""


class Browser:
    """A headless Chromium on one server."""

    def __init__(self, profile: str) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        options.binary_location = str(shutil.which("chromium") or shutil.which("google-chrome"))
        for switch in (*SWITCHES, f"--user-data-dir={profile}"):
            options.add_argument(switch)
        self.driver = webdriver.Chrome(options=options, service=Service(str(shutil.which("chromedriver"))))
        self.driver.set_script_timeout(120)
        size = {"width": 1440, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def visit(self, base: str, token: str, fragment: str) -> None:
        """Open the page and wait until it shows a look."""
        self.driver.get(f"{base}/#token={token}&{fragment}")
        self.run(
            "const shown = () => document.querySelector('convscope-viewer:not(.coming)');"
            "until(() => shown()?.dataset.ready === 'true').then(frame).then(done, done);"
        )

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script calls ``done`` with."""
        found = self.driver.execute_async_script(WORDS + script, *arguments)
        if isinstance(found, dict) and "error" in found:
            raise RuntimeError(found["error"])
        return found


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """A browser with a fresh profile."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        found = Browser(profile)
        try:
            yield found
        finally:
            found.driver.quit()
