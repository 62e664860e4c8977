"""Lesson: kernels as detectors of edges, spots and brightness, by name, typed, or out of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convscope.errors import ControlError
from convscope.lesson.controls import Choice, Kernel, KernelChoice, PictureChoice
from convscope.lesson.convolve import convolve
from convscope.lesson.lessons import Lesson, Tools, Values
from convscope.lesson.network_kernels import Answer, network_answer
from convscope.lesson.photos import Photo, crossed, read_photo
from convscope.lesson.result import LessonResult, Map, both, number

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def _compute(values: Values, tools: Tools) -> LessonResult:
    photo = read_photo(values["picture"], tools)
    choice: KernelChoice = values["kernel"]
    answer = (
        network_answer(choice.model, values["weights"], photo, tools) if choice.model else _own(choice, photo)
    )
    return _result(photo, choice, answer)


def _own(choice: KernelChoice, photo: Photo) -> Answer:
    import numpy as np

    kernel = choice.values
    if kernel.ndim == 3 and len(kernel) != 3:
        raise ControlError(
            f"`kernel` must have 1 channel, or 3 for red, green and blue; got {len(kernel)}", control="kernel"
        )
    image = np.moveaxis(photo.pixels, 2, 0) if kernel.ndim == 3 else photo.grey
    done = convolve(image, kernel.astype(np.float32))
    stacked = kernel if kernel.ndim == 3 else kernel[None]
    return Answer(stacked, done.maps[0], done.geometry, done.multiply_adds, ())


def _kernel_picture(kernel: NDArray[Any]) -> Map:
    """A kernel of three channels in colour, grey half-way; any other as its mean over the channels."""
    import numpy as np

    if len(kernel) == 3:
        size = float(np.abs(kernel).max()) or 1.0
        colours = np.rint(np.moveaxis(kernel, 0, 2) / size * 127 + 128).astype(np.uint8)
        return Map(colours, "rgb", both("kernel, in colour", "卷积核（彩色）"))
    caption = (
        both("kernel", "卷积核")
        if len(kernel) == 1
        else both("kernel, mean of its channels", "卷积核（各通道平均）")
    )
    return Map(kernel.mean(axis=0), "signed", caption, cells=max(kernel.shape[1:]) <= 7)


def _result(photo: Photo, choice: KernelChoice, answer: Answer) -> LessonResult:
    import numpy as np

    response: NDArray[np.floating] = answer.response
    best, worst = (np.unravel_index(f(response), response.shape) for f in (np.argmax, np.argmin))
    places = [[int(n) for n in place] for place in (best, worst)]
    largest, smallest = float(response[best]), float(response[worst])
    marks = [crossed(places[0][0], places[0][1], "accent", "+")]
    if smallest < 0:
        marks.append(crossed(places[1][0], places[1][1], "second", "-"))
    zero_sum = abs(float(answer.kernel.sum())) <= 1e-6 * float(np.abs(answer.kernel).sum())
    maps = {
        "photo": Map(
            photo.bytes if photo.coloured else photo.grey,
            "rgb" if photo.coloured else "grey",
            both(photo.name, photo.name),
            limits=None if photo.coloured else (0, 255),
        ),
        "kernel": _kernel_picture(answer.kernel),
        "response": Map(response, "signed", both("feature map", "特征图"), tuple(marks)),
    }
    numbers = {
        "kernel": answer.kernel.tolist() if answer.kernel.size <= 600 else None,
        "kernel_shape": list(answer.kernel.shape),
        "kernel_sum": float(answer.kernel.sum()),
        "size": list(response.shape),
        "stride": list(answer.geometry.stride),
        "padding": list(answer.geometry.padding),
        "multiply_adds": answer.multiply_adds,
        "largest": largest,
        "largest_at": places[0],
        "smallest": smallest,
        "smallest_at": places[1],
        "positive_share": float((response > 0).mean()),
        "negative_share": float((response < 0).mean()),
        "notes": list(answer.notes),
    }
    english = [
        f"The strongest positive answer is {number(largest)} at row {places[0][0]}, column "
        f"{places[0][1]}; the "
        f"strongest negative one {number(smallest)} at row {places[1][0]}, column {places[1][1]}.",
        "The kernel's numbers add up to 0: where the picture is even, it answers 0, however bright it is."
        if zero_sum
        else f"The kernel's numbers add up to {number(float(answer.kernel.sum()))}: it also answers to mere "
        "brightness.",
        *answer.notes,
    ]
    chinese = [
        f"最强的正响应为 {number(largest)}，在第 {places[0][0]} 行第 {places[0][1]} 列；"
        f"最强的负响应为 {number(smallest)}，"
        f"在第 {places[1][0]} 行第 {places[1][1]} 列。",
        "卷积核的数之和为 0：图像平坦之处，无论多亮，响应都是 0。"
        if zero_sum
        else f"卷积核的数之和为 {number(float(answer.kernel.sum()))}：它对单纯的亮度也有响应。",
        *answer.notes_zh,
    ]
    return LessonResult(
        "detectors",
        {},
        numbers,
        maps,
        {"en": english, "zh": chinese},
        (("photo", "kernel", "response"),),
        preview=photo.factor > 1,
    )


DETECTORS = Lesson(
    name="detectors",
    title=both("Kernels as detectors", "卷积核是探测器"),
    text=both(
        "A kernel answers strongly where the picture looks like it: positive where it fits, negative "
        "where the "
        "picture is its opposite. Try the classic ones, your own, or one that a network has learned.",
        "图像与卷积核相像之处，响应就强：吻合为正，相反为负。试试经典的卷积核、自己输入的，"
        "或神经网络学到的。",
    ),
    controls=(
        PictureChoice(name="picture", label=both("photo", "照片"), default="sample:camera"),
        Kernel(name="kernel", label=both("kernel", "卷积核"), default="edge", models=True),
        Choice(
            name="weights",
            label=both("the network's weights", "网络权重"),
            default="default",
            options={"default": both("trained", "已训练"), "none": both("random", "随机")},
            when={"kernel": ("model",)},
        ),
    ),
    compute=_compute,
)
