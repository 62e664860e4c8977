"""Lesson: the grid of everything, stride by bias by pooling as small multiples."""

from __future__ import annotations

from typing import Any

from convscope.errors import ControlError
from convscope.lesson.controls import Box, Choice, NumberList, PictureChoice
from convscope.lesson.convolve import convolve
from convscope.lesson.lessons import Lesson, Tools, Values
from convscope.lesson.photos import boxed, read_photo
from convscope.lesson.pools import ARTICLE, KINDS, Pools, pool
from convscope.lesson.result import LessonResult, Map, Table, both, number

#: Most small multiples of one grid.
MOST = 48


def _compute(values: Values, tools: Tools) -> LessonResult:
    import numpy as np

    strides = tuple(int(n) for n in values["strides"])
    biases, pools, kind = values["biases"], values["pools"], values["pooling"]
    if len(strides) * len(biases) * len(pools) > MOST:
        raise ControlError(
            f"{len(strides)} strides, {len(biases)} biases and {len(pools)} poolings are more than "
            f"{MOST} maps",
            control="strides",
        )
    # The sizes are the lesson, so there is no smaller preview of it.
    photo = read_photo(values["picture"], Tools(tools.picture, tools.model))
    part = photo.cut(values["crop"], "crop") / np.float32(255)
    inside = photo.place(values["crop"], "crop")
    place = photo.place(values["box"], "box")
    kernel = photo.cut(values["box"], "box") / np.float32(255)
    maps = {
        "photo": Map(
            photo.bytes,
            "rgb",
            both(
                f"{part.shape[0]} x {part.shape[1]} of {photo.name}, and the kernel",
                f"{photo.name} 的 {part.shape[0]} × {part.shape[1]} 区域与卷积核",
            ),
            (boxed(inside, "second"), boxed(place)),
        ),
        "kernel": Map(
            kernel,
            "grey",
            both(
                f"kernel, {kernel.shape[0]} x {kernel.shape[1]}",
                f"卷积核，{kernel.shape[0]} × {kernel.shape[1]}",
            ),
            limits=(0.0, 1.0),
        ),
    }
    layout: list[tuple[str, ...]] = [("photo", "kernel")]
    found: list[dict[str, Any]] = []
    rows = []
    for stride in strides:
        done = convolve(part, kernel, stride=stride)
        response = done.result.astype(np.float64)
        sizes = []
        names: list[str] = []
        top = float(np.maximum(response + max(biases), 0).max()) or 1.0
        for bias in biases:
            lit = np.maximum(response + bias, 0)
            line = []
            for size, step in pools:
                pooled = pool(lit, kind, size, step)
                name = f"{stride} {bias:g} {size}/{step}"
                share = float((pooled > 0).mean())
                shape = f"{pooled.shape[0]} x {pooled.shape[1]}"
                maps[name] = Map(
                    pooled,
                    "sequential",
                    both(
                        f"stride {stride}, {bias:+g}, {size}/{step}: {shape}",
                        f"步长 {stride}，{bias:+g}，{size}/{step}：{pooled.shape[0]} × {pooled.shape[1]}",
                    ),
                    limits=(0.0, top),
                )
                line.append(name)
                found.append(
                    {
                        "stride": stride,
                        "bias": bias,
                        "pool": [size, step],
                        "convolved": list(response.shape),
                        "size": list(pooled.shape),
                        "cells": int(pooled.size),
                        "share": share,
                    }
                )
                if bias == biases[0]:
                    sizes.append(f"{shape} = {number(int(pooled.size))}")
            names += line
        layout.append(tuple(names))
        cells = f"{response.shape[0]} x {response.shape[1]} = {number(int(response.size))}"
        rows.append((stride, number(done.multiply_adds), cells, *sizes))
    table = Table(
        both("sizes and costs", "尺寸与代价"),
        (
            both("stride", "步长"),
            both("multiply-adds", "乘加次数"),
            both("feature map", "特征图"),
            *(both(f"pooled {s}/{t}", f"池化 {s}/{t}") for s, t in pools),
        ),
        tuple(rows),
    )
    shapes = [(entry["convolved"], entry["size"]) for entry in found]
    largest = max((c for c, _ in shapes), key=lambda s: s[0] * s[1])
    smallest = min((p for _, p in shapes), key=lambda s: s[0] * s[1])
    english = [
        f"A {part.shape[0]} x {part.shape[1]} picture and a {kernel.shape[0]} x {kernel.shape[1]} "
        f"kernel: from "
        f"{largest[0]} x {largest[1]} = {number(largest[0] * largest[1])} values down to {smallest[0]} x "
        f"{smallest[1]} = {number(smallest[0] * smallest[1])}.",
        "A lower bias leaves fewer cells, a larger stride and window smaller maps; the bright places "
        "stay where "
        "they were.",
    ]
    chinese = [
        f"{part.shape[0]} × {part.shape[1]} 的图像与 {kernel.shape[0]} × {kernel.shape[1]} 的卷积核："
        f"从 {largest[0]} × "
        f"{largest[1]} = {number(largest[0] * largest[1])} 个值，到 {smallest[0]} × {smallest[1]} = "
        f"{number(smallest[0] * smallest[1])} 个值。",
        "偏置越低，剩下的单元越少；步长和窗口越大，图越小；而亮处仍在原来的位置。",
    ]
    return LessonResult(
        "grid",
        {},
        {"picture": list(part.shape), "kernel": list(kernel.shape), "grid": found},
        maps,
        {"en": english, "zh": chinese},
        (*layout, ("sizes",)),
        tables={"sizes": table},
    )


GRID = Lesson(
    name="grid",
    title=both("The grid of everything", "全部组合"),
    text=both(
        "Stride, bias and pooling together, each combination as a small picture. Compare what survives, how "
        "large it is and what it costs.",
        "把步长、偏置与池化放在一起，每种组合一张小图。比较一下：剩下什么，有多大，代价多少。",
    ),
    controls=(
        PictureChoice(name="picture", label=both("photo", "照片"), default="sample:camera"),
        Box(
            name="crop",
            label=both("part of the photo: top, left, rows, columns", "照片区域：上、左、行数、列数"),
            default=(28, 28, 456, 456),
            largest=2048,
            smallest=8,
        ),
        Box(
            name="box",
            label=both("kernel: top, left, rows, columns", "卷积核：上、左、行数、列数"),
            default=(90, 200, 70, 70),
            largest=512,
            smallest=2,
        ),
        NumberList(name="strides", label=both("strides", "步长"), default=(2, 9, 16), low=1, high=64),
        NumberList(
            name="biases",
            label=both("biases", "偏置"),
            default=(500, -250, -1000),
            low=-1_000_000,
            high=1_000_000,
            whole=False,
        ),
        Pools(name="pools", label=both("pooling windows / strides", "池化窗口 / 步长"), default=ARTICLE),
        Choice(name="pooling", label=both("pooling", "池化"), default="max", options=KINDS),
    ),
    compute=_compute,
)
