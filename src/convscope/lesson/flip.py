"""Lesson: convolution against cross-correlation, with the flip shown and commutation tried."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convscope.errors import ControlError
from convscope.lesson.controls import Choice, Kernel, Matrix
from convscope.lesson.convolve import convolve
from convscope.lesson.lessons import Lesson, Tools, Values
from convscope.lesson.result import LessonResult, Map, both, number

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convscope.lesson.convolution import Convolution

_WORDS = {True: ("it commutes", "满足交换律"), False: ("it does not commute", "不满足交换律")}


def _compute(values: Values, tools: Tools) -> LessonResult:
    import numpy as np

    image, kernel = values["image"], values["kernel"].values
    if kernel.ndim != 2:
        raise ControlError("`kernel` must have one channel in this lesson", control="kernel")
    across = convolve(image, kernel, padding="same")
    turned = convolve(image, kernel, padding="same", flip=True)

    def full(one: NDArray[Any], other: NDArray[Any], flip: bool) -> Convolution:
        rows, columns = other.shape
        return convolve(one, other, padding=(rows - 1, columns - 1), flip=flip)

    # With full padding both orders give maps of one size, so that they can be held against each other.
    pairs = {
        flip: (full(image, kernel, flip).result, full(kernel, image, flip).result) for flip in (True, False)
    }
    difference = {flip: float(np.abs(one - other).max()) for flip, (one, other) in pairs.items()}
    commutes = {
        flip: difference[flip] <= 1e-9 * max(1.0, float(np.abs(pairs[flip][0]).max())) for flip in pairs
    }
    backwards = float(np.abs(pairs[False][0] - pairs[False][1][::-1, ::-1]).max())
    symmetric = bool(np.array_equal(kernel, kernel[::-1, ::-1]))
    shared = max(float(np.abs(m).max()) for pair in pairs.values() for m in pair)
    top = max(float(np.abs(across.result).max()), float(np.abs(turned.result).max()))

    def drawn(array: NDArray[Any], en: str, zh: str, limit: float | None = None) -> Map:
        limits = None if limit is None else (-limit, limit)
        return Map(array, "signed", both(en, zh), limits=limits, cells=max(array.shape) <= 12)

    maps = {
        "image": Map(image, "grey", both("image", "图像"), cells=max(image.shape) <= 12),
        "kernel": drawn(kernel, "kernel", "卷积核"),
        "turned": drawn(kernel[::-1, ::-1], "kernel turned by 180°", "旋转 180° 的卷积核"),
        "correlation": drawn(across.result, "cross-correlation", "互相关", top),
        "convolution": drawn(turned.result, "convolution", "卷积", top),
        "convolution image*kernel": drawn(
            pairs[True][0], "convolution: image * kernel", "卷积：图像 * 核", shared
        ),
        "convolution kernel*image": drawn(
            pairs[True][1], "convolution: kernel * image", "卷积：核 * 图像", shared
        ),
        "correlation image*kernel": drawn(
            pairs[False][0], "correlation: image, kernel", "互相关：图像，核", shared
        ),
        "correlation kernel*image": drawn(
            pairs[False][1], "correlation: kernel, image", "互相关：核，图像", shared
        ),
    }
    names = list(maps)
    numbers = {
        "convolution_commutes": commutes[True],
        "correlation_commutes": commutes[False],
        "convolution_difference": difference[True],
        "correlation_difference": difference[False],
        "correlation_difference_once_turned": backwards,
        "kernel_is_symmetric": symmetric,
        "same": bool(np.array_equal(across.result, turned.result)),
        "correlation": across.result.tolist(),
        "convolution": turned.result.tolist(),
    }
    english = [
        "Turned by 180° this kernel is itself, so convolution and cross-correlation give the same map."
        if symmetric
        else "Convolution turns the kernel by 180° and then slides it; cross-correlation slides it as it is. "
        "Deep learning libraries compute the second and call it the first.",
        f"Image and kernel exchanged: convolution changes by {number(difference[True])} "
        f"({_WORDS[commutes[True]][0]}), cross-correlation by up to {number(difference[False])} "
        f"({_WORDS[commutes[False]][0]}).",
        f"Turned by 180°, the exchanged cross-correlation differs by {number(backwards)}: to exchange is to "
        "turn.",
    ]
    chinese = [
        "这个卷积核旋转 180° 后不变，所以卷积与互相关得到同一张图。"
        if symmetric
        else "卷积先把核旋转 180° 再滑动；互相关直接滑动。深度学习库计算的是后者，却称之为卷积。",
        f"交换图像与核：卷积改变 {number(difference[True])}（{_WORDS[commutes[True]][1]}），"
        f"互相关最多改变 {number(difference[False])}（{_WORDS[commutes[False]][1]}）。",
        f"把交换后的互相关旋转 180°，差别为 {number(backwards)}：交换就等于旋转。",
    ]
    layout = (tuple(names[:3]), tuple(names[3:5]), tuple(names[5:7]), tuple(names[7:]))
    player = turned if values["player"] == "convolution" else across
    return LessonResult("flip", {}, numbers, maps, {"en": english, "zh": chinese}, layout, player=player)


FLIP = Lesson(
    name="flip",
    title=both("Convolution and cross-correlation", "卷积与互相关"),
    text=both(
        "Mathematics turns the kernel around before sliding it; libraries slide it as it is and still say "
        "convolution. Only the first lets image and kernel change places: try it on the same numbers.",
        "数学上的卷积先把核翻转再滑动；深度学习库直接滑动，却仍叫卷积。"
        "只有前者可以交换图像与核的位置：用同样的数字试一试。",
    ),
    controls=(
        Matrix(
            name="image",
            label=both("image", "图像"),
            default="0 0 0 0 0; 0 1 0 0 0; 0 0 2 0 0; 0 0 0 3 0; 0 0 0 0 0",
            largest=16,
        ),
        Kernel(
            name="kernel",
            label=both("kernel", "卷积核"),
            default="1 2 3; 4 5 6; 7 8 9",
            largest=16,
            channels=1,
        ),
        Choice(
            name="player",
            label=both("step through", "逐步演示"),
            default="convolution",
            options={
                "convolution": both("convolution", "卷积"),
                "correlation": both("cross-correlation", "互相关"),
            },
        ),
    ),
    compute=_compute,
)
