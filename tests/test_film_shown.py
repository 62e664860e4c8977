"""A film shown again: the animation's frames and the page's numbers are those that were kept."""

from __future__ import annotations

import json
import re
import zlib
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import convscope
from cli_running import Command
from convscope.errors import UsageError
from convscope.exhibits.drawing import SERIES, Sheet
from convscope.exhibits.film_curves import curves, pieces, told
from convscope.exhibits.film_data import pack_film
from convscope.exhibits.film_frames import CURVE, MARGIN, PANEL, FilmFrames
from convscope.exhibits.film_page import film_bytes
from convscope.exhibits.film_view import kernel_view
from convscope.exhibits.report_text import from_text
from convscope.filming import open_film
from convscope.raster.colormaps import table

COLOUR = torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(1))


def make_film(folder: Path, images: torch.Tensor = COLOUR, steps: int = 12) -> list[nn.Sequential]:
    """A network whose weights are set anew at each step, and the networks by step."""
    net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Conv2d(5, 4, 3), nn.Flatten(), nn.Linear(256, 3))
    kept = []
    with convscope.film(
        net, images, folder, every=4, labels=[2, *[0] * (len(images) - 1)], classes=["ant", "bee", "cow"]
    ) as film:
        for step in range(steps + 1):
            torch.manual_seed(step)
            with torch.no_grad():
                for parameter in net.parameters():
                    parameter.copy_(torch.randn_like(parameter) * (step + 1) / 10)
            film.snap(step, loss=3.0 - step / 10, accuracy=step / 20)
            kept.append(nn.Sequential(nn.Conv2d(3, 5, 3), *net[1:2], nn.Conv2d(5, 4, 3), *net[3:]))
            kept[-1].load_state_dict({k: v.clone() for k, v in net.state_dict().items()}, assign=True)
    return kept


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[nn.Sequential]]:
    folder = tmp_path_factory.mktemp("film")
    nets = make_film(folder)
    rows = [
        "epoch,step,train_loss,train_accuracy,test_accuracy",
        "1,4,2.5,0.3,0.25",
        "2,8,2.0,0.5,",
        "3,12,1.5,0.7,0.65",
    ]
    (folder / "metrics.csv").write_text("\n".join(rows) + "\n")
    return folder, nets


