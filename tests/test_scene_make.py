"""Scenes of real and made-up networks, held against their traces."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import convscope
from convscope.errors import UnknownLayerError, UsageError
from convscope.scene import Scene, make_scene
from convscope.scene.files import load_scene
from convscope.scene.groups import describe_repeats
from convscope.scene.validate import check_manifest


def scene_of(net: nn.Module, image: Any, **options: Any) -> tuple[Scene, convscope.Trace]:
    trace = convscope.trace(net, image)
    scene = make_scene(trace, **options)
    assert check_manifest(scene.manifest, scene.arrays) == ""
    json.dumps(scene.manifest, allow_nan=False)
    return scene, trace


def assert_maps_show_the_trace(scene: Scene, trace: convscope.Trace) -> None:
    """Every map and vector read back within half a step, in the network's own values."""
    for node, op in zip(scene.manifest["nodes"], trace.ops, strict=True):
        assert (node["name"], node["shape"], node["inputs"]) == (op.name, list(op.shape), list(op.inputs))
        if node["view"] == "none":
            continue
        value = op.value[0].double().numpy()
        if op.spatial is not None and op.spatial != (2, 3):
            value = np.moveaxis(value, -1, 0)
        value = value.reshape(node["channels"], node["rows"], node["columns"])
        scale = scene.arrays[f"stats/{op.index}"][:, 7].astype(np.float64)[:, None, None]
        back = (scene.arrays[f"maps/{op.index}"].astype(np.float64) - 128) * scale
        assert (np.abs(back - value) <= scale * 0.5001).all(), op.name
        own = node["statistics"]
        assert own["min"] == pytest.approx(value.min(), rel=1e-6)
        assert own["max"] == pytest.approx(value.max(), rel=1e-6)
        assert own["mean"] == pytest.approx(value.mean(), rel=1e-4, abs=1e-5 * np.abs(value).max() + 1e-12)
        assert own["std"] == pytest.approx(value.std(), rel=1e-4, abs=1e-6)
        assert own["silent"] == int((value == 0).all(axis=(1, 2)).sum())
        assert node["signed"] == bool((value < 0).any())
        largest = np.abs(value).max(axis=(1, 2))
        assert largest[node["strongest"]].tolist() == sorted(largest.tolist(), reverse=True)[:8]


@pytest.fixture(scope="module")
def resnet() -> tuple[Scene, convscope.Trace]:
    generator = torch.Generator().manual_seed(0)
    model = convscope.load_model("resnet50", weights="none")
    trace = convscope.trace(model, torch.randn(1, 3, 96, 96, generator=generator))
    return make_scene(trace), trace


def test_every_map_of_resnet50_reads_back_within_half_a_step(resnet: tuple[Scene, convscope.Trace]) -> None:
    assert_maps_show_the_trace(*resnet)


def test_resnet50_is_a_tree_of_four_stages_and_sixteen_bottlenecks(
    resnet: tuple[Scene, convscope.Trace],
) -> None:
    scene, trace = resnet
    groups = {group["name"]: group for group in scene.manifest["groups"]}
    blocks = [group for group in groups.values() if group["type"] == "Bottleneck"]
    assert len(blocks) == 16
    assert [groups[f"layer{i}"]["repeats"] for i in (1, 2, 3, 4)] == [
        f"Bottleneck × {count}" for count in (3, 4, 6, 3)
    ]
    assert sum(name.endswith(".downsample") for name in groups) == 4
    assert all(block["parent"] == block["name"].partition(".")[0] for block in blocks)
    assert "repeats" not in groups["layer1.0"]
    for group in groups.values():
        inside = [n["id"] for n in scene.manifest["nodes"] if group["name"] in n["groups"]]
        assert inside == list(range(group["first"], group["last"]))
        assert group["output"] == trace[group["name"]].outputs[0][0]
    assert scene.node("layer3.4.conv2")["groups"] == ["layer3", "layer3.4"]
    assert scene.node("conv1")["groups"] == []


def test_the_answer_and_the_model_are_those_of_the_trace(resnet: tuple[Scene, convscope.Trace]) -> None:
    scene, trace = resnet
    manifest = scene.manifest
    assert trace.logits is not None
    assert (scene.arrays["logits"] == trace.logits[0].numpy()).all()
    assert [p["index"] for p in manifest["predictions"]] == trace.logits[0].topk(5).indices.tolist()
    assert (manifest["softmax_of"], manifest["scores_are"]) == (1000, "logits")
    assert manifest["model"]["random"]
    assert manifest["model"]["notes"] == list(trace.card.notes)
    assert manifest["model"]["parameters"] == sum(p.numel() for p in trace.model.module.parameters())
    assert "categories" not in json.dumps(manifest)


