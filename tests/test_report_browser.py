"""The report as a person meets it, opened from disk in Chromium with the network cut: what is shown."""

from __future__ import annotations

import numpy as np
import pytest

from convscope.raster.colormaps import table
from viewer.browser import Page
from viewer.reports import node_named, painted
from viewer.synthetic import SyntheticScene

pytestmark = pytest.mark.browser
NAMES = ("minimum", "maximum", "mean", "deviation")


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
