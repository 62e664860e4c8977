"""Lesson: counting parameters and multiply-adds, fully connected against convolutional."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from convscope.errors import ControlError
from convscope.lesson.controls import Number, NumberList
from convscope.lesson.lessons import Lesson, Tools, Values
from convscope.lesson.result import Chart, LessonResult, Series, Table, both, number

CLASSES = 10
#: Layers of the article's two networks: hidden units, then channels and hidden units.
HIDDEN = (1024, 512, 128)
CHANNELS = (16, 8)
CONV_HIDDEN = (32,)


def fully_connected(
    inputs: int, hidden: tuple[int, ...], classes: int = CLASSES
) -> list[tuple[int, int, int]]:
    """Weights, biases and multiply-adds of each linear layer.

    Examples
    --------
    >>> layers = fully_connected(3 * 32 * 32, (1024, 512, 128))
    >>> [n for weights, biases, _ in layers for n in (weights, biases)]
    [3145728, 1024, 524288, 512, 65536, 128, 1280, 10]
    >>> sum(weights + biases for weights, biases, _ in layers)
    3738506
    """
    widths = [inputs, *hidden, classes]
    return [(a * b, b, a * b) for a, b in pairwise(widths)]


def convolutional(
    size: int,
    inputs: int,
    kernel: int,
    channels: tuple[int, ...] = CHANNELS,
    hidden: tuple[int, ...] = CONV_HIDDEN,
    classes: int = CLASSES,
) -> list[tuple[int, int, int]]:
    """The same for convolutions that keep the size, each followed by 2 x 2 pooling, then linear layers.

    Examples
    --------
    >>> layers = convolutional(32, 3, 3)
    >>> [n for weights, biases, _ in layers for n in (weights, biases)]
    [432, 16, 1152, 8, 16384, 32, 320, 10]
    >>> sum(weights + biases for weights, biases, _ in layers)
    18354
    """
    found = []
    for count in channels:
        weights = inputs * count * kernel * kernel
        found.append((weights, count, weights * size * size))
        inputs, size = count, size // 2
    return found + fully_connected(inputs * size * size, hidden, classes)


def sizes_by_padding(size: int, kernel: int, layers: int) -> tuple[list[int], list[int]]:
    """Rows after each of several convolutions of stride 1: without padding, and with ``same``.

    Examples
    --------
    >>> sizes_by_padding(32, 3, 3)
    ([32, 30, 28, 26], [32, 32, 32, 32])
    """
    without = [max(0, size - i * (kernel - 1)) for i in range(layers + 1)]
    return without, [size] * (layers + 1)


def _total(layers: list[tuple[int, int, int]]) -> tuple[int, int]:
    return sum(w + b for w, b, _ in layers), sum(m for _, _, m in layers)


def _compute(values: Values, tools: Tools) -> LessonResult:
    size, channels, kernel = (int(values[name]) for name in ("size", "channels", "kernel"))
    hidden, maps = (tuple(int(n) for n in values[name]) for name in ("hidden", "maps"))
    if size // 2 ** len(maps) < 1:
        raise ControlError(
            f"`size` of {size} is halved {len(maps)} times by pooling and nothing is left", control="size"
        )
    full = fully_connected(channels * size * size, hidden)
    net = convolutional(size, channels, kernel, maps)
    (full_count, full_cost), (net_count, net_cost) = _total(full), _total(net)
    compared = sorted({*(2**i for i in range(5, 11)), size})
    compared = [one for one in compared if one // 2 ** len(maps) >= 1]
    growth: dict[int, dict[str, Any]] = {}
    for one in compared:
        growth[one] = {
            "fully_connected": _total(fully_connected(channels * one * one, hidden)),
            "convolutional": _total(convolutional(one, channels, kernel, maps)),
        }
    first_conv = net[0]
    without, kept = sizes_by_padding(size, kernel, int(values["layers"]))
    numbers = {
        "size": size,
        "fully_connected": {
            "parameters": full_count,
            "multiply_adds": full_cost,
            "layers": [list(x[:2]) for x in full],
        },
        "convolutional": {
            "parameters": net_count,
            "multiply_adds": net_cost,
            "layers": [list(x[:2]) for x in net],
        },
        "one_layer": {
            "fully_connected": full[0][0] + full[0][1],
            "convolutional": first_conv[0] + first_conv[1],
        },
        "growth": {str(one): found for one, found in growth.items()},
        "without_padding": without,
        "with_padding": kept,
    }
    parameters = Table(
        both("parameters and multiply-adds by image size", "参数与乘加次数随图像尺寸的变化"),
        (
            both("image", "图像"),
            both("fully connected: parameters", "全连接：参数"),
            both("multiply-adds", "乘加次数"),
            both("convolutional: parameters", "卷积：参数"),
            both("multiply-adds", "乘加次数"),
        ),
        tuple(
            (
                f"{one} x {one}",
                *(number(n) for n in found["fully_connected"]),
                *(number(n) for n in found["convolutional"]),
            )
            for one, found in growth.items()
        ),
    )
    layers = Table(
        both("the two networks, layer by layer: weights + biases", "两个网络，逐层：权重 + 偏置"),
        (
            both("network", "网络"),
            *(both(f"layer {i + 1}", f"第 {i + 1} 层") for i in range(max(len(full), len(net)))),
            both("all", "合计"),
        ),
        tuple(
            (
                label,
                *(f"{number(w)} + {number(b)}" for w, b, _ in one),
                *[""] * (max(len(full), len(net)) - len(one)),
                number(_total(one)[0]),
            )
            for label, one in (
                (both("fully connected", "全连接"), full),
                (both("convolutional", "卷积"), net),
            )
        ),
    )
    sides = list(growth)
    charts = {
        "parameters": Chart(
            "lines",
            both("parameters", "参数"),
            both("rows and columns of the image", "图像的行列数"),
            both("parameters", "参数"),
            (
                Series(
                    both("fully connected", "全连接"), sides, [growth[s]["fully_connected"][0] for s in sides]
                ),
                Series(both("convolutional", "卷积"), sides, [growth[s]["convolutional"][0] for s in sides]),
                Series(
                    both("its first layer alone", "仅其第一层"),
                    sides,
                    [first_conv[0] + first_conv[1] for _ in sides],
                ),
            ),
            log="xy",
        ),
        "sizes": Chart(
            "lines",
            both("size by padding", "填充对尺寸的影响"),
            both(f"{kernel} x {kernel} convolutions", f"{kernel} × {kernel} 卷积的层数"),
            both("rows and columns", "行列数"),
            (
                Series(both("no padding", "不填充"), range(len(without)), without),
                Series(both("same", "same 填充"), range(len(kept)), kept),
            ),
        ),
    }
    gone = next((i for i, n in enumerate(without) if n < kernel), None)
    english = [
        f"For {size} x {size} images the fully connected network has {number(full_count)} parameters, the "
        f"convolutional one {number(net_count)}: {full_count / net_count:,.0f} times fewer.",
        f"Its first layer has {number(first_conv[0] + first_conv[1])} whatever the image's size, "
        f"because the same "
        f"kernel is used everywhere; the fully connected one has {number(full[0][0] + full[0][1])} here and "
        f"{number(channels * 1024 * 1024 * hidden[0] + hidden[0])} at 1024 x 1024.",
        f"Without padding each {kernel} x {kernel} convolution takes {kernel - 1} rows and columns: "
        f"{' > '.join(map(str, without[:5]))}{', and so on' if len(without) > 5 else ''}."
        + (f" After {gone} of them nothing is left to convolve." if gone else ""),
    ]
    chinese = [
        f"对 {size} × {size} 的图像，全连接网络有 {number(full_count)} 个参数，卷积网络有 "
        f"{number(net_count)} 个："
        f"少了 {full_count / net_count:,.0f} 倍。",
        f"卷积网络的第一层无论图像多大都是 {number(first_conv[0] + first_conv[1])} 个参数，"
        f"因为到处用同一个卷积核；"
        f"全连接的第一层此处有 {number(full[0][0] + full[0][1])} 个，到 1024 × 1024 时有 "
        f"{number(channels * 1024 * 1024 * hidden[0] + hidden[0])} 个。",
        f"不填充时，每个 {kernel} × {kernel} 卷积会减少 {kernel - 1} 行和列："
        f"{' > '.join(map(str, without[:5]))}{'……' if len(without) > 5 else '。'}",
    ]
    return LessonResult(
        "counting",
        {},
        numbers,
        {},
        {"en": english, "zh": chinese},
        (("parameters", "sizes"), ("growth",), ("layers",)),
        charts=charts,
        tables={"growth": parameters, "layers": layers},
    )


COUNTING = Lesson(
    name="counting",
    title=both("Counting parameters", "数一数参数"),
    text=both(
        "A fully connected layer has a weight for every pixel and every unit; a convolution uses one small "
        "kernel everywhere. Let the image grow and count. Then see what padding does to the size.",
        "全连接层对每个像素、每个单元都有一个权重；卷积则到处使用同一个小卷积核。让图像变大，数一数；"
        "再看看填充对尺寸的影响。",
    ),
    controls=(
        Number(
            name="size",
            label=both("rows and columns of the image", "图像的行列数"),
            default=32,
            low=4,
            high=4096,
        ),
        Number(name="channels", label=both("channels of the image", "图像通道数"), default=3, low=1, high=64),
        NumberList(
            name="hidden",
            label=both("fully connected: units", "全连接：单元数"),
            default=HIDDEN,
            low=1,
            high=65536,
        ),
        NumberList(
            name="maps",
            label=both("convolutional: feature maps", "卷积：特征图数"),
            default=CHANNELS,
            low=1,
            high=4096,
        ),
        Number(name="kernel", label=both("kernel size", "卷积核尺寸"), default=3, low=1, high=31),
        Number(
            name="layers", label=both("convolutions in a row", "连续卷积的层数"), default=8, low=1, high=32
        ),
    ),
    compute=_compute,
)
