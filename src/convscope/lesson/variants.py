"""Lessons: transposed, dilated, depthwise and 1 x 1 convolutions, in the same step-by-step player."""

from __future__ import annotations

from typing import Any

from convscope.errors import ControlError
from convscope.lesson.controls import Control, Matrix, Number, Padding
from convscope.lesson.convolution import Convolution
from convscope.lesson.convolve import convolve
from convscope.lesson.lessons import Lesson, Tools, Values
from convscope.lesson.result import LessonResult, both, number
from convscope.lesson.steps import LARGEST, check_products, played

_CHANNELS = (
    "1 2 3 4; 2 3 4 5; 3 4 5 6; 4 5 6 7 | 9 9 0 0; 9 9 0 0; 0 9 9 0; 0 9 9 0 | "
    "0 0 0 0; 0 5 5 0; 0 5 5 0; 0 0 0 0"
)


def _image(default: str, channels: int = 4) -> Matrix:
    return Matrix(
        name="image", label=both("image", "图像"), default=default, largest=LARGEST, channels=channels
    )


def _kernel(default: str, channels: int = 1) -> Matrix:
    return Matrix(
        name="kernel", label=both("kernel", "卷积核"), default=default, largest=LARGEST, channels=channels
    )


_STRIDE = Number(name="stride", label=both("stride", "步长"), default=1, low=1, high=8)
_DILATION = Number(name="dilation", label=both("dilation", "膨胀"), default=1, low=1, high=8)
_PADDING = Padding(name="padding", label=both("padding", "填充"), default="none")


def _transposed(values: Values, tools: Tools) -> LessonResult:
    padding = 0 if values["padding"] == "none" else values["padding"]
    done = convolve(
        values["image"],
        values["kernel"],
        stride=values["stride"],
        padding=padding,
        dilation=values["dilation"],
        transposed=True,
    )
    check_products(done.maps.size, done.kernel[0].size)
    where = done.geometry
    rows, columns = where.image
    english = [
        f"From {rows} x {columns} to {where.output[0]} x {where.output[1]}: every cell of the input "
        f"lays the kernel, "
        "times its value, on the result; where they overlap they add up.",
        f"It is the same as putting {_zeros(where.spread[0] - 1)} between the cells, turning the "
        f"kernel by 180° and "
        "convolving as usual: that is what is played here.",
        *_checkerboard(values["stride"], where.kernel)["en"],
    ]
    chinese = [
        f"从 {rows} × {columns} 到 {where.output[0]} × {where.output[1]}：输入的每个单元把「卷积核 × "
        f"自己的值」放到结果上，重叠处相加。",
        f"这等于在单元之间插入 {where.spread[0] - 1} 个零，把卷积核旋转 180°，再照常做卷积："
        f"这里演示的正是这一过程。",
        *_checkerboard(values["stride"], where.kernel)["zh"],
    ]
    return played("transposed", done, {"en": english, "zh": chinese}, more=_counts(done))


def _zeros(count: int) -> str:
    return {0: "no zeros", 1: "a zero"}.get(count, f"{count} zeros")


def _checkerboard(stride: int, kernel: tuple[int, int]) -> dict[str, list[str]]:
    if stride < 2 or all(n % stride == 0 for n in kernel):
        return {"en": [], "zh": []}
    return both_lists(
        f"The kernel's size is no multiple of the stride {stride}, so some cells get more products "
        f"than others: "
        "the checkerboard of generated pictures.",
        f"卷积核的尺寸不是步长 {stride} 的倍数，有些单元得到的乘积更多：生成图像中的棋盘格就是这么来的。",
    )


def both_lists(en: str, zh: str) -> dict[str, list[str]]:
    """One sentence in each language, as lists."""
    return {"en": [en], "zh": [zh]}


def _counts(done: Convolution) -> dict[str, Any]:
    """How many products with real cells each cell of the first map is made of, and the parameters."""
    import numpy as np

    down, across = done.geometry.origins()
    inside = (down >= 0)[:, None] & (across >= 0)[None, :]
    seen = convolve(
        inside.astype(np.float64),
        np.ones(done.geometry.kernel),
        stride=done.geometry.stride,
        dilation=done.geometry.dilation,
    ).result
    return {
        "parameters": int(done.given_kernel.size),
        "fewest_products": int(seen.min()) * done.kernel.shape[1],
        "most_products": int(seen.max()) * done.kernel.shape[1],
    }


def _dilated(values: Values, tools: Tools) -> LessonResult:
    done = convolve(
        values["image"],
        values["kernel"],
        stride=values["stride"],
        padding=values["padding"],
        dilation=values["dilation"],
    )
    check_products(done.maps.size, done.kernel[0].size)
    where = done.geometry
    cells = where.kernel[0] * where.kernel[1]
    english = [
        f"With dilation {where.dilation[0]} the {where.kernel[0]} x {where.kernel[1]} kernel covers "
        f"{where.window[0]} x {where.window[1]} cells and still has only {cells} weights.",
        "Stacked with dilations 1, 2, 4, ... the field of view doubles with every layer, at the same cost.",
    ]
    chinese = [
        f"膨胀为 {where.dilation[0]} 时，{where.kernel[0]} × {where.kernel[1]} 的卷积核覆盖 "
        f"{where.window[0]} × "
        f"{where.window[1]} 个单元，却仍只有 {cells} 个权重。",
        "若各层的膨胀依次为 1、2、4……，视野每层加倍，而代价不变。",
    ]
    return played("dilated", done, {"en": english, "zh": chinese}, more=_counts(done))


