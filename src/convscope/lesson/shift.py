"""Lesson: the shift test, how far pooled maps change when the picture moves by a pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convscope.errors import ControlError
from convscope.lesson.controls import Kernel, Number, PictureChoice
from convscope.lesson.convolve import convolve
from convscope.lesson.lessons import Lesson, Tools, Values
from convscope.lesson.photos import read_photo
from convscope.lesson.pools import KINDS, Pools, pool
from convscope.lesson.result import Chart, LessonResult, Map, Series, Table, Text, both

if TYPE_CHECKING:
    from numpy.typing import NDArray

WAYS: dict[str, Text] = {**KINDS, "skip": both("no pooling, stride only", "不池化，只用步长")}

#: Longest side of what a preview looks at.
_PREVIEW = 256


def _change(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Root mean square of the difference over that of the first about its mean."""
    import numpy as np

    size = float(np.sqrt(((one - one.mean()) ** 2).mean()))
    return float(np.sqrt(((one - other) ** 2).mean())) / size if size else 0.0


def _compute(values: Values, tools: Tools) -> LessonResult:
    import numpy as np

    photo = read_photo(values["picture"], Tools(tools.picture, tools.model))
    down, across = int(values["down"]), int(values["across"])
    middle = photo.grey
    if tools.preview:
        # A smaller copy would move by less than a pixel, so a preview shows the middle of the picture.
        starts = [max(0, (n - _PREVIEW) // 2) for n in middle.shape]
        middle = middle[starts[0] : starts[0] + _PREVIEW, starts[1] : starts[1] + _PREVIEW]
    rows, columns = middle.shape
    kernel = values["kernel"].values
    if kernel.ndim != 2:
        raise ControlError("`kernel` must have one channel in this lesson", control="kernel")
    if abs(down) + kernel.shape[0] > rows or abs(across) + kernel.shape[1] > columns:
        raise ControlError(
            f"the picture of {rows} x {columns} is too small to be moved by {down} rows and {across} columns",
            control="down",
        )
    # Both windows show real pixels: the picture moves beneath them, and no edge is made up.
    grey = middle / np.float32(255)
    height, width = rows - abs(down), columns - abs(across)
    still = grey[max(0, down) :, max(0, across) :][:height, :width]
    moved = grey[max(0, -down) :, max(0, -across) :][:height, :width]
    pairs = [(still, moved)]
    answers = [
        np.maximum(convolve(part, kernel.astype(np.float32)).result.astype(np.float64), 0)
        for part in (still, moved)
    ]
    table_rows, changes = [], {}
    maps = {
        "still": Map(still * 255, "grey", both("the picture", "图像"), limits=(0, 255)),
        "moved": Map(
            moved * 255, "grey", both(f"moved by {down}, {across}", f"移动 {down}, {across}"), limits=(0, 255)
        ),
    }
    pixel, feature = _change(*pairs[0]), _change(*answers)
    levels = [both("pixels", "像素"), both("after ReLU", "ReLU 之后")]
    for way, label in WAYS.items():
        one, other = answers
        found = [pixel, feature]
        for size, stride in values["pools"]:
            if way == "skip":
                if size > min(one.shape):
                    raise ControlError(
                        f"`pools` has a window of {size} x {size}, larger than the map of {one.shape[0]} x "
                        f"{one.shape[1]}",
                        control="pools",
                    )
                one, other = one[::stride, ::stride], other[::stride, ::stride]
            else:
                one, other = pool(one, way, size, stride), pool(other, way, size, stride)
            found.append(_change(one, other))
        changes[way] = found
        table_rows.append((label, *(f"{change:.1%}" for change in found)))
        limit = float(max(np.abs(one).max(), np.abs(other).max()))
        maps[f"change {way}"] = Map(
            other - one,
            "signed",
            both(f"change at the end, {label['en']}", f"最后的变化：{label['zh']}"),
            limits=(-limit, limit),
        )
    levels += [both(f"pooled {s}/{t}", f"池化 {s}/{t}") for s, t in values["pools"]]
    chart = Chart(
        "bars",
        both("change from the unmoved picture", "相对于未移动图像的变化"),
        both("level", "层"),
        both("relative change", "相对变化"),
        tuple(Series(label, range(len(levels)), changes[way]) for way, label in WAYS.items()),
        names=tuple(levels),
    )
    table = Table(
        both("relative change, level by level", "逐层的相对变化"),
        (both("way", "方式"), *levels),
        tuple(table_rows),
    )
    best = min(WAYS, key=lambda way: changes[way][-1])
    english = [
        f"The picture moved by {down} down and {across} across: its pixels change by {pixel:.0%} of "
        f"their spread, "
        f"the feature map by {feature:.0%}.",
        f"After pooling by {WAYS['max']['en']} {changes['max'][-1]:.0%} are left, by {WAYS['average']['en']} "
        f"{changes['average'][-1]:.0%}, by {WAYS['l2']['en']} {changes['l2'][-1]:.0%}; with stride alone "
        f"{changes['skip'][-1]:.0%}. Steadiest here: {WAYS[best]['en']}.",
    ]
    chinese = [
        f"图像移动了 {down} 行 {across} 列：像素变化为其离散程度的 {pixel:.0%}，特征图变化 {feature:.0%}。",
        f"池化之后，最大值剩 {changes['max'][-1]:.0%}，平均值剩 {changes['average'][-1]:.0%}，L2 范数剩 "
        f"{changes['l2'][-1]:.0%}；只用步长则为 {changes['skip'][-1]:.0%}。此处最稳定的是："
        f"{WAYS[best]['zh']}。",
    ]
    names = tuple(f"change {way}" for way in WAYS)
    return LessonResult(
        "shift",
        {},
        {"levels": [level["en"] for level in levels], "changes": changes, "steadiest": best},
        maps,
        {"en": english, "zh": chinese},
        (("still", "moved", "chart"), names, ("table",)),
        charts={"chart": chart},
        tables={"table": table},
        preview=middle.size < photo.grey.size,
    )


SHIFT = Lesson(
    name="shift",
    title=both("The shift test", "平移测试"),
    text=both(
        "Move the picture by a pixel and compare: how far do the pixels, the feature map and the pooled maps "
        "change? Pooling makes the answer steadier, and not every pooling does it equally well.",
        "把图像移动一个像素再比较：像素、特征图和池化后的图各改变多少？池化让响应更稳定，"
        "但各种池化效果并不相同。",
    ),
    controls=(
        PictureChoice(name="picture", label=both("photo", "照片"), default="sample:camera"),
        Kernel(name="kernel", label=both("kernel", "卷积核"), default="sobel-x", channels=1),
        Number(name="down", label=both("rows moved", "移动的行数"), default=1, low=-32, high=32),
        Number(name="across", label=both("columns moved", "移动的列数"), default=1, low=-32, high=32),
        Pools(name="pools", label=both("windows / strides", "窗口 / 步长"), default=((3, 2), (3, 2))),
    ),
    compute=_compute,
)
