"""Lesson: stride, what it saves and whether the peak is still found."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from convscope.lesson.controls import Box, NumberList, PictureChoice, Switch
from convscope.lesson.convolve import convolve
from convscope.lesson.lessons import Lesson, Tools, Values
from convscope.lesson.photos import boxed, read_photo
from convscope.lesson.result import Chart, LessonResult, Map, Series, Table, both, number

if TYPE_CHECKING:
    from convscope.lesson.convolution import Convolution

#: Seconds after which a run is not repeated to be timed better.
_LONG = 0.3
#: Longest side of a preview: less than elsewhere, because the direct way is what is measured.
_PREVIEW = 256


def _timed(image: Any, kernel: Any, stride: int) -> tuple[Convolution, float]:
    """The convolution, and the milliseconds it took: the better of two runs where one is short."""
    taken: list[float] = []
    # The first run of a shape also sets torch up for it.
    while len(taken) < 2 and sum(taken) < _LONG:
        began = time.perf_counter()
        done = convolve(image, kernel, stride=stride, method="direct")
        taken.append(time.perf_counter() - began)
    return done, min(taken) * 1000


def _compute(values: Values, tools: Tools) -> LessonResult:
    import numpy as np

    photo = read_photo(values["picture"], tools, side=_PREVIEW)
    place = photo.place(values["box"], "box")
    kernel = photo.cut(values["box"], "box")
    if values["zero_mean"]:
        kernel = kernel - kernel.mean()
    image, strides = photo.grey, tuple(int(n) for n in values["strides"])
    maps = {
        "photo": Map(
            photo.bytes, "rgb", both(f"{photo.name}, and the box", f"{photo.name} 与方框"), (boxed(place),)
        ),
        "kernel": Map(
            kernel,
            "signed" if values["zero_mean"] else "grey",
            both(f"kernel, {place[2]} x {place[3]}", f"卷积核，{place[2]} × {place[3]}"),
        ),
    }
    found: list[dict[str, Any]] = []
    rows: list[tuple[Any, ...]] = []
    limits: tuple[float, float] | None = None
    # One cell of the result first: what is timed is the arithmetic, not the loading of torch.
    convolve(image[: kernel.shape[0], : kernel.shape[1]], kernel, method="direct")
    for stride in strides:
        done, milliseconds = _timed(image, kernel, stride)
        response = done.result
        size = float(np.abs(response).max())
        limits = limits or ((-size, size) if values["zero_mean"] else (0.0, size))
        cell = [int(n) for n in np.unravel_index(int(response.argmax()), response.shape)]
        at = [n * stride for n in cell]
        off = max(abs(at[0] - place[0]), abs(at[1] - place[1]))
        hit = off < max(2, stride)
        shape = done.geometry.output
        found.append(
            {
                "stride": stride,
                "size": list(shape),
                "cells": shape[0] * shape[1],
                "multiply_adds": done.multiply_adds,
                "milliseconds": milliseconds,
                "peak": float(response.max()),
                "peak_cell": cell,
                "peak_at": [n * photo.factor for n in at],
                "pixels_off": off * photo.factor,
                "found": hit,
            }
        )
        name = f"stride {stride}"
        mark = boxed((cell[0] - 1, cell[1] - 1, 3, 3), "accent" if hit else "second")
        maps[name] = Map(
            response,
            "signed" if values["zero_mean"] else "sequential",
            both(f"stride {stride}: {shape[0]} x {shape[1]}", f"步长 {stride}：{shape[0]} × {shape[1]}"),
            (mark,),
            limits,
        )
        rows.append(
            (
                stride,
                f"{shape[0]} x {shape[1]}",
                number(done.multiply_adds),
                f"{milliseconds:.1f}",
                hit,
                off * photo.factor,
            )
        )
    one, last = found[0], found[-1]
    cheaper = one["multiply_adds"] / last["multiply_adds"]
    kept = [row["stride"] for row in found if row["found"]]
    same = [row["stride"] for row in found[1:] if _apart(row, one) < max(2, row["stride"]) * photo.factor]
    english = [
        f"From stride {one['stride']} to {last['stride']} the multiply-adds fall from "
        f"{number(one['multiply_adds'])} "
        f"to {number(last['multiply_adds'])}, {cheaper:,.0f} times: about 4 each time the stride doubles.",
        f"The peak lies where the box was cut at stride {', '.join(map(str, kept))}."
        + ("" if len(kept) == len(found) else " At the others the window no longer stops there.")
        if kept
        else f"Already at stride {one['stride']} the peak lies elsewhere than the cut: strong contrast "
        "answers louder than likeness (the lesson `cut` shows what helps). It is found again at stride "
        f"{_listed(same)}.",
    ]
    chinese = [
        f"步长从 {one['stride']} 到 {last['stride']}，乘加次数从 {number(one['multiply_adds'])} 降到 "
        f"{number(last['multiply_adds'])}，少了 {cheaper:,.0f} 倍：步长每加倍，大约降到四分之一。",
        f"步长为 {'、'.join(map(str, kept))} 时，峰值仍在裁切处。"
        if kept
        else f"步长为 {one['stride']} 时峰值就已不在裁切处：强烈的对比比相像更响（课程 `cut` 说明如何改进）。"
        f"在以下步长仍能找到这同一峰值：{_listed(same)}。",
    ]
    table = Table(
        both("what each stride costs", "各步长的代价"),
        (
            both("stride", "步长"),
            both("size", "尺寸"),
            both("multiply-adds", "乘加次数"),
            both("measured ms", "实测毫秒"),
            both("peak found", "找到峰值"),
            both("pixels off", "偏差（像素）"),
        ),
        tuple(rows),
    )
    cost = Chart(
        "lines",
        both("cost by stride", "代价随步长的变化"),
        both("stride", "步长"),
        both("multiply-adds", "乘加次数"),
        (Series(both("multiply-adds", "乘加次数"), strides, [row["multiply_adds"] for row in found]),),
        log="xy",
    )
    names = tuple(f"stride {stride}" for stride in strides)
    return LessonResult(
        "stride",
        {},
        {
            "picture": list(photo.size),
            "kernel": [place[2] * photo.factor, place[3] * photo.factor],
            "strides": found,
        },
        maps,
        {"en": english, "zh": chinese},
        (("photo", "kernel", "cost"), names, ("table",)),
        charts={"cost": cost},
        tables={"table": table},
        preview=photo.factor > 1,
    )


def _apart(row: dict[str, Any], other: dict[str, Any]) -> int:
    """Pixels of the picture between two strides' peaks."""
    return max(abs(a - b) for a, b in zip(row["peak_at"], other["peak_at"], strict=True))


def _listed(strides: list[int]) -> str:
    return ", ".join(map(str, strides)) or "-"


STRIDE = Lesson(
    name="stride",
    title=both("Stride", "步长"),
    text=both(
        "With stride 2 the window skips every second row and column: a quarter of the cells, a "
        "quarter of the "
        "cost. The response is coarser, yet the peak is usually still there.",
        "步长为 2 时，窗口每次跳过一行一列：单元数和代价都只剩四分之一。响应更粗糙，但峰值通常还在。",
    ),
    controls=(
        PictureChoice(name="picture", label=both("photo", "照片"), default="sample:coins"),
        Box(
            name="box",
            label=both("box: top, left, rows, columns", "方框：上、左、行数、列数"),
            default=(168, 184, 48, 56),
            largest=512,
            smallest=2,
        ),
        NumberList(name="strides", label=both("strides", "步长"), default=(1, 2, 4, 8, 16), low=1, high=64),
        Switch(name="zero_mean", label=both("kernel without its mean", "卷积核减去均值"), default=True),
    ),
    compute=_compute,
)
