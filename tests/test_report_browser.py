"""The report as a person meets it: opened from disk in Chromium, with the network cut."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convscope
from convscope.exhibits.report import write_report
from convscope.raster.colormaps import table
from viewer.browser import Page, new_page
from viewer.synthetic import HOSTILE, SyntheticScene, synthetic_scene

pytestmark = pytest.mark.browser
ENTER, ESCAPE, UP, DOWN, LEFT, RIGHT = "\ue007", "\ue00c", "\ue013", "\ue015", "\ue012", "\ue014"
NAMES = ("minimum", "maximum", "mean", "deviation")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    page = new_page(tmp_path_factory.mktemp("profile"))
    yield page
    page.close()


@pytest.fixture(scope="module")
def scene() -> SyntheticScene:
    return synthetic_scene(width=0.25)


@pytest.fixture(scope="module")
def report(scene: SyntheticScene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(scene, tmp_path_factory.mktemp("reports") / "report.html")


@pytest.fixture
def sight(page: Page, report: Path) -> Iterator[Page]:
    """The report at first sight; afterwards the console must have stayed silent."""
    page.open(report)
    yield page
    assert page.complaints() == []


def node_named(scene: SyntheticScene, name: str) -> dict[str, Any]:
    return next(node for node in scene.manifest["nodes"] if node["name"] == name)


def painted(page: Page, selector: str) -> int:
    """How many different colours a canvas shows."""
    return int(
        page.get(
            """(() => {
              const canvas = root.querySelector(arguments[0]);
              const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
              return new Set(new Uint32Array(data.buffer)).size;
            })()""".replace("arguments[0]", repr(selector))
        )
    )


def test_first_sight_has_photo_answers_spine_and_one_channel(sight: Page, scene: SyntheticScene) -> None:
    sight.settle()
    assert painted(sight, ".photo canvas") > 1000
    answers = scene.manifest["predictions"]
    labels = sight.get("[...root.querySelectorAll('.answers li .label')].map(item => item.textContent)")
    assert labels == [answer["label"] for answer in answers]
    values = sight.get(
        "[...root.querySelectorAll('.answers li .value')].map(item => Number(item.textContent))"
    )
    assert values == pytest.approx([answer["probability"] for answer in answers], abs=0.005)
    assert sight.count(".row.op") >= 12
    assert painted(sight, '.row[data-name="conv1"] canvas') > 20
    assert "Bottleneck × 6" in sight.text('.row[data-name="layer3"]')
    layer = sight.get("viewer.dataset.layer")
    assert sight.text(".layer-head h2") == layer
    assert sight.get("viewer.state.channel") in node_named(scene, layer)["strongest"]
    assert painted(sight, "#plate canvas") > 20
    assert painted(sight, ".tiles canvas") > 20
    assert sight.get("root.querySelector('#field-box').getAttribute('d').length") > 0


def test_branches_and_additions_are_drawn_as_lanes(sight: Page) -> None:
    """In the first block of layer1 the skip runs through the downsampling and joins at the addition."""
    lanes = dict(
        sight.get(
            """[...root.querySelectorAll('.row .dot')].map(dot =>
               [dot.closest('.row').dataset.name, parseFloat(dot.style.insetInlineStart)])"""
        )
    )
    main = lanes["layer1.0.conv1"]
    assert {name for name, at in lanes.items() if at != main} == {"layer1.0.downsample"}
    assert sight.text('.row[data-name="layer1.0.add"] .dot') == "+"
    assert sight.count('.row[data-name="layer1.0.add"] .dot.join') == 1


def test_hundreds_of_waiting_values_leave_room_for_the_names(page: Page, tmp_path: Path) -> None:
    """A detection model's boxes and scores wait long to be joined; their lines share what room there is."""
    torch = pytest.importorskip("torch")

    class Waiting(torch.nn.Module):  # type: ignore[name-defined, misc]
        def forward(self, x: Any) -> Any:
            used = [x[:, i % 3] * i for i in range(300)]
            return sum(value.mean() for value in reversed(used)) + sum(value.sum() for value in used)

    trace = convscope.trace(Waiting(), torch.ones(1, 3, 4, 4))
    page.open(write_report(convscope.make_scene(trace), tmp_path / "waiting.html"))
    for width, height in ((1440, 900), (400, 800)):
        page.resize(width, height)
        name = page.get("root.querySelector('.row.op .name').getBoundingClientRect()")
        assert 0 < name["left"] < name["right"] < width
        assert page.get("document.documentElement.scrollWidth") <= width
    page.resize(1440, 900)
    assert page.complaints() == []