def test_filters_of_a_scene_are_the_weights(resnet: tuple[Scene, convscope.Trace]) -> None:
    scene, trace = resnet
    first = scene.node("conv1")["id"]
    scale = scene.arrays[f"filter_scales/{first}"][:, None, None, None]
    back = (scene.arrays[f"filters/{first}"].astype(np.float32) - 128) * scale
    weight = trace.parameter("conv1.weight").numpy()
    assert back.shape == weight.shape
    assert (np.abs(back - weight) <= scale * 0.501).all()
    convolutions = [n for n in scene.manifest["nodes"] if n["kind"] == "conv2d"]
    assert len(convolutions) == 53
    assert all("filters" in node["arrays"] for node in convolutions)


def test_a_photo_comes_with_what_the_model_saw_of_it() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (300, 700, 3), np.uint8)
    model = convscope.load_model("tutorial_tanh", weights="none")
    trace = convscope.trace(model, pixels)
    scene = make_scene(trace, top=2)
    image = scene.manifest["image"]
    assert (image["width"], image["height"]) == (700, 300)
    assert scene.arrays["photo"].shape == (219, 512, 3)
    assert scene.arrays["input"].shape == (*trace.inputs.shape[2:], 3)
    assert (scene.arrays["input"] == model.card.preprocessing.invert(trace.inputs[0])).all()
    assert image["scale"] == list(trace.geometry.scale)
    assert len(scene.manifest["predictions"]) == 2


def test_a_prepared_batch_is_drawn_from_its_numbers_and_says_so() -> None:
    batch = torch.stack([torch.linspace(-3, 5, 3 * 64).reshape(3, 8, 8), torch.zeros(3, 8, 8)])
    scene, _ = scene_of(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), batch)
    assert scene.arrays["photo"].shape == (8, 8, 3)
    assert scene.arrays["photo"][0, 0, 0] == 0
    assert scene.arrays["photo"][-1, -1, -1] == 255
    assert "no photo" in scene.manifest["image"]["notes"][0]
    assert "a batch of 2: the first item is shown" in scene.manifest["notes"]
    assert scene.manifest["predictions"] == []
    assert scene.manifest["softmax_of"] is None


def test_only_the_first_item_of_a_batch_is_shown() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
    batch = torch.randn(3, 3, 8, 8)
    scene, trace = scene_of(net, batch)
    assert_maps_show_the_trace(scene, trace)


def test_an_input_that_is_no_picture_has_no_photo() -> None:
    scene, _ = scene_of(nn.Sequential(nn.Conv2d(5, 4, 3)), torch.randn(1, 5, 8, 8))
    assert "photo" not in scene.arrays
    assert "photo" not in scene.manifest["image"]
    assert "not a picture" in scene.manifest["image"]["notes"][0]
    assert scene.node("input")["view"] == "map"


def test_channels_last_maps_are_turned_to_channels_first() -> None:
    timm = pytest.importorskip("timm", reason="timm is not installed")
    torch.manual_seed(0)
    net = timm.create_model("convnext_atto", pretrained=False).eval()
    scene, trace = scene_of(net, torch.randn(1, 3, 64, 64))
    turned = [op for op in trace.ops if op.spatial is not None and op.spatial != (2, 3)]
    assert turned
    assert_maps_show_the_trace(scene, trace)


