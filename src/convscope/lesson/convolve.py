"""One convolution of one image, computed by torch, with every step of it as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from convscope.errors import ControlError
from convscope.lesson.convolution import Convolution, lay_out
from convscope.lesson.geometry import Geometry, check, pair, read_padding, whole
from convscope.lesson.wanted import still_wanted
from convscope.numerics import one_thread

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from convscope.data import Picture

#: ``auto`` takes Fourier transforms from this many kernel cells on, where they are quicker.
FFT_CELLS = 121
#: ... and from this many products of one channel on.
FFT_WORK = 4_000_000
#: Products that torch's own convolution makes at a time: some 30 ms of two threads' work.
BAND_WORK = 200_000_000
METHODS = ("auto", "direct", "fft")


def convolve(
    image: ArrayLike | Picture,
    kernel: ArrayLike,
    *,
    stride: int | Sequence[int] = 1,
    padding: int | str | Sequence[int] = 0,
    padding_mode: str = "zeros",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    bias: float | Sequence[float] | None = None,
    flip: bool = False,
    transposed: bool = False,
    method: str = "auto",
) -> Convolution:
    """Convolve an image with a kernel, as networks do, and keep what is needed to show every step.

    A feature map's cell is the sum of the products of the kernel and the window of the image below it, plus
    the bias. Networks do not flip the kernel (so this is cross-correlation); ``flip=True`` does, which is
    convolution as mathematics defines it.

    Parameters
    ----------
    image
        ``(rows, columns)`` or ``(channels, rows, columns)``, or a picture: 3 channels of 0 to 255.
        float16, float32 and float64 are computed as they are; whole numbers in float64.
    kernel
        ``(rows, columns)``: the same for every channel; ``(channels, rows, columns)``: one feature map;
        ``(maps, channels, rows, columns)``: several. With ``groups`` the channels of one group. Of a
        transposed convolution ``(channels, maps, rows, columns)``, as torch has it.
    stride, dilation
        A whole number from 1 up, or two (rows, columns).
    padding
        Rows and columns of padding: a number; (rows, columns); (top, bottom, left, right); ``"none"``;
        ``"same"``, which at stride 1 keeps the size. A transposed convolution cuts off as much instead.
    padding_mode
        ``"zeros"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.
    groups
        Groups of channels that see only each other; as many as channels is a depthwise convolution.
    bias
        Added to each cell: one number, or one for each feature map.
    flip
        Turn the kernel by 180 degrees first.
    transposed
        Transposed convolution: every input cell lays the kernel, times its value, on the result. Its steps
        are those of the equal convolution over the input with ``stride - 1`` zeros between its cells.
    method
        ``"direct"``: torch's own convolution. ``"fft"``: by Fourier transforms in float64, far quicker for
        large kernels and as exact. ``"auto"`` takes ``"fft"`` from 121 kernel cells and large results on.

    Returns
    -------
    A :class:`Convolution`; its ``result`` holds the feature maps, and it is a sequence of its steps.

    Raises
    ------
    ControlError
        If an argument is wrong or does not fit another; its ``control`` names the argument.

    References
    ----------
    Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016.

    Examples
    --------
    >>> done = convolve([[0, 0, 9, 9], [0, 0, 9, 9], [0, 0, 9, 9]], [[-1, 0, 1]] * 3)
    >>> done.result.tolist()
    [[27.0, 27.0]]
    >>> step = done[0]
    >>> step.rows, step.columns, step.sum, step.output
    ((0, 1, 2), (0, 1, 2), 27.0, 27.0)
    >>> convolve([[1, 2, 3]], [[1, 0]], padding="same", flip=True).result.tolist()
    [[2.0, 3.0, 0.0]]
    """
    import numpy as np

    picture, kernels = _image(image), _numbers(kernel, "kernel")
    flat = picture.ndim == 2 and kernels.ndim == 2
    picture = picture[None] if picture.ndim == 2 else picture
    if kernels.dtype != picture.dtype:
        kernels = kernels.astype(picture.dtype)
    groups = whole(groups, "groups", 1)
    given = _shaped(kernels, len(picture), groups, transposed)
    laid = _as_laid(given, groups, transposed, flip)
    size = (laid.shape[2], laid.shape[3])
    steps, gaps = pair(stride, "stride", 1), pair(dilation, "dilation", 1)
    window = tuple(d * (k - 1) + 1 for k, d in zip(size, gaps, strict=True))
    around = read_padding(padding, window)
    if transposed:
        geometry = _transposed(picture.shape[1:], size, steps, gaps, around, padding, padding_mode)
    else:
        geometry = Geometry(picture.shape[1:], size, steps, gaps, around, padding_mode)
    check(geometry)
    added = _bias(bias, len(laid), picture.dtype)
    still_wanted()
    chosen = _method(method, geometry, picture, laid)
    if chosen == "fft":
        with one_thread():
            maps = _by_fft(lay_out(picture, geometry), laid, added, geometry, groups)
    else:
        maps = _by_torch(
            picture,
            given,
            added,
            geometry,
            groups,
            flip=flip,
            around=around,
            stride=steps,
            transposed=transposed,
        )
    return Convolution(
        np.array(picture), laid, given, added, maps, geometry, groups, flip, transposed, chosen, flat
    )


def _image(image: Any) -> NDArray[Any]:
    from convscope.data import Picture

    if isinstance(image, Picture):
        import numpy as np

        return np.moveaxis(image.pixels, 2, 0).astype(np.float32)
    array = _numbers(image, "image")
    if array.ndim not in (2, 3):
        raise ControlError(
            f"`image` must be (rows, columns) or (channels, rows, columns); got shape {array.shape}",
            control="image",
        )
    return array


def _numbers(values: Any, control: str) -> NDArray[Any]:
    import numpy as np

    try:
        array = np.asarray(values)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "biuf":
        raise ControlError(f"`{control}` must be rows of numbers, all equally long", control=control)
    if array.size == 0:
        raise ControlError(f"`{control}` is empty: its shape is {array.shape}", control=control)
    if array.dtype not in (np.float16, np.float32, np.float64):
        array = array.astype(np.float64)
    return array


def _shaped(kernel: NDArray[Any], channels: int, groups: int, transposed: bool) -> NDArray[Any]:
    """The kernel with four axes: ``(maps, channels of a group, rows, columns)``, or as torch has it."""
    import numpy as np

    if channels % groups:
        raise ControlError(
            f"`groups` must divide the image's {channels} channel{'s' * (channels > 1)}; got {groups}",
            control="groups",
        )
    each = channels // groups
    if kernel.ndim == 2:
        shape = (channels, 1) if transposed else (groups, each)
        return np.array(np.broadcast_to(kernel, (*shape, *kernel.shape)))
    if kernel.ndim == 3:
        kernel = (
            kernel[:, None] if transposed or (groups == channels and len(kernel) == groups) else kernel[None]
        )
    if kernel.ndim != 4:
        raise ControlError(
            f"`kernel` must have 2, 3 or 4 axes, rows and columns last; got shape {kernel.shape}",
            control="kernel",
        )
    if transposed and kernel.shape[0] != channels:
        raise ControlError(
            f"`kernel` of a transposed convolution must be for the image's {channels} channels; "
            f"its shape is {kernel.shape}",
            control="kernel",
        )
    if not transposed and (kernel.shape[1] != each or kernel.shape[0] % groups):
        of = f"{each} of the image's {channels}" if groups > 1 else f"the image's {channels}"
        raise ControlError(
            f"`kernel` must be for {of} channel{'s' if channels > 1 else ''}"
            + (f" and its maps a multiple of {groups} groups" if groups > 1 else "")
            + f"; its shape is {kernel.shape}",
            control="kernel",
        )
    return np.array(kernel)


def _as_laid(kernel: NDArray[Any], groups: int, transposed: bool, flip: bool) -> NDArray[Any]:
    """The kernel ``(maps, channels of a group, rows, columns)`` as the window multiplies by it."""
    import numpy as np

    if not transposed:
        return np.array(kernel[:, :, ::-1, ::-1]) if flip else kernel
    channels, each, rows, columns = kernel.shape
    turned = kernel.reshape(groups, channels // groups, each, rows, columns).swapaxes(1, 2)
    turned = turned.reshape(groups * each, channels // groups, rows, columns)
    return np.array(turned if flip else turned[:, :, ::-1, ::-1])


def _transposed(
    image: tuple[int, ...],
    size: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    cut: tuple[int, int, int, int],
    padding: object,
    mode: str,
) -> Geometry:
    if isinstance(padding, str) and padding == "same":
        raise ControlError(
            "`padding` of a transposed convolution must be a whole number, not `same`", control="padding"
        )
    if mode != "zeros":
        raise ControlError(
            f"`padding_mode` of a transposed convolution must be `zeros`; got {mode!r}",
            control="padding_mode",
        )
    if cut[0] != cut[1] or cut[2] != cut[3]:
        raise ControlError(
            f"`padding` of a transposed convolution must be equal on both sides; got {padding!r}",
            control="padding",
        )
    rows, columns = (d * (k - 1) for k, d in zip(size, dilation, strict=True))
    around = (rows - cut[0], rows - cut[1], columns - cut[2], columns - cut[3])
    geometry = Geometry((image[0], image[1]), size, (1, 1), dilation, around, "zeros", stride)
    if min(geometry.output) < 1:
        raise ControlError(
            f"`padding` cuts off the whole result of {geometry.output[0] + 2 * cut[0]} x "
            f"{geometry.output[1] + 2 * cut[2]}; got {padding!r}",
            control="padding",
        )
    return geometry


def _bias(bias: Any, maps: int, dtype: Any) -> NDArray[Any]:
    import numpy as np

    values = _numbers([0.0] if bias is None else np.atleast_1d(bias), "bias").astype(dtype)
    if values.ndim != 1 or len(values) not in (1, maps):
        raise ControlError(
            f"`bias` must be one number, or one for each of {maps} feature maps; got shape {values.shape}",
            control="bias",
        )
    return np.array(np.broadcast_to(values, (maps,)))


def _method(method: str, geometry: Geometry, image: NDArray[Any], kernel: NDArray[Any]) -> str:
    import numpy as np

    if method not in METHODS:
        raise ControlError(f"`method` must be one of {', '.join(METHODS)}; got {method!r}", control="method")
    if method != "auto":
        return method
    cells = geometry.kernel[0] * geometry.kernel[1]
    work = cells * geometry.output[0] * geometry.output[1]
    # A value that is not finite would spread over the whole result.
    worth = cells >= FFT_CELLS and work > FFT_WORK and kernel.size <= 64 * cells
    return "fft" if worth and np.isfinite(image).all() and np.isfinite(kernel).all() else "direct"


def _by_torch(
    image: NDArray[Any],
    kernel: NDArray[Any],
    bias: NDArray[Any],
    geometry: Geometry,
    groups: int,
    *,
    flip: bool,
    around: tuple[int, int, int, int],
    stride: tuple[int, int],
    transposed: bool,
) -> NDArray[Any]:
    import numpy as np
    import torch
    from torch.nn import functional

    weight = torch.from_numpy(np.array(kernel[:, :, ::-1, ::-1]) if flip else kernel)
    with torch.no_grad():
        added = torch.from_numpy(bias)
        if transposed:
            given = torch.from_numpy(np.array(image))[None]
            found = functional.conv_transpose2d(
                given, weight, added, stride, (around[0], around[2]), 0, groups, geometry.dilation
            )
        else:
            given = torch.from_numpy(lay_out(image, geometry))[None]
            # Some rows at a time: a long run can be given up between them.
            rows, most = geometry.output[0], max(1, BAND_WORK // (geometry.output[1] * kernel.size))
            bands = []
            for top in range(0, rows, most):
                still_wanted()
                last = (min(rows, top + most) - 1) * stride[0] + geometry.window[0]
                band = given[:, :, top * stride[0] : last]
                bands.append(functional.conv2d(band, weight, added, stride, 0, geometry.dilation, groups))
            found = torch.cat(bands, dim=2) if len(bands) > 1 else bands[0]
    result: NDArray[Any] = found[0].numpy()
    return result


def _by_fft(
    padded: NDArray[Any], kernel: NDArray[Any], bias: NDArray[Any], geometry: Geometry, groups: int
) -> NDArray[Any]:
    import numpy as np
    import torch

    size = [quick_size(n) for n in padded.shape[1:]]
    each, maps = kernel.shape[1], kernel.shape[0] // groups
    last = [n - w + 1 for n, w in zip(padded.shape[1:], geometry.window, strict=True)]
    found = []
    dilated = torch.zeros(geometry.window, dtype=torch.float64)
    with torch.no_grad():
        for group in range(groups):
            sums = [torch.zeros(size[0], size[1] // 2 + 1, dtype=torch.complex128) for _ in range(maps)]
            # One channel after the other: large photos in colour would fill the memory otherwise.
            for channel in range(each):
                image = torch.from_numpy(padded[group * each + channel]).double()
                spectrum = torch.fft.rfft2(image, size)
                for number, total in enumerate(sums):
                    still_wanted()
                    weight = torch.from_numpy(kernel[group * maps + number, channel]).double()
                    dilated[:: geometry.dilation[0], :: geometry.dilation[1]] = weight
                    total.addcmul_(spectrum, torch.fft.rfft2(dilated, size).conj())
            for number, total in enumerate(sums):
                still_wanted()
                whole = torch.fft.irfft2(total, size)[
                    : last[0] : geometry.stride[0], : last[1] : geometry.stride[1]
                ]
                found.append((whole + float(bias[group * maps + number])).numpy().astype(padded.dtype))
    result: NDArray[Any] = np.stack(found)
    return result


def quick_size(size: int) -> int:
    """The next size from ``size`` on with no prime factor above 5: Fourier transforms of it are quick.

    Examples
    --------
    >>> quick_size(1024), quick_size(1031)
    (1024, 1080)
    """
    while True:
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return size
        size += 1
