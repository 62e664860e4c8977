"""The exact terms of a channel's peak in a report opened from disk, against torch."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

import convscope  # noqa: E402
from convscope.exhibits.report import write_report  # noqa: E402
from viewer.browser import Page  # noqa: E402

pytestmark = pytest.mark.browser
F = torch.nn.functional
ENTER = "\ue007"


class Residual(torch.nn.Module):  # type: ignore[name-defined, misc]
    """A stem, one block with a skip, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 16, 5, stride=2, padding=2, bias=False)
        self.norm = torch.nn.BatchNorm2d(16)
        self.wide = torch.nn.Conv2d(16, 80, 3, padding=1)
        self.back = torch.nn.Conv2d(80, 16, 1)
        self.head = torch.nn.Linear(16, 10)
        for tensor in (self.norm.weight, self.norm.running_var):
            torch.nn.init.uniform_(tensor, 0.3, 2)
        torch.nn.init.uniform_(self.norm.bias, 0.5, 1)

    def forward(self, x: Any) -> Any:
        x = F.relu(self.norm(self.stem(x)))
        x = x + self.back(F.relu(self.wide(x)))
        x = F.max_pool2d(x, 2)
        return self.head(x.mean((2, 3)))


@pytest.fixture(scope="module")
def seen() -> Any:
    torch.manual_seed(6)
    net = Residual().eval().requires_grad_(False)
    trace = convscope.trace(net, torch.randn(1, 3, 48, 48))
    return net, trace, convscope.make_scene(trace)


@pytest.fixture(scope="module")
def scene(seen: Any) -> Any:
    return seen[2]


def prove(page: Page, layer: str, channel: int) -> list[dict[str, Any]]:
    """Open the arithmetic of a channel's peak by the keyboard; the verdict and terms of each step."""
    page.run("viewer.state.update({layer: arguments[0], channel: arguments[1]})", layer, channel)
    page.wait("viewer.dataset.layer === arguments[0]", layer)
    page.settle()
    page.press("c", ENTER)
    return steps(page)


def steps(page: Page) -> list[dict[str, Any]]:
    page.wait("root.querySelector('.proof').dataset.ready === 'true'")
    found: list[dict[str, Any]] = page.get(
        """[...root.querySelectorAll('.proof .step')].map((step) => ({
          node: Number(step.dataset.node), ...step.querySelector('.verdict').dataset,
          text: step.textContent,
          terms: [...step.querySelectorAll('.term[data-term]')].map(
            ({dataset}) => [dataset.term, Number(dataset.value)]),
        }))"""
    )
    return found


def at_peak(scene: Any, node: dict[str, Any], channel: int) -> tuple[int, int]:
    row, column = scene.arrays[f"stats/{node['id']}"][channel, 5:7]
    return int(row), int(column)


def test_the_sum_at_a_peak_is_the_one_torch_computes(sight: Page, seen: Any) -> None:
    net, trace, scene = seen
    node = scene.node("wide")
    row, column = at_peak(scene, node, 7)
    given = trace.ops[node["inputs"][0]].values[0].double()
    plain = F.conv2d(given, net.wide.weight.double(), net.wide.bias.double(), padding=1)[0, 7, row, column]
    patch = F.pad(given, (1, 1, 1, 1))[0, :, row : row + 3, column : column + 3]
    sums = (patch * net.wide.weight[7].double()).sum((1, 2)).tolist()
    step = prove(sight, "wide", 7)[0]
    assert float(step["total"]) == pytest.approx(float(plain), rel=1e-8)
    assert float(step["value"]) == float(trace.ops[node["id"]].values[0][0, 7, row, column])
    assert step["agrees"] == "true"
    terms = [(label, value) for label, value in step["terms"] if label != "bias"]
    order = sorted(range(16), key=lambda channel: -abs(sums[channel]))
    assert [label for label, _ in terms] == [f"channel {channel}" for channel in order[: len(terms)]]
    assert [value for _, value in terms] == pytest.approx([sums[c] for c in order[: len(terms)]], rel=1e-6)
    assert len(terms) == 12
    assert "4 further terms" in step["text"]