def test_scores_that_are_not_finite_are_not_called_no_scores(page: Page, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 5))
    torch.nn.init.constant_(net[1].bias, float("nan"))
    page.open(
        write_report(
            convscope.make_scene(convscope.trace(net, torch.ones(1, 3, 2, 2))), tmp_path / "nan.html"
        )
    )
    assert "not finite numbers, so no class can be named" in page.text(".answers")
    assert "not a list of classes" not in page.text(".answers")


def test_a_row_shows_all_channels_of_its_layer(sight: Page, scene: SyntheticScene) -> None:
    sight.look("conv1")
    assert sight.text(".grid h3") == "16 channels"
    assert sight.get("viewer.grid.sorted.length") == node_named(scene, "conv1")["channels"]
    sight.look("layer4")
    node = node_named(scene, "layer4.2.relu_2")
    assert sight.text(".layer-head h2") == node["name"]
    assert sight.text(".grid h3") == f"{node['channels']} channels"


def test_the_grid_draws_the_bytes_of_the_scene_in_the_shared_colours(
    sight: Page, scene: SyntheticScene
) -> None:
    sight.look("layer1.0.conv2")
    node = node_named(scene, "layer1.0.conv2")
    corner = sight.get("[viewer.grid.corner(3).left, viewer.grid.corner(3).above, viewer.grid.fit.grow]")
    maps = scene.arrays[f"maps/{node['id']}"][3]
    assert corner[2] == 1
    drawn = np.array(
        sight.get(
            f"""[...root.querySelector('.tiles canvas').getContext('2d')
                .getImageData({corner[0]}, {corner[1]}, {node["columns"]}, {node["rows"]}).data]"""
        )
    ).reshape(node["rows"], node["columns"], 4)
    np.testing.assert_array_equal(drawn[..., :3], table("diverging")[maps])


def test_channels_are_sorted_by_the_numbers_of_the_scene(sight: Page, scene: SyntheticScene) -> None:
    sight.look("layer1.0.conv3")
    stats = scene.arrays[f"stats/{node_named(scene, 'layer1.0.conv3')['id']}"]
    for label, column in (("strongest", 7), ("varied", 3)):
        sight.click(f'.grid button[data-value="{label}"]')
        assert sight.get("viewer.grid.sorted") == np.argsort(-stats[:, column], kind="stable").tolist()
        assert f"sort={label}" in sight.driver.current_url


def test_a_channel_shows_exactly_the_scenes_statistics(sight: Page, scene: SyntheticScene) -> None:
    sight.look("conv1")
    corner = sight.get("[viewer.grid.corner(5).left, viewer.grid.corner(5).above]")
    sight.point(".tiles", corner[0] + 4, corner[1] + 4, click=True)
    assert sight.get("viewer.state.channel") == 5
    stats = scene.arrays[f"stats/{node_named(scene, 'conv1')['id']}"][5]
    for name, value in zip(NAMES, stats, strict=False):
        shown = sight.get(f"root.querySelector('[data-statistic=\"{name}\"]').dataset.exact")
        assert np.float32(shown) == value
        text = sight.text(f'[data-statistic="{name}"]').replace("−", "-")
        assert float(text) == pytest.approx(float(value), rel=1e-4)
    peak = sight.text('[data-statistic="peak"]')
    assert peak == f"row {stats[5]:.0f}, column {stats[6]:.0f}"


def test_a_filter_on_the_photo_is_shown_in_rgb_and_others_by_input_channel(
    sight: Page, scene: SyntheticScene
) -> None:
    sight.look("conv1")
    captions = "[...root.querySelectorAll('.kernel span')].map(item => item.textContent)"
    assert sight.get(captions) == ["RGB together", "red", "green", "blue"]
    sight.look("layer1.0.conv2")
    channel = sight.get("viewer.state.channel")
    inputs = scene.arrays[f"filter_inputs/{node_named(scene, 'layer1.0.conv2')['id']}"][channel]
    assert sight.get(captions) == [str(name) for name in inputs]
    assert "from layer1.0.relu" in sight.text(".filter")
    sight.look("layer1.0.conv1")
    assert sight.count(".weight") == 8


