"""The live page's interface, asked over HTTP as the page asks it; numbers are held against torch."""

from __future__ import annotations

import gzip
import io
import json
import threading
import time
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra `page` is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")

import httpx

from page_server import array, begin, finished, look, picture, shared_server


def test_the_page_and_its_modules_come_without_the_token() -> None:
    server = shared_server()
    with httpx.Client(base_url=server.address, trust_env=False) as stranger:
        page = stranger.get("/")
        assert page.headers["content-type"].startswith("text/html")
        assert "/viewer/live.js" in page.text
        assert "<script>" not in page.text
        module = stranger.get("/viewer/app.js")
        assert module.headers["content-type"].startswith("text/javascript")
        assert module.headers["content-encoding"] == "gzip"
        plain = stranger.get("/viewer/app.js", headers={"accept-encoding": "identity"})
        assert plain.text == module.text
        assert stranger.get("/viewer/style.css").headers["content-type"].startswith("text/css")
        assert stranger.get("/viewer/report.html").status_code == 404


def test_the_start_names_what_was_given_first_and_states_the_bounds(client: Any) -> None:
    start = client.get("/api/start").json()
    assert [photo["name"] for photo in start["photos"]] == ["small.png"]
    assert start["default_photo"] == start["photos"][0]["id"]
    assert [model["name"] for model in start["models"]] == ["tutorial_tanh"]
    assert start["default_model"] == start["models"][0]["id"]
    assert start["limits"]["trace_bytes"] == 1 << 30
    assert start["limits"]["upload_bytes"] == 32 << 20
    models = client.get("/api/models", params={"search": "tanh"}).json()
    assert models[0]["id"] == start["default_model"]
    assert {"tutorial_tanh", "tutorial_tanh_modules"} < {model["name"] for model in models}


def test_models_are_found_by_any_part_of_their_name(client: Any) -> None:
    names = {model["name"] for model in client.get("/api/models", params={"search": "ResNet1"}).json()}
    assert {"resnet18", "resnet101", "resnet152"} <= names
    assert all("resnet1" in name for name in names)
    assert len(client.get("/api/models", params={"limit": 3}).json()) == 3


def test_an_upload_is_told_of_and_served_again_as_png_with_the_same_pixels(client: Any) -> None:
    from PIL import Image

    data = picture(50, 30, "PNG", seed=3)
    answer = client.post("/api/photos", content=data, headers={"x-name": "na%C3%AFve%20%3Cb%3E.png"})
    assert answer.status_code == 200
    told = answer.json()
    assert (told["name"], told["width"], told["height"]) == ("naïve <b>.png", 50, 30)
    shown = client.get(f"/api/photos/{told['id']}")
    assert shown.headers["content-type"] == "image/png"
    sent, got = (np.asarray(Image.open(io.BytesIO(d)).convert("RGB")) for d in (data, shown.content))
    assert (sent == got).all()


def test_conversions_are_noted_and_metadata_is_gone(client: Any) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x010E] = "a secret place"
    exif[0x0112] = 6  # turned by 90 degrees
    told = client.post("/api/photos", content=picture(50, 30, "JPEG", exif=exif)).json()
    assert (told["width"], told["height"]) == (30, 50)
    assert told["notes"]
    assert b"secret" not in client.get(f"/api/photos/{told['id']}").content


def test_a_large_photo_is_shown_smaller(client: Any) -> None:
    from PIL import Image

    told = client.post("/api/photos", content=picture(4100, 20, "JPEG")).json()
    assert told["width"] == 4100
    shown = Image.open(io.BytesIO(client.get(f"/api/photos/{told['id']}").content))
    assert shown.size == (2048, 10)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        (b"<html>", "not_an_image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "not_an_image"),
        (picture()[:-40], "damaged"),
        (b"GIF89a" + (9000).to_bytes(2, "little") * 2 + b"\x80\x00\x00" + bytes(6) + b";", "too_many_pixels"),
    ],
)
def test_what_is_no_picture_is_refused_with_its_code(client: Any, data: bytes, code: str) -> None:
    answer = client.post("/api/photos", content=data)
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == code
    assert answer.json()["error"]["message"]


def test_a_sample_is_taken_by_name(client: Any) -> None:
    samples = client.get("/api/start").json()["samples"]
    if not samples:
        pytest.skip("scikit-image, which carries the samples, is not installed")
    told = client.post("/api/photos", json={"sample": samples[0]}).json()
    assert told["name"] == samples[0]
    assert client.post("/api/photos", json={"sample": "nothing"}).status_code == 404
    assert client.post("/api/photos", json={"sample": 3}).status_code == 422


def test_progress_goes_up_to_its_end(client: Any) -> None:
    key = begin(client)
    with client.stream("GET", f"/api/looks/{key}/progress") as answer:
        lines = [json.loads(line) for line in answer.iter_lines()]
    fractions = [line["fraction"] for line in lines]
    assert fractions == sorted(fractions)
    assert lines[-1] == {"stage": "done", "fraction": 1.0, "done": True}
    assert all("done" not in line for line in lines[:-1])


