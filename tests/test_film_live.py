"""The film on the live page: of runs named at the server's start, and of nothing else."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest

from convscope.exhibits.report_text import from_text
from convscope.filming import open_film
from convscope.training import Recipe, Run, train
from viewer.live import LivePage, Server

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
pytest.importorskip("fastapi", reason="the extra `page` is not installed")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(
        "tutorial_tanh", "digits", Recipe(epochs=2, batch=256), run=tmp_path_factory.mktemp("r") / "run"
    )


@pytest.fixture(scope="module")
def server(run: Run) -> Iterator[Server]:
    made = Server(str(run.folder), "sample:cat")
    yield made
    made.close()


def status(server: Server, path: str, *, token: bool = True) -> int:
    headers = {"Authorization": f"Bearer {server.token}"} if token else {}
    try:
        with urlopen(Request(server.base + path, headers=headers)) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


def test_the_film_of_a_run_given_at_the_start_is_handed_out_step_by_step(server: Server, run: Run) -> None:
    model = server.ask("/api/start")["models"][0]
    assert model["film"] is True
    strip = open_film(run.folder)
    film = server.ask(f"/api/films/{model['id']}")
    assert [frame["step"] for frame in film["frames"]] == list(strip.steps)
    request = Request(
        f"{server.base}/api/films/{model['id']}/{strip.steps[2]}",
        headers={"Authorization": f"Bearer {server.token}"},
    )
    with urlopen(request) as answer:
        data = zlib.decompress(from_text(answer.read().decode("ascii")), wbits=31)
    place = film["places"]["scales/0"]
    scales = np.frombuffer(data, np.float32, int(np.prod(place["shape"])), place["offset"])
    assert np.array_equal(scales.reshape(place["shape"]), strip[2].scales[0])


def test_nothing_else_is_handed_out(server: Server, run: Run) -> None:
    model = server.ask("/api/start")["models"][0]["id"]
    assert status(server, f"/api/films/{model}", token=False) == 401
    server.ask(f"/api/films/{model}")
    folder = str(run.folder).replace("/", "%2F")
    for path in ("resnet18", "nothing", folder, "..%2F..%2Fetc", f"{model}/999999", f"{folder}/0"):
        assert status(server, f"/api/films/{path}") == 404, path
    for path in (f"{model}/film.json", f"{model}/-1", f"{model}/..%2Ffilm.json", f"{model}/1e3"):
        assert status(server, f"/api/films/{path}") in (404, 422), path


@pytest.mark.browser
def test_the_live_page_has_the_film_behind_a_button(live: LivePage, run: Run) -> None:
    steps = open_film(run.folder).steps
    live.click(".training")
    live.wait("viewer.film.node.dataset.step === String(arguments[0])", steps[-1])
    live.press("\ue012")
    live.wait("viewer.film.node.dataset.step === String(arguments[0])", steps[-2])
    assert live.text(".film .where").endswith(f"step {steps[-2]}")
    assert live.get("viewer.film.maps.atlas.width") == 4 * 32
    live.press("\ue00c")
    live.wait("!root.querySelector('.film-sheet').open")
