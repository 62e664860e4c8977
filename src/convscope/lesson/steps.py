"""Lesson: a convolution step by step, on typed numbers or a crop of a picture."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from convscope.errors import ControlError
from convscope.lesson.controls import Box, Choice, Kernel, Matrix, Number, Padding, PictureChoice, Switch
from convscope.lesson.convolve import convolve
from convscope.lesson.geometry import PADDING_MODES
from convscope.lesson.lessons import Lesson, Tools, Values
from convscope.lesson.photos import check_box, read_photo
from convscope.lesson.result import LessonResult, Map, Text, both, number

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from convscope.lesson.controls import KernelChoice
    from convscope.lesson.convolution import Convolution

#: A seven, drawn in 5 x 5 numbers.
SEVEN = "0 9 9 9 0; 0 0 0 9 0; 0 0 9 0 0; 0 9 0 0 0; 0 9 0 0 0"
#: Most rows and columns of an image that is played step by step.
LARGEST = 32
#: Most products of a convolution that is played step by step.
MOST_PRODUCTS = 2_000_000

MODES: dict[str, Text] = {
    "zeros": both("zeros", "补零"),
    "reflect": both("reflect", "镜像"),
    "replicate": both("replicate", "复制边缘"),
    "circular": both("circular", "循环"),
}
assert tuple(MODES) == PADDING_MODES

SOURCE = Choice(
    name="source",
    label=both("image", "图像"),
    default="typed",
    options={"typed": both("typed numbers", "输入的数字"), "photo": both("part of a photo", "照片的一部分")},
)
IMAGE = Matrix(
    name="image",
    label=both("numbers", "数字"),
    default=SEVEN,
    largest=LARGEST,
    channels=4,
    when={"source": ("typed",)},
)
PICTURE = PictureChoice(
    name="picture", label=both("photo", "照片"), default="sample:coins", when={"source": ("photo",)}
)
CROP = Box(
    name="crop",
    label=both("part of the photo", "照片中的区域"),
    default=(20, 30, 32, 32),
    largest=LARGEST,
    when={"source": ("photo",)},
)
COLOUR = Switch(name="colour", label=both("in colour", "彩色"), default=False, when={"source": ("photo",)})


def played(
    lesson: str,
    done: Convolution,
    sentences: dict[str, list[str]],
    *,
    more: dict[str, Any] | None = None,
    photo: NDArray[np.uint8] | None = None,
) -> LessonResult:
    """A convolution as the result of a lesson that has a player."""
    import numpy as np

    where = done.geometry
    maps = {}
    if photo is not None:
        maps["input"] = Map(photo, "rgb", both("input", "输入"))
    for place, values in enumerate(done.image if photo is None else ()):
        name = "input" if len(done.image) == 1 else f"input {place}"
        caption = (
            both(f"input, channel {place}", f"输入，通道 {place}")
            if len(done.image) > 1
            else both("input", "输入")
        )
        maps[name] = Map(values, "grey", caption, cells=max(values.shape) <= 12)
    inputs = tuple(maps)
    each = done.kernel.shape[1]
    for m in range(min(4, len(done.kernel))):
        for c in range(min(4, each)):
            name = "kernel" + (f" {m}" if len(done.kernel) > 1 else "") + (f".{c}" if each > 1 else "")
            caption = both(
                name.replace(".", ", channel "), name.replace("kernel", "卷积核").replace(".", "，通道 ")
            )
            maps[name] = Map(done.kernel[m, c], "signed", caption, cells=max(done.kernel.shape[2:]) <= 12)
    top = float(np.abs(done.kernel).max())
    maps = {
        name: replace(one, limits=(-top, top)) if name.startswith("kernel") else one
        for name, one in maps.items()
    }
    kernels = tuple(name for name in maps if name not in inputs)
    for m, values in enumerate(done.maps):
        name = "result" if len(done.maps) == 1 else f"result {m}"
        caption = (
            both("feature map", "特征图") if len(done.maps) == 1 else both(f"feature map {m}", f"特征图 {m}")
        )
        maps[name] = Map(values, "signed", caption, cells=max(values.shape) <= 12)
    results = tuple(name for name in maps if name not in (*inputs, *kernels))
    output = done.result.tolist() if done.maps.size <= 4096 else None
    numbers = {
        "image": list(where.image),
        "channels": len(done.image),
        "padded": list(where.padded),
        "kernel": list(where.kernel),
        "window": list(where.window),
        "size": [len(done.maps), *where.output],
        "steps": len(done),
        "multiply_adds": done.multiply_adds,
        "largest_difference": float(max(abs(s.sum + s.bias - s.output) for s in done))
        if len(done) <= 4096
        else None,
        "smallest": float(np.nanmin(done.maps)),
        "largest": float(np.nanmax(done.maps)),
        "output": output,
        **(more or {}),
    }
    rows = (inputs + kernels + results,) if len(maps) <= 4 else (inputs, kernels, results)
    return LessonResult(lesson, {}, numbers, maps, sentences, rows, player=done)


def small_image(values: Values, tools: Tools) -> tuple[NDArray[Any], NDArray[np.uint8] | None]:
    """The image the controls ``source``, ``image``, ``picture``, ``crop`` and ``colour`` choose.

    ``float64 (rows, columns)`` or ``(channels, rows, columns)``, and the crop as a picture where it is one.
    """
    import numpy as np

    if values["source"] == "typed":
        return values["image"], None
    photo = read_photo(values["picture"], Tools(tools.picture, tools.model))
    colour = values.get("colour", False)
    part = photo.cut(values["crop"], "crop", colour=colour).astype(np.float64)
    if not colour:
        return np.rint(part), None
    return part, np.moveaxis(part, 0, 2).astype(np.uint8)


def check_products(done_size: int, kernel_cells: int) -> None:
    """Make sure that a convolution is small enough to be played."""
    if done_size * kernel_cells > MOST_PRODUCTS:
        raise ControlError(
            f"{done_size * kernel_cells:,} products are too many to be played step by step",
            control="kernel",
            hint=f"At most {MOST_PRODUCTS:,}: take a smaller kernel or a larger stride.",
        )


def cut_kernel(choice: KernelChoice, box: tuple[int, int, int, int], image: NDArray[Any]) -> NDArray[Any]:
    """The numbers of a kernel that was named, typed or is to be cut from ``image`` by ``box``."""
    if choice.how != "cut":
        found: NDArray[Any] = choice.values
        return found
    check_box(box, (image.shape[-2], image.shape[-1]), "kernel_box")
    top, left, rows, columns = box
    return image[..., top : top + rows, left : left + columns]


_GROUPED = {
    "all": ("The products of all {} channels are added into one cell.", "{} 个通道的乘积加在同一个单元里。"),
    "two": (
        "The {} channels form two groups of {}: each group has a feature map of its own.",
        "{} 个通道分成两组，每组 {} 个：每组各得一张特征图。",
    ),
    "each": (
        "Each of the {} channels has a feature map of its own: a depthwise convolution.",
        "{} 个通道各得一张特征图：这就是逐通道卷积。",
    ),
}


def _compute(values: Values, tools: Tools) -> LessonResult:
    image, photo = small_image(values, tools)
    kernel = cut_kernel(values["kernel"], values["kernel_box"], image)
    channels = image.shape[0] if image.ndim == 3 else 1
    groups = {"all": 1, "two": 2, "each": channels}[values["groups"]]
    if channels % groups:
        raise ControlError(
            f"`groups` must divide the image's {channels} channel{'s' * (channels > 1)}; got {groups}",
            control="groups",
        )
    if kernel.ndim == 3:
        if len(kernel) != channels:
            raise ControlError(
                f"`kernel` has {len(kernel)} channels and the image {channels}", control="kernel"
            )
        kernel = kernel.reshape(groups, channels // groups, *kernel.shape[1:])
    done = convolve(
        image,
        kernel,
        stride=values["stride"],
        padding=values["padding"],
        padding_mode=values["padding_mode"],
        dilation=values["dilation"],
        groups=groups,
        bias=values["bias"],
    )
    check_products(done.maps.size, done.kernel[0].size)
    where = done.geometry
    rows, columns = where.image
    size = f"{where.output[0]} x {where.output[1]}"
    many = len(done.maps) > 1
    english = [
        f"The {where.kernel[0]} x {where.kernel[1]} kernel moves over the {rows} x {columns} image"
        + (f", padded to {where.padded[0]} x {where.padded[1]}," if where.padded != where.image else "")
        + f" in steps of {where.stride[0]} and fills "
        + (f"{len(done.maps)} feature maps" if many else "a feature map")
        + f" of {size}.",
        f"Each of the {number(len(done))} cells is the sum of {done.kernel[0].size} products"
        + (f" plus the bias {number(values['bias'])}" if values["bias"] else "")
        + f": {number(done.multiply_adds)} multiply-adds in all.",
    ]
    chinese = [
        f"{where.kernel[0]} × {where.kernel[1]} 的卷积核以步长 {where.stride[0]} 在 {rows} × {columns} 的图像"
        + (f"（填充后为 {where.padded[0]} × {where.padded[1]}）" if where.padded != where.image else "")
        + f"上滑动，得到 {len(done.maps)} 张 {where.output[0]} × {where.output[1]} 的特征图。",
        f"{number(len(done))} 个单元中的每一个都是 {done.kernel[0].size} 个乘积之和"
        + (f"再加上偏置 {number(values['bias'])}" if values["bias"] else "")
        + f"，共 {number(done.multiply_adds)} 次乘加。",
    ]
    if channels > 1:
        english.append(_GROUPED[values["groups"]][0].format(channels, channels // groups))
        chinese.append(_GROUPED[values["groups"]][1].format(channels, channels // groups))
    return played("steps", done, {"en": english, "zh": chinese}, photo=photo)


STEPS = Lesson(
    name="steps",
    title=both("Step by step", "一步一步看卷积"),
    text=both(
        "A small window moves over the image. At each place its numbers are multiplied by those of the "
        "kernel, the products are added up, and the sum becomes one cell of the feature map.",
        "一个小窗口在图像上移动。在每个位置，窗口里的数与卷积核的数对应相乘，再把乘积相加，"
        "和就是特征图的一个单元。",
    ),
    controls=(
        SOURCE,
        IMAGE,
        PICTURE,
        CROP,
        COLOUR,
        Kernel(name="kernel", label=both("kernel", "卷积核"), default="edge", channels=4, cut="kernel_box"),
        Box(
            name="kernel_box",
            label=both("part of the image that is the kernel", "作为卷积核的区域"),
            default=(0, 1, 3, 3),
            of="image",
            largest=LARGEST,
            when={"kernel": ("cut",)},
        ),
        Number(name="stride", label=both("stride", "步长"), default=1, low=1, high=16),
        Padding(name="padding", label=both("padding", "填充"), default="none"),
        Choice(name="padding_mode", label=both("padding with", "填充方式"), default="zeros", options=MODES),
        Number(name="dilation", label=both("dilation", "膨胀"), default=1, low=1, high=8),
        Number(name="bias", label=both("bias", "偏置"), default=0, low=-1000, high=1000, step=0.5),
        Choice(
            name="groups",
            label=both("channels", "通道"),
            default="all",
            options={
                "all": both("added up", "相加"),
                "two": both("in two groups", "分成两组"),
                "each": both("each for itself (depthwise)", "各自独立（逐通道）"),
            },
        ),
    ),
    compute=_compute,
)
