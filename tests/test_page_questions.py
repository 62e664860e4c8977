"""Questions about a pass, asked over HTTP as the page asks them; answers are held against torch."""

from __future__ import annotations

import gzip
import io
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra `page` is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")


from page_server import array, begin, finished, look, shared_server


def node_of(told: dict[str, Any], kind: str, last: bool = False) -> dict[str, Any]:
    found = [node for node in told["manifest"]["nodes"] if node["kind"] == kind]
    return found[-1 if last else 0]


def test_the_proof_of_a_value_adds_up_to_what_torch_computes(
    client: Any, done: str, told: dict[str, Any], expected: Any
) -> None:
    node = node_of(told, "conv2d", last=True)
    op = expected.ops[node["id"]]
    channel, row, column = 5, 3, 1
    asked = {"node": node["id"], "channel": channel, "row": row, "column": column}
    proof = client.get(f"/api/looks/{done}/value", params=asked).json()
    weight = expected.parameter(f"{op.path}.weight").double().numpy()[channel]
    bias = float(expected.parameter(f"{op.path}.bias")[channel])
    before = expected.ops[op.inputs[0]].value[0].double().numpy()
    padding, size = op.attributes["padding"][0], weight.shape[-1]
    before = np.pad(before, ((0, 0), (padding, padding), (padding, padding)))
    products = weight * before[:, row : row + size, column : column + size]
    assert proof["total"] == pytest.approx(products.sum() + bias, abs=1e-9)
    assert proof["value"] == pytest.approx(float(op.value[0, channel, row, column]), abs=0)
    assert proof["agrees"] is True
    assert proof["bias"] == pytest.approx(bias)
    sums = products.sum((1, 2))
    assert proof["terms"]["value"] == pytest.approx(sorted(sums, key=abs, reverse=True))
    best = proof["patches"][0]
    assert best["channel"] == int(abs(sums).argmax())
    assert np.array(best["products"]) == pytest.approx(products[best["channel"]])
    assert np.array(best["kernel"]) == pytest.approx(weight[best["channel"]])
    terms = proof["terms"]
    assert (terms["node"][0], terms["channel"][0]) == (op.inputs[0], best["channel"])
    assert terms["label"][0] == f"channel {best['channel']}"
    largest = np.unravel_index(abs(products[best["channel"]]).argmax(), (size, size))
    assert terms["row"][0] == row - padding + largest[0]
    assert terms["column"][0] == column - padding + largest[1]
    assert terms["names"] == {str(op.inputs[0]): expected.ops[op.inputs[0]].name}
    box = expected.field_box(op.index, row, column)
    assert proof["field"] == list(box)


def test_a_channel_comes_exactly_as_the_network_computed_it(
    client: Any, done: str, told: dict[str, Any], expected: Any
) -> None:
    node = node_of(told, "conv2d", last=True)["id"]
    answer = client.get(f"/api/looks/{done}/channel", params={"node": node, "channel": 5})
    value = expected.ops[node].value[0, 5].numpy()
    assert np.array_equal(np.frombuffer(answer.content, "<f4").reshape(value.shape), value)
    linear = node_of(told, "linear")["id"]
    for asked, status, code in (
        ({"node": 9999, "channel": 0}, 404, "no_such_node"),
        ({"node": node, "channel": 9999}, 422, "no_such_channel"),
        ({"node": linear, "channel": 0}, 404, "no_map"),
    ):
        refused = client.get(f"/api/looks/{done}/channel", params=asked)
        assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)


def test_a_value_without_a_cell_is_the_peak(
    client: Any, done: str, told: dict[str, Any], expected: Any
) -> None:
    node = node_of(told, "conv2d")["id"]
    proof = client.get(f"/api/looks/{done}/value", params={"node": node, "channel": 1}).json()
    plane = expected.ops[node].value[0, 1]
    assert abs(proof["value"]) == pytest.approx(float(plane.abs().max()))
    linear = node_of(told, "linear", last=True)["id"]
    proof = client.get(f"/api/looks/{done}/value", params={"node": linear, "channel": 2}).json()
    assert proof["value"] == pytest.approx(float(expected.output[0, 2]))


def test_the_arithmetic_of_the_value_that_was_read_comes_along(
    client: Any, done: str, told: dict[str, Any], expected: Any
) -> None:
    relu = next(op for op in expected.ops if op.kind in ("relu", "relu6", "tanh") and op.spatial is not None)
    asked = {"node": relu.index, "channel": 2, "row": 4, "column": 3}
    alone = client.get(f"/api/looks/{done}/value", params=asked).json()
    chain = client.get(f"/api/looks/{done}/value", params={**asked, "steps": 6}).json()
    upstream = chain.pop("upstream")
    assert chain == alone
    source = expected.ops[relu.inputs[0]]
    assert (upstream["cell"]["node"], upstream["cell"]["channel"]) == (source.index, 2)
    assert upstream["value"] == float(source.value[0, 2, 4, 3])
    asked["node"] = source.index
    assert upstream == client.get(f"/api/looks/{done}/value", params={**asked, "steps": 6}).json()


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"node": 9999}, 404),
        ({"node": 1, "channel": 9999}, 422),
        ({"node": 1, "channel": 0, "row": 999, "column": 0}, 422),
        ({"node": 1, "channel": 0, "row": 3}, 422),
        ({"node": -1}, 422),
        ({"node": "layer"}, 422),
        ({}, 422),
    ],
)
def test_a_value_that_is_not_there_is_refused(
    client: Any, done: str, asked: dict[str, Any], status: int
) -> None:
    answer = client.get(f"/api/looks/{done}/value", params=asked)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"code", "message", "hint"}