def _depthwise(values: Values, tools: Tools) -> LessonResult:
    image, kernel = values["image"], values["kernel"]
    channels = len(image) if image.ndim == 3 else 1
    if kernel.ndim == 3 and len(kernel) != channels:
        raise ControlError(
            f"`kernel` has {len(kernel)} channels and the image {channels}: a depthwise convolution "
            f"has one kernel "
            "for each channel",
            control="kernel",
        )
    done = convolve(
        image,
        kernel[:, None] if kernel.ndim == 3 else kernel,
        groups=channels,
        stride=values["stride"],
        padding=values["padding"],
    )
    check_products(done.maps.size, done.kernel[0].size)
    cells = done.geometry.kernel[0] * done.geometry.kernel[1]
    full = channels * channels * cells
    english = [
        f"Each of the {channels} channels has a kernel and a feature map of its own; nothing is added across "
        "channels.",
        f"{number(channels * cells)} weights, where a full convolution to as many maps has "
        f"{number(full)}. A 1 x 1 "
        f"convolution after it, {channels} x {channels} weights, mixes the channels again.",
    ]
    chinese = [
        f"{channels} 个通道各有自己的卷积核和特征图；通道之间不相加。",
        f"共 {number(channels * cells)} 个权重，而得到同样多特征图的普通卷积要 {number(full)} 个。"
        f"随后的 1 × 1 卷积"
        f"（{channels} × {channels} 个权重）再把通道混合起来。",
    ]
    return played("depthwise", done, {"en": english, "zh": chinese}, more={**_counts(done), "full": full})


def _pointwise(values: Values, tools: Tools) -> LessonResult:
    image, weights = values["image"], values["weights"]
    stacked = image if image.ndim == 3 else image[None]
    if weights.shape[1] != len(stacked):
        raise ControlError(
            f"`weights` must have a column for each of the image's {len(stacked)} channels; got "
            f"{weights.shape[1]}",
            control="weights",
        )
    done = convolve(stacked, weights[:, :, None, None], bias=values["bias"])
    check_products(done.maps.size, done.kernel[0].size)
    maps, channels = weights.shape
    english = [
        f"The window is a single cell: each of the {maps} results mixes the {channels} channels of "
        f"that cell, and "
        "its neighbours do not matter.",
        f"It is the same small linear layer, {maps} x {channels} weights, at every cell; networks use "
        f"it to change "
        "the number of channels cheaply.",
    ]
    chinese = [
        f"窗口只有一个单元：{maps} 个结果各自混合该单元的 {channels} 个通道，与相邻单元无关。",
        f"相当于在每个单元上用同一个小线性层（{maps} × {channels} 个权重）；网络用它低成本地改变通道数。",
    ]
    return played("pointwise", done, {"en": english, "zh": chinese}, more=_counts(done))


def _lesson(name: str, title: Any, text: Any, controls: tuple[Control, ...], compute: Any) -> Lesson:
    return Lesson(name=name, title=title, text=text, controls=controls, compute=compute)


TRANSPOSED = _lesson(
    "transposed",
    both("Transposed convolution", "转置卷积"),
    both(
        "The way back from small to large: every input cell lays a copy of the kernel on the result. "
        "Networks that "
        "draw or segment use it to grow their maps.",
        "由小到大的逆向过程：每个输入单元在结果上放一份卷积核。生成和分割网络用它把特征图放大。",
    ),
    (
        _image("1 2 3; 4 5 6; 7 8 9", channels=1),
        _kernel("1 2 1; 2 4 2; 1 2 1"),
        Number(name="stride", label=both("stride", "步长"), default=2, low=1, high=8),
        _PADDING,
        _DILATION,
    ),
    _transposed,
)
DILATED = _lesson(
    "dilated",
    both("Dilated convolution", "膨胀卷积"),
    both(
        "The kernel's cells are pulled apart, with gaps between them: the window sees a larger area "
        "with as many "
        "weights.",
        "把卷积核的单元拉开，中间留出空隙：权重数不变，窗口却能看到更大的区域。",
    ),
    (
        _image(
            "; ".join(" ".join(str((r * r + 3 * c + r * c) % 10) for c in range(7)) for r in range(7)),
            channels=1,
        ),
        _kernel("1 0 -1; 1 0 -1; 1 0 -1"),
        Number(name="dilation", label=both("dilation", "膨胀"), default=2, low=1, high=8),
        _STRIDE,
        _PADDING,
    ),
    _dilated,
)
DEPTHWISE = _lesson(
    "depthwise",
    both("Depthwise convolution", "逐通道卷积"),
    both(
        "Every channel is convolved with a kernel of its own and gives a feature map of its own. "
        "Small networks for "
        "phones are made of this and of 1 x 1 convolutions.",
        "每个通道用自己的卷积核，得到自己的特征图。手机上的小网络就由它和 1 × 1 卷积组成。",
    ),
    (
        _image(_CHANNELS),
        _kernel("0 0 0; 0 1 0; 0 0 0 | 1 0 -1; 1 0 -1; 1 0 -1 | 1 1 1; 1 1 1; 1 1 1", channels=4),
        _STRIDE,
        _PADDING,
    ),
    _depthwise,
)
POINTWISE = _lesson(
    "pointwise",
    both("1 x 1 convolution", "1 × 1 卷积"),
    both(
        "A window of one cell sees no neighbours, only the channels: it mixes them anew, the same way "
        "at every "
        "place.",
        "只有一个单元的窗口看不到邻居，只看到各个通道：它在每个位置用同样的方式把通道重新混合。",
    ),
    (
        _image(_CHANNELS),
        Matrix(
            name="weights",
            label=both(
                "weights: a row for each result, a column for each channel",
                "权重：每个结果一行，每个通道一列",
            ),
            default="0.3 0.6 0.1; 1 -1 0",
            largest=16,
        ),
        Number(name="bias", label=both("bias", "偏置"), default=0, low=-1000, high=1000, step=0.5),
    ),
    _pointwise,
)
