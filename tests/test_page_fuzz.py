"""Requests made up from the interface's own description: nothing of it may fail inside the server.

Every operation gets a few examples; ``CONVSCOPE_FUZZ=100`` makes it a hundred each. Half of
them name a look and a photo that are there, so that what lies behind the doors is tried too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra `page` is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")
pytest.importorskip("schemathesis", reason="schemathesis is not installed")

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from convscope.page import Settings, make_app
from page_server import LiveServer, look, start

EXAMPLES = int(os.environ.get("CONVSCOPE_FUZZ", "10"))
SCHEMA = schemathesis.openapi.from_dict(make_app(Settings(schema=True)).openapi())
OPERATIONS = {result.ok().label: result.ok() for result in SCHEMA.get_all_operations()}


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    found = start(waiting=64)
    yield found
    found.stop()


@pytest.fixture(scope="module")
def client(server: LiveServer) -> Iterator[httpx.Client]:
    with server.client() as found:
        yield found


@pytest.fixture(scope="module")
def known(client: httpx.Client) -> dict[str, str]:
    """Keys that are there."""
    start = client.get("/api/start").json()
    found = {"photo": start["default_photo"], "model": start["default_model"]}
    return {"look": look(client), "lesson": "steps", **found}


def test_every_route_is_described() -> None:
    from convscope.page.routes import ROUTES

    assert set(OPERATIONS) == {f"{method} {path}" for method, path, _, _ in ROUTES}


@pytest.mark.parametrize("label", OPERATIONS)
def test_no_request_fails_inside_the_server(
    label: str, server: LiveServer, client: httpx.Client, known: dict[str, str]
) -> None:
    seen: dict[int, int] = {}

    @given(case=OPERATIONS[label].as_strategy(), real=st.booleans())
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Any, real: bool) -> None:
        if real:
            for name in ("look", "photo", "lesson"):
                if name in (case.path_parameters or {}) and case.method != "DELETE":
                    case.path_parameters[name] = known[name]
            if isinstance(case.body, dict) and label == "POST /api/looks":
                case.body.update({"base": known["look"], "model": None, "photo": None, "weights": None})
        headers = {"Authorization": f"Bearer {server.token}"}
        answer = case.call(base_url=server.address, headers=headers)
        assert answer.status_code < 500, (case.as_curl_command(), answer.text)
        seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
        if answer.status_code >= 400:
            assert set(answer.json()["error"]) - {"control"} == {"code", "message", "hint"}
        assert list(answer.headers["x-frame-options"]) == ["DENY"]
        if answer.status_code == 202:
            client.delete(f"/api/looks/{answer.json()['id']}")

    ask()
    assert seen, "nothing was asked"
    assert client.get("/api/health").json() == {"ok": True}