def test_switching_a_channel_off_changes_the_answer_as_torch_says(
    client: Any, done: str, told: dict[str, Any], expected: Any
) -> None:
    import torch

    node = node_of(told, "conv2d")
    module = expected.model.module
    target = module.get_submodule(expected.ops[node["id"]].path)

    def off(_: Any, __: Any, output: Any) -> Any:
        return output.index_fill(1, torch.tensor([2, 4]), 0.0)

    handle = target.register_forward_hook(off)
    with torch.no_grad():
        wanted = module(expected.inputs)[0].numpy()
    handle.remove()
    key = look(client, base=done, model=None, photo=None, edits=[{"node": node["id"], "channels": [4, 2]}])
    after = client.get(f"/api/looks/{key}/scene").json()
    logits = array(client, key, after, "logits")
    assert logits == pytest.approx(wanted, abs=1e-5)
    assert abs(logits - array(client, done, told, "logits")).max() > 1e-4
    whole = look(client, base=done, model=None, photo=None, edits=[{"node": node["id"], "factor": 0}])
    silent = client.get(f"/api/looks/{whole}/scene").json()["manifest"]["nodes"][node["id"]]
    assert silent["statistics"]["silent"] == node["channels"]


def test_an_edit_that_makes_no_sense_fails_with_a_sentence(client: Any, done: str) -> None:
    key = begin(client, base=done, edits=[{"node": 9999}])
    assert finished(client, key)["error"]["message"]
    answer = client.get(f"/api/looks/{key}/scene")
    assert answer.status_code == 409
    assert answer.json()["error"]["message"]


def test_a_box_is_answered_as_python_answers_it(client: Any, done: str, expected: Any) -> None:
    from convscope.explain import channels_in_box

    asked = {"top": 0, "left": 0, "bottom": 16, "right": 16.5, "count": 7}
    hits = client.post(f"/api/looks/{done}/box", json=asked).json()
    wanted = channels_in_box(expected, 0, 0, 16, 16.5, count=7)
    assert [(hit["node"], hit["channel"]) for hit in hits] == [(hit.node, hit.channel) for hit in wanted]
    assert [hit["share"] for hit in hits] == pytest.approx([hit.share for hit in wanted])
    assert client.post(f"/api/looks/{done}/box", json={**asked, "top": "a"}).status_code == 422


def test_an_attribution_is_the_one_python_gives(
    client: Any, done: str, told: dict[str, Any], expected: Any
) -> None:
    from convscope.explain import grad_cam

    node = node_of(told, "conv2d", last=True)["id"]
    wanted = grad_cam(expected, target=3, node=node)
    found = client.post(f"/api/looks/{done}/attribution", json={"target": 3, "node": node}).json()
    assert np.array(found["map"]) == pytest.approx(wanted.map, abs=1e-6)
    assert np.array(found["signed"]) == pytest.approx(wanted.signed, abs=1e-6)
    assert (found["target"], found["node"], found["method"]) == (3, node, wanted.method)
    for body, status in [({"target": 99}, 422), ({"node": 9999}, 422), ({"method": "magic"}, 422)]:
        answer = client.post(f"/api/looks/{done}/attribution", json=body)
        assert (answer.status_code, set(answer.json()["error"])) == (status, {"code", "message", "hint"})


def test_exports_hold_what_they_say(
    client: Any, done: str, told: dict[str, Any], expected: Any, tmp_path: Any
) -> None:
    import convscope

    def take(**asked: Any) -> Any:
        answer = client.get(f"/api/looks/{done}/export", params=asked)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-disposition"].startswith("attachment; filename=")
        return answer

    report = take(what="report")
    assert report.text.startswith("<!doctype html>")
    assert "tutorial_tanh" in report.text
    (tmp_path / "a.scene").write_bytes(take(what="scene").content)
    assert convscope.Scene.load(tmp_path / "a.scene").manifest["nodes"][0]["name"] == "input"
    node = node_of(told, "conv2d")["id"]
    wanted = expected.ops[node].value.numpy()
    assert (np.load(io.BytesIO(take(what="values", node=node).content))["value"] == wanted).all()
    lines = take(what="csv", node=node).text.splitlines()
    assert lines[0] == "channel,row,column,value"
    assert len(lines) == 1 + wanted.size
    channel, row, column, value = lines[-1].split(",")
    assert np.float32(value) == wanted[0, int(channel), int(row), int(column)]
    for asked in ({"what": "values"}, {"what": "report", "node": 1}, {"what": "../etc"}, {}):
        assert client.get(f"/api/looks/{done}/export", params=asked).status_code == 422
    assert client.get(f"/api/looks/{done}/export", params={"what": "csv", "node": 999}).status_code == 404


def test_reports_of_gzip_are_gzip(client: Any, done: str) -> None:
    server = shared_server()
    request = (
        f"GET /api/looks/{done}/first HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        f"Authorization: Bearer {server.token}\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"
    )
    head, _, body = server.raw(request.encode()).partition(b"\r\n\r\n")
    assert b"content-encoding: gzip" in head.lower()
    assert gzip.decompress(body) == client.get(f"/api/looks/{done}/first").content
