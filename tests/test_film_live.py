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
        f"{server.base}/api/films/{model['id']}/{film['version']}/{strip.steps[2]}",
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
    version = server.ask(f"/api/films/{model}")["version"]
    folder = str(run.folder).replace("/", "%2F")
    for path in ("resnet18", "nothing", folder, f"{model}/{version}/999999", f"{folder}/{version}/0"):
        assert status(server, f"/api/films/{path}") == 404, path
    assert status(server, "/api/films/..%2F..%2Fetc") in (404, 422)
    for path in ("film.json", "-1", "..%2Ffilm.json", "1e3"):
        assert status(server, f"/api/films/{model}/{version}/{path}") in (404, 422), path
        assert status(server, f"/api/films/{model}/{path}/0") in (404, 422), path


@pytest.mark.parametrize("written", ["metrics.csv", "film/film.json", "film/step-000000002.npz"])
def test_a_film_whose_files_are_written_again_is_packed_again(server: Server, run: Run, written: str) -> None:
    """The same steps in the same folder can be those of another training."""
    model = server.ask("/api/start")["models"][0]["id"]
    before = server.ask(f"/api/films/{model}")["version"]
    assert server.ask(f"/api/films/{model}")["version"] == before
    path = run.folder / written
    path.write_bytes(path.read_bytes())
    # Who had opened it before is told so, once another has opened it as it is now.
    assert status(server, f"/api/films/{model}/{before}/0") == 200
    after = server.ask(f"/api/films/{model}")["version"]
    assert after != before
    with pytest.raises(HTTPError) as refused:
        server.ask(f"/api/films/{model}/{before}/0")
    assert refused.value.code == 409
    assert b"the training has gone on since its film was opened" in refused.value.read()
    assert status(server, f"/api/films/{model}/{after}/0") == 200


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


def open_by_key(live: LivePage, steps: tuple[int, ...]) -> None:
    live.press("f")
    live.wait("viewer.film.node.dataset.step === String(arguments[0])", steps[-1])


@pytest.mark.browser
def test_the_space_bar_plays_the_film_that_a_key_opened(live: LivePage, run: Run) -> None:
    open_by_key(live, open_film(run.folder).steps)
    assert live.get("root.activeElement === viewer.film.slider")
    live.press(" ")
    assert live.text(".film .play") == "Stop"
    assert live.get("root.querySelector('.film-sheet').open")
    keys = live.texts(".film-sheet .keys kbd")
    assert keys == ["←", "→", "Home", "End", "space", "i", "l", "r"]


@pytest.mark.browser
@pytest.mark.parametrize("by", ["another tab", "another look"])
def test_a_film_packed_again_is_opened_anew_where_it_stood(
    live: LivePage, server: Server, run: Run, by: str
) -> None:
    steps = open_film(run.folder).steps
    open_by_key(live, steps)
    live.press("i", "l", "r", "\ue012")
    live.wait("viewer.film.node.dataset.step === String(arguments[0])", steps[-2])
    before = live.get("viewer.film.film.version")
    metrics = run.folder / "metrics.csv"
    metrics.write_bytes(metrics.read_bytes())
    if by == "another tab":
        server.ask(f"/api/films/{server.ask('/api/start')['models'][0]['id']}")
    else:
        live.run("viewer.film.source.open()")
        live.wait("viewer.film.source.manifest !== viewer.film.film")
    chosen = live.get("viewer.film.chosen")
    live.press("\ue012")
    live.wait("viewer.film.film.version !== arguments[0]", before)
    live.wait("viewer.film.node.dataset.step === String(arguments[0])", steps[-3])
    assert live.get("viewer.film.chosen") == {**chosen, "step": str(steps[-3])}
    assert (chosen["layer"], chosen["image"], chosen["range"]) == ("3", "1", "step")
    assert live.get("root.activeElement === viewer.film.slider")
    assert all("409" in text for text in live.complaints())


@pytest.mark.browser
def test_a_server_that_is_gone_is_said_to_be_and_no_step_to_be_damaged(live: LivePage, run: Run) -> None:
    steps = open_film(run.folder).steps
    open_by_key(live, steps)
    offline = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    live.driver.execute_cdp_cmd("Network.enable", {})
    live.driver.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    try:
        live.press("\ue012")
        live.wait("root.querySelector('.film .told').textContent.startsWith('The server does not answer.')")
    finally:
        live.driver.execute_cdp_cmd("Network.emulateNetworkConditions", {**offline, "offline": False})
    live.press("\ue012")
    live.wait("viewer.film.node.dataset.step === String(arguments[0])", steps[-3])
    assert all("ERR_INTERNET" in text for text in live.complaints())