def test_the_answers_and_a_few_maps_come_before_the_scene(client: Any, expected: Any) -> None:
    from base64 import b64decode

    key = begin(client)
    with client.stream("GET", f"/api/looks/{key}/progress") as answer:
        lines = [json.loads(line) for line in answer.iter_lines()]
    seen = [line["glimpse"] for line in lines if "glimpse" in line]
    if not seen:
        pytest.skip("the look was made between two lines")
    answers = [(p.label, pytest.approx(p.probability)) for p in expected.predictions(3)]
    assert [(a["label"], a["probability"]) for a in seen[0]["answers"]] == answers
    convolutions = {op.shape[2:]: op for op in expected.ops if op.kind == "conv2d"}
    assert [found["layer"] for found in seen[0]["maps"]] == [op.name for op in convolutions.values()]
    for found in seen[0]["maps"]:
        value = expected[found["layer"]].value[0]
        assert found["channel"] == int(value.abs().amax((1, 2)).argmax())
        cells = np.frombuffer(b64decode(found["bytes"]), np.uint8).reshape(found["rows"], found["columns"])
        plane = torch_mean(value[found["channel"]], cells.shape)
        assert cells == pytest.approx(
            128 + plane / float(value[found["channel"]].abs().max()) * 127, abs=0.51
        )


def torch_mean(plane: Any, shape: tuple[int, int]) -> Any:
    """A map made smaller by means over equal or overlapping blocks."""
    import torch

    return torch.nn.functional.adaptive_avg_pool2d(plane[None], shape)[0].numpy()


def test_a_look_beyond_the_budget_says_which_maps_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:

    import convscope
    from convscope.desk import looking
    from convscope.desk.passes import Passes

    parts: dict[str, bytes] = {}

    class Kept:
        def emit(self, head: dict[str, Any], blob: bytes | memoryview = b"") -> None:
            if "part" in head:
                parts[head["part"]] = bytes(blob)

        def cancelled(self) -> bool:
            return False

    spec = {
        "model": {"spec": "tutorial_tanh", "weights": "none", "normalize": True, "size": None},
        "photo": "x",
    }
    for budget, complete in ((1e9, True), (30_000, False)):
        parts.clear()
        monkeypatch.setattr(looking, "PAGE_BUDGET", budget)
        pixels = convscope.load_image(picture(), name="small.png")
        looking.send_look(Passes(1 << 30), {**spec, "edits": []}, lambda: pixels, Kept())  # noqa: B023
        told = json.loads(gzip.decompress(parts["scene"]))
        names = [entry["name"] for entry in told["index"]]
        assert set(parts) == {"scene", "first", *(f"array/{n}" for n in range(len(names)))}
        for number, entry in enumerate(told["index"]):
            size = np.dtype(entry["dtype"]).itemsize * int(np.prod(entry["shape"]))
            assert len(parts[f"array/{number}"]) == size
        left_out = [n["id"] for n in told["manifest"]["nodes"] if n["channels"] and "maps" not in n["arrays"]]
        assert bool(left_out) is not complete
        assert not {f"maps/{index}" for index in left_out} & set(names)


def test_the_scene_is_the_one_python_gives(
    client: Any, done: str, told: dict[str, Any], expected: Any
) -> None:
    import convscope

    mine = convscope.make_scene(expected, proofs=False)
    for found, wanted in zip(told["manifest"]["nodes"], mine.manifest["nodes"], strict=True):
        found, wanted = ({**n, "milliseconds": 0} for n in (found, wanted))
        assert found == wanted
    assert [entry["name"] for entry in told["index"]] == list(mine.arrays)
    for name in ("maps/1", "stats/1", "filters/1", "logits", "input"):
        assert array(client, done, told, name).tobytes() == mine.arrays[name].tobytes()


def test_one_channel_of_an_array_is_a_slice_of_it(client: Any, done: str, told: dict[str, Any]) -> None:
    number = next(n for n, entry in enumerate(told["index"]) if entry["name"] == "maps/1")
    whole = array(client, done, told, "maps/1")
    part = client.get(f"/api/looks/{done}/arrays/{number}", params={"channel": 2}).content
    assert part == whole[2].tobytes()
    beyond = client.get(f"/api/looks/{done}/arrays/{number}", params={"channel": len(whole)})
    assert (beyond.status_code, beyond.json()["error"]["code"]) == (422, "no_such_channel")