class Functional(nn.Module):
    """Ops of many shapes without a single module inside."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 3, 3, 3))

    def forward(self, image: Tensor) -> Tensor:
        maps = torch.relu(nn.functional.conv2d(image, self.weight))
        tokens = maps.flatten(2).transpose(1, 2)
        pooled = nn.functional.adaptive_avg_pool2d(maps, 1)
        return pooled.flatten(1) + tokens.mean(1) + (maps > 0).sum()


def test_maps_vectors_and_the_rest_are_told_apart_in_a_functional_model() -> None:
    scene, trace = scene_of(Functional(), torch.randn(1, 3, 9, 9))
    views = {node["kind"]: node["view"] for node in scene.manifest["nodes"]}
    assert views["conv2d"] == "map"
    assert views["adaptive_avg_pool2d"] == "vector"
    assert views["transpose"] == "none"
    assert views["sum"] == "none"
    assert views["mean"] == "vector"
    assert scene.manifest["groups"] == []
    none = next(n for n in scene.manifest["nodes"] if n["kind"] == "sum")
    assert none["statistics"] is None
    assert none["notes"] == ["not drawn: its shape is neither that of maps nor that of a vector"]
    assert "filters" in scene.node("conv2d")["arrays"]
    assert_maps_show_the_trace(scene, trace)


def test_a_module_called_twice_is_two_groups_and_nesting_is_kept() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = nn.Sequential(nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU()), nn.Tanh())

        def forward(self, image: Tensor) -> Tensor:
            return self.block(self.block(image))

    scene, _ = scene_of(Twice(), torch.randn(1, 3, 4, 4))
    assert [(g["name"], g["parent"], g["first"], g["last"]) for g in scene.manifest["groups"]] == [
        ("block", None, 1, 4),
        ("block.0", "block", 1, 3),
        ("block_1", None, 4, 7),
        ("block.0_1", "block_1", 4, 6),
    ]


def test_a_group_is_not_called_after_parts_that_are_only_some_of_it() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())
            self.two = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())

        def forward(self, image: Tensor) -> Tensor:
            return self.two(self.one(image) + 1) * 2

    scene, _ = scene_of(nn.Sequential(Mixed()), torch.randn(1, 3, 4, 4))
    assert [group["name"] for group in scene.manifest["groups"]] == ["0", "0.one", "0.two"]
    assert all("repeats" not in group for group in scene.manifest["groups"])


def test_repeats_are_told_only_where_something_repeats() -> None:
    assert describe_repeats(["A", "B", "B", "A"]) == "A, B × 2, A"
    assert describe_repeats(["A", "B", "A", "B"]) == ""
    assert describe_repeats([]) == ""


def test_not_a_number_is_shown_counted_and_names_no_class() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5))
    with torch.no_grad():
        net[0].weight[1] = torch.nan
    scene, _ = scene_of(net, torch.ones(1, 3, 4, 4))
    conv = scene.node("0")
    assert conv["statistics"]["not_finite"] == 16
    assert set(scene.arrays["maps/1"][1].ravel().tolist()) == {0}
    assert (scene.arrays["maps/1"][[0, 2, 3]] != 0).all()
    assert 1 not in conv["strongest"][:3]
    assert scene.manifest["predictions"] == []
    assert "no class can be named: 5 of the 5 class scores are not finite" in scene.manifest["notes"]
    assert scene.node("3")["statistics"] == {
        "min": None, "max": None, "mean": None, "std": None, "not_finite": 5, "silent": 0, "constant": 0,
    }  # fmt: skip


def test_silent_and_constant_channels_are_counted_apart() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
    with torch.no_grad():
        net[0].weight[:2] = 0
        net[0].bias[:2] = torch.tensor([-1.0, 2.0])
    scene, _ = scene_of(net, torch.rand(1, 3, 5, 5))
    assert (scene.node("0")["statistics"]["silent"], scene.node("0")["statistics"]["constant"]) == (0, 2)
    assert (scene.node("1")["statistics"]["silent"], scene.node("1")["statistics"]["constant"])[0] >= 1
    assert (scene.arrays["maps/2"][0] == 128).all()


def test_values_that_were_not_kept_are_not_drawn_and_say_why() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
    scene = make_scene(convscope.trace(net, torch.rand(1, 3, 5, 5), keep=["1"]))
    assert scene.node("0")["view"] == "none"
    assert "not kept" in scene.node("0")["notes"][0]
    assert scene.node("1")["view"] == "map"


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_precisions_are_shown_too(dtype: torch.dtype) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1)).to(dtype)
    scene, trace = scene_of(net, torch.rand(1, 3, 5, 5).to(dtype))
    assert_maps_show_the_trace(scene, trace)


def test_transposed_and_grouped_convolutions_show_their_own_kernels() -> None:
    net = nn.Sequential(nn.Conv2d(4, 8, 3, groups=4), nn.ConvTranspose2d(8, 6, 2, groups=2))
    scene, _ = scene_of(net, torch.rand(1, 4, 6, 6))
    assert scene.arrays["filters/1"].shape == (8, 1, 3, 3)
    assert scene.arrays["filter_inputs/1"].ravel().tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert scene.arrays["filters/2"].shape == (6, 4, 2, 2)
    scale = float(scene.arrays["filter_scales/2"][4])
    back = (scene.arrays["filters/2"][4].astype(np.float32) - 128) * scale
    # Output channel 4 is the second of the second group, which takes inputs 4 to 7.
    np.testing.assert_allclose(back, net[1].weight[4:8, 1].detach().numpy(), atol=scale * 0.501)


def test_a_detection_model_becomes_a_scene() -> None:
    from torchvision.models.detection import ssdlite320_mobilenet_v3_large

    torch.manual_seed(0)
    net = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None).eval()
    scene, trace = scene_of(net, [torch.rand(3, 60, 80)])
    assert len(scene.manifest["nodes"]) == len(trace.ops)
    assert scene.manifest["predictions"] == []
    assert scene.arrays["photo"].shape == (60, 80, 3)


def test_maps_beyond_the_budget_are_left_out_activations_first_and_the_scene_says_so(tmp_path: Any) -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3)).eval()
    image = torch.rand(1, 3, 16, 16)
    whole, _ = scene_of(net, image)
    total = sum(a.nbytes for name, a in whole.arrays.items() if name.startswith("maps/"))
    scene, _ = scene_of(net, image, budget=total - 1)
    kept = [node["name"] for node in scene.manifest["nodes"] if "maps" in node["arrays"]]
    assert kept == ["input", "0", "2", "3"]
    assert "left out" in scene.node("1")["notes"][0]
    assert (scene.arrays["stats/2"] == whole.arrays["stats/2"]).all()
    assert any("the maps of 1 ops are left out" in note for note in scene.manifest["notes"])
    least, _ = scene_of(net, image, budget=0)
    assert [name for name in least.arrays if name.startswith("maps/")] == ["maps/0"]
    assert load_scene(least.save(tmp_path / "least.scene")).manifest == least.manifest


def test_options_that_make_no_sense_are_refused() -> None:
    trace = convscope.trace(nn.Conv2d(3, 4, 1), torch.rand(1, 3, 5, 5))
    with pytest.raises(UsageError, match="`top` must be at least 0; got -1"):
        make_scene(trace, top=-1)
    with pytest.raises(UsageError, match="`budget` must be at least 0 bytes; got nan"):
        make_scene(trace, budget=float("nan"))


def test_making_a_scene_leaves_torch_with_its_threads_and_the_trace_as_it_was() -> None:
    trace = convscope.trace(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True)), torch.randn(1, 3, 5, 5))
    before, threads = [op.value.clone() for op in trace.ops], torch.get_num_threads()
    make_scene(trace)
    assert torch.get_num_threads() == threads
    assert all(torch.equal(old, op.value) for old, op in zip(before, trace.ops, strict=True))


def test_a_node_asked_for_by_a_wrong_name_names_the_nearest() -> None:
    scene, _ = scene_of(nn.Sequential(nn.Conv2d(3, 4, 1)), torch.rand(1, 3, 5, 5))
    with pytest.raises(UnknownLayerError, match="there is no layer `inputt`"):
        scene.node("inputt")


def test_a_map_put_together_from_windows_is_drawn_as_its_reader_takes_it() -> None:
    """What a convolution or an addition reads as a map is one, though a reshape made it."""

    class Windowed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(8, 8, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            windows = x.reshape(1, 8, 4, 2, 4, 2).permute(0, 2, 4, 1, 3, 5).reshape(16, 8, 2, 2)
            back = windows.reshape(1, 4, 4, 8, 2, 2).permute(0, 3, 1, 4, 2, 5).reshape(1, 8, 8, 8)
            return x + self.conv(back)

    trace = convscope.trace(Windowed(), torch.randn(1, 8, 8, 8))
    assert next(op for op in trace.ops if op.name == "reshape_3").spatial is None
    scene = make_scene(trace)
    node = scene.node("reshape_3")
    assert (node["view"], node["channels"], node["rows"]) == ("map", 8, 8)
    assert node["arrays"]["strip"] in scene.arrays
    value = trace["reshape_3"].value[0]
    np.testing.assert_array_equal(scene.arrays[f"stats/{node['id']}"][:, 1], value.amax((1, 2)).numpy())
    assert scene.node("reshape_1")["view"] == "none"