def test_a_silent_channel_is_called_silent_on_this_image(sight: Page, scene: SyntheticScene) -> None:
    node = node_named(scene, "relu")
    stats = scene.arrays[f"stats/{node['id']}"]
    silent = int(np.flatnonzero(stats[:, 7] == 0)[0])
    sight.look("relu")
    sight.run("viewer.state.update({channel: arguments[0]})", silent)
    sight.settle()
    assert sight.text(".glass .said") == "silent on this image"
    assert "dead" not in sight.get("root.textContent").lower()
    neutral = table("sequential")[1].tolist()
    pixel = sight.get(
        "[...root.querySelector('#plate canvas').getContext('2d').getImageData(9, 9, 1, 1).data]"
    )
    assert pixel == [*neutral, 255]


@pytest.mark.parametrize(
    ("name", "cell"), [("layer2.1.conv2", (3, 20)), ("conv1", (0, 0)), ("layer3.5.add", (13, 0))]
)
def test_hovering_a_cell_draws_its_receptive_field_on_the_photo(
    sight: Page, scene: SyntheticScene, name: str, cell: tuple[int, int]
) -> None:
    node = node_named(scene, name)
    sight.run("viewer.state.reveal(viewer.scene.byName.get(arguments[0]))", name)
    sight.wait("viewer.dataset.layer === arguments[0]", name)
    sight.settle()
    width, height = sight.get(
        "[root.querySelector('#plate').clientWidth, root.querySelector('#plate').clientHeight]"
    )
    row, column = cell
    sight.point("#plate", (column + 0.5) * width / node["columns"], (row + 0.5) * height / node["rows"])

    image, expected = scene.manifest["image"], {}
    for axis, (low, high, at) in enumerate((("top", "bottom", row), ("left", "right", column))):
        begin = node["field"]["start"][axis] + at * node["field"]["stride"][axis]
        end = min(224, begin + node["field"]["size"][axis])
        expected[low] = image["offset"][axis] + image["scale"][axis] * max(0, begin)
        expected[high] = image["offset"][axis] + image["scale"][axis] * end
    shown = {
        key: float(value) for key, value in sight.get("{...root.querySelector('#field-box').dataset}").items()
    }
    assert shown == pytest.approx(expected)
    box = sight.get(
        "(({x, y, width, height}) => [x, y, width, height])(root.querySelector('#field-box').getBBox())"
    )
    assert box == pytest.approx(
        [
            expected["left"],
            expected["top"],
            expected["right"] - expected["left"],
            expected["bottom"] - expected["top"],
        ],
        abs=0.01,
    )
    assert (
        sight.get("root.querySelector('.frame svg').getAttribute('viewBox')")
        == f"0 0 {image['width']} {image['height']}"
    )

    channel = sight.get("viewer.state.channel")
    stats = scene.arrays[f"stats/{node['id']}"][channel]
    value = (int(scene.arrays[f"maps/{node['id']}"][channel, row, column]) - 128) * float(stats[7])
    if (row, column) != (stats[5], stats[6]):
        text = sight.text(".readout output")
        assert text.startswith("≈ ") or value == 0
        assert float(text.replace("≈ ", "").replace("−", "-")) == pytest.approx(value, rel=5e-3)


