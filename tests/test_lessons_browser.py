"""The lessons as a person works them: a real server, a real browser, and numbers computed another way."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

from viewer.lesson_page import LessonPage
from viewer.live import LivePage, Server

pytest.importorskip("torch")
pytest.importorskip("uvicorn", reason="the extra `page` is not installed")

from convscope.lesson import LESSONS

pytestmark = pytest.mark.browser
SEVEN = np.array([[0, 9, 9, 9, 0], [0, 0, 0, 9, 0], [0, 0, 9, 0, 0], [0, 9, 0, 0, 0], [0, 9, 0, 0, 0]])
EDGE = np.array([[1, 0, -1]] * 3)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server("tutorial_tanh", "sample:cat")
    yield server
    server.close()


@pytest.fixture
def page(live_browser: LivePage, server: Server) -> Iterator[LessonPage]:
    live_browser.resize(1440, 900)
    yield LessonPage(live_browser, server)
    assert live_browser.complaints() == []


def shown_sum(page: LessonPage) -> float:
    return float(page.get("root.querySelector('.total b').dataset.sum"))


def test_each_step_shows_the_products_and_the_sum_that_numpy_finds(page: LessonPage) -> None:
    page.open("lesson=steps&lang=en")
    windows = np.lib.stride_tricks.sliding_window_view(SEVEN, (3, 3)).reshape(-1, 3, 3)
    assert shown_sum(page) == (windows[0] * EDGE).sum()
    for step in range(1, 5):
        page.click("[data-key=step]")
        assert shown_sum(page) == (windows[step] * EDGE).sum()
    assert page.text(".count") == "step 5 of 9"
    page.wait("location.hash.includes('step=4')")
    page.click("[data-key=back]")
    page.find(".scrub").send_keys("")
    page.driver.execute_script("arguments[0].focus()", page.find(".scrub"))
    page.page.press("\ue010")  # End
    assert shown_sum(page) == (windows[8] * EDGE).sum()
    assert page.text(".torch").endswith("9")
    page.click(".stepproof summary")
    page.wait("root.querySelector('.stepproof .proof').dataset.ready === 'true'")
    verdict = page.get("({...root.querySelector('.stepproof .verdict').dataset})")
    assert float(verdict["total"]) == (windows[8] * EDGE).sum()
    assert verdict["agrees"] == "true"


def test_playing_fills_the_map_and_ends_at_the_last_step(page: LessonPage) -> None:
    page.open("lesson=steps&lang=en")
    page.driver.execute_script(
        "arguments[0].value = '16'; arguments[0].dispatchEvent(new Event('change'))",
        page.find(".speed select"),
    )
    page.find("[data-key=play]").click()
    page.wait("root.querySelector('.player').dataset.step === '8'")
    page.wait("root.querySelector('[data-key=play]').dataset.playing === 'false'")
    page.wait("location.hash.includes('step=8')")


def test_typed_numbers_stride_and_padding_change_the_map(page: LessonPage) -> None:
    page.open("lesson=steps&lang=en")
    page.type("#control-kernel-numbers", "1 0\n0 -1")
    page.type("#control-padding", "1")
    page.type("#control-stride", "2")
    padded = np.pad(SEVEN, 1)
    expected = [[padded[r, c] - padded[r + 1, c + 1] for c in range(0, 6, 2)] for r in range(0, 6, 2)]
    assert page.numbers()["output"] == expected
    assert "l.stride=2" in page.get("location.hash")
    page.type("#control-stride", "0")
    assert "from 1 to 16" in page.text("[data-control=stride] .warning")
    assert page.get("root.querySelector('#control-stride').getAttribute('aria-invalid')") == "true"
    assert page.get("root.querySelector('.lessons').classList.contains('stale')")
    page.type("#control-stride", "1")
    assert page.get("root.querySelector('[data-control=stride] .warning').hidden")
    assert page.numbers()["size"] == [1, 6, 6]
    page.page.complaints()  # the refused request is in the browser's console


def test_a_kernel_cut_by_a_drag_is_brightest_where_it_was_cut(page: LessonPage) -> None:
    page.open("lesson=cut&lang=en")
    page.drag('[data-map="photo"] .boxdrag', (0.08, 0.10), (0.20, 0.25))
    top, left, rows, columns = (int(n) for n in page.value("box").split(","))
    assert abs(top - 0.10 * 303) < 3
    assert abs(left - 0.08 * 384) < 3
    assert abs(rows - 0.15 * 303) < 4
    form = page.numbers()["forms"]["normalised"]
    assert form["peaks"][0] == [top, left]
    assert form["values"][0] == pytest.approx(1, abs=1e-6)
    assert f"l.box={top}%2C{left}%2C{rows}%2C{columns}" in page.get("location.hash")
    # Inside, the same gesture moves the box; keys do too.
    middle = ((left + columns / 2) / 384, (top + rows / 2) / 303)
    page.drag('[data-map="photo"] .boxdrag', middle, (middle[0] + 0.1, middle[1]))
    moved = [int(n) for n in page.value("box").split(",")]
    assert moved[2:] == [rows, columns]
    assert moved[1] > left + 30
    page.page.press("\ue015")  # arrow down, the box has the focus
    page.ready()
    assert int(page.value("box").split(",")[0]) > moved[0]


#: Runs at full size are not answered until they are given up.
_HOLD = """
window.answered = window.fetch;
window.held = 0;
window.fetch = (path, options) => {
  if (!/lessons\\/cut$/.test(path) || JSON.parse(options.body).preview) return answered(path, options);
  held += 1;
  return new Promise((_, refuse) =>
    options.signal.addEventListener("abort", () => refuse(new DOMException("given up", "AbortError"))));
};
"""


def test_a_drag_does_not_wait_for_a_run_at_full_size(page: LessonPage) -> None:
    page.open("lesson=cut&lang=en")
    page.driver.execute_script(_HOLD)
    try:
        page.get("page.change({box: '30,40,60,60'}, true)")
        page.wait("window.held === 1")
        page.get("page.change({box: '32,44,60,60'}, false)")
        page.wait("JSON.parse(page.dataset.shown.replace(/^\\S+ /, '')).box === '32,44,60,60'")
    finally:
        page.driver.execute_script("window.fetch = window.answered")
    page.get("page.change({box: '32,46,60,60'}, true)")
    page.ready()
    assert page.numbers()["forms"]["normalised"]["peaks"][0] == [32, 46]
    assert page.get("root.querySelectorAll('.warning:not([hidden])').length") == 0


def test_a_dragged_bias_line_leaves_what_numpy_says_is_above_it(page: LessonPage) -> None:
    import convscope

    page.open("lesson=threshold&lang=en&l.kernel=edge")
    page.type("#control-bias", "0")
    page.drag('[data-chart="histogram"] .chartgrip', (0.5, 0.1), (2.0, 0.1))
    bias = float(page.value("bias"))
    assert bias < 0
    grey = convscope.load_image("sample:camera").pixels[..., 0].astype(np.float32) / np.float32(255)
    windows = np.lib.stride_tricks.sliding_window_view(grey, (3, 3))
    response = (windows * EDGE.astype(np.float32)).sum((2, 3), dtype=np.float64)
    share = float((response + bias > 0).mean())
    assert page.numbers()["share"] == pytest.approx(share, abs=2e-5)
    assert f"{share:.1%}" in page.text('[data-map="lit"] figcaption')


def test_softmax_sliders_show_shares_and_losses_as_their_formulas_say(page: LessonPage) -> None:
    page.open("lesson=softmax&lang=en")
    slider = page.find("[data-control=second] input[type=range]")
    page.driver.execute_script("arguments[0].focus()", slider)
    page.page.press("\ue014", "\ue014")  # arrow right, twice
    page.ready()
    logits = [10, float(page.value("second")), 4]
    assert logits[1] == pytest.approx(6.2)
    total = sum(math.exp(n) for n in logits)
    cells = page.get(
        "[...root.querySelectorAll('[data-table=table] tbody tr')].map(row => row.cells[2].textContent)"
    )
    assert cells == [f"{math.exp(n) / total:.4f}" for n in logits]
    assert page.numbers()["cross_entropy"] == pytest.approx(-math.log(math.exp(10) / total))


def test_the_articles_numbers_appear(page: LessonPage) -> None:
    page.open("lesson=counting&lang=en")
    assert "3,738,506" in page.text(".sentences")
    assert "18,354" in page.text(".sentences")
    page.open("lesson=grid&lang=en")
    assert "194 x 194 = 37,636" in page.text(".sentences")
    captions = page.get("[...root.querySelectorAll('.multiples figcaption')].map(one => one.textContent)")
    assert len(captions) == 27
    assert any("10 x 10" in caption for caption in captions)


def test_a_networks_kernel_is_tried_on_the_photo(page: LessonPage) -> None:
    import convscope

    page.open("lesson=detectors&lang=en&l.kernel=tutorial_tanh+0+0")
    page.type(".kernelfield input", "tutorial_tanh 0 1")
    weight = convscope.load_model("tutorial_tanh").module.state_dict()["0.weight"][1].numpy()
    assert page.numbers()["kernel_shape"] == list(weight.shape)
    page.type(".kernelfield input", "tutorial_tanh 99 1")
    assert "has no convolution `99`" in page.text("[data-control=kernel] .warning")
    page.type(".kernelfield input", "tutorial_tanh")
    assert "must be a kernel's name" in page.text("[data-control=kernel] .warning")
    assert page.get("root.querySelector('.kernelfield input').value") == "tutorial_tanh"
    page.page.complaints()


def test_the_language_changes_every_word_and_is_remembered(page: LessonPage) -> None:
    page.open("lesson=flip&lang=en")
    assert page.text("h2") == LESSONS["flip"].title["en"]
    page.click(".bar .choice [data-value=zh]")
    assert page.text("h2") == LESSONS["flip"].title["zh"]
    assert page.text(".lessontext") == LESSONS["flip"].text["zh"]
    assert page.get("root.querySelector('.viewer').lang") == "zh-Hans"
    assert page.get("document.documentElement.lang") == "zh-Hans"
    labels = page.get("[...root.querySelectorAll('.control > label, legend')].map(one => one.textContent)")
    assert labels == [control.label["zh"] for control in LESSONS["flip"].controls]
    page.open("lesson=stride", fresh=True)
    assert page.text("h2") == LESSONS["stride"].title["zh"]
    page.click(".bar .choice [data-value=en]")
    assert page.text("h2") == LESSONS["stride"].title["en"]


def test_lessons_are_reached_from_the_header_and_back_and_forward_work(page: LessonPage) -> None:
    page.page.visit(page.server)
    layer = page.page.get("viewer.state.layer")
    page.page.click("[data-tab=lessons]")
    page.wait("page?.dataset.ready === 'true'")
    assert page.get("location.hash").startswith("#lesson=steps")
    page.click(".lessonlist li:nth-child(8) a")
    page.wait("root.querySelector('h2').textContent === arguments[0]", LESSONS["reach"].title["en"])
    page.driver.back()
    page.wait("root.querySelector('h2').textContent === arguments[0]", LESSONS["steps"].title["en"])
    page.driver.forward()
    page.wait("root.querySelector('h2').textContent === arguments[0]", LESSONS["reach"].title["en"])
    page.find("[data-tab=network]").click()
    page.page.awaken()
    assert page.page.get("viewer.state.layer") == layer
    assert page.get("page.hidden")
    page.page.click("[data-tab=lessons]")
    page.wait("page && !page.hidden")
    page.wait("root.querySelector('h2').textContent === arguments[0]", LESSONS["reach"].title["en"])


def test_a_link_opens_the_same_sight(page: LessonPage) -> None:
    page.open("lesson=dilated&lang=en&l.dilation=3&l.padding=same&step=11")
    first = (page.numbers(), shown_sum(page), page.text(".count"))
    written = page.get("page.written")
    page.open(written, fresh=True)
    assert (page.numbers(), shown_sum(page), page.text(".count")) == first
    assert page.text(".count").startswith("step 12 of")


@pytest.mark.parametrize("name", LESSONS)
def test_every_lesson_fits_a_narrow_page_in_both_languages_and_every_control_has_a_name(
    name: str, page: LessonPage
) -> None:
    page.page.resize(400, 800)
    page.open(f"lesson={name}&lang=en&theme=dark")
    for language in ("en", "zh"):
        page.click(f".bar .choice [data-value={language}]")
        assert page.text("h2") == LESSONS[name].title[language]
        assert page.get("document.documentElement.scrollWidth") <= 400
        unnamed = page.get(
            "[...root.querySelectorAll('input, select, textarea, button, [role=slider], [role=application]')]"
            ".filter(one => one.checkVisibility() && !one.labels?.length && !one.getAttribute('aria-label')"
            " && !one.textContent.trim()).map(one => one.outerHTML)"
        )
        assert unnamed == []
        drawn = page.get("root.querySelectorAll('.mapplate > canvas, .chart, .plane canvas, table').length")
        assert drawn > 0


def test_text_at_twice_its_size_stays_on_the_page(page: LessonPage) -> None:
    page.page.resize(1024, 900)
    page.open("lesson=steps&lang=en")
    page.driver.execute_script("document.documentElement.style.fontSize = '200%'")
    page.page.settle()
    assert page.get("document.documentElement.scrollWidth") <= 1024
    assert page.get(
        "root.querySelector('.lesson').scrollWidth <= root.querySelector('.lesson').clientWidth + 1"
    )
    page.driver.execute_script("document.documentElement.style.fontSize = ''")


def test_the_animation_taken_away_is_of_the_numbers_on_screen(page: LessonPage) -> None:
    page.open("lesson=steps&lang=en&l.kernel=sobel-y&l.stride=2")
    page.driver.set_script_timeout(30)
    size, name = page.driver.execute_async_script(
        "const done = arguments[0]; lessons.file('gif').then(({name, blob}) => done([blob.size, name]))"
    )
    assert name == "convscope-steps.gif"
    assert size > 2000
