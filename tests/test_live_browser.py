"""The live page as a person uses it: a real server, a real browser, photos, models, boxes and addresses."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from viewer.live import LivePage, Server

pytestmark = pytest.mark.browser
CONV, ACT = "blocks.1.1.conv_dw", "blocks.1.1.bn1.act"


def test_first_sight_takes_the_token_out_of_the_address(live: LivePage, server: Server, seen: Any) -> None:
    assert server.token not in live.driver.current_url
    assert live.texts(".answers .label") == [answer.label for answer in seen.predictions(5)]
    assert live.get("desk.wish.photo") in live.driver.current_url
    assert live.count(".row") > 10
    live.driver.refresh()
    live.awaken()
    assert live.texts(".choose") == ["efficientnet_lite0", "cat"]


def test_without_the_token_the_page_says_where_to_get_it(live_browser: LivePage, server: Server) -> None:
    live_browser.visit(server)
    live_browser.driver.execute_script("sessionStorage.clear()")
    live_browser.driver.get("about:blank")
    live_browser.driver.get(f"{server.base}/")
    until = time.monotonic() + 10
    while not (said := live_browser.driver.execute_script("return document.body.innerText")):
        assert time.monotonic() < until
    assert "Open the address that `convscope serve` printed." in said
    assert len(live_browser.complaints()) == 1  # the browser's own line about the refusal


def test_a_box_on_the_photo_ranks_the_channels_as_explain_does(live: LivePage, seen: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    from convscope.explain import channels_in_box

    place = live.get(
        "(({left, top}) => [left, top])(root.querySelector('#photo-frame').getBoundingClientRect())"
    )
    actions = ActionChains(live.driver, duration=30)
    mouse = actions.w3c_actions.pointer_action
    mouse.move_to_location(int(place[0] + 80), int(place[1] + 40))
    mouse.pointer_down()
    mouse.move_to_location(int(place[0] + 112), int(place[1] + 70))
    mouse.pointer_up()
    actions.perform()
    live.wait("root.querySelector('.looking').dataset.ready === 'true'")
    sides = [float(side) for side in live.get("viewer.state.box").split(",")]
    assert sides[2] - sides[0] > 20
    hits = channels_in_box(seen, *sides, count=50)
    rows = live.get("[...root.querySelectorAll('.looking li')].map(line => ({...line.dataset}))")
    assert [(int(row["node"]), int(row["channel"])) for row in rows] == [
        (hit.node, hit.channel) for hit in hits[: len(rows)]
    ]
    assert [float(row["share"]) for row in rows] == pytest.approx([hit.share for hit in hits[: len(rows)]])
    live.click(".looking li .link")
    assert live.get("[viewer.state.layer, viewer.state.channel]") == [hits[0].name, hits[0].channel]
    live.press("b", "\ue017")
    live.wait("viewer.state.box === ''")
    assert live.count(".looking li") == 0


def test_grad_cam_of_a_class_is_drawn_over_the_photo(live: LivePage, seen: Any) -> None:
    from convscope.explain import grad_cam

    first, second = (answer.index for answer in seen.predictions(2))
    live.press("g")
    live.wait("root.querySelector('.attribution').dataset.ready === 'true'")
    assert live.get("viewer.state.cam") == str(first)
    live.choose(ACT, 8)
    live.run("viewer.state.update({cam: arguments[0]})", f"{second}@this")
    live.wait(f"root.querySelector('.attribution').dataset.name === '{ACT}'")
    expected = grad_cam(seen, target=second, node=ACT)
    drawn = np.array(
        live.get(
            """(() => {
              const heat = root.querySelector('.frame.main .heat');
              const {width, height} = heat;
              return [height, width, ...heat.getContext('2d').getImageData(0, 0, width, height).data];
            })()"""
        )
    )
    assert tuple(drawn[:2]) == expected.map.shape
    alpha = drawn[2:].reshape(*expected.map.shape, 4)[..., 3]
    dense = np.round(255 * 0.88 * np.minimum(1, 1.3 * np.maximum(expected.map, 0) / expected.map.max()))
    np.testing.assert_allclose(alpha, dense, atol=1)


def test_a_pinned_channel_follows_the_cursor(live: LivePage, seen: Any) -> None:
    live.choose("conv_stem", 4)
    live.press("p")
    live.choose(ACT, 8)
    live.wait(f"root.querySelector('.beside').dataset.ready === '{ACT}:8'")
    live.run("viewer.state.point({channel: 8, row: 10, column: 20})")
    value = float(live.text(".beside output").replace("≈", "").replace("−", "-"))
    stem = seen["conv_stem"].value[0, 4]
    assert value == pytest.approx(float(stem[21, 41]), abs=float(stem.abs().max()) / 127)
    assert "pins=conv_stem" in live.driver.current_url


def test_another_photo_and_another_model_are_looked_at_and_remembered(live: LivePage, tmp_path: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (60, 80, 3), np.uint8)).save(tmp_path / "noise <b>.png")
    live.press("o")
    live.get("root.querySelector('.chooser input[type=file]')").send_keys(str(tmp_path / "noise <b>.png"))
    live.wait("desk.viewer === viewer && viewer.scene.manifest.image.width === 80")
    assert live.texts(".choose")[1] == "noise <b>.png"
    live.press("m")
    live.wait("root.querySelector('.models button')")
    live.get("root.querySelector('.chooser input[type=search]')").send_keys("tutorial_cnn")
    live.wait("root.querySelectorAll('.models li').length === 1")
    live.press("\ue007")
    live.wait("desk.viewer === viewer && viewer.scene.manifest.model.name.includes('tutorial_cnn')")
    assert live.texts(".badge") == ["random weights"]
    live.driver.back()
    live.wait("desk.viewer === viewer && viewer.scene.manifest.model.name === 'efficientnet_lite0'")
    live.press("o")
    assert len(live.texts(".looks .look")) >= 2
    assert "shown" in " ".join(live.texts(".looks .look"))


def test_a_file_that_is_no_photo_is_refused_beside_the_control(live: LivePage, tmp_path: Path) -> None:
    (tmp_path / "no.png").write_text("not a picture")
    live.press("o")
    live.get("root.querySelector('.chooser input[type=file]')").send_keys(str(tmp_path / "no.png"))
    live.wait("root.querySelector('.chooser [role=alert]').textContent")
    assert live.get("root.querySelector('.chooser').open")
    assert live.text(".chooser [role=alert]").endswith(".")
    assert any("422" in line or "415" in line for line in live.complaints())


def test_a_look_can_be_cancelled_and_the_page_stays(live: LivePage) -> None:
    live.run("desk.go({model: 'resnet18', weights: 'none'}); setTimeout(() => desk.session.cancel(), 50);")
    live.wait("!desk.session.going.size && root.querySelector('.status').hidden")
    assert live.get("viewer.scene.manifest.model.name") == "efficientnet_lite0"
    assert "resnet18" not in live.driver.current_url


def test_a_new_photo_shows_answers_and_maps_while_the_rest_is_made(live: LivePage, tmp_path: Path) -> None:
    import convscope
    from page_server import picture

    live.run(
        "desk.told = [];"
        "const bytes = Uint8Array.from(arguments[0]);"
        "new MutationObserver(() => desk.told.push([desk.status.words.textContent,"
        "  desk.status.maps.childElementCount, desk.status.photo.childElementCount]))"
        "  .observe(desk.status.node, {childList: true, subtree: true, characterData: true});"
        "desk.receive(new File([bytes], 'mine.png', {type: 'image/png'}));",
        list(picture(seed=5)),
    )
    live.wait("desk.session.photoName(desk.wish.photo) === 'mine.png'")
    live.wait("viewer?.dataset.ready === 'true' && desk.viewer === viewer")
    told = live.get("desk.told")
    assert any("running the model" in words or "drawing" in words or maps for words, maps, _ in told)
    first = next(words for words, maps, _ in told if maps)
    answers = convscope.trace("efficientnet_lite0", convscope.load_image(picture(seed=5))).predictions(3)
    assert [answer.label in first for answer in answers] == [True] * 3
    assert any(photo for _, _, photo in told)
    assert live.get("desk.status.node.hidden") is True
    assert live.texts(".answers .label")[:3] == [answer.label for answer in answers]


def test_the_address_holds_the_whole_state(live: LivePage, server: Server) -> None:
    live.choose(ACT, 8, "23,20")
    live.run("viewer.state.update({cam: '281', box: '20,20,80,90', pins: 'conv_stem:4', range: 'layer'})")
    live.press("e")
    live.wait("root.querySelector('.compared') && desk.viewer === viewer")
    link = live.get("desk.host.link(desk.written)")
    assert link.startswith(f"{server.base}/#token=")
    live.driver.get("about:blank")
    live.driver.get(link)
    live.awaken()
    live.wait("root.querySelector('.proof').dataset.ready && root.querySelector('.looking').dataset.ready")
    state = live.get(
        "(({layer, channel, proof, cam, box, pins, range}) => [layer, channel, proof, cam, box, pins, range])"
        "(viewer.state)"
    )
    assert state == [ACT, 8, "23,20", "281", "20,20,80,90", "conv_stem:4", "layer"]
    assert live.texts(".edits .which") == ["channel 8"]


def test_every_control_has_a_name_and_every_key_is_in_the_help_sheet(live: LivePage) -> None:
    live.choose(ACT, 8, "23,20")
    nameless = live.get(
        """[...root.querySelectorAll('button, input, select, summary')].filter(item => !(
          item.textContent.trim() || item.getAttribute('aria-label') || item.title || item.closest('label')))
          .map(item => item.outerHTML)"""
    )
    assert nameless == []
    live.press("?")
    keys = "".join(live.texts(".help dt"))
    for key in "moeEugpvbwx":
        assert key in keys
