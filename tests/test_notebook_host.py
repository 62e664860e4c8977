"""The widget's messages, answered by the kernel, against the same numbers had directly."""

from __future__ import annotations

import io
import json
import re
import threading
import time
from typing import Any

import numpy as np
import pytest
from PIL import Image

import convscope
from convscope.errors import UsageError

torch = pytest.importorskip("torch")

from convscope.notebook.given import Given  # noqa: E402
from convscope.notebook.looks import LookShelf  # noqa: E402
from notebook_talk import Talk  # noqa: E402


def small_net(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=True),
        nn.Conv2d(6, 8, 3),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    ).eval()


def picture(seed: int = 0, side: int = 224) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


@pytest.fixture(scope="module")
def net() -> Any:
    return small_net()


@pytest.fixture(scope="module")
def seen(net: Any) -> Any:
    return convscope.trace(net, picture())


@pytest.fixture(scope="module")
def talk(seen: Any) -> Talk:
    given = Given()
    given.first = given.add_trace(seen)
    return Talk(given)


@pytest.fixture(scope="module")
def look(talk: Talk) -> str:
    return talk.look()


def logits_of(talk: Talk, look: str) -> np.ndarray[Any, Any]:
    index = talk.ask("GET", f"/api/looks/{look}/scene")["index"]
    number = [entry["name"] for entry in index].index("logits")
    return np.frombuffer(talk.ask("GET", f"/api/looks/{look}/arrays/{number}"), "<f4")


def test_it_begins_with_the_trace_and_what_else_can_be_chosen(talk: Talk) -> None:
    start = talk.ask("GET", "/api/start")
    assert [model["name"] for model in start["models"]] == ["Sequential"]
    assert (start["photos"][0]["width"], start["photos"][0]["name"]) == (224, "array")
    assert start["versus"] is None
    named = [entry["name"] for entry in talk.ask("GET", "/api/models?search=resnet5")]
    assert "resnet50" in named
    assert talk.ask("GET", "/api/models?search=Sequential")[0]["source"] == "given"


def test_a_given_trace_is_shown_as_it_is_without_running_the_model(net: Any, seen: Any) -> None:
    given = Given()
    given.first = given.add_trace(seen)
    talk, runs = Talk(given), []
    handle = net.register_forward_hook(lambda *_: runs.append(1))
    try:
        key = talk.look()
    finally:
        handle.remove()
    assert runs == []
    told = talk.ask("GET", f"/api/looks/{key}/scene")
    scene = convscope.make_scene(seen, proofs=False)
    assert [node["name"] for node in told["manifest"]["nodes"]] == [op.name for op in seen.ops]
    assert told["manifest"]["predictions"] == scene.manifest["predictions"]
    for number, entry in enumerate(told["index"]):
        data = np.frombuffer(talk.ask("GET", f"/api/looks/{key}/arrays/{number}"), entry["dtype"])
        np.testing.assert_array_equal(data.reshape(entry["shape"]), scene.arrays[entry["name"]])


def test_the_proof_of_a_cell_is_the_sum_torch_computes(talk: Talk, look: str, net: Any, seen: Any) -> None:
    node = seen.op("3").index
    answer = talk.ask("GET", f"/api/looks/{look}/value?node={node}&channel=5&row=7&column=11")
    given = seen.op("2").value[0].double()
    patch = given[:, 7:10, 11:14] * net[3].weight[5].detach().double()
    assert answer["total"] == pytest.approx(float(patch.sum() + net[3].bias[5].detach()), abs=1e-9)
    assert np.float32(answer["value"]) == np.float32(seen.op("3").value[0, 5, 7, 11])
    assert answer["agrees"] is True


def test_what_is_asked_ahead_waits_for_nothing(talk: Talk, look: str, seen: Any) -> None:
    path = f"/api/looks/{look}/value?node={seen.op('3').index}&channel=5&row=7&column=11"
    told = talk.ask("GET", path)
    assert talk.ask("GET", f"{path}&early=true") == told
    held, begun = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        held.wait(20)

    talk.host._worker.submit(0, hold)
    assert begun.wait(5)
    assert talk.ask("GET", f"{path}&early=true") is None
    held.set()


