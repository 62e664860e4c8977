"""Lesson: pooling by maximum, average and L2 norm, with the article's windows."""

from __future__ import annotations

from convscope.errors import ControlError
from convscope.lesson.controls import Kernel, PictureChoice, Switch
from convscope.lesson.convolve import convolve
from convscope.lesson.lessons import Lesson, Tools, Values
from convscope.lesson.photos import read_photo
from convscope.lesson.pools import ARTICLE, KINDS, Pools, pool
from convscope.lesson.result import LessonResult, Map, Table, both, number


def _compute(values: Values, tools: Tools) -> LessonResult:
    import numpy as np

    photo = read_photo(values["picture"], tools)
    kernel = values["kernel"].values
    if kernel.ndim != 2:
        raise ControlError("`kernel` must have one channel in this lesson", control="kernel")
    response = convolve(photo.grey / np.float32(255), kernel.astype(np.float32)).result.astype(np.float64)
    if values["relu"]:
        response = np.maximum(response, 0)
    role = "sequential" if values["relu"] else "signed"
    before = both(
        f"before: {response.shape[0]} x {response.shape[1]}",
        f"池化前：{response.shape[0]} × {response.shape[1]}",
    )
    maps = {
        "photo": Map(photo.bytes, "rgb", both(photo.name, photo.name)),
        "response": Map(response, role, before),
    }
    layout: list[tuple[str, ...]] = [("photo", "response")]
    found, rows = [], []
    for size, stride in values["pools"]:
        names = []
        for kind, label in KINDS.items():
            pooled = pool(response, kind, size, stride)
            name = f"{kind} {size}/{stride}"
            shape = f"{pooled.shape[0]} x {pooled.shape[1]}"
            gap = " " if label["zh"].startswith("L2") else ""
            # Absolute values and squares have no sign, so the L2 norm never goes below 0.
            maps[name] = Map(
                pooled,
                "sequential" if kind == "l2" else role,
                both(
                    f"{label['en']} of {size} x {size}, stride {stride}",
                    f"{size} × {size} 的{gap}{label['zh']}，步长 {stride}",
                ),
            )
            names.append(name)
            found.append(
                {
                    "kind": kind,
                    "window": size,
                    "stride": stride,
                    "size": list(pooled.shape),
                    "cells": int(pooled.size),
                    "mean": float(pooled.mean()),
                    "largest": float(pooled.max()),
                }
            )
        layout.append(tuple(names))
        share = found[-1]["cells"] / response.size
        rows.append((f"{size} x {size}", stride, shape, number(int(pooled.size)), f"{share:.1%}"))
    table = Table(
        both("what each window leaves", "各窗口留下的尺寸"),
        (
            both("window", "窗口"),
            both("stride", "步长"),
            both("size", "尺寸"),
            both("cells", "单元数"),
            both("share", "比例"),
        ),
        tuple(rows),
    )
    size, stride = values["pools"][0]
    english = [
        f"{response.shape[0]} x {response.shape[1]} = {number(response.size)} values become "
        + ", ".join(f"{row[2]} = {row[3]}" for row in rows)
        + ".",
        "The maximum keeps that something was found, the average how much of it there was, the L2 norm lies "
        "between them and forgets the sign.",
    ]
    chinese = [
        f"{response.shape[0]} × {response.shape[1]} = {number(response.size)} 个值变为 "
        + "、".join(f"{str(row[2]).replace('x', '×')} = {row[3]}" for row in rows)
        + "。",
        "最大值记住「找到了」，平均值记住「有多少」，L2 范数介于两者之间，并且忘掉正负号。",
    ]
    numbers = {"before": list(response.shape), "pools": found}
    return LessonResult(
        "pooling",
        {},
        numbers,
        maps,
        {"en": english, "zh": chinese},
        (*layout, ("table",)),
        tables={"table": table},
        preview=photo.factor > 1,
    )


POOLING = Lesson(
    name="pooling",
    title=both("Pooling", "池化"),
    text=both(
        "Pooling makes one number of each window: its maximum, its average or its L2 norm. The map becomes "
        "smaller and coarser, and small movements of the picture matter less.",
        "池化把每个窗口变成一个数：最大值、平均值或 L2 范数。特征图变小变粗，图像的小移动也就不那么要紧了。",
    ),
    controls=(
        PictureChoice(name="picture", label=both("photo", "照片"), default="sample:camera"),
        Kernel(name="kernel", label=both("kernel", "卷积核"), default="sobel-x", channels=1),
        Switch(name="relu", label=both("ReLU before pooling", "池化前先 ReLU"), default=True),
        Pools(name="pools", label=both("windows / strides", "窗口 / 步长"), default=ARTICLE, at_most=4),
    ),
    compute=_compute,
)
