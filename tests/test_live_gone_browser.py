"""The live page when its server is gone: each part says so, and nothing old is shown as if it were new."""

from __future__ import annotations

import pytest

from viewer.live import LivePage, Server

pytestmark = pytest.mark.browser


def test_a_page_whose_server_is_gone_says_so_wherever_it_is_asked(live_browser: LivePage) -> None:
    server = Server("tutorial_cnn", "sample:cat")
    page = live_browser
    page.resize(1440, 900)
    try:
        page.visit(server)
        page.wait("!root.querySelector('.below').hidden")
    finally:
        server.close()
    gone = "The server does not answer. Is convscope serve still running?"
    other = page.get(
        "viewer.scene.nodes.find(node => node.view === 'map' && node !== viewer.state.node).name"
    )
    page.run("viewer.state.update({ layer: arguments[0] })", other)
    page.wait("!viewer.empty.hidden")
    assert page.text(".empty") == f"The maps of this layer could not be fetched. {gone}"
    assert page.get("root.querySelector('.below').hidden")
    page.run("desk.go({ photo: 'sample:coffee' })")
    page.wait("desk.status.node.dataset.kind === 'error'")
    assert page.get("desk.status.words.textContent") == gone
    page.run("desk.status.clear()")
    page.click("[data-tab=lessons]")
    page.wait("desk.status.node.dataset.kind === 'error' && !desk.status.node.hidden")
    assert "lessons could not be fetched" in page.get("desk.status.words.textContent")
    assert page.get("document.body.dataset.tab") == "network"
    assert page.complaints(), "a refused connection is told in the console"
