"""Reports of what is out of the ordinary: hostile names, damaged files, numbers that are not finite."""

from __future__ import annotations

import base64
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convscope
from convscope.exhibits.report import write_report
from convscope.raster.colormaps import table
from viewer.browser import Page
from viewer.reports import node_named
from viewer.synthetic import HOSTILE, SyntheticScene, synthetic_scene

pytestmark = pytest.mark.browser


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


def test_the_probabilities_of_a_network_that_ends_in_softmax_are_its_own(page: Page, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3), torch.nn.Softmax(1)).eval()
    trace = convscope.trace(net, torch.rand(1, 3, 2, 2))
    page.open(write_report(convscope.make_scene(trace), tmp_path / "soft.html"), "#layer=2")
    best = trace.output[0].max().item()
    assert page.text(".answers .value") == f"{best:.2f}"
    assert "The network's own softmax over 3 classes." in page.text(".answers")
    assert "the output, after softmax" in page.text("[aria-label='the values'] header")
    assert page.complaints() == []


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


def test_two_thousand_channels_are_drawn_within_a_few_frames(page: Page, tmp_path: Path) -> None:
    page.open(write_report(synthetic_scene(), tmp_path / "large.html"), "#layer=layer4.2.relu_2")
    page.settle()
    assert page.get("viewer.grid.sorted.length") == 2048
    once = "(() => { const t = performance.now(); viewer.grid.draw(); return performance.now() - t; })"
    milliseconds = page.get(f"[1, 2, 3, 4, 5].map({once})")
    assert math.fsum(sorted(milliseconds)[:3]) / 3 < 60
