"""Lessons over HTTP: their numbers against those of the lessons themselves; errors name their control."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("fastapi", reason="the extra `page` is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")

import httpx

from convscope.lesson import LESSONS
from page_server import picture, shared_server

#: What a clock says is never the same twice.
TIMED = ("milliseconds",)


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with shared_server().client() as found:
        yield found


def run(client: Any, name: str, values: Any = None, **more: Any) -> tuple[dict[str, Any], bytes]:
    """Head of the answer and the bytes behind it."""
    answer = client.post(f"/api/lessons/{name}", json={"values": values or {}, **more})
    assert answer.status_code == 200, answer.text
    size = struct.unpack("<I", answer.content[:4])[0]
    return json.loads(answer.content[4 : 4 + size]), answer.content[4 + size :]


def numbers(place: dict[str, Any], data: bytes) -> Any:
    part = data[place["offset"] : place["offset"] + place["bytes"]]
    return np.frombuffer(part, np.dtype(place["dtype"]).newbyteorder("<")).reshape(place["shape"])


def refused(client: Any, name: str, values: Any, task: str = "") -> dict[str, Any]:
    answer = client.post(f"/api/lessons/{name}{task}", json={"values": values})
    assert answer.status_code == 422, answer.text
    return dict(answer.json()["error"])


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """Every number by its path, floats to 9 figures: threads may add in another order."""
    if isinstance(value, (dict, list)):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        found = {}
        for key, one in inner:
            if key not in TIMED:
                found.update(flat(one, f"{name}.{key}"))
        return found
    return {name: float(f"{value:.9g}") if isinstance(value, float) else value}


def test_lessons_are_listed_with_texts_in_both_languages_and_controls_with_their_defaults(
    client: Any,
) -> None:
    listed = client.get("/api/lessons").json()
    assert [one["name"] for one in listed] == list(LESSONS)
    for one in listed:
        assert all(one[part][language] for part in ("title", "text") for language in ("en", "zh"))
        for control in one["controls"]:
            assert all(control["label"][language] for language in ("en", "zh"))
            again = LESSONS[one["name"]].check({control["name"]: control["default"]})
            assert control["name"] in again


@pytest.mark.parametrize("name", LESSONS)
def test_a_lessons_defaults_give_the_numbers_that_the_lesson_itself_gives(client: Any, name: str) -> None:
    head, data = run(client, name)
    expected = LESSONS[name].run()
    told = json.loads(json.dumps(expected.to_json()))
    assert flat(head["numbers"]) == flat(told["numbers"])
    assert head["values"] == told["values"]
    assert set(head["maps"]) == set(expected.maps)
    for key, one in expected.maps.items():
        sent = numbers(head["maps"][key]["array"], data)
        assert head["maps"][key]["shape"] == list(one.values.shape)
        low, high = one.range()
        if sent.dtype == np.float32:
            assert sent == pytest.approx(one.values.astype(np.float32), rel=1e-6)
        elif one.role == "rgb":
            assert (sent == one.values).all()
        else:
            step = high / 127 if one.role == "signed" else (high - low) / 254
            back = (
                (sent - 128.0) * step if one.role == "signed" else low + (sent.astype(np.float64) - 1) * step
            )
            assert np.abs(back - np.clip(one.values, low, high)).max() <= step * 0.51


def test_steps_come_with_sums_that_numpy_finds_too(client: Any) -> None:
    rng = np.random.default_rng(7)
    image, kernel = rng.integers(-9, 9, (20, 21)), rng.integers(-3, 4, (3, 4))
    values = {"image": "; ".join(" ".join(map(str, row)) for row in image), "bias": 2.5}
    values["kernel"] = "; ".join(" ".join(map(str, row)) for row in kernel)
    head, data = run(client, "steps", values)
    player = head["player"]
    assert player["count"] == 18 * 18
    windows = np.lib.stride_tricks.sliding_window_view(image, (3, 4)).reshape(-1, 3, 4)
    expected = (windows * kernel).sum((1, 2))
    assert player["steps"]["sum"] == expected[:256].tolist()
    assert numbers(player["maps"], data).ravel() == pytest.approx(expected + 2.5)
    assert (numbers(player["padded"], data)[0] == image).all()
    rest = client.post("/api/lessons/steps/steps", json={"values": values, "step": 256}).json()
    assert (rest["first"], rest["sum"]) == (256, expected[256:].tolist())
    proof = client.post("/api/lessons/steps/proof", json={"values": values, "step": 300}).json()
    assert proof["total"] == expected[300] + 2.5
    assert proof["agrees"] is True
    assert proof["patches"][0]["products"] == (windows[300] * kernel).tolist()
    late = client.post("/api/lessons/steps/proof", json={"values": values, "step": 999})
    assert late.status_code == 404


def test_a_photo_of_ones_own_is_cut_and_found_again(client: Any) -> None:
    photo = client.post("/api/photos", content=picture(90, 80, seed=5)).json()["id"]
    head, data = run(client, "cut", {"picture": photo, "box": "20,30,16,18"})
    forms = head["numbers"]["forms"]
    assert forms["normalised"]["peaks"][0] == [20, 30]
    response = numbers(head["maps"]["normalised"]["array"], data)
    assert np.unravel_index(response.argmax(), response.shape) == (20, 30)


def test_a_preview_of_a_large_photo_is_made_of_a_smaller_copy(client: Any) -> None:
    photo = client.post("/api/photos", content=picture(1024, 1024, "JPEG", seed=2)).json()["id"]
    values = {"picture": photo, "box": "400,300,70,70"}
    small, _ = run(client, "cut", values, preview=True)
    whole, _ = run(client, "cut", values)
    assert (small["preview"], whole["preview"]) == (True, False)
    assert max(small["maps"]["normalised"]["shape"]) < 600
    assert whole["maps"]["normalised"]["shape"] == [955, 955]
    assert small["values"] == whole["values"]


def test_a_picture_the_browser_knows_is_not_sent_again(client: Any) -> None:
    photo = client.post("/api/photos", content=picture(400, 300, seed=6)).json()["id"]
    first, data = run(client, "cut", {"picture": photo, "box": "40,30,50,60"}, preview=True)
    place = first["maps"]["photo"]["array"]
    assert all(
        first["maps"][f"found {form}"]["array"] == place for form in ("raw", "zero_mean", "normalised")
    )
    sent = numbers(place, data)
    assert sent.shape == (300, 400, 3)
    again, rest = run(
        client, "cut", {"picture": photo, "box": "50,30,50,60"}, preview=True, known=["other", place["id"]]
    )
    told = again["maps"]["photo"]["array"]
    assert told == {"dtype": "uint8", "shape": [300, 400, 3], "id": place["id"]}
    assert len(rest) < len(data) - sent.nbytes / 2
    response = numbers(again["maps"]["normalised"]["array"], rest)
    assert np.unravel_index(response.argmax(), response.shape) == (50, 30)
    other = client.post("/api/photos", content=picture(400, 300, seed=7)).json()["id"]
    head, _ = run(client, "cut", {"picture": other, "box": "40,30,50,60"}, known=[place["id"]])
    assert "offset" in head["maps"]["photo"]["array"]


def test_a_kernel_of_a_model_the_server_knows_is_laid_on_the_photo(client: Any) -> None:
    import convscope

    module = convscope.load_model("tutorial_tanh").module
    weight = module.get_submodule("0").weight.detach().numpy()  # type: ignore[operator, union-attr]
    start = client.get("/api/start").json()
    values = {"kernel": "tutorial_tanh 0 1", "picture": start["default_photo"]}
    head, _ = run(client, "detectors", values)
    assert head["numbers"]["kernel_shape"] == list(weight[1].shape)
    asked = {**values, "kernel": "no_such_model conv1 0"}
    assert refused(client, "detectors", asked)["control"] == "kernel"
    path = {**values, "kernel": "net.py:Class conv1 0"}
    assert refused(client, "detectors", path)["control"] == "kernel"


@pytest.mark.parametrize(
    ("name", "values", "control", "word"),
    [
        ("steps", {"stride": 0}, "stride", "from 1 to 16"),
        ("steps", {"stride": "two"}, "stride", "whole number"),
        ("steps", {"kernel": "1 2; 3 x"}, "kernel", "is no number"),
        ("steps", {"image": "1 2; 3 4"}, "kernel", "larger"),
        ("steps", {"source": "photo", "crop": "290,0,32,32"}, "crop", "does not lie within"),
        ("steps", {"no_such": 1}, "no_such", "has no control"),
        ("cut", {"box": "300,380,40,40"}, "box", "does not lie within"),
        ("cut", {"picture": "sample:nowhere"}, "picture", "no such sample"),
        ("cut", {"picture": "/etc/passwd"}, "picture", "no such photo"),
        ("cut", {"picture": "sample:../../secret"}, "picture", "no such sample"),
        ("pooling", {"pools": "99999/1"}, "pools", "windows with their stride"),
        ("reach", {"row": 200}, "row", "within the last map"),
        ("softmax", {"first": 1e9}, "first", "from -30 to 30"),
        ("detectors", {"kernel": "tutorial_tanh nowhere 0"}, "kernel", "has no convolution"),
    ],
)
def test_what_a_control_cannot_take_is_one_sentence_that_names_it(
    client: Any, name: str, values: Any, control: str, word: str
) -> None:
    told = refused(client, name, values)
    assert told["control"] == control
    assert word in told["message"]
    assert "\n" not in told["message"]


def test_unknown_lessons_and_bodies_of_another_form_are_refused(client: Any) -> None:
    assert client.post("/api/lessons/nothing", json={"values": {}}).status_code == 404
    for body in ({"values": {"stride": None}}, {"values": [1]}, {"nonsense": 1}):
        answer = client.post("/api/lessons/steps", json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid")
    file = client.post("/api/lessons/softmax/file", json={"values": {}, "what": "gif"})
    assert (file.status_code, file.json()["error"]["code"]) == (422, "no_steps")


def test_lessons_need_the_token() -> None:
    with httpx.Client(base_url=shared_server().address, trust_env=False) as stranger:
        assert stranger.get("/api/lessons").status_code == 401
        assert stranger.post("/api/lessons/steps", json={"values": {}}).status_code == 401


def test_files_to_keep_are_those_of_the_lesson_itself(client: Any) -> None:
    from PIL import Image

    from convscope.exhibits.lesson_picture import draw_lesson
    from convscope.exhibits.player import Player

    values = {"image": "1 2 3; 4 5 6; 7 8 9", "kernel": "1 0; 0 1"}
    expected = LESSONS["steps"].run(**values)

    def file(what: str, **more: Any) -> Any:
        answer = client.post("/api/lessons/steps/file", json={"values": values, "what": what, **more})
        assert answer.status_code == 200, answer.text
        assert f'filename="convscope-steps.{what}"' in answer.headers["content-disposition"]
        return answer.content

    drawn = np.asarray(Image.open(io.BytesIO(file("png"))).convert("RGB"))
    assert (drawn == np.asarray(draw_lesson(expected))).all()
    film = Image.open(io.BytesIO(file("gif", per_second=8)))
    player = Player(expected, title=LESSONS["steps"].title["en"])
    assert getattr(film, "n_frames", 1) == len(player) == 4
    assert film.info["duration"] == 120
    film.seek(3)
    off = np.abs(np.asarray(film.convert("RGB")).astype(int) - player.frame(3)).mean()
    assert off < 2
    told = json.loads(file("json"))
    assert told["numbers"]["output"] == [[6.0, 8.0], [12.0, 14.0]]
    assert told["maps"]["result"]["values"] == [[6.0, 8.0], [12.0, 14.0]]
    lines = file("csv").decode().splitlines()
    assert "output[1][1],14.0" in lines
