"""What if, on the live page: channels switched off, and two looks beside each other."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from viewer.live import LivePage, Server

pytestmark = pytest.mark.browser
CONV, ACT = "blocks.1.1.conv_dw", "blocks.1.1.bn1.act"


def test_a_channel_switched_off_changes_the_answers_as_a_separate_run_does(live: LivePage) -> None:
    import convscope

    def without(value: Any) -> Any:
        value = value.clone()
        value[:, 8] = 0
        return value

    off = convscope.trace("efficientnet_lite0", "sample:cat", observers=[convscope.Replace({ACT: without})])
    expected = torch.softmax(off.logits.double().flatten(), 0)
    before = torch.softmax(convscope.trace("efficientnet_lite0", "sample:cat").logits.double().flatten(), 0)
    live.choose(ACT, 8)
    live.press("e")
    live.wait("root.querySelector('.compared') && desk.viewer === viewer")
    rows = live.get("[...root.querySelectorAll('.compared li')].map(line => ({...line.dataset}))")
    assert [int(row["index"]) for row in rows[:5]] == expected.topk(5).indices.tolist()
    for row in rows:
        assert float(row["after"]) == pytest.approx(float(expected[int(row["index"])]), abs=1e-6)
        assert float(row["before"]) == pytest.approx(float(before[int(row["index"])]), abs=1e-6)
    assert live.texts(".edits .which") == ["channel 8"]
    assert "edit=" in live.driver.current_url
    live.run("viewer.state.update({proof: '28,51'})")
    live.wait("root.querySelector('.proof').dataset.ready === 'true'")
    assert (float(live.verdict()["value"]), live.verdict()["agrees"]) == (0.0, "true")
    assert "switched off here" in live.text(".verdict")
    live.press("]", "e")
    live.wait("root.querySelector('.edits .which')?.textContent === 'channels 8, 9'")
    live.press("u")
    live.wait("root.querySelector('.edits .which')?.textContent === 'channel 8'")
    live.press("u")
    live.wait("desk.viewer === viewer && root.querySelector('.edits').hidden")
    assert live.count(".compared") == 0


def test_a_scaled_layer_and_the_difference_to_the_net_as_it_is(live: LivePage, seen: Any) -> None:
    from convscope.explain import Edit, rerun

    live.choose(ACT, 8)
    live.press("E")
    live.wait("root.querySelector('.edits input') && desk.viewer === viewer")
    live.run(
        "const field = root.querySelector('.edits input'); field.value = '0.5';"
        "field.dispatchEvent(new Event('change'));"
    )
    live.wait(
        "desk.wish.edits[0]?.factor === 0.5 && desk.viewer === viewer && root.querySelector('.compared')"
    )
    edited = rerun(seen, [Edit(ACT, None, 0.5)])
    expected = torch.softmax(edited.logits.double().flatten(), 0)
    # The answers of the layer switched off stand there until the new ones arrive.
    first = int(live.get("root.querySelector('.compared li').dataset.index"))
    live.wait(
        f"Math.abs(Number(root.querySelector('.compared li[data-index=\"{first}\"]')?.dataset.after) "
        f"- {float(expected[first])}) < 1e-6"
    )
    rows = live.get("[...root.querySelectorAll('.compared li')].map(line => ({...line.dataset}))")
    for row in rows:
        assert float(row["after"]) == pytest.approx(float(expected[int(row["index"])]), abs=1e-6)
    live.press("v")
    live.wait("root.querySelector('[data-kind=difference]') && desk.viewer === viewer")
    live.choose("blocks.1.1.add", 3)
    live.wait("root.querySelector('.beside').dataset.ready === 'blocks.1.1.add:3'")
    difference = (edited["blocks.1.1.add"].value - seen["blocks.1.1.add"].value)[0, 3].abs()
    most = float(live.get("root.querySelector('[data-kind=difference]').dataset.most"))
    blur = 2 * float(seen["blocks.1.1.add"].value[0, 3].abs().max()) / 127
    assert most == pytest.approx(float(difference.max()), abs=blur)


def test_the_difference_of_two_looks_is_that_of_the_values_themselves(live: LivePage, seen: Any) -> None:
    """A scale of 1.0001 changes every value by far less than a step of the maps' 8 bits."""
    live.choose(ACT, 8)
    live.run("desk.go({edits: [{node: arguments[0], channels: [8], factor: 1.0001}]})", CONV)
    live.wait("root.querySelector('.compared') && desk.viewer === viewer")
    live.press("v")
    live.wait("desk.wish.versus && desk.viewer === viewer && root.querySelector('[data-kind=difference]')")
    live.choose(CONV, 8)
    ready = "root.querySelector('.beside').dataset.ready === arguments[0]"
    live.wait(ready, f"{CONV}:8")
    value = seen[CONV].value[0, 8]
    scaled = value * torch.tensor(1.0001)
    expected = float((scaled - value).abs().max())
    shown = float(live.get("root.querySelector('[data-kind=difference]').dataset.most"))
    assert shown == pytest.approx(expected, rel=1e-3)
    assert 0 < shown < float(value.abs().max()) / 127
    row, column = divmod(int(value.abs().argmax()), value.shape[1])
    live.run("viewer.state.point({channel: 8, row: arguments[0], column: arguments[1]})", row, column)
    readout = live.text("[data-kind=difference] output").replace("\u2212", "-")
    assert float(readout) == pytest.approx(float(scaled[row, column] - value[row, column]), rel=1e-3)
    assert "≈" not in live.text(".beside [data-kind=second] output")


