"""What a person can do wrong: one clear sentence, the right exit code, nothing half-written."""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
import torch

import convscope.models
from cli_running import HERE


@pytest.fixture
def no_model(monkeypatch):
    """Loading a model is then a defect: the mistake must be found before."""

    def refuse(*words: object, **options: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(convscope.models, "load_model", refuse)


# Words that make no sense


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lok"], r"there is no command `lok`\nDid you mean look"),
        (["look", "--bogus"], r"no such option: --bogus.*\n`convscope look --help`"),
        (["classify", "resnet18"], r"missing argument 'IMAGES'\n`convscope classify --help`"),
        (["look", "a.png", "b.png"], r"unexpected extra argument"),
        (["look", "--top", "many"], r"invalid value for '--top': .*valid integer"),
        (["look", "--top", "0"], r"invalid value for '--top': "),
        (["look", "--size", "-3"], r"invalid value for '--size': "),
        (["maps", "resnet18", "photo.png", "--range", "wide"], r"'wide' is not one of 'channel', 'layer'"),
        (
            ["value", "resnet18", "photo.png", "conv1", "--at", "20"],
            r"a row and a column such as 20,31; got '20'",
        ),
        (["filters", "resnet18", "-o", "f.jpg"], r"a picture is written as \.png; got 'f\.jpg'"),
        (["maps", "resnet18", "photo.png", "-o", "m.svg"], r"a picture is written as \.png; got 'm\.svg'"),
        (["value", "resnet18", "photo.png", "conv1", "--at", "-1,2"], r"`--at` must be .*got '-1,2'"),
    ],
)
def test_usage_errors_are_one_sentence_and_exit_2(run, no_model, words, message):
    ran = run(*words)
    assert ran.code == 2
    assert re.match(f"error: .*{message}", ran.err)
    assert len(ran.err.splitlines()) == 2 or "such as" in ran.err
    assert ran.out == ""


def test_one_file_for_several_layers_is_refused(run):
    ran = run("maps", "tutorial_tanh", "photo.png", "0", "1", "-w", "none", "-o", "a.png")
    assert ran.code == 2
    assert "`--output` must be a folder for 2 layers" in ran.err
    assert set(os.listdir()) == HERE - {"__pycache__"}


# Found before anything is loaded


@pytest.mark.parametrize("command", ["look", "classify", "maps", "value"])
@pytest.mark.parametrize(
    ("picture", "message"),
    [("gone.png", "there is no file `gone.png`"), (".", "`.` is a folder"), ("text.jpg", "not a picture")],
)
def test_a_picture_that_cannot_be_read_is_said_before_a_model_is_loaded(
    run, no_model, command, picture, message
):
    Path("text.jpg").write_text("hello")
    words = {"look": [picture], "value": ["resnet18", picture, "conv1"]}.get(command, ["resnet18", picture])
    ran = run(command, *words)
    assert ran.code == 1
    assert ran.err.startswith("error: ")
    assert message in ran.err


@pytest.mark.parametrize(
    "words", [["look", "photo.png"], ["maps", "resnet18", "photo.png"], ["filters", "resnet18"]]
)
@pytest.mark.parametrize(
    ("output", "message"),
    [("photo.png/in.png", "is a file, not a folder"), ("/proc/none/a.png", "cannot write")],
)
def test_an_output_that_cannot_be_written_is_said_before_a_model_is_loaded(
    run, no_model, words, output, message
):
    ran = run(*words, "--output", output)
    assert ran.code == 1
    assert ran.err.startswith("error: cannot write")
    assert message in ran.err


def test_a_folder_is_no_place_for_a_report(run, no_model):
    Path("out").mkdir()
    ran = run("look", "photo.png", "-o", "out")
    assert (ran.code, "it is a folder" in ran.err, "Give the name of a file in it." in ran.err) == (
        1,
        True,
        True,
    )


@pytest.mark.parametrize(
    "words",
    [
        ["look", "photo.png", "--output", "photo.png"],
        ["look", "photo.png", "--output", "new.html", "--scene", "./photo.png"],
        ["look", "photo.png", "--model", "nets.py:Small", "--output", "nets.py"],
        ["look", "photo.png", "--weights", "photo.png", "--output", "linked.html"],
        ["maps", "nets.py:Small", "photo.png", "relu", "--output", "photo.png"],
    ],
)
def test_no_output_replaces_what_the_command_reads(run, no_model, words):
    os.link("photo.png", "linked.html")
    before = {path.name: path.read_bytes() for path in Path().glob("*.*")}
    ran = run(*words)
    assert (ran.code, ran.out) == (2, "")
    assert re.match(r"error: the output '.*' is a file this command reads, and would replace it\n", ran.err)
    assert {path.name: path.read_bytes() for path in Path().glob("*.*")} == before