def test_a_channel_is_handed_over_exactly(talk: Talk, look: str, seen: Any) -> None:
    data = talk.ask("GET", f"/api/looks/{look}/channel?node={seen.op('3').index}&channel=2")
    np.testing.assert_array_equal(np.frombuffer(data, "<f4"), seen.op("3").value[0, 2].numpy().ravel())


def test_a_channel_switched_off_gives_the_answer_of_a_run_without_it(talk: Talk, net: Any, seen: Any) -> None:
    off = talk.look(edits=[{"node": seen.op("2").index, "channels": [1, 4], "factor": 0}])

    def without(module: Any, inputs: Any, output: Any) -> Any:
        output = output.clone()
        output[:, [1, 4]] = 0
        return output

    handle = net[2].register_forward_hook(without)
    with torch.no_grad():
        expected = net(seen.inputs).numpy()[0]
    handle.remove()
    np.testing.assert_allclose(logits_of(talk, off), expected, rtol=1e-5, atol=1e-6)
    assert not np.allclose(expected, seen.logits[0].numpy(), atol=1e-4)


def test_boxes_and_grad_cam_are_those_of_the_trace(talk: Talk, look: str, seen: Any) -> None:
    from convscope.explain import channels_in_box, grad_cam

    sides = {"top": 20, "left": 30, "bottom": 90, "right": 110}
    hits = talk.ask("POST", f"/api/looks/{look}/box", {**sides, "count": 7})
    assert hits == json.loads(
        json.dumps([vars(hit) for hit in channels_in_box(seen, *sides.values(), count=7)])
    )
    asked = {"target": 3, "node": None, "method": "grad_cam"}
    found = talk.ask("POST", f"/api/looks/{look}/attribution", asked)
    np.testing.assert_allclose(found["map"], grad_cam(seen, target=3).map, rtol=1e-6)


def test_exact_values_are_handed_over_as_a_file(talk: Talk, look: str, seen: Any) -> None:
    node = seen.op("3").index
    message, data = talk.last(talk.send("GET", f"/api/looks/{look}/export?what=values&node={node}"))
    assert message["headers"]["content-disposition"].endswith('-3.npz"')
    np.testing.assert_array_equal(np.load(io.BytesIO(data))["value"], seen.op("3").value.numpy())


def test_a_photo_sent_in_pieces_is_looked_at_through_the_same_model(talk: Talk, net: Any) -> None:
    pixels = picture(seed=4, side=230)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    data = out.getvalue()
    cut = len(data) // 2
    path = "/api/photos?name=new%20photo.png"
    talk.send("POST", path, id="up", buffers=[memoryview(data[cut:])], piece=1, pieces=2)
    assert "up" not in talk.said
    told = talk.ask("POST", path, id="up", buffers=[memoryview(data[:cut])], piece=0, pieces=2)
    assert (told["name"], told["width"], told["height"]) == ("new photo.png", 230, 230)
    shown = Image.open(io.BytesIO(talk.ask("GET", f"/api/photos/{told['id']}")))
    np.testing.assert_array_equal(np.asarray(shown), pixels)
    expected = convscope.trace(net, pixels).logits[0].numpy()
    np.testing.assert_allclose(logits_of(talk, talk.look(photo=told["id"])), expected, rtol=1e-5, atol=1e-6)


