"""Lesson: ReLU with a bias is a threshold."""

from __future__ import annotations

from convscope.errors import ControlError
from convscope.lesson.controls import Box, Kernel, Number, NumberList, PictureChoice
from convscope.lesson.convolve import convolve
from convscope.lesson.lessons import Lesson, Tools, Values
from convscope.lesson.photos import boxed, read_photo
from convscope.lesson.result import Chart, LessonResult, Map, Mark, Series, Table, both, number

#: Bins of the histogram.
BINS = 64


def _compute(values: Values, tools: Tools) -> LessonResult:
    import numpy as np

    photo = read_photo(values["picture"], tools)
    choice = values["kernel"]
    marks: tuple[Mark, ...] = ()
    if choice.how == "cut":
        kernel = photo.cut(values["box"], "box") / 255
        marks = (boxed(photo.place(values["box"], "box")),)
    else:
        kernel = choice.values
        if kernel.ndim != 2:
            raise ControlError("`kernel` must have one channel in this lesson", control="kernel")
    response = convolve(photo.grey / np.float32(255), kernel.astype(np.float32)).result.astype(np.float64)
    bias = float(values["bias"])
    lit = np.maximum(response + bias, 0)
    counts, edges = np.histogram(response, BINS)
    compared = [bias, *(b for b in values["compare"] if b != bias)]
    rows, maps = [], {}
    shares = {}
    top = float(np.maximum(response + max(compared), 0).max()) or 1.0
    for number_, one in enumerate(compared):
        shown = np.maximum(response + one, 0)
        share = float((shown > 0).mean())
        shares[f"{one:g}"] = share
        rows.append((f"{one:+g}", f"{share:.1%}", number(int((shown > 0).sum()))))
        name = "lit" if number_ == 0 else f"bias {one:g}"
        maps[name] = Map(
            shown,
            "sequential",
            both(f"ReLU, bias {one:+g}: {share:.1%} left", f"ReLU，偏置 {one:+g}：剩 {share:.1%}"),
            limits=(0.0, top),
        )
    maps = {
        "photo": Map(photo.bytes, "rgb", both(photo.name, photo.name), marks),
        "response": Map(response, "signed", both("feature map before", "激活前的特征图")),
        **maps,
    }
    histogram = Chart(
        "histogram",
        both("all answers, and the threshold at minus the bias", "全部响应，以及位于负偏置处的阈值"),
        both("answer", "响应"),
        both("cells", "单元数"),
        (Series(both("cells", "单元数"), edges.tolist(), [*counts.tolist(), 0]),),
        marker=-bias,
    )
    table = Table(
        both("what each bias leaves", "各偏置留下的部分"),
        (both("bias", "偏置"), both("cells above 0", "大于 0 的比例"), both("how many", "个数")),
        tuple(rows),
    )
    share = shares[f"{bias:g}"]
    numbers = {
        "size": list(response.shape),
        "smallest": float(response.min()),
        "largest": float(response.max()),
        "mean": float(response.mean()),
        "bias": bias,
        "threshold": -bias,
        "share": share,
        "shares": shares,
        "largest_after": float(lit.max()),
        "histogram": {"counts": counts.tolist(), "edges": edges.tolist()},
    }
    english = [
        f"The answers lie between {number(float(response.min()))} and "
        f"{number(float(response.max()))}. ReLU keeps "
        f"what is above 0; with the bias {bias:+g} added first, that is what was above "
        f"{number(-bias)}: {share:.1%} "
        "of the cells.",
        "The bias decides how good a match must be before anything is seen of it. A network learns it.",
    ]
    chinese = [
        f"响应在 {number(float(response.min()))} 与 {number(float(response.max()))} 之间。ReLU "
        f"只留下大于 0 的部分；"
        f"先加上偏置 {bias:+g}，就只留下原来大于 {number(-bias)} 的：占 {share:.1%}。",
        "偏置决定了要多相像才看得见。网络会自己学到它。",
    ]
    names = tuple(name for name in maps if name not in ("photo", "response"))
    return LessonResult(
        "threshold",
        {},
        numbers,
        maps,
        {"en": english, "zh": chinese},
        (("photo", "response", "lit"), ("histogram", "table"), names[1:])
        if len(names) > 1
        else (("photo", "response", "lit"), ("histogram", "table")),
        charts={"histogram": histogram},
        tables={"table": table},
        preview=photo.factor > 1,
    )


THRESHOLD = Lesson(
    name="threshold",
    title=both("ReLU with a bias", "带偏置的 ReLU"),
    text=both(
        "ReLU sets everything below 0 to 0. Adding a bias first moves that border: it becomes a "
        "threshold that "
        "only strong answers pass. Drag the bias and watch what is left.",
        "ReLU 把小于 0 的都变成 0。先加上偏置，这条界线就移动了：它成为只有强响应才能通过的阈值。"
        "拖动偏置，看看还剩什么。",
    ),
    controls=(
        PictureChoice(name="picture", label=both("photo", "照片"), default="sample:camera"),
        Kernel(name="kernel", label=both("kernel", "卷积核"), default="cut", cut="box", channels=1),
        Box(
            name="box",
            label=both("box: top, left, rows, columns", "方框：上、左、行数、列数"),
            default=(90, 200, 70, 70),
            largest=512,
            when={"kernel": ("cut",)},
        ),
        Number(name="bias", label=both("bias", "偏置"), default=-250, low=-5000, high=5000, step=0.05),
        NumberList(
            name="compare",
            label=both("beside it", "对照的偏置"),
            default=(500, -250, -1000),
            low=-5000,
            high=5000,
            whole=False,
        ),
    ),
    compute=_compute,
)