def test_hovering_a_tile_of_the_grid_names_its_channel_and_draws_its_field(
    sight: Page, scene: SyntheticScene
) -> None:
    sight.look("maxpool")
    node = node_named(scene, "maxpool")
    left, above = sight.get("[viewer.grid.corner(6).left, viewer.grid.corner(6).above]")
    grow, shrink = sight.get("[viewer.grid.fit.grow, viewer.grid.fit.shrink]")
    assert shrink == 1
    sight.point(".tiles", left + 30 * grow + grow // 2, above + 12 * grow + grow // 2)
    assert sight.text(".grid .tip").startswith("channel 6, largest ")
    image, field = scene.manifest["image"], node["field"]
    top = image["offset"][0] + image["scale"][0] * (field["start"][0] + 12 * field["stride"][0])
    side = image["offset"][1] + image["scale"][1] * (field["start"][1] + 30 * field["stride"][1])
    shown = sight.get("{...root.querySelector('#field-box').dataset}")
    assert [float(shown["top"]), float(shown["left"])] == pytest.approx([top, side])
    assert sight.text(".readout .where") == "channel 6, row 12, column 30"


def test_on_a_narrow_page_the_photo_stands_by_the_map(page: Page, report: Path) -> None:
    inset = "getComputedStyle(root.querySelector('.inset')).display"
    page.open(report)
    assert page.get(inset) == "none"
    page.resize(400, 850)
    try:
        assert page.get(inset) == "block"
        path = page.get("[...root.querySelectorAll('.frame .field')].map(box => box.getAttribute('d'))")
        assert path[0] == path[1] != ""
    finally:
        page.resize(1440, 900)


def test_a_layer_that_sees_everything_says_so(sight: Page) -> None:
    sight.look("avgpool")
    assert sight.text(".caption") == "Every value may see the whole input"


def test_vectors_are_a_picture_and_logits_a_plot_with_the_answers_names(
    sight: Page, scene: SyntheticScene
) -> None:
    sight.look("avgpool")
    node = node_named(scene, "avgpool")
    size = sight.get("[viewer.vector.canvas.width, viewer.vector.canvas.height]")
    assert size[0] * size[1] == node["channels"]
    assert size[0] > size[1]
    sight.look("fc")
    marks = sight.get("[...root.querySelectorAll('.mark')].map(mark => mark.textContent)")
    assert marks == [answer["label"] for answer in scene.manifest["predictions"]]
    sight.run("viewer.state.update({channel: 285})")
    assert "Egyptian cat" in sight.text(".chosen section:not([hidden]) .readout")
    shown = sight.get("viewer.vector.readout.querySelector('output').dataset.exact")
    assert np.float32(shown) == scene.arrays["logits"][285]


def test_the_range_stands_in_the_legend_with_its_ends(sight: Page, scene: SyntheticScene) -> None:
    sight.look("conv1")
    node = node_named(scene, "conv1")
    channel = sight.get("viewer.state.channel")
    largest = float(np.abs(scene.arrays[f"stats/{node['id']}"][channel, :2]).max())
    layer = max(abs(node["statistics"]["min"]), abs(node["statistics"]["max"]))
    net = max(
        max(abs(other["statistics"]["min"]), abs(other["statistics"]["max"]))
        for other in scene.manifest["nodes"]
        if other["view"] == "map"
    )
    for choice, limit in (("channel", largest), ("layer", layer), ("net", net)):
        sight.click(f'.legend button[data-value="{choice}"]')
        low, high = (
            float(sight.get(f"root.querySelector('.legend').dataset.{end}")) for end in ("low", "high")
        )
        assert high == pytest.approx(limit, rel=1e-5)
        assert low == -high
        written = sight.text(".legend .high").replace("+", "")
        assert float(written) == pytest.approx(limit, rel=5e-3)
        assert sight.text(".legend .zero") == "0"
    sight.look("relu")
    assert sight.text(".legend .low") == "0"


def test_a_wider_range_pales_the_colours_in_proportion(sight: Page, scene: SyntheticScene) -> None:
    node = node_named(scene, "layer1.0.conv2")
    stats = scene.arrays[f"stats/{node['id']}"]
    weakest = int(stats[:, 7].argmin())
    sight.run("viewer.state.reveal(viewer.scene.byName.get('layer1.0.conv2'))")
    sight.run("viewer.state.update({channel: arguments[0], range: 'layer'})", weakest)
    sight.wait("viewer.dataset.layer === 'layer1.0.conv2'")
    sight.settle()
    limit = max(abs(node["statistics"]["min"]), abs(node["statistics"]["max"]))
    values = (scene.arrays[f"maps/{node['id']}"][weakest].astype(float) - 128) * float(stats[weakest, 7])
    bytes_ = 128 + np.floor(values / limit * 127 + 0.5).astype(int)
    drawn = np.array(
        sight.get("[...root.querySelector('#plate canvas').getContext('2d').getImageData(0, 0, 56, 56).data]")
    ).reshape(56, 56, 4)[..., :3]
    off = np.abs(drawn - table("diverging")[bytes_].astype(int)).max()
    assert off <= 3, "more than one step of the table away"


def test_colour_tables_are_those_of_the_pictures(sight: Page) -> None:
    for signed, name in (("true", "diverging"), ("false", "sequential")):
        pixels = sight.get(
            f"""[...Array(256).keys()].map((byte) => {{
                const share = {signed} ? (byte - 128) / 127 : (byte - 1) / 254;
                return byte ? viewer.colorOf({signed}, share) : null;
            }})"""
        )
        expected = [f"rgb({' '.join(map(str, color))})" for color in table(name)[1:].tolist()]
        assert pixels[1:] == expected


def test_search_finds_a_layer_and_opens_its_groups(sight: Page) -> None:
    sight.press("/")
    assert sight.get("root.activeElement === viewer.search.input")
    sight.press("layer3.4.conv2")
    assert sight.text(".found [aria-selected=true] .name") == "layer3.4.conv2"
    sight.press(ENTER)
    sight.wait("viewer.dataset.layer === 'layer3.4.conv2'")
    assert sight.get("root.activeElement.dataset.name") == "layer3.4.conv2"
    assert sight.get("root.activeElement.getAttribute('aria-selected')") == "true"
    sight.press("/", "no such layer")
    assert sight.text(".found") == "No layer of that name"
    sight.press(ESCAPE, ESCAPE)
    assert sight.get("root.activeElement.dataset.name") == "layer3.4.conv2"


def test_everything_can_be_reached_by_keys(sight: Page) -> None:
    sight.press(ESCAPE)
    names = []
    for _ in range(3):
        sight.press(DOWN)
        names.append(sight.get("root.activeElement.dataset.name"))
    assert names == ["layer1.0.conv2", "layer1.0.bn2", "layer1.0.relu_1"]
    sight.press("j")
    assert sight.get("viewer.state.layer") == "layer1.0.conv3"
    sight.press("k", UP)
    assert sight.get("viewer.state.layer") == "layer1.0.bn2"
    rows = sight.count(".row")
    sight.press(LEFT)
    assert sight.count(".row") < rows
    assert sight.get("root.activeElement.dataset.name") == "layer1.0"
    sight.press(RIGHT)
    assert sight.count(".row") == rows
    sight.press(ENTER)
    assert sight.get("root.activeElement.className") == "tiles"
    before = sight.get("viewer.state.channel")
    sight.press("]")
    assert sight.get("viewer.state.channel") == before + 1
    sight.press("c", UP)
    assert sight.get("root.activeElement.id") == "plate"
    assert sight.get("viewer.state.cell !== null")
    sight.press("r", "s", "?")
    assert sight.get("[viewer.state.range, viewer.state.sort, viewer.help.open]") == [
        "layer",
        "strongest",
        True,
    ]
    sight.press(ESCAPE)
    assert sight.get("viewer.help.open") is False


def test_reload_and_back_show_the_same_sight(sight: Page) -> None:
    sight.look("bn1")
    sight.run(
        "viewer.state.update({channel: 9, range: 'net', sort: 'varied'}); viewer.state.fold(['layer2'], true)"
    )
    rows, address = sight.count(".row"), sight.driver.current_url
    sight.driver.refresh()
    sight.wait("viewer.dataset.ready === 'true'")
    chosen = "[viewer.state.layer, viewer.state.channel, viewer.state.range, viewer.state.sort]"
    assert sight.get(chosen) == ["bn1", 9, "net", "varied"]
    assert sight.count(".row") == rows
    assert sight.driver.current_url == address
    sight.look("maxpool")
    sight.driver.back()
    sight.wait("viewer.dataset.layer === 'bn1'")
    assert sight.get("viewer.state.channel") == 9


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (1024, 768), (400, 850), (320, 640)])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_overflows_sideways(page: Page, report: Path, width: int, height: int, theme: str) -> None:
    page.resize(width, height)
    try:
        for layer in ("layer1.0.conv2", "fc", "avgpool", "layer4.2.conv3"):
            page.open(report, f"#layer={layer}&theme={theme}")
            assert page.get("document.documentElement.scrollWidth") <= width
            for part in (".chosen", ".middle", ".subject"):
                assert (
                    page.get(f"(part => part.scrollWidth - part.clientWidth)(root.querySelector('{part}'))")
                    <= 0
                ), part
    finally:
        page.resize(1440, 900)


