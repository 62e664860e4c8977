"""``convscope lesson``: numbers in the terminal, pictures, animations, and one sentence for what is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cli_running import Command
from convscope import raster
from convscope.lesson import LESSONS


@pytest.fixture
def run(capsys, tmp_path, monkeypatch) -> Command:
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    Image.fromarray(pixels).save("photo.png")
    return Command(capsys)


def test_without_a_name_the_lessons_are_listed(run):
    ran = run("lesson")
    assert ran.code == 0
    lines = ran.out.splitlines()
    for name, lesson in LESSONS.items():
        assert any(line.split()[0] == name and lesson.title["en"] in line for line in lines if line.split())
    assert "一步一步看卷积" in run("lesson", "--lang", "zh").out
    assert [entry["name"] for entry in run("lesson", "--json").json] == list(LESSONS)


@pytest.mark.parametrize("name", LESSONS)
def test_each_lesson_prints_its_sentences_and_writes_its_picture(run, name, tmp_path):
    ran = run("lesson", name)
    assert ran.code == 0
    assert ran.err == ""
    assert LESSONS[name].text["en"] in ran.out
    if name != "stride":  # its sentences hold no times, but its table does
        assert all(sentence in ran.out for sentence in LESSONS[name].run().sentences["en"])
    assert f"picture: lesson-{name}.png" in ran.out
    with Image.open(tmp_path / f"lesson-{name}.png") as picture:
        assert picture.size[0] == 1200
        assert picture.info["Title"] == LESSONS[name].title["en"]


def test_small_maps_are_printed_in_numbers(run):
    ran = run("lesson", "steps", "-k", "1 0; 0 1", "--set", "image=1 2; 3 4", "--bias", "2.5")
    assert "feature map\n  7.5\n" in ran.out
    ran = run("lesson", "steps", "-k", "1 1", "--set", "image=1 2 3", "--padding", "same", "--stride", "2")
    assert "feature map\n  3  3\n" in ran.out


def test_a_persons_own_photo_and_the_options_reach_the_lesson(run):
    ran = run("lesson", "cut", "photo.png", "--box", "10,20,12,14", "--set", "peaks=2", "--json")
    assert ran.code == 0
    numbers = ran.json["numbers"]
    assert numbers["picture"] == [60, 80]
    assert numbers["forms"]["normalised"]["peaks"][0] == [10, 20]
    assert len(numbers["forms"]["raw"]["peaks"]) == 2
    assert ran.json["values"]["box"] == "10,20,12,14"
    ran = run(
        "lesson",
        "steps",
        "photo.png",
        "--crop",
        "0,0,9,9",
        "--dilation",
        "2",
        "--padding-mode",
        "circular",
        "--padding",
        "3",
        "--json",
    )
    assert ran.json["values"]["source"] == "photo"
    assert ran.json["numbers"]["padded"] == [15, 15]


def test_with_json_only_the_numbers_are_on_standard_output(run, tmp_path):
    ran = run("lesson", "softmax", "--json", "-o", "s.png")
    assert ran.json["numbers"]["target"] == "first"
    assert "picture: s.png" in ran.err
    assert (tmp_path / "s.png").exists()


def test_an_animation_is_written_and_says_when_it_leaves_steps_out(run, tmp_path):
    ran = run("lesson", "steps", "--animate", "steps.gif", "--frames", "4")
    assert ran.code == 0
    assert "animation: steps.gif" in ran.out
    assert "note: 4 of 9 steps are shown; `--frames 9` shows all" in ran.err
    with Image.open(tmp_path / "steps.gif") as film:
        assert film.n_frames == 4
    assert not (tmp_path / "lesson-steps.png").exists()


def test_the_controls_of_a_lesson_are_listed_with_their_defaults(run):
    ran = run("lesson", "threshold", "--controls")
    for control in LESSONS["threshold"].controls:
        assert any(line.startswith(control.name) for line in ran.out.splitlines())
    assert run("lesson", "threshold", "--controls", "--json").json["controls"][0]["kind"] == "picture"


def test_chinese_is_printed_and_where_no_font_has_it_the_picture_stays_english(run, monkeypatch):
    monkeypatch.setattr(raster, "has_chinese", lambda: False)
    ran = run("lesson", "counting", "--lang", "zh")
    assert "全连接网络有 3,738,506 个参数" in ran.out
    assert "no font with Chinese signs was found" in ran.err


@pytest.mark.parametrize(
    ("words", "sentence", "code"),
    [
        (["step"], "there is no lesson `step`\nDid you mean steps", 2),
        (["steps", "--stride", "0"], "`stride` must be a whole number from 1 to 16; got '0'", 2),
        (["steps", "--kernel", "1 x"], "`kernel` must be rows of numbers, and 'x' is no number", 2),
        (["steps", "--kernel", "1 1 1 1 1 1"], "the kernel of 1 x 6 is larger than the padded", 2),
        (["cut", "photo.png", "--box", "50,0,20,20"], "`box` of 20 x 20 at row 50, column 0 does", 2),
        (["softmax", "photo.png"], "the lesson `softmax` takes no picture; got 'photo.png'", 2),
        (["softmax", "--stride", "2"], "the lesson `softmax` has no control `stride`", 2),
        (["steps", "--set", "stride"], "`--set` must be NAME=VALUE, such as stride=2; got 'stride'", 2),
        (["softmax", "--animate", "a.gif"], "the lesson `softmax` has no steps to animate", 2),
        (["steps", "--animate", "a.avi"], "an animation must end in .gif, .webp, .mp4; got 'a.avi'", 2),
        (["steps", "-o", "a.jpg"], "the picture's file must end in .png; got 'a.jpg'", 2),
        (["steps", "--lang", "fr"], "`--lang` must be en or zh; got 'fr'", 2),
        (["cut", "photo.png", "-o", "photo.png"], "the output 'photo.png' is a file this command reads", 2),
        (["cut", "none.png"], "there is no file `none.png`", 1),
        (["detectors", "--kernel", "resnet81 conv1 3"], "there is no model `resnet81`", 1),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_sentence_and_writes_nothing(run, words, sentence, code, tmp_path):
    ran = run("lesson", *words)
    assert ran.code == code
    assert sentence in ran.err
    assert ran.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


#: A file's photo has an id of the server's own, which the page asks for.
FRAGMENT = "lesson=cut&lang=zh&l.picture=given&l.box=1%2C2%2C10%2C10"


def test_page_opens_the_live_page_on_the_lesson(run, monkeypatch):
    asked = {}
    monkeypatch.setattr(
        "convscope.cli.serve.show",
        lambda model, photos, fragment: asked.update(photos=photos, fragment=fragment),
    )
    ran = run("lesson", "cut", "photo.png", "--box", "1,2,10,10", "--page", "--lang", "zh")
    assert ran.code == 0
    assert asked == {"photos": ["photo.png"], "fragment": FRAGMENT}
    assert run("lesson", "cut", "photo.png", "--box", "1", "--page").code == 2