def test_a_term_of_the_first_convolution_opens_into_patch_and_kernel(sight: Page, seen: Any) -> None:
    net, trace, scene = seen
    prove(sight, "stem", 3)
    sight.click(".proof .term:nth-child(2) summary")
    sight.wait("root.querySelectorAll('.proof .matrices table').length === 3")
    label = sight.get("root.querySelector('.proof .term:nth-child(2)').dataset.term")
    own = int(label.split()[1])
    cells = sight.get(
        "[...root.querySelectorAll('.proof .matrices table:nth-child(2) td')].map((cell) => cell.textContent)"
    )
    shown = [float(cell.replace("\u2212", "-")) for cell in cells if cell]
    assert shown == pytest.approx(net.stem.weight[3, own].flatten().tolist(), rel=1e-3)
    del trace, scene


def test_a_norm_an_activation_and_an_addition_are_walked_to_the_sum_behind(sight: Page, seen: Any) -> None:
    net, trace, scene = seen
    for channel in range(16):
        node = scene.node("add")
        row, column = at_peak(scene, node, channel)
        chain = prove(sight, "add", channel)
        summands = [trace.ops[i].values[0][0, channel, row, column] for i in node["inputs"]]
        assert sorted(value for _, value in chain[0]["terms"]) == pytest.approx(sorted(map(float, summands)))
        assert sight.count(".proof .step:first-child .term .link") == 2
        larger = max(range(2), key=lambda place: abs(summands[place]))
        if len(chain) > 1:
            assert chain[1]["node"] == node["inputs"][larger]
            break
        assert "at its peak alone" in sight.text(".proof .elsewhere")
    else:
        pytest.fail("no peak of the addition is a peak of its larger summand")
    chain = prove(sight, "norm", 0)
    assert float(chain[0]["total"]) == pytest.approx(float(chain[0]["value"]), abs=1e-5)
    assert f"weight{float(net.norm.weight[0]):.6g}"[:10] in chain[0]["text"].replace("\u2212", "-")
    assert chain[1]["node"] == scene.node("stem")["id"]


def test_any_other_cell_is_said_to_need_the_live_page(sight: Page, seen: Any) -> None:
    scene = seen[2]
    node = scene.node("wide")
    peak = at_peak(scene, node, 7)
    other = (peak[0] + 1) % node["rows"]
    prove(sight, "wide", 7)
    sight.run("viewer.context.prove({row: arguments[0], column: arguments[1]})", other, peak[1])
    sight.wait("root.querySelector('.proof .elsewhere')")
    said = sight.text(".proof .elsewhere")
    assert "convscope serve" in said
    assert f"row {peak[0]}, column {peak[1]}" in said
    assert sight.count(".proof .verdict") == 0
    sight.click(".proof .elsewhere .link")
    assert float(steps(sight)[0]["value"]) == float(seen[1].ops[node["id"]].values[0][0, 7, peak[0], peak[1]])


def test_values_of_a_list_are_proven_too(sight: Page, seen: Any) -> None:
    net, trace, _ = seen
    sight.run("viewer.state.update({layer: 'head', channel: 4, proof: 'value'})")
    sight.wait("viewer.dataset.layer === 'head'")
    step = steps(sight)[0]
    given = trace.ops[-1].operands[0].op
    plain = F.linear(trace.ops[given].values[0].double(), net.head.weight.double(), net.head.bias.double())
    assert float(step["total"]) == pytest.approx(float(plain[0, 4]), rel=1e-8)
    assert ["bias", pytest.approx(float(net.head.bias[4]), rel=1e-6)] in [list(t) for t in step["terms"]]


def test_the_winner_of_a_max_pool_is_named(sight: Page, seen: Any) -> None:
    scene = seen[2]
    node = next(node for node in scene.manifest["nodes"] if node["kind"] == "max_pool2d")
    step = prove(sight, node["name"], 2)[0]
    assert step["terms"][0][1] == float(step["value"]) == float(step["total"])
    assert len(step["terms"]) == 4


def test_an_op_whose_terms_are_not_kept_says_so(page: Page, tmp_path: Any) -> None:
    class Soft(torch.nn.Module):  # type: ignore[name-defined, misc]
        def forward(self, x: Any) -> Any:
            return x.softmax(1)

    scene = convscope.make_scene(convscope.trace(Soft(), torch.randn(1, 3, 6, 6)))
    page.open(write_report(scene, tmp_path / "soft.html"))
    page.run("viewer.state.update({layer: 'softmax', channel: 1})")
    page.wait("viewer.dataset.layer === 'softmax'")
    page.press("c", ENTER)
    page.wait("root.querySelector('.proof .warning')")
    assert "is not in this report" in page.text(".proof .warning")
    assert page.complaints() == []
