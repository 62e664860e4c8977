"""``convscope data`` describes any data set, in words or as JSON, and draws its contact sheet."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cli_running import Command
from dataset_writers import pets, picture, write, zipped


@pytest.fixture
def convscope(capsys):
    return Command(capsys)


def test_without_a_name_the_digits_are_described(convscope):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    ran = convscope("data")
    assert ran.code == 0
    assert ran.out.splitlines()[0] == "digits: 10 classes of pictures, 8 × 8, grey"
    assert "all    1,438   359" in ran.out
    assert "none was given, so one was made: seeded 20% (seed 0)" in ran.out
    assert "no problems found" in ran.out


def test_a_folder_is_described_with_its_problems_and_a_sheet(convscope, tmp_path):
    write(tmp_path / "pets", {**pets(), "cat/bad.png": b"", "newt": None})
    ran = convscope("data", tmp_path / "pets", "--sheet", tmp_path / "sheet.png")
    assert ran.code == 0
    assert "problem: 1 class has no pictures: newt" in ran.out
    assert "problem: 1 picture cannot be read; left out: `cat/bad.png` is empty" in ran.out
    assert f"picture: {tmp_path / 'sheet.png'}" in ran.out
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.mode == "RGB"
        assert np.asarray(sheet).std() > 10


def test_json_holds_the_same_numbers(convscope, tmp_path):
    found = convscope("data", f"{zipped(tmp_path / 'pets.zip', pets())}:owl,cat", "--json").json
    assert [entry["name"] for entry in found["classes"]] == ["owl", "cat"]
    assert (found["train"], found["test"], found["height"], found["width"]) == (16, 4, 12, 10)
    assert found["problems"] == []
    assert found["sheet"] is None


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nowhere"], 1, "there is no data set, folder or zip file `nowhere`"),
        (["empty"], 2, "`empty` holds no class folders"),
        (["pets:cats"], 1, "`pets` has no class `cats`"),
        (["pets:cat,"], 2, "after the colon of 'pets:cat,' there must be class names"),
        (["pets", "--strict"], 1, "`cat/bad.png` is empty: the file has 0 bytes (asked to be strict)"),
        (["pets", "--root", "pets"], 2, "`root` says where the files of cifar10 are"),
        (["pets", "--sheet", "pets"], 1, "cannot write pets: it is a folder"),
        (["pets.zip", "--sheet", "pets.zip"], 2, "the output 'pets.zip' is a file this command reads"),
        (
            ["pets", "--sheet", "pets/cat/001.png"],
            2,
            "the output 'pets/cat/001.png' is a file of the data set",
        ),
        (["pets:cat,dog", "--sheet", "./pets/cat/../dog/new.png"], 2, "would lie among the pictures of"),
        (["pets", "--size", "0"], 2, "invalid value for '--size'"),
        (["cifar10", "--root", "pets"], 1, "`pets` is not CIFAR-10"),
        (["cifar10", "--root", "nowhere"], 1, "there is no `nowhere` to read CIFAR-10 from"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(convscope, tmp_path, monkeypatch, words, code, message):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "pets", {**pets(), "cat/bad.png": b""})
    write(tmp_path, {"empty": None})
    zipped(tmp_path / "pets.zip", pets())
    before = [(tmp_path / name).read_bytes() for name in ("pets.zip", "pets/cat/001.png")]
    ran = convscope("data", *words)
    assert ran.code == code
    assert ran.out == ""
    assert message.lower() in ran.err.lower()
    assert [(tmp_path / name).read_bytes() for name in ("pets.zip", "pets/cat/001.png")] == before
    assert not (tmp_path / "pets" / "dog" / "new.png").exists()


def test_a_dot_is_called_by_the_folders_name(convscope, tmp_path, monkeypatch):
    write(tmp_path / "pets", pets())
    monkeypatch.chdir(tmp_path / "pets")
    assert convscope("data", ".").out.startswith("pets: 3 classes")
    assert convscope("data", "./:cat,dog").out.startswith("pets:cat,dog: 2 classes")
    monkeypatch.chdir(tmp_path / "pets" / "cat")
    assert convscope("data", "..").out.startswith("pets: 3 classes")


def test_a_long_class_name_does_not_widen_the_table(convscope, tmp_path):
    long = "a class with a name that goes on and on and on and on and on"
    write(tmp_path / "pets", {**pets(5), f"{long}/1.png": picture(1), f"{long}/2.png": picture(2)})
    ran = convscope("data", tmp_path / "pets")
    assert max(map(len, ran.out.partition("test part")[0].splitlines()[1:])) < 60
    assert "a class with a name that goes on and on…" in ran.out
    assert long in [one["name"] for one in convscope("data", tmp_path / "pets", "--json").json["classes"]]


def test_describing_a_folder_loads_no_torch(tmp_path):
    import subprocess
    import sys

    write(tmp_path, pets(3))
    code = (
        "import sys; from convscope.cli import main\n"
        "try: main(['data', sys.argv[1]])\n"
        "except SystemExit: print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