def test_text_at_twice_the_size_still_fits(page: Page, report: Path) -> None:
    page.driver.execute_cdp_cmd("Page.setFontSizes", {"fontSizes": {"standard": 32}})
    parts = "[...root.querySelectorAll('.chosen, .middle, .subject')]"
    try:
        for width in (1440, 640):
            page.resize(width, 900)
            page.open(report)
            assert page.get("getComputedStyle(document.documentElement).fontSize") == "32px"
            assert page.get("document.documentElement.scrollWidth") <= width
            assert max(page.get(f"{parts}.map(part => part.scrollWidth - part.clientWidth)")) <= 0
    finally:
        page.driver.execute_cdp_cmd("Page.setFontSizes", {"fontSizes": {"standard": 16}})
        page.resize(1440, 900)


def test_hostile_names_are_shown_as_text(page: Page, tmp_path: Path) -> None:
    scene = synthetic_scene(width=0.0625, hostile=True)
    page.open(write_report(scene, tmp_path / "hostile.html"))
    page.run("viewer.state.look(viewer.scene.nodes[1])")
    page.wait("viewer.dataset.layer === viewer.scene.nodes[1].name")
    page.press("/", "img")
    assert page.text(".found .name") == HOSTILE
    assert page.text(".layer-head h2") == HOSTILE
    assert page.text(".bar h1 b") == HOSTILE
    assert page.text(".answers .label") == HOSTILE
    assert HOSTILE in page.text('.row[data-name="layer1"]')
    assert page.count("img, script, iframe") == 0
    assert page.driver.title.startswith(HOSTILE)
    assert page.complaints() == []


