"""Requests made up from the interface's own description: nothing of it may fail inside the server.

Every operation gets a few examples; ``CONVSCOPE_FUZZ=100`` makes it a hundred each. Half of
them name a look, a photo, a film or a lesson that are there, so that what lies behind the doors is tried
too. Lessons are also given values such as a person sends, each beside what is wrong in one place.
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

import convscope
from convscope.desk.lessons import lesson_list
from convscope.page import Settings, make_app
from page_server import LiveServer, look, start

EXAMPLES = int(os.environ.get("CONVSCOPE_FUZZ", "10"))
SCHEMA = schemathesis.openapi.from_dict(make_app(Settings(schema=True)).openapi())
LESSONS = {lesson["name"]: lesson for lesson in lesson_list()}
OPERATIONS = {result.ok().label: result.ok() for result in SCHEMA.get_all_operations()}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("filmed")
    convscope.film(convscope.load_model("tutorial_cnn", weights="none"), ["sample:cat"], folder).snap(0)
    found = start(waiting=64, models=(str(folder),))
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
    return {"look": look(client), "lesson": "steps", "film": start["models"][1]["id"], **found}


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
            for name in ("look", "photo", "lesson", "model"):
                if name in (case.path_parameters or {}) and case.method != "DELETE":
                    case.path_parameters[name] = known["film" if name == "model" else name]
            if isinstance(case.body, dict) and label == "POST /api/looks":
                case.body.update({"base": known["look"], "model": None, "photo": None, "weights": None})
        headers = {"Authorization": f"Bearer {server.token}"}
        answer = case.call(base_url=server.address, headers=headers, timeout=60)
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


#: What a control of each kind may be sent, by a person or by anyone else.
ODD = st.one_of(
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(
        ["", "0,0,0,0", "-5,-5,1000000,3", "1 2; 3", "1e400", "nan", "9/0 0/9", "3/2 5/3", "sample:no"]
    ),
)
USUAL = {
    "number": st.integers(-3, 40),
    "switch": st.booleans(),
    "numbers": st.lists(st.integers(-2, 60), min_size=1, max_size=5).map(lambda row: " ".join(map(str, row))),
    "box": st.tuples(*[st.integers(0, 60)] * 4).map(lambda sides: ",".join(map(str, sides))),
    "pools": st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=3).map(
        lambda pools: " ".join(f"{size}/{step}" for size, step in pools)
    ),
    "matrix": st.lists(st.lists(st.integers(-9, 9), min_size=3, max_size=3), min_size=1, max_size=6).map(
        lambda rows: "; ".join(" ".join(map(str, row)) for row in rows)
    ),
    "kernel": st.sampled_from(
        ["edge", "sobel-x", "cut", "1 2; 3 4", "0 1 0; 1 -4 1; 0 1 0", "tutorial_cnn conv1 1"]
    ),
    "padding": st.one_of(st.sampled_from(["none", "same"]), st.integers(-1, 12)),
    "picture": st.sampled_from(["sample:cat", "sample:coins"]),
}


@st.composite
def settings_of(draw: st.DrawFn, lesson: dict[str, Any]) -> dict[str, Any]:
    """Values for some of a lesson's controls."""
    found = {}
    for control in lesson["controls"]:
        usual = USUAL.get(control["kind"], st.just(control["default"]))
        if control["kind"] == "choice":
            usual = st.sampled_from([*control["options"]])
        kind = draw(st.sampled_from(["default", "default", "usual", "usual", "odd"]))
        if kind != "default":
            found[control["name"]] = draw(usual if kind == "usual" else ODD)
    return found


@pytest.mark.parametrize("name", LESSONS)
def test_no_state_of_a_lesson_fails_inside_the_server(name: str, client: httpx.Client) -> None:
    seen: dict[int, int] = {}

    @given(
        values=settings_of(LESSONS[name]),
        part=st.sampled_from(["", "", "/steps", "/proof", "/file"]),
        step=st.integers(0, 4000),
    )
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(values: dict[str, Any], part: str, step: int) -> None:
        body: dict[str, Any] = {"values": values, "preview": step % 2 == 0}
        if part:
            body["step"] = step
        if part == "/file":
            body["what"] = "json" if step % 2 else "csv"
        answer = client.post(f"/api/lessons/{name}{part}", json=body)
        assert answer.status_code < 500, (body, answer.text)
        if answer.status_code >= 400:
            # What convscope did not say on purpose would be a sentence that helps nobody.
            assert answer.json()["error"]["code"] not in {"failed", "worker_lost"}, (body, answer.text)
        seen[answer.status_code] = seen.get(answer.status_code, 0) + 1

    ask()
    assert seen.get(200), "nothing was let in"