def test_a_look_under_way_tells_how_far_it_is_and_can_be_given_up() -> None:
    going, begun = threading.Event(), threading.Event()

    class Slow(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolve = torch.nn.Conv2d(3, 3, 1)

        def forward(self, x: Any) -> Any:
            x = self.convolve(x)
            begun.set()
            assert going.wait(20)
            for _ in range(1000):
                x = x + 1
            return x

    given = Given()
    given.first = {
        "model": given.add_model(convscope.load_model(Slow())),
        "photo": given.add_picture(convscope.load_image(picture()), given=True).key,
    }
    talk = Talk(given)
    start = given.first
    key = talk.ask("POST", "/api/looks", {"model": start["model"], "photo": start["photo"]})["id"]
    progress = talk.send("GET", f"/api/looks/{key}/progress")
    assert begun.wait(20)
    # The kernel's own thread is free: it answers while the model runs.
    assert talk.ask("GET", "/api/start")["default_model"] == start["model"]
    talk.ask("DELETE", f"/api/looks/{key}")
    going.set()
    lines = talk.lines(progress)
    assert lines[-1]["error"]["code"] in ("given_up", "forgotten")
    assert lines[0]["stage"] in ("waiting", "loading", "running")
    assert talk.ask("GET", f"/api/looks/{key}/scene")["code"] == "no_such_look"


def test_a_model_that_fails_is_told_in_one_sentence() -> None:
    class Broken(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            raise RuntimeError("no such luck")

    given = Given()
    photo = given.add_picture(convscope.load_image(picture()), given=True).key
    model = given.add_model(convscope.load_model(Broken()))
    talk = Talk(given)
    key = talk.ask("POST", "/api/looks", {"model": model, "photo": photo})["id"]
    line = talk.lines(talk.send("GET", f"/api/looks/{key}/progress"))[-1]
    assert "no such luck" in line["error"]["message"]
    assert "no such luck" in talk.ask("GET", f"/api/looks/{key}/first")["message"]


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("GET", "/api/looks/nothing/scene", None, "no_such_look"),
        ("GET", "/api/photos/nothing", None, "no_such_photo"),
        ("GET", "/api/../secrets", None, "no_such_page"),
        ("PUT", "/api/start", None, "no_such_page"),
        ("POST", "/api/photos", {"sample": "../etc/passwd"}, "no_such_sample"),
        ("POST", "/api/looks", {"model": "nobody_knows", "photo": "given-1"}, "no_such_model"),
        ("POST", "/api/looks", {"model": "given-1", "photo": "given-1", "weights": "none"}, "weights"),
        ("POST", "/api/looks", {"model": "given-1"}, "invalid"),
        ("POST", "/api/looks", {"model": "given-1", "photo": "given-1", "edits": [{}]}, "invalid"),
        ("GET", "LOOK/value?node=99999&channel=0", None, "no_such_node"),
        ("GET", "LOOK/value?node=one", None, "invalid"),
        ("GET", "LOOK/value?node=1&channel=600", None, "usage"),
        ("GET", "LOOK/arrays/12345", None, "no_such_part"),
        ("POST", "LOOK/box", {"top": 0}, "invalid"),
    ],
)
def test_what_cannot_be_answered_is_told(
    talk: Talk, look: str, method: str, path: str, body: Any, code: str
) -> None:
    told = talk.ask(method, path.replace("LOOK", f"/api/looks/{look}"), body)
    assert told["code"] == code
    assert told["message"]


def test_every_path_the_live_server_answers_the_kernel_answers_too() -> None:
    pytest.importorskip("fastapi", reason="the extra `page` is not installed")
    from convscope.notebook.host import ROUTES as OWN
    from convscope.page.routes import ROUTES

    for method, path, _, _ in ROUTES:
        plain = re.sub(r"\{\w+\}", "12", path)
        # Lessons are a tab of the live page alone.
        if plain != "/api/health" and not plain.startswith(("/api/lessons", "/api/films")):
            assert any(own == method and re.fullmatch(pattern, plain) for own, pattern, _ in OWN), path


def test_what_is_no_message_is_not_heard(talk: Talk) -> None:
    before = dict(talk.said)
    for message in ("text", None, {"id": 1}, ["GET"]):
        talk.host.hear(message)  # type: ignore[arg-type]
    assert talk.said == before


