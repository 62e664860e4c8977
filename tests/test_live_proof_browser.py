"""The arithmetic of a value on the live page, against numbers computed another way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from viewer.live import LivePage

pytestmark = pytest.mark.browser
CONV, ACT, ADD = "blocks.1.1.conv_dw", "blocks.1.1.bn1.act", "blocks.1.1.add"


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


def test_a_clicked_cell_shows_the_sum_that_torch_computes(live: LivePage, plain: Any) -> None:
    live.choose(CONV, 5)
    box = live.get(
        "(({width, height}) => [width, height])(root.querySelector('#plate').getBoundingClientRect())"
    )
    live.point("#plate", box[0] * 20.5 / 56, box[1] * 30.5 / 56, click=True)
    live.wait("root.querySelector('.proof').dataset.ready === 'true'")
    assert live.get("viewer.state.proof") == "30,20"
    module, given, result = plain[CONV]
    side = module.kernel_size[0]
    padded = torch.nn.functional.pad(given, [side // 2] * 4).double()
    patch = padded[0, 5, 30 : 30 + side, 20 : 20 + side]
    total = float((patch * module.weight.detach()[5, 0].double()).sum())
    verdict = live.verdict()
    assert float(verdict["total"]) == pytest.approx(total, abs=1e-9)
    assert np.float32(verdict["value"]) == np.float32(result[0, 5, 30, 20])
    assert verdict["agrees"] == "true"
    assert live.text(".verdict .tick") == "✓"
    assert live.get("root.querySelector('.readout output').title") == "exact"
    live.click(".patch summary")
    live.wait("root.querySelector('.matrices')")
    cells = [float(text.replace("−", "-")) for text in live.texts(".matrices table:nth-child(2) td")]
    assert cells == pytest.approx(module.weight[5, 0].flatten().tolist(), rel=2e-3, abs=1e-6)


def test_a_cell_the_mouse_rests_on_is_asked_ahead_and_not_a_second_time(live: LivePage) -> None:
    live.choose(CONV, 6, "1,1")  # answered once the worker has nothing else to do
    live.choose(CONV, 7)
    live.run("performance.clearResourceTimings()")
    asked = (
        "performance.getEntriesByType('resource')"
        ".filter(({name}) => name.includes('/value')).map(({name}) => name)"
    )
    live.point("#plate", 40, 40)
    live.wait(f"{asked}.length === 1 && !viewer.source.early")
    assert "early=true" in live.get(asked)[0]
    live.point("#plate", 40, 40, click=True)
    live.wait("root.querySelector('.proof').dataset.ready === 'true'")
    assert live.verdict()["agrees"] == "true"
    assert len(live.get(asked)) == 1


def test_an_activation_is_followed_back_to_the_sum_behind_it(live: LivePage, plain: Any) -> None:
    live.choose(ACT, 8, "23,20")
    kinds = live.get("[...root.querySelectorAll('.step')].map(step => step.dataset.kind)")
    assert kinds == ["hardtanh", "batch_norm", "conv2d"]
    module, given, result = plain["blocks.1.1.conv_pw"]
    products = given[0, :, 23, 20].double() * module.weight.detach()[8, :, 0, 0].double()
    assert float(live.verdict(2)["total"]) == pytest.approx(float(products.sum()), abs=1e-9)
    assert np.float32(live.verdict(2)["value"]) == np.float32(result[0, 8, 23, 20])
    terms = live.get(
        "[...root.querySelectorAll('.step:nth-child(3) .term:not(.rest)')].map(t => Number(t.dataset.value))"
    )
    largest = sorted(products.tolist(), key=abs, reverse=True)[:12]
    assert terms == pytest.approx(largest, abs=1e-9)


def test_terms_are_drawn_as_bars_to_both_sides_and_their_patches_as_pictures(live: LivePage) -> None:
    live.choose("conv_stem", 3, "3,3")
    bars = live.get(
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
    colors = live.get(
        "[...root.querySelectorAll('.patch i')].map(i => i.style.background.match(/linear-gradient/g).length)"
    )
    assert colors == [3] * 9


def test_pressing_the_mouse_already_asks_for_the_arithmetic(live: LivePage) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    live.choose(CONV, 7)
    plate = live.get("root.querySelector('#plate')")
    # On a slow machine the pointer rests long enough before it is pressed to be asked ahead as well.
    live.run("viewer.source.foresee = null")
    live.run("performance.clearResourceTimings()")
    ActionChains(live.driver).move_to_element(plate).click_and_hold().perform()
    asked = "performance.getEntriesByType('resource').filter(({name}) => name.includes('/value')).length"
    live.wait(f"{asked} >= 1")
    assert live.get(asked) == 1
    assert live.get("viewer.state.proof") is None
    ActionChains(live.driver).release().perform()
    live.wait("root.querySelector('.proof').dataset.ready === 'true'")
    assert live.get(asked) == 1


def test_a_term_leads_upstream_and_back(live: LivePage, plain: Any) -> None:
    live.choose("blocks.1.1.conv_pwl", 3, "10,12")
    module, given, _ = plain["blocks.1.1.conv_pwl"]
    products = given[0, :, 10, 12].double() * module.weight.detach()[3, :, 0, 0].double()
    strongest = int(products.abs().argmax())
    live.click(".term .link")
    live.wait("viewer.state.layer === 'blocks.1.1.bn2.act'")
    live.wait("root.querySelector('.proof').dataset.ready === 'true'")
    assert live.get("[viewer.state.channel, viewer.state.proof]") == [strongest, "10,12"]
    assert np.float32(live.verdict()["value"]) == np.float32(given[0, strongest, 10, 12])
    live.press("\ue003")
    live.wait("viewer.state.layer === 'blocks.1.1.conv_pwl'")
    live.wait("root.querySelector('.proof').dataset.ready === 'true'")
    assert live.get("[viewer.state.channel, viewer.state.proof]") == [3, "10,12"]
    live.press("x")
    assert live.get("root.querySelector('.proof').hidden")


def test_the_keyboard_opens_the_proof_of_a_cell(live: LivePage) -> None:
    live.choose(ACT, 8)
    live.press("c", "\ue015", "\ue007")
    live.wait("root.querySelector('.proof').dataset.ready === 'true'")
    peak = live.get("viewer.glass.peak")
    assert live.get("viewer.state.proof") == f"{min(55, peak['row'] + 1)},{peak['column']}"


def test_an_addition_is_walked_on_along_its_larger_summand(live: LivePage, seen: Any) -> None:
    op = seen[ADD]
    value = op.value[0, 8]
    row, column = divmod(int(value.abs().argmax()), value.shape[1])
    sides = [float(seen.ops[i].value[0, 8, row, column]) for i in op.inputs]
    larger = seen.ops[op.inputs[max(range(2), key=lambda place: abs(sides[place]))]]
    live.run("viewer.state.update(arguments[0])", {"layer": ADD, "channel": 8, "proof": f"{row},{column}"})
    live.wait("root.querySelector('.proof').dataset.ready === 'true'")
    assert live.count(".proof .step:first-child .term .link") == 2
    steps = live.get("[...root.querySelectorAll('.proof .step')].map((step) => Number(step.dataset.node))")
    assert steps[:2] == [op.index, larger.index]
    assert "where the larger" in live.text(".proof .step:nth-child(2) .whence")
    last = seen.ops[steps[-1]]
    assert last.kind == "conv2d"
    verdicts = live.get("[...root.querySelectorAll('.verdict')].map(({dataset}) => dataset.agrees)")
    assert set(verdicts) == {"true"}


@pytest.mark.parametrize(
    ("layer", "row", "column"),
    [("blocks.1.0.conv_dw", 10, 20), ("blocks.1.1.conv_dw", 0, 55), ("blocks.1.1.conv_pwl", 7, 9)],
)
def test_the_window_on_the_layer_below_is_what_the_gradient_reaches(
    live: LivePage, plain: Any, seen: Any, layer: str, row: int, column: int
) -> None:
    live.choose(layer, 5)
    live.wait("!root.querySelector('.below').hidden")
    live.run("viewer.state.point({channel: 5, row: arguments[0], column: arguments[1]})", row, column)
    sides = "(({top, left, bottom, right}) => [top, bottom, left, right])"
    window = live.get(f"{sides}(root.querySelector('#window-below').dataset)")
    module = plain[layer][0]
    below = seen.ops[live.get("viewer.state.node.inputs[0]")]
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
