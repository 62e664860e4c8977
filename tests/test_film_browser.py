"""The film as a person meets it: opened from disk in Chromium, with the network cut."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import convscope
from convscope.exhibits.film_page import write_film
from convscope.exhibits.report import write_report
from convscope.filming import Strip, open_film
from convscope.raster.colormaps import table
from test_film_shown import COLOUR, long_film, make_film
from viewer.browser import Page, new_page
from viewer.synthetic import synthetic_scene

pytestmark = pytest.mark.browser
LEFT, RIGHT, HOME, END = "\ue012", "\ue014", "\ue011", "\ue010"


class FilmPage(Page):
    """A film in a browser; ``viewer`` is its element, ``film`` the view in it."""

    element = "convscope-film"

    def run(self, script: str, *arguments: Any) -> Any:
        start = (
            f"const viewer = document.querySelector('{self.element}'), root = viewer.shadowRoot, "
            "film = viewer.view ?? viewer.film;"
        )
        return self.driver.execute_script(start + script, *arguments)

    def at(self, step: int) -> None:
        """Wait until a step is drawn."""
        self.wait("film.node.dataset.step === String(arguments[0])", step)
        self.settle()

    def tiles(self, panel: str) -> np.ndarray:
        """What a panel shows at one pixel a cell, ``(rows, columns, 3)``."""
        rows, columns, data = self.run(
            f"const atlas = film.{panel}.atlas, {{height, width}} = atlas;"
            "return [height, width, [...atlas.getContext('2d').getImageData(0, 0, width, height).data]];"
        )
        return np.array(data).reshape(rows, columns, 4)[..., :3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("film")
    make_film(place)
    rows = ["epoch,step,train_loss,train_accuracy,test_accuracy", "1,4,2.5,0.3,0.25", "3,12,1.5,0.7,0.65"]
    (place / "metrics.csv").write_text("\n".join(rows) + "\n")
    return place


@pytest.fixture(scope="module")
def strip(folder: Path) -> Strip:
    return open_film(folder)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FilmPage]:
    page = new_page(tmp_path_factory.mktemp("profile"), FilmPage)
    yield page
    page.close()


@pytest.fixture(scope="module")
def file(strip: Strip) -> Path:
    return write_film(strip, strip.folder.parent / "film.html")


@pytest.fixture
def sight(page: FilmPage, file: Path) -> Iterator[FilmPage]:
    """The film at first sight; afterwards the console must have stayed silent."""
    page.open(file)
    yield page
    # That pixels are read back is the doing of these tests.
    assert [text for text in page.complaints() if "readback" not in text] == []


def tile(atlas: np.ndarray, number: int, across: int, rows: int, columns: int) -> np.ndarray:
    row, column = divmod(number, across)
    return atlas[row * rows : (row + 1) * rows, column * columns : (column + 1) * columns]


def test_the_slider_goes_through_the_steps_and_every_number_is_that_of_the_step(
    sight: FilmPage, strip: Strip
) -> None:
    sight.at(12)
    assert sight.text(".where") == "epoch 3, step 12"
    sight.run("film.slider.focus()")
    largest = np.max([np.abs(frame.kernels[0]) for frame in strip], axis=0).max(axis=(1, 2, 3))
    limits = np.max([np.abs(np.nan_to_num(frame.values(0))) for frame in strip], axis=0).max(axis=(2, 3))
    diverging = table("diverging").astype(int)
    for index in reversed(range(len(strip))):
        frame = strip[index]
        sight.at(frame.step)
        assert sight.text(".where").endswith(f"step {frame.step}")
        assert sight.get("Number(film.slider.value)") == index
        assert frame.probabilities is not None
        shown = sight.get("[...root.querySelectorAll('.shares .share')].map(item => item.textContent)")
        assert shown == [f"{np.floor(100 * round(float(p), 4) + 0.5):.0f} %" for p in frame.probabilities[0]]
        kernels = frame.kernels[0]
        assert kernels is not None
        drawn = sight.tiles("kernels")
        for number in range(5):
            true = np.rint(128 + kernels[number] / largest[number] * 127).transpose(1, 2, 0)
            assert np.abs(tile(drawn, number, 3, 3, 3) - true).max() <= 1
        drawn = sight.tiles("maps")
        for number in range(5):
            places = 128 + np.floor(frame.values(0)[0, number] / limits[0, number] * 127 + 0.5).astype(int)
            off = np.abs(tile(drawn, number, 3, 10, 10) - diverging[np.clip(places, 1, 255)])
            assert off.max() <= 8, "more than a step or two of the table away"
        sight.press(LEFT)
    assert sight.text(".where") == "epoch 0, step 0", "it stays at the first"


def test_the_curves_stand_where_the_numbers_were_and_a_press_goes_there(
    sight: FilmPage, strip: Strip
) -> None:
    names = sight.get("[...root.querySelectorAll('.series dt')].map(item => item.textContent)")
    assert names == ["training loss", "training accuracy", "test accuracy"]
    numbers = sight.get("[...root.querySelectorAll('.series dd')].map(item => item.textContent)")
    assert numbers == ["1.50", "70.0 %", "65.0 %"]
    width = sight.get("film.curves.canvas.clientWidth")
    for index in (2, 5, 0):
        sight.point(".curves", 8 + (width - 16) * index / (len(strip) - 1), 20, click=True)
        sight.at(strip.steps[index])
    # Of a step within the first epoch nothing is known of test images.
    sight.point(".curves", 8 + (width - 16) * 2 / (len(strip) - 1), 20, click=True)
    sight.at(2)
    numbers = sight.get("[...root.querySelectorAll('.series dd')].map(item => item.textContent)")
    assert numbers == ["2.80", "10.0 %", ""]


def test_it_plays_from_the_first_step_to_the_last_and_stops(sight: FilmPage, strip: Strip) -> None:
    sight.at(12)
    sight.press(" ")
    assert sight.text(".play") == "Stop"
    sight.wait("Number(film.node.dataset.step) < 8")
    sight.wait("film.node.dataset.step === '12'")
    sight.wait("root.querySelector('.play').textContent === 'Play'")
    sight.press(HOME)
    sight.at(0)
    sight.press(RIGHT, RIGHT)
    sight.at(2)
    sight.press(END)
    sight.at(12)


def test_image_layer_and_range_can_be_chosen_and_a_link_shows_the_same(
    sight: FilmPage, strip: Strip, file: Path
) -> None:
    sight.press("i", "l", "r")
    sight.settle()
    assert sight.get("film.chosen") == {"step": "12", "layer": "2", "image": "1", "range": "step"}
    assert sight.text(".cast .dim") == "image 2, class ant"
    assert sight.get("root.querySelector('.shares .true .label').textContent") == "ant"
    step_range = sight.tiles("maps")
    frame = strip[-1]
    places = frame.maps[1][1, 0].astype(int)
    assert np.abs(tile(step_range, 0, 2, 8, 8) - table("diverging").astype(int)[places]).max() <= 3
    address = sight.driver.current_url
    assert "step=12&layer=2&image=1&range=step" in address
    sight.open(file, "#step=4&layer=2&image=1&range=step")
    sight.at(4)
    assert sight.get("film.chosen") == {"step": "4", "layer": "2", "image": "1", "range": "step"}
    for wished, nearest in (("5", 4), ("7", 8), ("-3", 0), ("1e9", 12), ("end", 12), ("", 12)):
        sight.open(file, f"#step={wished}&layer=nothing&image=77&range=all")
        sight.at(nearest)
    assert sight.get("film.chosen") == {"step": "12", "layer": "0", "image": "0", "range": "film"}


def test_the_pointer_marks_a_filter_and_its_map_and_says_how_large_they_are(
    sight: FilmPage, strip: Strip
) -> None:
    sight.at(12)
    side = sight.get("film.kernels.canvas.clientWidth")
    sight.point(".panel .tiles-square", side / 3 * 1.5, side / 3 * 0.5)
    assert sight.get("[film.kernels.marked, film.maps.marked]") == [1, 1]
    kernels = strip[-1].kernels[0]
    assert kernels is not None
    said = sight.text(".told")
    weight = float(said.split("±")[1].split(",")[0])
    assert weight == pytest.approx(float(np.abs(kernels[1]).max()), rel=6e-3)
    value = float(said.split("±")[2])
    assert value == pytest.approx(float(strip[-1].scales[0][0, 1]) * 127, rel=6e-3)


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (1024, 768), (400, 850), (320, 640)])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_overflows_sideways(page: FilmPage, file: Path, width: int, height: int, theme: str) -> None:
    page.resize(width, height)
    try:
        page.open(file, f"#theme={theme}")
        page.at(12)
        assert page.get("document.documentElement.scrollWidth") <= width
        assert page.get("viewer.dataset.theme") == theme
        assert page.get("root.querySelector('.where').getBoundingClientRect().bottom") <= height
    finally:
        page.resize(1440, 900)


def test_hostile_names_are_shown_as_text(page: FilmPage, tmp_path: Path) -> None:
    bad = "</script><img src=x onerror=alert(1)>"
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.Flatten(), torch.nn.Linear(200, 2))
    with convscope.film(
        net, COLOUR, tmp_path, names=[bad, bad], classes=[bad, "b"], labels=[0, 1], title=bad
    ) as film:
        film.snap(0)
    page.open(write_film(open_film(tmp_path), tmp_path / "film.html"))
    page.at(0)
    assert page.text("h1") == bad
    assert bad in page.text(".cast .dim")
    assert page.count("img, script") == 0
    assert page.complaints() == []


def test_the_report_of_a_run_has_the_film_behind_a_button(
    page: FilmPage, strip: Strip, tmp_path: Path
) -> None:
    report = write_report(synthetic_scene(width=0.0625), tmp_path / "report.html", film=strip)
    page.element = "convscope-viewer"
    try:
        page.open(report)
        page.click(".training")
        page.at(12)
        page.press(LEFT)
        page.at(8)
        assert page.text(".film .where") == "epoch 2, step 8"
        page.press("\ue00c")
        page.wait("!root.querySelector('.film-sheet').open")
        page.press("f")
        page.wait("root.querySelector('.film-sheet').open")
        assert page.complaints() == []
        page.open(write_report(synthetic_scene(width=0.0625), tmp_path / "without.html"))
        assert page.count(".training") == 0
    finally:
        page.element = "convscope-film"


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights, losses and accuracies of a training that went wrong; many classes with long names."""
    folder = tmp_path_factory.mktemp("odd")
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 48, 3), torch.nn.Conv2d(48, 4, 1), torch.nn.Flatten(), torch.nn.Linear(17424, 3)
    )
    names = ["a long name of a class of birds", "bee", "cow"]
    with convscope.film(net, torch.rand(1, 3, 68, 68), folder, labels=[0], classes=names) as film:
        for step in range(5):
            film.snap(step, force=True, loss=2 - step)
            if step == 3:
                with torch.no_grad():
                    net[0].weight[1, 0, 1, 1] = float("nan")
    rows = [
        "epoch,step,train_loss,train_accuracy,test_accuracy",
        "1,1,nan,0.3,1.5",
        "2,2,1,inf,",
        "3,3,1,0.5,",
    ]
    (folder / "metrics.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_what_is_not_finite_is_drawn_apart_and_the_legend_says_so(page: FilmPage, odd: Path) -> None:
    file = write_film(open_film(odd), odd / "film.html")
    page.resize(1024, 768)
    for theme, colour, word in (("light", [255, 245, 0], "yellow"), ("dark", [0, 220, 90], "green")):
        page.open(file, f"#theme={theme}&step=3")
        page.at(3)
        assert (
            page.text(".told")
            == "grey is zero in the filters; in the maps warm colours are above zero, blue is below"
        )
        page.press(RIGHT)
        page.at(4)
        assert page.text(".told").endswith(f"blue is below; {word} is not finite")
        assert (page.tiles("kernels") == colour).all(axis=2).nonzero() == ([1], [4])
        assert (page.tiles("maps") == colour).all(axis=2).sum() == 56 * 56
        assert page.text(".panel h2") == "36 of 48 filters of 3 × 3, in colour"
        maps = "maps of the image: 32 of 48 channels, 66 × 66, averaged to 56 × 56"
        assert page.get("film.maps.heading.textContent") == maps
        tops = page.get("[film.kernels, film.maps].map(({canvas}) => canvas.getBoundingClientRect().top)")
        assert tops[0] == tops[1], "filters and maps stand side by side, however long their headings"
        page.point(".panel .tiles-square", 5, 5)
        assert ", its averaged map within ±" in page.text(".told")
        page.press("l")
        page.settle()
        assert page.get("film.meaning(film.film.layers[1])").startswith("warm colours are above zero")
    page.resize(1440, 900)
    assert [text for text in page.complaints() if "readback" not in text] == []


def test_curves_break_and_stay_within_the_picture(page: FilmPage, odd: Path) -> None:
    page.open(write_film(open_film(odd), odd / "film.html"), "#theme=light&step=1")
    page.at(1)
    values = page.get("[...root.querySelectorAll('.series dd')].map(item => item.textContent)")
    assert values == ["not finite", "30.0 %", "150.0 %"]
    page.press(HOME)
    page.at(0)
    rows, columns, data = page.run(
        "const {canvas} = film.curves, {height, width} = canvas;"
        "return [height, width, [...canvas.getContext('2d').getImageData(0, 0, width, height).data]];"
    )
    pixels = np.array(data).reshape(rows, columns, 4)
    columns_of = {}
    for number, colour in enumerate([(0, 103, 122), (201, 76, 28), (112, 91, 168)]):
        seen = (np.abs(pixels[..., :3] - colour).sum(axis=2) < 60) & (pixels[..., 3] > 128)
        lines, across = seen.nonzero()
        assert lines.min() > 0, number
        assert lines.max() < rows - 20, number
        columns_of[number] = {round((c - 8) / (columns - 16) * 40) / 10 for c in across.tolist()}
    # Loss: 2 at step 0, none at 1, 1, 1, -2: nothing between 0 and 2. Accuracy: 0.3 and 0.5, none between.
    assert not columns_of[0] & {0.5, 1.0, 1.5}
    assert {0.0, 2.0, 2.5, 3.5} <= columns_of[0]
    assert columns_of[1] <= {0.9, 1.0, 1.1, 2.9, 3.0, 3.1}
    assert {1.0, 3.0} <= columns_of[1], "a value that stands alone is a dot"
    assert 1.0 in columns_of[2]


def test_names_of_classes_that_are_cut_can_be_read_under_the_pointer(page: FilmPage, odd: Path) -> None:
    page.open(write_film(open_film(odd), odd / "film.html"))
    page.at(4)
    assert page.get("root.querySelector('.shares .label').title") == "a long name of a class of birds"
    assert page.get("root.querySelector('.shares .label').clientWidth") > 100


def test_the_page_opens_with_the_layer_and_image_asked_for(page: FilmPage, strip: Strip, file: Path) -> None:
    other = write_film(strip, file.with_name("other.html"), layer="2", image=1)
    page.open(other)
    page.at(12)
    assert page.get("film.chosen") == {"step": "12", "layer": "2", "image": "1", "range": "film"}
    page.open(other, "#layer=0")
    page.at(12)
    assert page.get("film.chosen") == {"step": "12", "layer": "0", "image": "1", "range": "film"}


def test_a_long_film_is_played_in_about_a_minute(page: FilmPage, tmp_path: Path) -> None:
    long_film(tmp_path, 1500)
    page.open(write_film(open_film(tmp_path), tmp_path / "film.html"))
    page.at(1499)
    page.press(" ")
    page.wait("film.index < 100")
    frames, time = page.driver.execute_async_script(
        "const done = arguments[0], film = document.querySelector('convscope-film').view;"
        "const from = film.index, began = performance.now();"
        "setTimeout(() => done([film.index - from, performance.now() - began]), 3000)"
    )
    assert frames / time * 60_000 == pytest.approx(1500, rel=0.25)
    address = page.driver.current_url
    page.press(" ")
    page.settle()
    assert page.driver.current_url != address, "the address follows when it stops"
    assert page.complaints() == []