def test_looks_that_went_are_drawn_again_when_asked_for(seen: Any) -> None:
    given = Given()
    given.first = given.add_trace(seen)
    talk = Talk(given, shelf=LookShelf(most=1))
    first = talk.look()
    second = talk.look(edits=[{"node": 1, "channels": None, "factor": 0.5}])
    assert talk.ask("GET", f"/api/looks/{first}/scene")["code"] == "no_such_look"
    assert talk.ask("GET", f"/api/looks/{second}/scene")["manifest"]["nodes"]
    assert talk.ask("GET", f"/api/looks/{talk.look()}/scene")["manifest"]["nodes"]


def test_two_traces_of_one_model_and_photo_stand_beside_each_other(seen: Any) -> None:
    from convscope.explain import Edit, rerun

    given = Given()
    given.first = given.add_trace(seen)
    given.second = given.add_trace(rerun(seen, [Edit("2", (0,))]))
    start = given.start()
    assert given.first["photo"] == given.second["photo"]
    assert [model["name"] for model in start["models"]] == ["Sequential", "Sequential (2)"]
    talk = Talk(given)
    shown = logits_of(talk, talk.look(model=given.second["model"]))
    np.testing.assert_array_equal(shown, rerun(seen, [Edit("2", (0,))]).logits[0].numpy())


def test_a_trace_of_a_prepared_batch_is_shown_and_changed(net: Any) -> None:
    batch = torch.rand(1, 3, 40, 40)
    given = Given()
    given.first = given.add_trace(convscope.trace(net, batch))
    talk = Talk(given)
    key = talk.look(edits=[{"node": 1, "channels": [0], "factor": 2.0}])
    image = talk.ask("GET", f"/api/looks/{key}/scene")["manifest"]["image"]
    assert (image["name"], image["width"]) == ("prepared input", 40)
    assert talk.ask("GET", f"/api/photos/{given.first['photo']}")["code"] == "no_such_picture"


def test_only_the_newest_widgets_keep_what_they_show(seen: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("anywidget", reason="the extra `notebook` is not installed")
    from convscope.notebook import widget

    monkeypatch.setattr(widget, "MOST_LIVE", 2)
    said: list[Any] = []
    shown = [convscope.show(seen) for _ in range(3)]
    for one in shown:
        monkeypatch.setattr(one, "send", lambda message, buffers=None: said.append(message))
        one._handle_custom_msg({"id": "a", "method": "GET", "path": "/api/start"}, [])
    assert [message["status"] for message in said] == [410, 200, 200]
    assert "run its cell again" in said[0]["error"]["hint"].lower()


def test_show_refuses_what_cannot_be_shown(seen: Any) -> None:
    pytest.importorskip("anywidget", reason="the extra `notebook` is not installed")
    with pytest.raises(UsageError, match="beside a trace goes another trace; got str"):
        convscope.show(seen, "photo.jpg")
    with pytest.raises(UsageError, match="a scene has no network behind it"):
        convscope.show(convscope.make_scene(seen))
    with pytest.raises(UsageError, match="`height` must be a number of pixels, at least 200; got 10"):
        convscope.show(seen, height=10)
    with pytest.raises(UsageError, match="`weights` must be"):
        convscope.show("resnet18", weights="some")


def test_the_widget_answers_on_its_own_channel(seen: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("anywidget", reason="the extra `notebook` is not installed")
    widget = convscope.show(seen, height=300)
    said: list[Any] = []
    monkeypatch.setattr(widget, "send", lambda message, buffers=None: said.append((message, buffers)))
    widget._handle_custom_msg({"id": "a", "method": "GET", "path": "/api/start"}, [])
    until = time.monotonic() + 5
    while not said and time.monotonic() < until:
        time.sleep(0.01)
    message, buffers = said[0]
    assert (message["id"], message["status"]) == ("a", 200)
    assert json.loads(buffers[0])["models"][0]["name"] == "Sequential"
    assert widget.height == 300
    widget.close()
