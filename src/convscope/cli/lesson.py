"""``convscope lesson``: convolution itself, on numbers and on a person's own picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convscope.cli.options import JsonOption, note, optional, print_json, say, step
from convscope.errors import UsageError

if TYPE_CHECKING:
    from convscope.lesson import Lesson, LessonResult, Map

LANGUAGES = ("en", "zh")
#: Steps an animation shows unless told otherwise.
FRAMES = 200
#: Maps of at most this many columns are printed in numbers.
_COLUMNS = 12


def run(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]", help="Which lesson; without it they are listed.", show_default=False
        ),
    ] = None,
    image: Annotated[
        str | None,
        typer.Argument(
            metavar="[IMAGE]", help="A picture file, or a sample such as `sample:coins`.", show_default=False
        ),
    ] = None,
    kernel: Annotated[
        str | None,
        optional(
            "--kernel -k",
            "KERNEL",
            "A name (`sobel-x`), numbers (`1 0 -1; 1 0 -1; 1 0 -1`), `cut`, or `MODEL LAYER CHANNEL`, "
            "where the lesson takes it.",
        ),
    ] = None,
    stride: Annotated[str | None, optional("--stride", "N", "Steps of the window.")] = None,
    padding: Annotated[str | None, optional("--padding", "N", "`none`, `same` or a number.")] = None,
    padding_mode: Annotated[
        str | None, optional("--padding-mode", "MODE", "`zeros`, `reflect`, `replicate` or `circular`.")
    ] = None,
    dilation: Annotated[str | None, optional("--dilation", "N", "Steps between the kernel's cells.")] = None,
    bias: Annotated[str | None, optional("--bias", "NUMBER", "Added to every cell.")] = None,
    box: Annotated[
        str | None, optional("--box", "TOP,LEFT,ROWS,COLUMNS", "The part of the picture that is the kernel.")
    ] = None,
    crop: Annotated[
        str | None, optional("--crop", "TOP,LEFT,ROWS,COLUMNS", "The part of the picture that is convolved.")
    ] = None,
    weights: Annotated[
        str | None,
        optional(
            "--weights -w",
            "WHICH",
            "Of the network a kernel is taken from: `default` (trained) or `none` (random).",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        optional(
            "--set",
            "NAME=VALUE",
            "Set any other control; `convscope lesson NAME --controls` lists them. May be given again.",
        ),
    ] = None,
    controls: Annotated[
        bool, typer.Option("--controls", help="List what can be changed in the lesson, and stop.")
    ] = False,
    output: Annotated[
        Path | None,
        optional(
            "--output -o",
            "FILE",
            "Where the picture goes (.png); `lesson-NAME.png` if nothing else is asked for.",
        ),
    ] = None,
    animate: Annotated[
        Path | None, optional("--animate", "FILE", "Write the steps as an animation: .gif, .webp or .mp4.")
    ] = None,
    frames: Annotated[
        int,
        typer.Option("--frames", min=1, metavar="N", help="Most steps an animation shows, evenly chosen."),
    ] = FRAMES,
    per_second: Annotated[
        float,
        typer.Option(
            "--per-second", min=0.1, max=50, metavar="N", help="Steps an animation shows in a second."
        ),
    ] = 4.0,
    language: Annotated[
        str, typer.Option("--lang", metavar="en|zh", help="Language: English or Simplified Chinese.")
    ] = "en",
    page: Annotated[
        bool, typer.Option("--page", help="Open the lesson on the live page instead (Ctrl-C ends it).")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Learn convolution on real numbers: step by step, stride, pooling, kernels cut from a photo and more.

    Prints the numbers and writes a picture, or an animation of every step.

    Examples:

    - `convscope lesson`
    - `convscope lesson steps --animate steps.gif`
    - `convscope lesson cut photo.jpg --box 120,80,70,70 -o cut.png`
    - `convscope lesson detectors photo.jpg --kernel "resnet18 conv1 12"`
    - `convscope lesson threshold photo.jpg --set bias=-500 --lang zh`
    """
    if language not in LANGUAGES:
        raise UsageError(f"`--lang` must be en or zh; got {language!r}")
    from convscope.lesson import LESSONS, find_lesson

    if name is None:
        if json:
            print_json([lesson.to_json() for lesson in LESSONS.values()])
        else:
            _list(LESSONS.values(), language)
        return
    lesson = find_lesson(name)
    if controls:
        _controls(lesson, language, json)
        return
    given = {
        "kernel": kernel,
        "stride": stride,
        "padding": padding,
        "padding_mode": padding_mode,
        "dilation": dilation,
        "bias": bias,
        "box": box,
        "crop": crop,
        "weights": weights,
    }
    values = chosen(
        lesson, image, {key: value for key, value in given.items() if value is not None}, settings or []
    )
    if page:
        _page(lesson, image, values, language)
        return
    if output is None and animate is None and not json:
        output = Path(f"lesson-{lesson.name}.png")
    _check(lesson, output, animate, image)
    with step(f"{lesson.title[language]}"):
        result = lesson.run(**values)
    if animate is not None and result.player is None:
        raise UsageError(
            f"the lesson `{lesson.name}` has no steps to animate",
            hint="These have: steps, flip, transposed, dilated, depthwise and pointwise.",
        )
    if json:
        print_json({"title": lesson.title[language], **result.to_json()})
    else:
        _print(lesson, result, language)
    _write(lesson, result, output, animate, language, frames, per_second, note if json else say)