def test_the_filters_of_a_frame_are_drawn_from_its_weights(made: Any) -> None:
    """Grey is zero, and each filter's largest weight of the whole film is at the end of its range."""
    strip = open_film(made[0])
    frames = FilmFrames(strip)
    assert len(frames) == len(strip) == 7
    weights = [made[1][step][0].weight.detach().numpy() for step in strip.steps]
    largest = np.abs(weights).max(axis=(0, 2, 3, 4))
    left = MARGIN + 216 + 36
    pitch = PANEL // 3
    for index in (0, 4, 6):
        drawn = frames.frame(index)
        for number in range(5):
            expected = np.rint(128 + weights[index][number] / largest[number] * 127).transpose(1, 2, 0)
            row, column = divmod(number, 3)
            middle = (pitch - max(2, pitch // 16)) // 6
            for r, c in np.ndindex(3, 3):
                top = frames.top + row * pitch + middle * (2 * r + 1)
                at = left + column * pitch + middle * (2 * c + 1)
                assert np.abs(drawn[top, at].astype(int) - expected[r, c]).max() <= 1


def test_of_grey_pictures_the_sum_over_the_three_channels_is_drawn(tmp_path: Path) -> None:
    grey = COLOUR[:, :1].expand(-1, 3, -1, -1)
    nets = make_film(tmp_path, grey)
    strip = open_film(tmp_path)
    view = kernel_view(strip, 0)
    assert view is not None
    assert view.kind == "sum"
    kernels = strip[-1].kernels[0]
    assert kernels is not None
    with torch.no_grad():
        one = torch.nn.functional.conv2d(grey[:1, :1], torch.from_numpy(view.planes(kernels)[:, None].copy()))
        whole = nets[-1][0](grey[:1]) - nets[-1][0].bias[:, None, None]
    assert torch.allclose(one, whole, atol=1e-5)


def test_what_is_told_at_a_frame_is_what_was_known_then(made: Any) -> None:
    strip = open_film(made[0])
    by_step = {frame.step: told(strip, frame) for frame in strip}
    assert by_step[0] == {"training loss": 3.0, "training accuracy": 0.0, "epoch": 0.0}
    assert by_step[3]["training loss"] == pytest.approx(2.7)
    assert "test accuracy" not in by_step[3], "the first epoch had not ended"
    assert by_step[4] == {"training loss": 2.5, "training accuracy": 0.3, "test accuracy": 0.25, "epoch": 1.0}
    assert by_step[8]["test accuracy"] == 0.25, "it was measured last at step 4"
    assert by_step[8]["training loss"] == 2.0
    lines = curves(strip, list(strip))
    # Places count frames, of steps 0, 1, 2, 3, 4, 8, 12.
    assert [strip.steps[round(place)] for place, _ in lines["test accuracy"]] == [4, 12]
    assert dict(lines["training loss"])[float(strip.steps.index(8))] == 2.0


def test_an_animation_has_a_frame_a_step(made: Any, tmp_path: Path, command: Command) -> None:
    done = command(
        "film", str(made[0]), "--animate", str(tmp_path / "film.gif"), "--image", "1", "--layer", "2"
    )
    assert done.code == 0, done.err
    assert "animation of 7 steps" in done.out
    with Image.open(tmp_path / "film.gif") as animation:
        assert animation.n_frames == 7
        assert animation.size == (FilmFrames(open_film(made[0])).width, FilmFrames(open_film(made[0])).height)


def test_the_page_holds_every_kept_number(made: Any) -> None:
    strip = open_film(made[0])
    manifest, chunks = pack_film(strip)
    assert [frame["step"] for frame in manifest["frames"]] == list(strip.steps)
    for index, frame in enumerate(strip):
        assert frame.probabilities is not None
        assert np.allclose(manifest["shares"][index], frame.probabilities, atol=5e-5)
        data = zlib.decompress(from_text(chunks[f"film/{frame.step}"]), wbits=31)
        place = manifest["places"]["scales/0"]
        scales = np.frombuffer(data, np.float32, np.prod(place["shape"]), place["offset"]).reshape(
            place["shape"]
        )
        assert np.array_equal(scales, frame.scales[0])


def test_a_film_too_long_for_a_file_keeps_its_first_and_last_step(made: Any) -> None:
    strip = open_film(made[0])
    whole = sum(map(len, pack_film(strip)[1].values()))
    manifest, chunks = pack_film(strip, whole // 2)
    steps = [frame["step"] for frame in manifest["frames"]]
    assert 2 <= len(steps) < len(strip)
    assert (steps[0], steps[-1]) == (strip.steps[0], strip.steps[-1])
    assert len(chunks) == len(steps) + 1 == len(manifest["shares"]) + 1
    assert manifest["left_out"] == f"to keep this small: {len(steps)} of {len(strip)} steps"
    assert pack_film(strip)[0]["left_out"] == ""


def test_of_a_wide_film_fewer_channels_and_images_are_shown_before_steps_are_left_out(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(3, 40, 3), nn.Conv2d(40, 30, 3))
    with convscope.film(net, torch.rand(6, 3, 20, 20), tmp_path) as film:
        for step in range(5):
            film.snap(step, force=True)
    strip = open_film(tmp_path)
    whole = sum(map(len, pack_film(strip)[1].values()))
    seen = []
    for share in (1.1, 0.8, 0.55, 0.3):
        manifest, chunks = pack_film(strip, int(whole * share))
        assert len(manifest["frames"]) == 5
        assert sum(len(text) for name, text in chunks.items() if "pictures" not in name) <= whole * share
        seen.append(
            (len(manifest["images"]), manifest["layers"][0]["maps"][0], manifest["layers"][1]["maps"][0])
        )
        data = zlib.decompress(from_text(chunks["film/2"]), wbits=31)
        place = manifest["places"]["scales/1"]
        scales = np.frombuffer(data, np.float32, int(np.prod(place["shape"])), place["offset"])
        kept = strip[2].scales[1][: seen[-1][0], : seen[-1][2]]
        assert np.array_equal(scales.reshape(place["shape"]), kept)
    assert seen == [(6, 32, 30), (6, 32, 16), (4, 32, 16), (2, 32, 8)]


def test_the_style_of_the_film_touches_nothing_else_on_a_page() -> None:
    style = (resources.files("convscope") / "viewer" / "film.css").read_text()
    heads = re.findall(r"^\s*([^@{}/]+)\{", style, re.MULTILINE)
    assert len(heads) > 40
    for selector in ",".join(heads).split(","):
        assert re.match(r"(\.film\b|:root|:host)", selector.strip()), selector


def test_the_same_film_gives_the_same_page(made: Any) -> None:
    assert film_bytes(open_film(made[0])) == film_bytes(open_film(made[0]))


def test_the_command_tells_what_the_film_holds(made: Any, command: Command) -> None:
    found = command("film", made[0], "--json").json
    strip = open_film(made[0])
    assert [frame["step"] for frame in found["frames"]] == list(strip.steps)
    with torch.no_grad():
        answers = made[1][12](COLOUR).argmax(1).tolist()
    assert found["frames"][-1]["answers"] == [["ant", "bee", "cow"][n] for n in answers]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nowhere"], 1, "holds no film of a training"),
        (["FILM", "--animate", "film.png"], 2, "an animation must end in"),
        (["FILM", "--animate", "a.gif", "--layer", "convv"], 2, "the film has no layer `convv`"),
        (["FILM", "--animate", "a.gif", "--image", "9"], 2, "the film has images 0 to 1"),
        (["FILM", "-o", "film.txt"], 2, "must end in .html"),
        (["FILM", "-o", "-"], 2, "must end in .html"),
        (["FILM", "-o", "film"], 2, "must end in .html"),
        (["FILM", "--layer", "convv"], 2, "the film has no layer `convv`"),
        (["FILM", "--image", "9"], 2, "the film has images 0 to 1"),
        (["FILM", "--per-second", "9"], 2, "`--per-second` is of an animation"),
        (["FILM", "--animate", "a.gif", "--per-second", "0"], 2, "`per_second` must lie between"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(
    made: Any,
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = command("film", *(str(made[0]) if word == "FILM" else word for word in words))
    assert done.code == code
    assert said in done.err
    assert not list(tmp_path.iterdir())


def test_an_unknown_layer_or_image_is_refused(made: Any) -> None:
    with pytest.raises(UsageError, match="no layer `9`"):
        FilmFrames(open_film(made[0]), layer="9")


def test_a_film_without_answers_and_curves_is_drawn(tmp_path: Path) -> None:
    net = nn.ConvTranspose2d(3, 2, 3)
    with convscope.film(net, COLOUR, tmp_path, names=["<b>one</b>", "two"]) as film:
        film.snap(0)
    strip = open_film(tmp_path)
    assert kernel_view(strip, 0) is None
    assert FilmFrames(strip).frame(0).std() > 10
    assert b"<b>one</b>" not in film_bytes(strip)


def test_numbers_that_are_not_finite_are_drawn_apart(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(200, 2))
    with convscope.film(net, COLOUR, tmp_path) as film:
        film.snap(0)
        with torch.no_grad():
            net[0].weight[1] = float("nan")
        film.snap(1, loss=float("nan"))
    strip = open_film(tmp_path)
    assert strip[1].numbers == {}
    assert np.isnan(strip[1].values(0)[:, 1]).all()
    broken = table("diverging")[0]
    assert (FilmFrames(strip).frame(1) == broken).all(axis=2).sum() > 1000
    assert b"NaN" not in json.dumps(pack_film(strip)[0]["frames"]).encode()
    film_bytes(strip)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many filters in two layers, pictures larger than the maps kept, and a title too long for its place."""
    folder = tmp_path_factory.mktemp("wide")
    net = nn.Sequential(nn.Conv2d(3, 64, 3), nn.ReLU(), nn.Conv2d(64, 96, 3), nn.Conv2d(96, 4, 1))
    with convscope.film(net, torch.rand(1, 3, 68, 68), folder, title="a title of the training " * 9) as film:
        film.snap(0)
        with torch.no_grad():
            net[0].weight[1, :, 1, 1] = float("inf")
        film.snap(1)
    return folder


def shown_words(monkeypatch: pytest.MonkeyPatch, frames: FilmFrames, index: int = 0) -> list[str]:
    """What is written on a frame, with its left end, right end and line."""
    said: list[tuple[str, int, int, int]] = []
    write = Sheet.text

    def text(self: Sheet, top: int, left: int, words: str, size: int, *rest: Any, **more: Any) -> int:
        wide = write(self, top, left, words, size, *rest, **more)
        start = left - wide if more.get("align") == "right" else left
        said.append((words, top, start, start + wide))
        return wide

    with monkeypatch.context() as patch:
        patch.setattr(Sheet, "text", text)
        frames._static()
        frames.frame(index)
    for words, top, start, end in said:
        assert start >= 0, words
        assert end <= frames.width, words
        for other, line, left, right in said:
            apart = end <= left or right <= start or abs(top - line) >= 14
            assert (words, top) == (other, line) or apart, (words, other)
    return [words for words, *_ in said]


def test_the_headings_count_what_is_shown_of_how_many_and_say_what_was_averaged(
    wide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strip = open_film(wide)
    first, second, last = pack_film(strip)[0]["layers"]
    assert first["words"] == "36 of 64 filters of 3 × 3, in colour"
    assert second["words"] == "36 of 96 filters of 3 × 3, over input channel 0"
    assert last["words"] == "4 filters of 1 × 1, over input channel 0"
    words = shown_words(monkeypatch, FilmFrames(strip, layer="2"))
    assert {"layer 2", "36 of 96 filters of 3 x 3, over input channel 0"} <= {*words}
    assert {"their maps, 32 of 96 of 64 x 64", "averaged to 28 x 28"} <= {*words}
    words = shown_words(monkeypatch, FilmFrames(strip, layer="3"))
    assert "their maps, 4 of 64 x 64" in words
    assert next(text for text in words if text.startswith("a title")).endswith("…")


def test_colours_that_are_not_finite_are_drawn_apart_and_the_legend_says_so(
    wide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strip = open_film(wide)
    frames = FilmFrames(strip)
    broken = table("diverging")[0]
    top, left = frames.top, MARGIN + 216 + 36 + PANEL // 6

    def cells(index: int) -> Any:
        tile = frames.frame(index)[top : top + 50, left : left + 50]
        return (tile == broken).all(axis=2).sum() / 2500

    assert cells(0) == 0
    assert cells(1) == pytest.approx(1 / 9, abs=0.02)
    assert not any("yellow is not finite" in text for text in shown_words(monkeypatch, frames, 0))
    said = next(text for text in shown_words(monkeypatch, frames, 1) if "yellow is not finite" in text)
    assert "grey is zero in filters" in said


CURVES = "epoch,step,train_loss,train_accuracy,test_accuracy"


def test_a_curve_breaks_at_what_is_not_finite_and_stays_in_the_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    make_film(tmp_path)
    rows = [CURVES, "1,1,nan,0.5,0.5", "2,inf,1,1,1", "3,2,-inf,1.5,", "5,8,-4,0.5,", "6,12,-2,0.5,inf"]
    (tmp_path / "metrics.csv").write_text("\n".join(rows) + "\n")
    strip = open_film(tmp_path)
    lines = curves(strip, list(strip))
    # Steps 0, 1, 2, 3, 4, 8, 12: a loss of 3.0 at 0, none at 1 and 2, 2.7 at 3, 2.6 at 4.
    assert [[value for _, value in piece] for piece in pieces(lines["training loss"])] == [
        [3.0],
        [2.7, 2.6, -4.0, -2.0],
    ]
    assert [len(piece) for piece in pieces(lines["test accuracy"])] == [1]
    manifest = pack_film(strip)[0]
    assert manifest["curve_ranges"] == {
        "training loss": (-4.0, 3.0),
        "training accuracy": (0.0, 1.5),
        "test accuracy": (0.0, 1.0),
    }
    frames = FilmFrames(strip)
    drawn = frames.base.pixels.astype(int)
    for number in range(3):
        rows_of = np.nonzero((abs(drawn - SERIES[number]).sum(axis=2) < 40)[frames.top + PANEL :])[0]
        assert rows_of.size, "even a single value is seen"
        assert rows_of.min() + frames.top + PANEL >= frames.curve_top - 2
        assert rows_of.max() + frames.top + PANEL <= frames.curve_top + CURVE + 2
    assert "not finite" in shown_words(monkeypatch, frames, 1)
    done = command("film", tmp_path, "--animate", tmp_path / "film.gif")
    assert done.code == 0, done.err


@pytest.mark.parametrize("label", [-1, 3, 10**9, True, "2", 1.0])
def test_a_label_that_is_no_output_is_none(tmp_path: Path, label: Any) -> None:
    make_film(tmp_path, steps=1)
    path = tmp_path / "film" / "film.json"
    manifest = json.loads(path.read_text())
    manifest["images"][0]["label"] = label
    path.write_text(json.dumps(manifest))
    strip = open_film(tmp_path)
    frames = FilmFrames(strip)
    assert frames.label is None
    assert frames._called(manifest["images"][0]) == "image 1"
    frames.frame(0)
    assert [image["label"] for image in pack_film(strip)[0]["images"]] == [None, 0]


def test_a_label_that_is_no_output_stands_among_no_bars(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(200, 12))
    with convscope.film(net, COLOUR, tmp_path, labels=[0, 1]) as film:
        film.snap(0)
    path = tmp_path / "film" / "film.json"
    path.write_text(
        path.read_text().replace('"label": 0', '"label": -1').replace('"label": 1', '"label": 12')
    )
    for bars in pack_film(open_film(tmp_path))[0]["bars"]:
        assert len(bars) == 10
        assert set(bars) <= set(range(12))


def long_film(folder: Path, steps: int) -> None:
    """A small film of many steps."""
    net = nn.Conv2d(3, 2, 3)
    with convscope.film(net, COLOUR[:1], folder) as film:
        for step in range(steps):
            film.snap(step, force=True, loss=step / steps)


def test_a_long_film_is_animated_in_some_of_its_steps_and_none_is_held(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_film(tmp_path, 500)
    strip = open_film(tmp_path)
    alive: set[int] = set()
    most = 0

    class Watched:
        def __init__(self, frame: Any) -> None:
            self.frame = frame
            alive.add(id(self))

        def __del__(self) -> None:
            alive.discard(id(self))

        def __getattr__(self, name: str) -> Any:
            return getattr(self.frame, name)

    read = type(strip).__getitem__

    def watched(self: Any, index: int) -> Any:
        nonlocal most
        made = Watched(read(self, index))
        most = max(most, len(alive))
        return made

    monkeypatch.setattr(type(strip), "__getitem__", watched)
    told: list[tuple[int, int]] = []
    frames = FilmFrames(strip, progress=lambda done, total: told.append((done, total)))
    assert told == [(n, 500) for n in range(1, 501)]
    steps = [moment.step for moment in frames.moments]
    assert (len(frames), steps[0], steps[-1]) == (240, 0, 499)
    gaps = np.diff(steps)
    assert {*gaps.tolist()} == {2, 3}
    told = []
    pack_film(strip, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (1000, 1000)
    done = command("film", tmp_path, "--animate", tmp_path / "film.gif", "--per-second", "50")
    assert done.out == f"animation of 240 of 500 steps: {tmp_path / 'film.gif'}\n"
    assert 0 < most <= 3, "frames are read one at a time"
    monkeypatch.setattr("convscope.exhibits.film_data.pack_film.__defaults__", (100_000,))
    done = command("film", tmp_path, "-o", tmp_path / "film.html")
    shown, of = re.match(r"film of (\d+) of (\d+) steps", done.out).groups()  # type: ignore[union-attr]
    assert 2 <= int(shown) < int(of) == 500
    with Image.open(tmp_path / "film.gif") as animation:
        assert animation.n_frames == 240


def test_the_page_begins_with_the_layer_and_image_asked_for(made: Any, tmp_path: Path) -> None:
    strip = open_film(made[0])
    assert pack_film(strip)[0]["first"] == {"layer": "0", "image": "0"}
    assert pack_film(strip, layer="2", image=1)[0]["first"] == {"layer": "2", "image": "1"}


def test_an_image_asked_for_is_among_the_few_there_is_room_for(tmp_path: Path) -> None:
    make_film(tmp_path, torch.rand(6, 3, 12, 12), steps=1)
    manifest, _ = pack_film(open_film(tmp_path), 10, image=4)
    assert [image["name"] for image in manifest["images"]] == ["image 1", "image 5"]
    assert manifest["first"]["image"] == "1"
    assert "2 of 6 images" in manifest["left_out"]


def test_how_many_convolutions_are_kept_is_said(tmp_path: Path) -> None:
    make_film(tmp_path, steps=1)
    path = tmp_path / "film" / "film.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"convolutions": 53}))
    assert pack_film(open_film(tmp_path))[0]["left_out"] == "2 of 53 convolutions are kept"
