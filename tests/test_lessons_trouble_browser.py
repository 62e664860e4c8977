"""What a lesson cannot do is said beside the control, in both languages; proofs are in Chinese too."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

import convscope
from viewer.lesson_page import LessonPage
from viewer.live import LivePage, Server

pytest.importorskip("torch")
pytest.importorskip("uvicorn", reason="the extra `page` is not installed")

from convscope.exhibits import animation
from convscope.lesson import LESSONS
from convscope.lesson.controls import Box, Choice, Kernel, Number, NumberList, Padding, Switch

pytestmark = pytest.mark.browser
CHINESE = re.compile("[\u4e00-\u9fff]")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server("tutorial_tanh", "sample:cat")
    yield server
    server.close()


@pytest.fixture
def page(live_browser: LivePage, server: Server) -> LessonPage:
    live_browser.resize(1440, 900)
    return LessonPage(live_browser, server)


def opened(page: LessonPage, lesson: str, language: str = "en", **values: str) -> None:
    named = {f"l.{name}": value for name, value in values.items()}
    page.open(urlencode({"lesson": lesson, "lang": language, **named}), fresh=True)


@pytest.mark.parametrize(
    ("lesson", "values", "control", "english", "chinese"),
    [
        (
            "cut",
            {"box": "900,900,48,48"},
            "box",
            "does not lie within the picture",
            "不在 303 × 384 的图片之内",
        ),
        ("cut", {"box": "up"}, "box", "four whole numbers", "四个整数"),
        ("steps", {"stride": "0"}, "stride", "from 1 to 16", "1 到 16 之间的整数"),
        ("steps", {"kernel": "1 two; 3 4"}, "kernel", "'two' is no number", "'two' 不是数字"),
        (
            "steps",
            {"kernel": "; ".join(["1 " * 9] * 9)},
            "kernel",
            "is larger than",
            "比填充后的 5 × 5 图像还大",
        ),
        ("cut", {"picture": "gone"}, "picture", "no such photo", "没有这张图片"),
        ("counting", {"size": "1"}, "size", "“rows and columns of the image” must be", "“图像的行列数”应为"),
    ],
)
def test_an_address_with_a_wrong_value_shows_the_lesson_without_it_and_says_so(
    page: LessonPage, lesson: str, values: dict[str, str], control: str, english: str, chinese: str
) -> None:
    for language, words in (("en", english), ("zh", chinese)):
        opened(page, lesson, language, **values)
        assert words in page.text(f"[data-control={control}] .warning")
        assert page.get("page.answer.lesson") == lesson
        assert page.numbers() == page.get("JSON.parse(arguments[0])", numbers_of(lesson))
        assert not page.get("root.querySelector('.lessons').classList.contains('stale')")
        assert f"l.{control}" not in page.get("location.hash")
        assert page.get("root.querySelectorAll('[aria-invalid]').length") == 0
        page.click(".lessoncontrols header button")
        assert page.get("root.querySelector(arguments[0]).hidden", f"[data-control={control}] .warning")
    page.page.complaints()


def test_an_address_with_several_wrong_values_is_told_of_each(page: LessonPage) -> None:
    opened(page, "steps", kernel="1 x", stride="0", bias="2")
    assert "'x' is no number" in page.text("[data-control=kernel] .warning")
    assert page.text("[data-control=stride] .warning").endswith("The usual value is shown instead.")
    assert page.numbers()["output"] == LESSONS["steps"].run(bias=2).numbers["output"]
    assert "l.bias=2" in page.get("location.hash")
    page.page.complaints()


def numbers_of(lesson: str) -> str:
    import json

    return json.dumps(LESSONS[lesson].run().to_json()["numbers"])


def test_every_sentence_of_a_lessons_trouble_has_its_chinese(
    page: LessonPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(page, "steps")
    monkeypatch.setattr(animation, "find_spec", lambda name: None)
    with pytest.raises(convscope.errors.OutputError, match="MP4 films need the package") as missing:
        animation.check_animation("a.mp4")
    sentences = sorted({*provoked(), *written(), missing.value.message, missing.value.hint})
    assert len(sentences) > 80
    found = page.driver.execute_async_script(
        "const [all, done] = arguments; import('/viewer/lessonerrors.js').then(({inChinese}) =>"
        " done(all.map((one) => inChinese(one, {kernel: '卷积核'}))))",
        sentences,
    )
    without = [one for one, text in zip(sentences, found, strict=True) if text is None]
    assert without == []
    assert all(
        CHINESE.search(text) for one, text in zip(sentences, found, strict=True) if "In Python" not in one
    )
    told = dict(zip(sentences, found, strict=True))
    assert told["`kernel` must have one channel in this lesson"] == "在本课中，“卷积核”只能有一个通道"
    assert not any(re.search(r"[{}$]", text) for text in found)


def provoked() -> Iterator[str]:
    """What the controls say to values they cannot take."""
    wrong = {
        Number: ["x", -1e9],
        Switch: ["perhaps"],
        Choice: ["none of them"],
        Padding: ["x", 99],
        NumberList: ["x", ""],
        Box: ["1 2", "-1,0,9,9", "0,0,0,0"],
        Kernel: ["what", "1 2; 3", "1 x", ";", "1 2 | 3", "|".join(["1"] * 9)],
    }
    for lesson in LESSONS.values():
        for control in lesson.controls:
            for value in [*wrong.get(type(control), []), "?", "", "1e99", " ".join(["1"] * 50)]:
                try:
                    lesson.check({control.name: value})
                except convscope.errors.ControlError as error:
                    yield error.message
                    if error.hint:
                        yield error.hint


def written() -> Iterator[str]:
    """Every sentence of the lessons' code, with something in its places."""
    for path in sorted((Path(convscope.__file__).parent / "lesson").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "ControlError" and node.args:
                text = filled(node.args[0])
                yield text
                yield from (
                    filled(word.value) for word in node.keywords if word.arg == "hint" and filled(word.value)
                )


def filled(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(filled(part) for part in node.values)
    if isinstance(node, ast.BinOp):
        return filled(node.left) + filled(node.right)
    if isinstance(node, ast.IfExp):
        return filled(node.body)
    return PLACES.get(
        ast.unparse(node.value) if isinstance(node, ast.FormattedValue) else ast.unparse(node), "7"
    )


#: What stands in some places of sentences; elsewhere it is a 7.
PLACES = {
    "expected": "a whole number from 1 to 7",
    "limit": "at least 7",
    "why": "all equally long",
    "called": "`kernel`",
    "of": "7 of the image's 7",
    "name": "rows",
    "_HINT": "Numbers stand apart by spaces, rows by `;`: 1 0 -1",
}


def test_the_proof_of_a_step_is_in_chinese_on_the_chinese_page(page: LessonPage) -> None:
    opened(page, "depthwise", "zh", padding="1")
    page.click(".stepproof summary")
    page.wait("root.querySelector('.stepproof .proof').dataset.ready === 'true'")
    said = page.text(".stepproof .proof")
    assert not re.search("[a-z]{3,}", said.replace("torch", ""))
    assert all(word in said for word in ("特征图", "通道", "和", "舍入", "Σ 输入 · 权重"))
    page.click(".bar .choice [data-value=en]")
    page.wait("root.querySelector('.stepproof .proof').textContent.includes('rounding')")
    assert not CHINESE.search(page.text(".stepproof .proof"))
    assert page.page.complaints() == []


def test_a_photo_that_is_none_is_refused_beside_the_control_in_both_languages(page: LessonPage) -> None:
    for language, words in (("en", "is not a picture"), ("zh", "不是可以读取的图片格式")):
        opened(page, "cut", language)
        page.get(
            "page.receive(new File(['no picture'], 'a.png', {type: 'image/png'})).catch(() => {})",
        )
        page.wait("!root.querySelector('[data-control=picture] .warning').hidden")
        assert words in page.text("[data-control=picture] .warning")
        assert "failed" not in page.text("[data-control=picture] .warning")
    page.page.complaints()


def test_a_film_is_saved_where_it_can_be_made(page: LessonPage) -> None:
    pytest.importorskip("av", reason="MP4 films need the package av")
    opened(page, "steps", stride="2")
    page.driver.set_script_timeout(30)
    size, name = page.driver.execute_async_script(
        "const done = arguments[0]; document.querySelector('convscope-lessons').file('mp4')"
        ".then(({name, blob}) => done([blob.size, name]))"
    )
    assert name == "convscope-steps.mp4"
    assert size > 2000
    assert page.page.complaints() == []
