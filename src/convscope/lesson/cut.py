"""Lesson: a kernel cut from the picture, and why the raw answer is fooled by brightness."""

from __future__ import annotations

from typing import Any

from convscope.lesson.controls import Box, Number, PictureChoice, Switch
from convscope.lesson.lessons import Lesson, Tools, Values
from convscope.lesson.matching import peaks
from convscope.lesson.photos import boxed, read_photo
from convscope.lesson.result import LessonResult, Map, Table, both, number

FORMS = {
    "raw": both("raw cross-correlation", "原始互相关"),
    "zero_mean": both("zero-mean", "零均值"),
    "normalised": both("normalised", "归一化"),
}


def _compute(values: Values, tools: Tools) -> LessonResult:
    import numpy as np

    photo = read_photo(values["picture"], tools)
    colour = values["colour"] and photo.coloured
    place = photo.place(values["box"], "box")
    kernel = photo.cut(values["box"], "box", colour=colour)
    found = (photo.matcher if colour else photo.grey_matcher).match(kernel)
    size = (place[2], place[3])
    apart = (max(1, size[0] // 2), max(1, size[1] // 2))
    means = photo.brightness.means(size)
    maps = {
        "photo": Map(
            photo.bytes, "rgb", both(f"{photo.name}, and the box", f"{photo.name} 与方框"), (boxed(place),)
        ),
        "kernel": Map(
            np.moveaxis(kernel, 0, 2).astype(np.uint8) if colour else kernel,
            "rgb" if colour else "grey",
            both(f"kernel, {size[0]} x {size[1]}", f"卷积核，{size[0]} × {size[1]}"),
        ),
    }
    forms: dict[str, Any] = {}
    rows = []
    for name, label in FORMS.items():
        response = found[name]
        where = peaks(response, values["peaks"], apart)
        # 0 if the cut itself is the brightest cell; the share of cells that beat it says how badly it is not.
        above = float((response > response[place[0], place[1]] * (1 + 1e-9)).mean())
        hit = abs(where[0][0] - place[0]) <= 1 and abs(where[0][1] - place[1]) <= 1
        brightness = _correlation(response, means)
        forms[name] = {
            "peaks": [[int(n * photo.factor) for n in cell] for cell in where],
            "values": [float(response[cell]) for cell in where],
            "at_the_cut": float(response[place[0], place[1]]),
            "share_above_the_cut": above,
            "finds_the_cut": hit,
            "correlation_with_brightness": brightness,
            "brightness_at_the_peak": float(means[where[0]]),
            "brightness_at_the_cut": float(means[place[0], place[1]]),
        }
        marks = tuple(
            boxed((r, c, *size), "accent" if i == 0 else "second", str(i + 1))
            for i, (r, c) in enumerate(where)
        )
        points = tuple(
            boxed((r - 1, c - 1, 3, 3), "accent" if i == 0 else "second", str(i + 1))
            for i, (r, c) in enumerate(where)
        )
        role = "sequential" if name == "raw" else "signed"
        maps[name] = Map(response, role, label, points, (-1.0, 1.0) if name == "normalised" else None)
        maps[f"found {name}"] = Map(
            photo.bytes, "rgb", both(f"brightest cells: {label['en']}", f"最亮的单元：{label['zh']}"), marks
        )
        rows.append((label, forms[name]["finds_the_cut"], above, brightness))
    numbers = {
        "picture": list(photo.size),
        "kernel": [n * photo.factor for n in size],
        "kernel_mean": float(kernel.mean()),
        "brightness": float(photo.grey.mean()),
        "size": list(found["raw"].shape),
        "forms": forms,
    }
    table = Table(
        both("is the cut found?", "能找到裁出的那一块吗？"),
        (
            both("answer", "响应"),
            both("brightest at the cut", "最亮处就是裁切处"),
            both("cells above the cut", "超过裁切处的单元"),
            both("correlation with brightness", "与亮度的相关"),
        ),
        tuple((label, hit, f"{above:.2%}", f"{bright:+.2f}") for label, hit, above, bright in rows),
    )
    raw, normal = forms["raw"], forms["normalised"]
    english = [
        f"The raw answer follows the brightness of the picture (correlation "
        f"{raw['correlation_with_brightness']:+.2f}): "
        + (
            "it is brightest where the kernel was cut, but not because it looks like it."
            if raw["finds_the_cut"]
            else f"{raw['share_above_the_cut']:.1%} of all cells beat the place of the cut, and the "
            f"brightest lies "
            f"at row {raw['peaks'][0][0]}, column {raw['peaks'][0][1]}, {_bright(raw)}."
        ),
        "Without the kernel's mean, an even area adds nothing; but strong contrast still shouts.",
        f"Normalised, it is a coefficient of correlation: {number(normal['at_the_cut'])} at the cut"
        + (
            f", and {normal['values'][1]:.2f} at the next best look-alike."
            if len(normal["values"]) > 1
            else "."
        ),
    ]
    chinese = [
        f"原始响应跟着图像的亮度走（相关系数 {raw['correlation_with_brightness']:+.2f}）："
        + (
            "最亮处虽在裁切处，却不是因为相像。"
            if raw["finds_the_cut"]
            else f"{raw['share_above_the_cut']:.1%} 的单元超过裁切处，最亮的在第 {raw['peaks'][0][0]} 行第 "
            f"{raw['peaks'][0][1]} 列，并不相像。"
        ),
        "减去卷积核的均值后，平坦区域不再有贡献；但强烈的对比仍会占上风。",
        f"归一化之后就是相关系数：裁切处为 {number(normal['at_the_cut'])}"
        + (f"，次好的相似处为 {normal['values'][1]:.2f}。" if len(normal["values"]) > 1 else "。"),
    ]
    layout = (
        ("photo", "kernel"),
        ("raw", "zero_mean", "normalised"),
        ("found raw", "found zero_mean", "found normalised"),
        ("table",),
    )
    return LessonResult(
        "cut",
        {},
        numbers,
        maps,
        {"en": english, "zh": chinese},
        layout,
        tables={"table": table},
        preview=photo.factor > 1,
    )


def _bright(raw: dict[str, Any]) -> str:
    brighter = raw["brightness_at_the_peak"] > raw["brightness_at_the_cut"]
    return "where the picture is merely brighter" if brighter else "which does not look like it"


def _correlation(one: Any, other: Any) -> float:
    import numpy as np

    first, second = one - one.mean(), other - other.mean()
    size = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum() / size) if size else 0.0


CUT = Lesson(
    name="cut",
    title=both("A kernel cut from the picture", "从图中裁出的卷积核"),
    text=both(
        "Cut a box out of the picture and use it as the kernel: the feature map is brightest where "
        "the picture "
        "looks like the box. The raw sum is fooled by mere brightness; taking the mean away and "
        "dividing by the "
        "contrast helps.",
        "从图中裁下一块当作卷积核：与它相像之处，特征图最亮。原始的和会被单纯的亮度欺骗；减去均值、"
        "再除以对比度就好了。",
    ),
    controls=(
        PictureChoice(name="picture", label=both("photo", "照片"), default="sample:coins"),
        Box(
            name="box",
            label=both("box: top, left, rows, columns", "方框：上、左、行数、列数"),
            default=(168, 188, 48, 48),
            largest=1024,
            smallest=2,
        ),
        Number(
            name="peaks", label=both("brightest cells to mark", "标出的最亮单元数"), default=5, low=1, high=20
        ),
        Switch(name="colour", label=both("in colour", "彩色"), default=True),
    ),
    compute=_compute,
)