def test_first_sight_holds_the_input_exactly_and_strips_to_four_steps(
    client: Any, done: str, told: dict[str, Any]
) -> None:
    from PIL import Image

    from convscope.exhibits.report_coding import from_residuals

    data = client.get(f"/api/looks/{done}/first").content
    places = told["first"]

    def piece(name: str) -> Any:
        place = places[name]
        return np.frombuffer(data[place["offset"] : place["offset"] + place["bytes"]], place["dtype"])

    rows, columns, _ = places["input"]["shape"]
    pixels = from_residuals(piece("input").reshape(3, rows, columns)).transpose(1, 2, 0)
    assert (pixels == array(client, done, told, "input")).all()
    name = next(name for name in places if name.startswith("strip/"))
    strip = from_residuals(piece(name).reshape(places[name]["shape"])).astype(int)
    exact = array(client, done, told, name).astype(int)
    assert abs(128 + (strip - 128) * places[name]["step"] - exact).max() <= 2
    assert (piece("logits").view("<f4") == array(client, done, told, "logits")).all()
    photo = Image.open(io.BytesIO(piece("photo").tobytes()))
    assert photo.size == tuple(places["photo"]["shape"][1::-1])
    assert abs(np.asarray(photo).astype(int) - array(client, done, told, "photo")).mean() < 6


def test_answers_come_packed_only_to_those_who_take_it(client: Any, done: str) -> None:
    for path in ("scene", "first", "arrays/0"):
        packed = client.get(f"/api/looks/{done}/{path}", headers={"accept-encoding": "gzip"})
        plain = client.get(f"/api/looks/{done}/{path}", headers={"accept-encoding": "identity"})
        assert "content-encoding" not in plain.headers
        assert packed.headers["vary"] == "Accept-Encoding"
        assert packed.content == plain.content


def test_a_look_needs_a_model_and_a_photo_of_its_own_or_of_its_base(client: Any, done: str) -> None:
    start = client.get("/api/start").json()
    model, photo = start["default_model"], start["default_photo"]
    for body, status in [
        ({"photo": photo}, 422),
        ({"model": model}, 422),
        ({"model": "resnet5O", "photo": photo}, 404),
        ({"model": model, "photo": "x"}, 404),
        ({"model": model, "photo": photo, "weights": "mine.pt"}, 422),
        ({"model": model, "photo": photo, "base": "x"}, 404),
        ({"model": model, "photo": photo, "more": 1}, 422),
        ({"base": done, "normalize": False}, 422),
        ([], 422),
    ]:
        answer = client.post("/api/looks", json=body)
        assert (answer.status_code, set(answer.json()["error"])) == (status, {"code", "message", "hint"})


def test_weights_and_normalisation_are_chosen(client: Any) -> None:
    start = client.get("/api/start").json()
    body = {"model": "tutorial_cnn", "photo": start["default_photo"], "weights": "none", "normalize": False}
    key = client.post("/api/looks", json=body).json()["id"]
    assert finished(client, key)["done"] is True
    model = client.get(f"/api/looks/{key}/scene").json()["manifest"]["model"]
    assert (model["name"], model["random"]) == ("tutorial_cnn", True)
    assert any("normalisation" in note for note in model["notes"])


def test_a_forgotten_look_is_gone_and_says_so(client: Any) -> None:
    key = look(client)
    assert client.delete(f"/api/looks/{key}").status_code == 204
    for path in ("scene", "first", "progress", "arrays/0", "value?node=1"):
        answer = client.get(f"/api/looks/{key}/{path}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_such_look")
    assert client.delete(f"/api/looks/{key}").status_code == 404


def test_the_page_is_shown_while_a_forward_pass_runs(client: Any, done: str) -> None:
    start = client.get("/api/start").json()
    body = {"model": "vgg16", "photo": start["default_photo"], "weights": "none"}
    slow = client.post("/api/looks", json=body).json()["id"]
    slowest = 0.0
    asked = 0
    with shared_server().client() as other:
        while other.get(f"/api/looks/{done}/arrays/0").status_code == 200:
            began = time.monotonic()
            for path in ("/", "/api/start", f"/api/looks/{done}/scene", f"/api/looks/{done}/first"):
                assert other.get(path).status_code == 200
            slowest = max(slowest, time.monotonic() - began)
            asked += 1
            if asked == 10:
                break
    with client.stream("GET", f"/api/looks/{slow}/progress") as answer:
        assert not json.loads(next(answer.iter_lines())).get("done")
    assert slowest < 2.0
    assert client.delete(f"/api/looks/{slow}").status_code == 204


def test_a_look_that_is_given_up_ends_its_stream(client: Any) -> None:
    start = client.get("/api/start").json()
    body = {"model": "vgg16", "photo": start["default_photo"], "weights": "none"}
    slow = client.post("/api/looks", json=body).json()["id"]
    seen: list[dict[str, Any]] = []

    def read() -> None:
        with shared_server().client() as other:
            seen.append(finished(other, slow))

    reader = threading.Thread(target=read)
    reader.start()
    time.sleep(0.3)
    assert client.delete(f"/api/looks/{slow}").status_code == 204
    reader.join(10)
    assert seen[0]["error"]["code"] == "forgotten"
    # What was asked next is not kept waiting by what nobody wants any more.
    assert finished(client, begin(client))["done"] is True