def test_random_weights_are_said_wherever_answers_are(page: Page, tmp_path: Path) -> None:
    page.open(write_report(synthetic_scene(width=0.0625, random=True), tmp_path / "random.html"))
    assert page.text(".badge") == "random weights"
    assert "Random weights" in page.text(".answers")
    assert "random weights: the answers mean nothing" in page.text(".notes")
    assert page.complaints() == []


def test_values_that_are_not_finite_are_drawn_apart_and_counted(page: Page, tmp_path: Path) -> None:
    scene = synthetic_scene(width=0.0625)
    node = node_named(scene, "conv1")
    scene.arrays[f"maps/{node['id']}"][2, 10:12, 20] = 0
    node["statistics"]["not_finite"] = 2
    page.open(write_report(scene, tmp_path / "broken.html"), "#layer=conv1&channel=2")
    page.settle()
    assert page.text(".glass .said") == "2 values not finite"
    pixel = page.get(
        "[...root.querySelector('#plate canvas').getContext('2d').getImageData(20, 11, 1, 1).data]"
    )
    assert pixel[:3] == table("diverging")[0].tolist()
    assert page.get("!viewer.legend.broken.hidden")
    assert page.text('.row[data-name="conv1"] .silent') == "NaN"


def test_a_constant_channel_is_said_to_be_constant(page: Page, tmp_path: Path) -> None:
    scene = synthetic_scene(width=0.0625)
    node = node_named(scene, "conv1")
    scene.arrays[f"maps/{node['id']}"][1] = 255
    scene.arrays[f"stats/{node['id']}"][1] = (0.5, 0.5, 0.5, 0, 0, 0, 0, 0.5 / 127)
    page.open(write_report(scene, tmp_path / "constant.html"), "#layer=conv1&channel=1")
    page.settle()
    assert page.text(".glass .said") == "constant: every value is +0.5000"
    assert page.get("root.querySelector('.histogram').hidden")


def test_a_damaged_report_says_so(page: Page, tmp_path: Path) -> None:
    path = write_report(synthetic_scene(width=0.0625), tmp_path / "damaged.html")
    text = path.read_text()
    start = text.index('data-chunk="node/1"') + 200
    path.write_text(text[:start] + "AAAA" * 20 + text[start + 80 :])
    page.driver.get("about:blank")
    page.driver.get(path.as_uri() + "#layer=conv1")
    page.wait("viewer.dataset.ready")
    page.wait("!root.querySelector('.empty').hidden")
    assert "damaged and cannot be read" in page.text(".empty")
    assert page.get("root.querySelector('.glass').hidden")
    page.complaints()


