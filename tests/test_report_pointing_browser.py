"""The report under the mouse and the keys, at every width: fields, ranges, search, the address."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from convscope.raster.colormaps import table
from viewer.browser import Page
from viewer.reports import node_named
from viewer.synthetic import SyntheticScene

pytestmark = pytest.mark.browser
ENTER, ESCAPE, UP, DOWN, LEFT, RIGHT = "\ue007", "\ue00c", "\ue013", "\ue015", "\ue012", "\ue014"


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


def test_a_link_that_names_a_layer_opens_its_groups(page: Page, report: Path) -> None:
    page.open(report, "#layer=layer3.2.conv1")
    assert page.get("root.querySelector('[aria-selected=true]').dataset.name") == "layer3.2.conv1"