def test_a_second_photo_is_looked_at_in_lockstep(live: LivePage, seen: Any) -> None:
    import convscope

    live.run("desk.go({versus: 'model=efficientnet_lite0&photo=sample:coffee'})")
    live.wait("desk.viewer === viewer && root.querySelector('.versus')")
    live.choose("blocks.1.1.add", 3)
    live.wait("root.querySelector('.beside').dataset.ready === 'blocks.1.1.add:3'")
    live.run("viewer.state.point({channel: 3, row: 12, column: 33})")
    own = seen["blocks.1.1.add"].value[0, 3]
    other = convscope.trace("efficientnet_lite0", "sample:coffee")["blocks.1.1.add"].value[0, 3]
    second, difference = (float(text.strip("≈ ").replace("−", "-")) for text in live.texts(".beside output"))
    steps = [float(values.abs().max()) / 127 for values in (own, other)]
    assert second == pytest.approx(float(other[12, 33]), abs=steps[1])
    assert difference == pytest.approx(float(own[12, 33] - other[12, 33]), abs=2 * sum(steps))
    live.press("v")
    live.wait("desk.viewer === viewer && !root.querySelector('.versus')")


def test_two_sets_of_weights_and_two_models_are_looked_at_beside_each_other(
    live: LivePage, server: Server, seen: Any
) -> None:
    photo = live.get("desk.wish.photo")
    live.run("desk.go({versus: arguments[0]})", f"model=efficientnet_lite0&weights=none&photo={photo}")
    live.wait("desk.viewer === viewer && root.querySelector('.versus')")
    assert "random weights" in live.text(".versus")
    live.choose("blocks.1.1.add", 3)
    live.wait("root.querySelector('.beside').dataset.ready === 'blocks.1.1.add:3'")
    live.run("viewer.state.point({channel: 3, row: 12, column: 33})")
    key = live.get("[...desk.session.looks.values()].find(look => look.wish.weights === 'none').id")
    node = seen["blocks.1.1.add"]
    other = server.ask(f"/api/looks/{key}/value?node={node.index}&channel=3&row=12&column=33")["value"]
    own = float(node.value[0, 3, 12, 33])
    shown_values = [float(text.strip("≈ ").replace("−", "-")) for text in live.texts(".beside output")]
    assert shown_values == pytest.approx([other, own - other], rel=1e-3, abs=1e-4)
    assert live.texts(".answers .label")[:3] == [answer.label for answer in seen.predictions(3)]
    # Another architecture has other layers, which is said; its answers are there.
    live.run("desk.go({versus: arguments[0]})", f"model=resnet18&weights=none&photo={photo}")
    live.wait("desk.viewer === viewer && root.querySelector('.versus')?.textContent.includes('resnet18')")
    live.wait("root.querySelector('.beside').textContent.includes('has no layer blocks.1.1.add')")
    assert "B → A" in live.text(".answers")
    live.press("v")
    live.wait("desk.viewer === viewer && !root.querySelector('.versus')")