def test_layers_left_out_and_scenes_without_answers_are_said(page: Page, tmp_path: Path) -> None:
    scene = synthetic_scene(width=0.0625, with_maps=False)
    scene.manifest["predictions"] = []
    scene.manifest["softmax_of"] = None
    page.open(write_report(scene, tmp_path / "small.html"), "#layer=conv1")
    assert "left out of this report" in page.text(".glass .readout")
    assert "there is no answer to show" in page.text(".answers")
    assert page.complaints() == []


def test_maps_worked_out_by_the_page_are_those_of_the_scene(
    page: Page, report: Path, scene: SyntheticScene
) -> None:
    """Batch normalisation, ReLU and additions are left out of the report and computed from their inputs."""
    page.open(report)
    derived = [int(number) for number in page.get("Object.keys(viewer.source.index.derived)")]
    kinds = {scene.manifest["nodes"][number]["kind"] for number in derived}
    assert kinds == {"batch_norm", "relu", "add"}
    script = """
        const done = arguments[1];
        document.querySelector("convscope-viewer").source.node(arguments[0]).then((arrays) => {
          const text = (name) => String.fromCharCode(...new Uint8Array(arrays.get(name).data.buffer));
          const bytes = arrays.get("maps").data;
          const parts = [];
          for (let at = 0; at < bytes.length; at += 8192) parts.push(bytes.subarray(at, at + 8192));
          done([btoa(parts.map((part) => String.fromCharCode(...part)).join("")), btoa(text("stats"))]);
        });
    """
    deepest = sorted(derived)[-6:]
    for number in (1, *deepest, *sorted(derived)[:12]):
        maps, stats = (base64.b64decode(part) for part in page.driver.execute_async_script(script, number))
        true = scene.arrays[f"maps/{number}"]
        off = np.abs(np.frombuffer(maps, np.uint8).reshape(true.shape).astype(int) - true)
        assert off.max() <= (0 if number not in derived else 8), scene.manifest["nodes"][number]["name"]
        assert off.mean() <= 1.2
        assert stats == scene.arrays[f"stats/{number}"].tobytes()
    assert page.complaints() == []


def test_a_scene_without_photo_and_with_channels_of_no_finite_value_opens(page: Page, tmp_path: Path) -> None:
    scene = synthetic_scene(width=0.0625)
    image = {key: value for key, value in scene.manifest["image"].items() if key not in ("photo", "input")}
    node = node_named(scene, "conv1")
    scene.arrays[f"maps/{node['id']}"][2] = 0
    scene.arrays[f"stats/{node['id']}"][2] = (*[math.nan] * 4, 0, -1, -1, 0)
    node["statistics"]["not_finite"] = 112 * 112
    arrays = {name: array for name, array in scene.arrays.items() if name not in ("photo", "input")}
    made = SyntheticScene({**scene.manifest, "image": image}, arrays)
    page.open(write_report(made, tmp_path / "bare.html"), "#layer=conv1&channel=2")
    page.settle()
    assert page.text(".glass .said") == "12,544 values not finite"
    assert page.text('[data-statistic="maximum"]') == "not a number"
    assert page.text('[data-statistic="peak"]') == "none"
    assert page.get("root.querySelector('.frame').hidden")
    assert page.complaints() == []


def test_a_link_that_names_a_layer_opens_its_groups(page: Page, report: Path) -> None:
    page.open(report, "#layer=layer3.2.conv1")
    assert page.get("root.querySelector('[aria-selected=true]').dataset.name") == "layer3.2.conv1"


def test_two_thousand_channels_are_drawn_within_a_few_frames(page: Page, tmp_path: Path) -> None:
    page.open(write_report(synthetic_scene(), tmp_path / "large.html"), "#layer=layer4.2.relu_2")
    page.settle()
    assert page.get("viewer.grid.sorted.length") == 2048
    once = "(() => { const t = performance.now(); viewer.grid.draw(); return performance.now() - t; })"
    milliseconds = page.get(f"[1, 2, 3, 4, 5].map({once})")
    assert math.fsum(sorted(milliseconds)[:3]) / 3 < 60
