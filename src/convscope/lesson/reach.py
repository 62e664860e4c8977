"""Lesson: what one region of the input can reach after several poolings, and what one cell sees."""

from __future__ import annotations

from convscope.errors import ControlError
from convscope.lesson.controls import Box, Number
from convscope.lesson.lessons import Lesson, Tools, Values
from convscope.lesson.photos import Boxed, boxed, check_box
from convscope.lesson.pools import Pools, pooled_size
from convscope.lesson.result import LessonResult, Map, Table, both

#: Colours of what a region reaches, what a cell sees, and what is both.
RED, BLUE, BOTH = (235, 110, 100), (90, 150, 230), (140, 90, 170)


def forwards(box: Boxed, layers: tuple[tuple[int, int], ...], size: int) -> list[Boxed | None]:
    """For each level the cells that see any cell of a box of the input; ``None`` where none does.

    Parameters
    ----------
    box
        Top, left, rows, columns.
    layers
        Window and stride of each.
    size
        Rows and columns of the input.

    Examples
    --------
    >>> forwards((4, 4, 1, 1), ((3, 2), (3, 2)), 16)
    [(4, 4, 1, 1), (1, 1, 2, 2), (0, 0, 2, 2)]
    """
    found: list[Boxed | None] = [box]
    now: Boxed | None = box
    for window, stride in layers:
        size = pooled_size(size, window, stride)
        if now is not None:
            spans = [_seen_by(now[axis], now[axis + 2], window, stride, size) for axis in (0, 1)]
            down, across = spans
            now = None if down is None or across is None else (down[0], across[0], down[1], across[1])
        found.append(now)
    return found


def _seen_by(start: int, count: int, window: int, stride: int, size: int) -> tuple[int, int] | None:
    first = max(0, -(-(start - window + 1) // stride))
    last = min(size - 1, (start + count - 1) // stride)
    return (first, last - first + 1) if last >= first else None


def backwards(cell: tuple[int, int], layers: tuple[tuple[int, int], ...]) -> list[Boxed]:
    """For each level, the input first, the cells that one cell of the last level depends on.

    Examples
    --------
    >>> backwards((1, 1), ((3, 2), (3, 2)))
    [(4, 4, 7, 7), (2, 2, 3, 3), (1, 1, 1, 1)]
    """
    now: Boxed = (*cell, 1, 1)
    found = [now]
    for window, stride in reversed(layers):
        top, left, rows, columns = now
        now = (top * stride, left * stride, (rows - 1) * stride + window, (columns - 1) * stride + window)
        found.append(now)
    return found[::-1]


def _compute(values: Values, tools: Tools) -> LessonResult:
    import numpy as np

    size, layers = int(values["size"]), values["layers"]
    box = values["region"]
    check_box(box, (size, size), "region")
    sizes = [size]
    for window, stride in layers:
        if window > sizes[-1]:
            raise ControlError(
                f"`layers` has a window of {window} x {window}, larger than the map of {sizes[-1]} x "
                f"{sizes[-1]}",
                control="layers",
            )
        sizes.append(pooled_size(sizes[-1], window, stride))
    cell = (int(values["row"]), int(values["column"]))
    for name, place in zip(("row", "column"), cell, strict=True):
        if place >= sizes[-1]:
            raise ControlError(
                f"`{name}` must lie within the last map of {sizes[-1]} x {sizes[-1]}; got {place}",
                control=name,
            )
    ahead, back = forwards(box, layers, size), backwards(cell, layers)
    maps, rows, levels = {}, [], []
    for level, side in enumerate(sizes):
        label = (
            both("input", "输入")
            if level == 0
            else both(
                f"after {layers[level - 1][0]}/{layers[level - 1][1]}",
                f"经 {layers[level - 1][0]}/{layers[level - 1][1]} 之后",
            )
        )
        field = np.full((side, side, 3), 250, np.uint8)
        marks = []
        reached, seen = ahead[level], back[level]
        if reached is not None:
            field[reached[0] : reached[0] + reached[2], reached[1] : reached[1] + reached[3]] = RED
            marks.append(boxed(reached, "accent"))
        inside = field[seen[0] : seen[0] + seen[2], seen[1] : seen[1] + seen[3]]
        inside[...] = np.where((inside == RED).all(axis=2, keepdims=True), BOTH, BLUE)
        marks.append(boxed(seen, "second"))
        maps[f"level {level}"] = Map(
            field,
            "rgb",
            both(f"{label['en']}: {side} x {side}", f"{label['zh']}：{side} × {side}"),
            tuple(marks),
        )
        reach = "-" if reached is None else f"{reached[2]} x {reached[3]}"
        rows.append((label, f"{side} x {side}", reach, f"{seen[2]} x {seen[3]}"))
        levels.append({"size": side, "forwards": reached and list(reached), "backwards": list(seen)})
    last, first = ahead[-1], back[0]
    english = [
        f"The {box[2]} x {box[3]} region of the input (red) can change "
        + ("nothing" if last is None else f"{last[2]} x {last[3]} cells")
        + f" of the last map of {sizes[-1]} x {sizes[-1]}.",
        f"One cell of the last map (blue) sees {first[2]} x {first[3]} cells of the input: its "
        f"receptive field.",
    ]
    chinese = [
        f"输入中 {box[2]} × {box[3]} 的区域（红）能影响最后 {sizes[-1]} × {sizes[-1]} 的图中的"
        + ("零个单元。" if last is None else f" {last[2]} × {last[3]} 个单元。"),
        f"最后一张图的一个单元（蓝）能看到输入的 {first[2]} × {first[3]} 个单元：这就是它的感受野。",
    ]
    table = Table(
        both("level by level", "逐层"),
        (
            both("level", "层"),
            both("size", "尺寸"),
            both("the region reaches (red)", "区域可达（红）"),
            both("the cell sees (blue)", "单元可见（蓝）"),
        ),
        tuple(rows),
    )
    numbers = {"sizes": sizes, "levels": levels, "receptive_field": [first[2], first[3]]}
    return LessonResult(
        "reach",
        {},
        numbers,
        maps,
        {"en": english, "zh": chinese},
        (tuple(maps), ("table",)),
        tables={"table": table},
    )


REACH = Lesson(
    name="reach",
    title=both("What one region can reach", "一个区域能影响多远"),
    text=both(
        "Follow a region of the input forwards through several windows: which cells can it change? "
        "Then follow "
        "one cell of the last map backwards: what part of the input does it see?",
        "让输入的一个区域经过几层窗口向前传播：它能改变哪些单元？再从最后一张图的一个单元往回看："
        "它看到输入的哪一部分？",
    ),
    controls=(
        Number(
            name="size",
            label=both("rows and columns of the input", "输入的行列数"),
            default=33,
            low=4,
            high=256,
        ),
        Pools(
            name="layers",
            label=both("windows / strides, one after another", "依次的窗口 / 步长"),
            default=((3, 1), (3, 2), (3, 2)),
        ),
        Box(
            name="region",
            label=both("region: top, left, rows, columns", "区域：上、左、行数、列数"),
            default=(6, 6, 4, 4),
            of="size",
            largest=256,
        ),
        Number(
            name="row",
            label=both("cell of the last map, row", "最后一张图的单元：行"),
            default=4,
            low=0,
            high=255,
            slider=False,
        ),
        Number(
            name="column",
            label=both("cell of the last map, column", "最后一张图的单元：列"),
            default=4,
            low=0,
            high=255,
            slider=False,
        ),
    ),
    compute=_compute,
)