def chosen(lesson: Lesson, image: str | None, given: dict[str, str], settings: list[str]) -> dict[str, Any]:
    """The controls' values the command line names, not yet checked.

    Raises
    ------
    UsageError
        If a setting is no NAME=VALUE, or the lesson takes no picture.

    Examples
    --------
    >>> from convscope.lesson import LESSONS
    >>> chosen(LESSONS["steps"], "sample:cat", {"stride": "2"}, ["dilation=2"])
    {'stride': '2', 'dilation': '2', 'picture': 'sample:cat', 'source': 'photo'}
    """
    values: dict[str, Any] = dict(given)
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"`--set` must be NAME=VALUE, such as stride=2; got {setting!r}")
        values[key.strip().replace("-", "_")] = value.strip()
    known = {control.name for control in lesson.controls}
    if image is not None:
        if "picture" not in known:
            raise UsageError(
                f"the lesson `{lesson.name}` takes no picture; got {image!r}",
                hint=f"`convscope lesson {lesson.name} --controls` lists what it takes.",
            )
        values["picture"] = image
    if "source" in known and {"picture", "crop", "colour"} & set(values):
        values.setdefault("source", "photo")
    return values


def _list(lessons: Any, language: str) -> None:
    from convscope.cli.tables import print_table

    heads = {"en": ("lesson", "what it shows"), "zh": ("名称", "内容")}[language]
    print_table([heads, *((lesson.name, lesson.title[language]) for lesson in lessons)])
    say()
    say("convscope lesson NAME [IMAGE]")


def _controls(lesson: Lesson, language: str, json: bool) -> None:
    from convscope.cli.tables import print_table

    if json:
        print_json(lesson.to_json())
        return
    say(lesson.title[language], strong=True)
    say(lesson.text[language])
    say()
    rows = [
        (control.name, str(control.plain(control.check(control.default))), control.label[language])
        for control in lesson.controls
    ]
    heads = {"en": ("control", "default", "what it is"), "zh": ("控件", "默认值", "含义")}[language]
    print_table([heads, *rows], most={1: 40})


def _check(lesson: Lesson, output: Path | None, animate: Path | None, image: str | None) -> None:
    """Everything that can be known to fail before anything is computed."""
    from convscope.cli.spared import spare_inputs
    from convscope.files import check_writable

    if output is not None and output.suffix.lower() != ".png":
        raise UsageError(f"the picture's file must end in .png; got {str(output)!r}")
    if animate is not None:
        from convscope.exhibits.animation import check_animation

        check_animation(animate)
    spare_inputs([output, animate], image or "")
    for path in (output, animate):
        if path is not None:
            check_writable(path)


def _print(lesson: Lesson, result: LessonResult, language: str) -> None:
    from convscope.cli.tables import print_table

    say(lesson.title[language], strong=True)
    say(lesson.text[language])
    for row in result.layout:
        for name in row:
            if name in result.tables:
                table = result.tables[name]
                say()
                say(table.caption[language], strong=True)
                rows = [[_word(cell, language) for cell in cells] for cells in table.rows]
                flush = [i for i in range(len(table.head)) if all(_is_number(cells[i]) for cells in rows)]
                print_table([[head[language] for head in table.head], *rows], flush)
            elif name in result.maps:
                _print_map(result.maps[name], language)
    say()
    for sentence in result.sentences[language]:
        say(sentence)


def _print_map(one: Map, language: str) -> None:
    from convscope.lesson.result import number

    if not one.cells or one.values.shape[1] > _COLUMNS:
        return
    rows = [[number(float(value)) for value in row] for row in one.values]
    wide = max(len(text) for row in rows for text in row)
    say()
    say(one.caption[language], strong=True)
    for row in rows:
        say("  " + "  ".join(text.rjust(wide) for text in row))


def _word(cell: Any, language: str) -> str:
    from convscope.lesson.result import number

    if isinstance(cell, bool):
        return {"en": ("no", "yes"), "zh": ("否", "是")}[language][cell]
    if isinstance(cell, dict):
        return str(cell[language])
    return number(cell) if isinstance(cell, int | float) else str(cell)


def _is_number(text: str) -> bool:
    return text.lstrip("+-").rstrip("%").replace(",", "").replace(".", "").isdigit()


def _write(
    lesson: Lesson,
    result: LessonResult,
    output: Path | None,
    animate: Path | None,
    language: str,
    frames: int,
    per_second: float,
    tell: Callable[[str], None],
) -> None:
    from convscope import raster

    if language == "zh" and (output or animate) and not raster.has_chinese():
        note("no font with Chinese signs was found: the words in the picture are English")
        language = "en"
    if output is not None:
        from convscope.exhibits.lesson_picture import draw_lesson
        from convscope.exhibits.sheets import save_png

        save_png(output, draw_lesson(result, lesson, language=language), text={"Title": lesson.title["en"]})
        tell(f"picture: {output}")
    if animate is not None:
        from convscope.exhibits.animation import save_animation
        from convscope.exhibits.player import Player

        player = Player(result, title=lesson.title[language], language=language)
        with step(f"drawing {min(len(player), frames)} steps"):
            save_animation(animate, player.frames(frames), per_second=per_second)
        tell(f"animation: {animate}")
        if len(player) > frames:
            note(f"{frames} of {len(player)} steps are shown; `--frames {len(player)}` shows all")


def _page(lesson: Lesson, image: str | None, values: dict[str, Any], language: str) -> None:
    """The live page, on this lesson with these values."""
    from urllib.parse import urlencode

    from convscope.cli.serve import show

    plain = lesson.check(values)
    told = {c.name: c.plain(plain[c.name]) for c in lesson.controls if c.name in values}
    if image is not None and not image.startswith("sample:"):
        # The id of a file's photo is known only to the server it is given to.
        told["picture"] = "given"
    written = {
        f"l.{key}": str(value).lower() if isinstance(value, bool) else value for key, value in told.items()
    }
    show(
        None,
        [image] if image else None,
        fragment=urlencode({"lesson": lesson.name, "lang": language, **written}),
    )