def test_a_photo_named_as_a_layer_is_spared_in_the_folder_of_maps(run):
    shutil.move("photo.png", "relu.png")
    before = Path("relu.png").read_bytes()
    ran = run("maps", "nets.py:Small", "relu.png", "relu", "--output", ".", "--size", "32")
    assert (ran.code, "is a file this command reads" in ran.err) == (2, True)
    assert Path("relu.png").read_bytes() == before


def test_a_report_and_a_scene_need_two_names(run, no_model):
    ran = run("look", "photo.png", "--output", "one", "--scene", "./one")
    assert (ran.code, "two outputs are to be the one file 'one'" in ran.err) == (2, True)


# Models


def test_a_model_with_nothing_to_draw_says_so(run):
    Path("same.py").write_text(
        "from torch import nn\nclass Same(nn.Module):\n    def forward(self, x):\n        return x\n"
    )
    ran = run("maps", "same.py:Same", "photo.png", "--all")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("error: same.py:Same has nothing to draw")


def test_a_line_break_in_a_layers_name_does_not_break_the_table(run):
    Path("odd.py").write_text(
        "from torch import nn\n"
        "class Odd(nn.Sequential):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.add_module('one\\ntwo', nn.Conv2d(3, 4, 3))\n"
    )
    ran = run("layers", "odd.py:Odd", "--size", "8")
    assert ran.code == 0
    assert any(line.split()[:3] == ["1", r"one\ntwo", "conv2d"] for line in ran.out.splitlines())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["layers", "resnet19"], "error: there is no model `resnet19`\nDid you mean resnet9, resnet18"),
        (
            ["models", "mobilnet_v2"],
            "error: no model's name matches `mobilnet_v2`\nDid you mean mobilenet_v2",
        ),
        (
            ["maps", "resnet18", "photo.png", "layer1.conv1", "-w", "none"],
            "error: there is no layer `layer1.conv1` in this trace\nDid you mean .*layer1.[01].conv1",
        ),
        (
            ["filters", "resnet18", "layer1.0.con", "-w", "none"],
            "there is no layer .*\nDid you mean .*layer1.0.conv1",
        ),
        (
            ["filters", "resnet18", "fc", "-w", "none"],
            "`fc` is of kind linear and has no filters.*\nConvolutions here: conv1",
        ),
        (
            ["filters", "tutorial_mlp", "-w", "none"],
            "error: no convolution found in tutorial_mlp: 4 linear layers",
        ),
        (["value", "tutorial_tanh", "photo.png", "0", "-c", "99", "-w", "none"], "channel.*99"),
        (["value", "tutorial_tanh", "photo.png", "0", "--at", "99,0", "-w", "none"], "99"),
        (["layers", "nets.py:Smal"], "error: `nets.py` has no class `Smal`\nDid you mean Small"),
        (["layers", "gone.py:Net"], "gone.py"),
        (
            ["look", "photo.png", "-m", "nets.py:FiveChannels", "-w", "none"],
            "error: the model failed in `conv`.* 1×3×224×224: .* to have 5 channels, but got 3.*\n"
            "The first convolution takes 5 channels: give it a prepared tensor.*convscope.trace",
        ),
        (
            ["look", "photo.png", "-m", "nets.py:ThirtyTwo", "-w", "none"],
            "error: the model failed in `fc`, after `flatten` gave 1×197136, on an input of 1×3.*\n.*--size",
        ),
        (
            ["look", "photo.png", "-m", "nets.py:TwoInputs", "-w", "none"],
            r"error: nets.py:TwoInputs needs 2 inputs \(left, right\).*\nIn Python: convscope.trace",
        ),
        (
            ["look", "photo.png", "-m", "nets.py:Exits", "-w", "none"],
            r"error: the model failed, before its first op, on an .*sys.exit\(0\)$",
        ),
    ],
)
def test_a_model_that_cannot_be_used_is_one_sentence_and_a_way_out(run, words, message):
    ran = run(*words)
    assert ran.code in (1, 2)
    assert re.search(message, ran.err), ran.err
    assert "a way it should not" not in ran.err
    assert ran.out == ""
    assert set(os.listdir()) <= HERE


def test_a_damaged_run_folder_is_named_by_its_file(run):
    Path("mine").mkdir()
    Path("mine/run.json").write_text("")
    ran = run("look", "photo.png", "-m", "mine")
    assert (ran.code, ran.err) == (1, "error: `mine/run.json` is damaged: it does not hold JSON\n")


