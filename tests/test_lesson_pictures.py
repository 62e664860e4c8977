"""Pictures and animations of lessons show the numbers they were given."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from convscope import raster
from convscope.errors import OutputError, UsageError
from convscope.exhibits import animation
from convscope.exhibits.animation import common_palette, save_animation
from convscope.exhibits.drawing import TONES, Sheet, coloured, figure, text_width, wrap
from convscope.exhibits.lesson_panels import _Axis, _tick
from convscope.exhibits.lesson_picture import draw_lesson
from convscope.exhibits.player import Player, chosen_steps
from convscope.lesson import LESSONS, LessonResult, Map
from convscope.lesson.result import both

PLAYED = ("steps", "flip", "transposed", "dilated", "depthwise", "pointwise")


@pytest.mark.parametrize("name", LESSONS)
def test_every_lesson_is_a_picture_of_one_width(name):
    picture = draw_lesson(LESSONS[name].run())
    assert picture.mode == "RGB"
    assert picture.width == 1200
    assert 300 < picture.height < 2600
    pixels = np.asarray(picture)
    # Nothing runs over the right margin, and something is drawn in every quarter of the height.
    assert (pixels[:, -20:] == 255).all()
    assert all((part != 255).any() for part in np.array_split(pixels, 4))


def test_a_maps_cells_have_the_colours_of_their_values():
    values = np.array([[-2.0, 0.0], [1.0, 2.0]])
    result = LessonResult(
        "steps", {}, {}, {"a": Map(values, "signed", both("a", "a"))}, {"en": ["x"], "zh": ["x"]}, (("a",),)
    )
    pixels = np.asarray(draw_lesson(result))
    seen = {tuple(colour) for colour in pixels.reshape(-1, 3).tolist()}
    table = raster.table("diverging")
    for entry in (1, 128, 192, 255):
        assert tuple(table[entry].tolist()) in seen


@pytest.mark.parametrize("role", ["signed", "sequential", "grey"])
def test_colours_run_from_one_end_of_the_table_to_the_other(role):
    low = -4.0 if role == "signed" else 0.0
    found = coloured(np.array([[low, (low + 4) / 2, 4.0, np.nan]]), role, low, 4.0)
    table = raster.table({"signed": "diverging"}.get(role, role))
    assert found[0, [0, 2, 3]].tolist() == table[[1, 255, 0]].tolist()


@pytest.mark.parametrize("name", PLAYED)
def test_the_frames_of_a_player_are_all_of_one_size_and_end_with_every_cell_filled(name):
    result = LESSONS[name].run()
    player = Player(result, title="x")
    frames = list(player.frames())
    assert len(frames) == len(result.player) == len(player)
    assert {frame.shape for frame in frames} == {frames[0].shape}
    assert frames[0].shape[0] % 2 == frames[0].shape[1] % 2 == 0
    for number, maps in enumerate(result.player.maps[: len(player.at.results)]):
        plane = player.at.results[number]
        high = float(np.abs(result.player.maps).max())
        for row, column in np.ndindex(maps.shape):
            # Just inside the cell's corner, beside its number, but outside the frame of the last cell.
            spot = frames[-1][plane.top + (row + 1) * plane.scale - 6, plane.left + column * plane.scale + 6]
            expected = coloured(maps[row : row + 1, column : column + 1], "signed", -high, high)[0, 0]
            assert spot.tolist() == expected.tolist()


def test_a_frame_shows_the_window_where_the_step_reads_and_the_cell_it_fills():
    result = LESSONS["steps"].run(padding=1)
    player = Player(result)
    for index in (0, 7, 24):
        step = result.player[index]
        pixels = player.frame(index)
        tone = np.array(TONES["accent"])
        (plane,) = player.at.inputs
        top, left = (
            plane.top + (step.rows[0] + 1) * plane.scale,
            plane.left + (step.columns[0] + 1) * plane.scale,
        )
        assert (pixels[top - 2, left : left + 3 * plane.scale] == tone).all()
        assert (pixels[top : top + 3 * plane.scale, left - 2] == tone).all()
        (plane,) = player.at.results
        row, column = step.cell
        assert (
            pixels[plane.top + row * plane.scale - 2, plane.left + column * plane.scale + 5] == tone
        ).all()
        unfilled = pixels[plane.top + 4 * plane.scale + 5, plane.left + 4 * plane.scale + 5]
        assert (unfilled == (247, 248, 248)).all() == (index < 24)


def test_a_frame_is_the_same_whichever_was_drawn_before():
    player, other = (Player(LESSONS["steps"].run()) for _ in range(2))
    later = player.frame(8)
    assert not np.array_equal(later, player.frame(2))
    assert np.array_equal(player.frame(2), other.frame(2))
    assert np.array_equal(later, other.frame(8))


def test_of_many_steps_some_are_chosen_evenly_and_the_last_is_among_them():
    assert chosen_steps(5, None) == [0, 1, 2, 3, 4]
    some = chosen_steps(1000, 100)
    assert (len(some), some[0], some[-1]) == (100, 0, 999)
    assert len(set(some)) == 100


def test_a_lesson_without_steps_cannot_be_played():
    with pytest.raises(UsageError, match="the lesson `softmax` has no steps to play"):
        Player(LESSONS["softmax"].run())


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    result = LESSONS["steps"].run(source="photo", picture="sample:cat", crop="60,150,10,10", colour=True)
    return list(Player(result, title="Step by step").frames(12))


@pytest.mark.parametrize("ending", ["gif", "webp"])
def test_an_animation_holds_every_frame_for_its_time(ending, frames, tmp_path):
    path = save_animation(tmp_path / f"a.{ending}", frames, per_second=4)
    with Image.open(path) as image:
        assert image.n_frames == len(frames)
        assert image.size == frames[0].shape[1::-1]
        for number, frame in enumerate(frames):
            image.seek(number)
            shown = np.asarray(image.convert("RGB")).astype(int)
            assert image.info["duration"] == (1500 if number == len(frames) - 1 else 250) or ending == "webp"
            difference = np.abs(shown - frame)
            assert difference.mean() < (1.5 if ending == "gif" else 1e-9)
            # Paper stays paper.
            assert (shown[:10] == 255).all()
        assert image.info["loop"] == 0
    assert [p.name for p in tmp_path.iterdir()] == [f"a.{ending}"]


def test_many_strong_colours_keep_their_shades_in_a_gif_and_nothing_flickers(tmp_path):
    red, blue = np.meshgrid(np.linspace(0, 255, 32), np.linspace(255, 0, 32))
    frame = np.stack([red, np.abs(red - blue), blue], -1).astype(np.uint8).repeat(12, 0).repeat(12, 1)
    frames = [frame.copy() for _ in range(3)]
    for number, one in enumerate(frames):
        one[-12:, -12 * (number + 1) :] = 255
    path = save_animation(tmp_path / "a.gif", frames)
    shown = []
    with Image.open(path) as image:
        for number in range(3):
            image.seek(number)
            shown.append(np.asarray(image.convert("RGB")))
    assert np.array_equal(shown[0][:-12], shown[2][:-12])

    def cells(pixels: np.ndarray) -> np.ndarray:
        return pixels.astype(float).reshape(32, 12, 32, 12, 3).mean((1, 3))

    assert np.abs(cells(shown[0]) - cells(frames[0])).mean() < 4
    nearest = common_palette([frame])[:255].astype(float)
    alone = nearest[((cells(frame)[..., None, :] - nearest) ** 2).sum(-1).argmin(-1)]
    assert np.abs(cells(shown[0]) - cells(frame)).mean() < 0.7 * np.abs(alone - cells(frame)).mean()


def test_a_film_holds_every_frame(frames, tmp_path):
    av = pytest.importorskip("av", reason="MP4 films need the package av")
    path = save_animation(tmp_path / "a.mp4", frames, per_second=4)
    with av.open(str(path)) as film:
        shown = [picture.to_ndarray(format="rgb24").astype(int) for picture in film.decode(video=0)]
        assert float(film.streams.video[0].average_rate) == 4
    assert len(shown) == len(frames) + 5
    for picture, frame in zip(shown, frames, strict=False):
        assert np.abs(picture - frame).mean() < 4


def test_without_an_encoder_the_film_is_refused_in_one_sentence(monkeypatch, frames, tmp_path):
    monkeypatch.setattr(animation, "find_spec", lambda name: None)
    with pytest.raises(OutputError, match="MP4 films need the package `av`, which is not installed"):
        save_animation(tmp_path / "a.mp4", frames)
    assert list(tmp_path.iterdir()) == []


def test_other_endings_and_no_frames_are_refused(tmp_path, frames):
    with pytest.raises(UsageError, match=r"an animation must end in .gif, .webp, .mp4; got"):
        save_animation(tmp_path / "a.png", frames)
    with pytest.raises(UsageError, match="at least one frame"):
        save_animation(tmp_path / "a.gif", [])
    with pytest.raises(UsageError, match=r"between 0.1 and 50; got 0"):
        save_animation(tmp_path / "a.gif", frames, per_second=0)


def test_the_palette_has_the_sheets_own_colours(frames):
    palette = {tuple(colour) for colour in common_palette(frames).tolist()}
    assert {(255, 255, 255), *TONES.values()} <= palette


def test_words_break_into_lines_that_fit_in_english_and_chinese():
    for text in (LESSONS["cut"].text["en"], LESSONS["cut"].text["zh"]):
        lines = wrap(text, 14, 150)
        assert len(lines) > 2
        assert all(text_width(line, 14) <= 150 + 14 for line in lines)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert not any(line.startswith(("，", "。", "；")) for line in wrap(LESSONS["cut"].text["zh"], 14, 150))


@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, -18.0, 1 / 3, -1 / 16, 123456.0, 1e-9, -3.2e7, 70.62])
def test_a_figure_is_short_and_close_to_its_value(value):
    text = figure(value)
    assert len(text) <= 7
    assert float(text) == pytest.approx(value, rel=0.06)


def test_a_sheet_cuts_what_runs_over_its_edges():
    sheet = Sheet(20, 30)
    sheet.text(-5, -5, "over", 14)
    sheet.text(15, 25, "over", 14)
    sheet.fill(-3, -3, 100, 5, (0, 0, 0))
    sheet.frame(0, 0, 20, 30, (1, 2, 3))
    sheet.lines([(-10, -10), (40, 50)], (9, 9, 9))
    sheet.paste(18, 28, np.zeros((9, 9, 3), np.uint8))
    assert sheet.pixels.shape == (20, 30, 3)
    buffer = io.BytesIO()
    Image.fromarray(sheet.pixels).save(buffer, "PNG")
    assert buffer.tell() > 0


@pytest.mark.parametrize(
    ("low", "high"), [(1, 16), (1_403_136, 342_337_536), (32, 1024), (900, 60_000), (18, 3e9)]
)
def test_ticks_of_a_logarithmic_axis_are_round_numbers_between_its_ends(low, high):
    ticks = _Axis(low, high, True).ticks()
    assert 2 <= len(ticks) <= 8
    assert all(low <= tick <= high for tick in ticks)
    assert all(len(_tick(tick)) <= 5 for tick in ticks)