def test_the_size_a_model_needs_can_be_given(run):
    assert run("look", "photo.png", "-m", "nets.py:ThirtyTwo", "-w", "none", "--size", 32).code == 0


def test_weights_of_another_model_list_what_does_not_fit(run):
    state = {
        "conv.weight": torch.zeros(4, 3, 5, 5),
        "conv.bias": torch.zeros(4),
        "head.weight": torch.zeros(1),
    }
    torch.save(state, "w.pt")
    ran = run("look", "photo.png", "-m", "nets.py:ThirtyTwo", "-w", "w.pt", "-o", "r.html")
    assert ran.code == 1
    assert re.match(r"error: the weights of w.pt do not fit the model: ", ran.err)
    for line in ("missing: fc.weight", "unexpected: head.weight", "conv.weight"):
        assert line in ran.err
    assert not Path("r.html").exists()


def test_a_download_that_fails_gives_the_command_that_works_offline(run, monkeypatch):
    def fail(*words: object, **options: object) -> None:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    # Nothing is fetched and nothing found that was fetched before.
    monkeypatch.setenv("TORCH_HOME", str(Path("empty").resolve()))
    monkeypatch.setattr("urllib.request.urlopen", fail)
    monkeypatch.setattr("torch.hub.urlopen", fail, raising=False)
    ran = run("look", "photo.png", "-m", "resnet18")
    assert ran.code == 1
    assert re.match(r"error: the weights of resnet18 could not be fetched: .*\n.*--weights none", ran.err)
    assert not list(Path().glob("*.html"))
    assert not [
        path
        for path in Path().rglob("*")
        if path.is_file() and path.name not in HERE | {"cached"} and "__pycache__" not in path.parts
    ]


# Breaking off


@pytest.mark.parametrize("place", ["convscope.tracing.trace", "convscope.scene.make_scene", "os.fsync"])
def test_ctrl_c_anywhere_exits_130_and_leaves_nothing(run, monkeypatch, place):
    def interrupt(*words: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(place, interrupt)
    ran = run("look", "photo.png", "-m", "tutorial_tanh", "-w", "none")
    assert ran.code == 130
    assert ran.err == "interrupted; every file is whole or was not written\n"
    assert set(os.listdir()) <= HERE


def test_an_old_report_stays_when_the_new_one_fails(run, monkeypatch):
    def full(*words: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    Path("r.html").write_text("the old one")
    monkeypatch.setattr("os.fsync", full)
    ran = run("look", "photo.png", "-m", "tutorial_tanh", "-w", "none", "-o", "r.html")
    assert ran.code == 1
    assert ran.err.startswith("error: disk full at ")
    assert Path("r.html").read_text() == "the old one"
    assert set(os.listdir()) <= HERE | {"r.html"}


def test_a_defect_is_called_one_and_says_how_to_see_more(run, monkeypatch):
    def fail(*words: object, **options: object) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.delenv("CONVSCOPE_DEBUG", raising=False)
    monkeypatch.setattr("convscope.scene.make_scene", fail)
    ran = run("look", "photo.png", "-m", "tutorial_tanh", "-w", "none")
    assert ran.code == 1
    assert ran.err.endswith("CONVSCOPE_DEBUG=1 shows where it happened.\n")


# Names


@pytest.mark.skipif(os.name != "posix", reason="only there may names hold anything")
@pytest.mark.parametrize(
    "name", [b"caf\xe9.png", b"new\nline.png", b"\x1b[31mred.png", b"<img src=x>.png", "猫.png".encode()]
)
def test_hostile_names_are_shown_harmless_and_get_a_report(run, name):
    shutil.copy("photo.png", os.fsdecode(name))
    ran = run("look", os.fsdecode(name), "-m", "tutorial_tanh", "-w", "none")
    assert ran.code == 0
    assert "\x1b" not in ran.out + ran.err
    assert ran.out.count("\n") == 8
    assert len(list(Path().glob("*-tutorial_tanh.html"))) == 1
    ran = run("look", os.fsdecode(name + b"-gone-and-far-from-it"))
    assert ran.code == 1
    assert ran.err.startswith("error: there is no file ")
    assert ran.err.count("\n") <= 2
    assert "\x1b" not in ran.err


def test_without_matplotlib_the_answer_is_drawn_as_a_picture(run, monkeypatch):
    for name in {"matplotlib", "matplotlib.figure", *sys.modules}:
        if name.partition(".")[0] == "matplotlib":
            monkeypatch.setitem(sys.modules, name, None)
    ran = run("maps", "tutorial_tanh", "photo.png", "9", "-w", "none", "-o", "a.png")
    assert ran.code == 0
    assert "plots need matplotlib, which is not installed" in ran.err
    assert Path("a.png").exists()
