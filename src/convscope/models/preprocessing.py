"""How a picture becomes a model's input, and how an input becomes a picture again.

The pixels are resized by Pillow and turned into numbers in the order the model's authors
used, so that the result equals their own transform bit for bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from convscope.errors import ImageError, UsageError
from convscope.models.card import Geometry, Prepared

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
INTERPOLATIONS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
FITS = ("cover", "contain", "exact")

# A strip of 1 x 30,000 pixels whose shorter side becomes 256 would need six gigabytes.
_MOST_RESIZED_PIXELS = 100_000_000


@dataclass(frozen=True)
class Preprocessing:
    """The steps from a picture to a model's input: resize, crop, scale to 0..1, normalise.

    Parameters
    ----------
    resize
        New length of the shorter side in pixels, or ``(height, width)``, or ``None`` to keep
        the size.
    crop
        ``(height, width)`` cut from the middle afterwards; a picture that is smaller is
        surrounded with ``fill``. ``None`` keeps everything.
    interpolation
        One of ``nearest``, ``box``, ``bilinear``, ``hamming``, ``bicubic``, ``lanczos``.
    mean, std
        Per channel, in units of 0..1: subtracted, then divided by.
    channels
        3 for RGB, 1 for grey (0.299 red + 0.587 green + 0.114 blue).
    note
        A sentence for people where something about these steps is unusual.
    fit
        What a ``resize`` of two numbers means: ``exact`` stretches to it, ``cover`` keeps the
        proportions and fills it, ``contain`` keeps the proportions and stays within it.
    fill
        Colour around a picture smaller than ``crop``, 0 to 255 for each of red, green, blue.
    frames
        Above 0, the model takes clips: the picture is repeated that many times and the
        tensor has shape ``(1, channels, frames, height, width)``.
    antialias
        ``False`` samples without smoothing first, as torchvision's video models were trained;
        for ``bilinear`` only.

    Examples
    --------
    >>> import numpy as np
    >>> steps = Preprocessing(resize=4, crop=(4, 4), mean=(0.5,) * 3, std=(0.5,) * 3)
    >>> prepared = steps.apply(np.full((8, 16, 3), 255, np.uint8))
    >>> prepared.tensor.shape, prepared.geometry.scale, prepared.geometry.offset
    (torch.Size([1, 3, 4, 4]), (2.0, 2.0), (0.0, 4.0))
    >>> steps.invert(prepared.tensor[0]).max()
    np.uint8(255)
    """

    resize: int | tuple[int, int] | None = 256
    crop: tuple[int, int] | None = (224, 224)
    interpolation: str = "bilinear"
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    channels: int = 3
    note: str = ""
    fit: str = "exact"
    fill: tuple[int, int, int] = (0, 0, 0)
    frames: int = 0
    antialias: bool = True

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise UsageError(f"`channels` must be 1 or 3; got {self.channels}")
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise UsageError(
                f"`mean` and `std` need {self.channels} numbers; got {len(self.mean)} and {len(self.std)}"
            )
        if not all(math.isfinite(value) and value > 0 for value in self.std):
            raise UsageError(f"`std` must be above 0; got {self.std}")
        if self.interpolation not in INTERPOLATIONS:
            raise UsageError(
                f"`interpolation` must be one of {', '.join(INTERPOLATIONS)}; got {self.interpolation!r}"
            )
        if self.fit not in FITS:
            raise UsageError(f"`fit` must be one of {', '.join(FITS)}; got {self.fit!r}")
        resize = (self.resize,) if isinstance(self.resize, int) else self.resize or ()
        sides = (*resize, *(self.crop or ()))
        if any(side < 1 for side in sides):
            raise UsageError(f"sizes must be at least 1 pixel; got resize {self.resize}, crop {self.crop}")

    @property
    def input_size(self) -> tuple[int, int] | None:
        """``(height, width)`` of the input; ``None`` where it depends on the picture."""
        if self.crop is not None:
            return self.crop
        return self.resize if isinstance(self.resize, tuple) and self.fit == "exact" else None

    @property
    def normalizes(self) -> bool:
        """Whether mean and standard deviation change anything."""
        return any(self.mean) or any(value != 1.0 for value in self.std)

    def cut(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The pixels the model would see: resized and cropped, not yet scaled or normalised.

        Parameters
        ----------
        pixels
            ``uint8`` array of shape ``(height, width, 3)``, RGB.

        Returns
        -------
        ``uint8`` array of shape ``(rows, columns, channels)``.

        Examples
        --------
        >>> Preprocessing(resize=8, crop=(8, 8)).cut(np.zeros((20, 10, 3), np.uint8)).shape
        (8, 8, 3)
        """
        rows, columns = self._resized(int(pixels.shape[0]), int(pixels.shape[1]))
        return self._crop(self._resize(pixels, rows, columns))[0]

    def apply(self, pixels: NDArray[np.uint8]) -> Prepared:
        """The model's input for a picture, and where it lies on the picture.

        Parameters
        ----------
        pixels
            ``uint8`` array of shape ``(height, width, 3)``, RGB.

        Returns
        -------
        ``tensor`` is ``float32`` of shape ``(1, channels, rows, columns)``, a fresh copy;
        ``geometry`` says which part of the picture it shows.

        Raises
        ------
        UsageError
            If ``pixels`` has another shape or type.
        ImageError
            If the picture is so long and thin that resizing it would fill the memory.
        """
        import torch

        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
            raise UsageError(
                "`pixels` must be a uint8 array of shape (height, width, 3); "
                f"got {pixels.dtype} of shape {tuple(pixels.shape)}"
            )
        height, width = int(pixels.shape[0]), int(pixels.shape[1])
        rows, columns = self._resized(height, width)
        if rows * columns > _MOST_RESIZED_PIXELS:
            raise ImageError(
                f"the picture of {width} x {height} would become {columns} x {rows} pixels for this model",
                code="too_many_pixels",
                hint="Cut out the part that matters first.",
            )
        resized = self._resize(pixels, rows, columns)
        cropped, top, left = self._crop(resized)
        # A copy: Pillow's arrays cannot be written to, and the division is done in place.
        planes = torch.from_numpy(np.array(cropped.transpose(2, 0, 1), order="C"))
        tensor = planes.to(torch.float32).div_(255)
        tensor = tensor.sub_(self._column(self.mean)).div_(self._column(self.std)).unsqueeze_(0)
        scale = (height / rows, width / columns)
        geometry = Geometry(
            scale=scale,
            offset=(scale[0] * top, scale[1] * left),
            input_size=(cropped.shape[0], cropped.shape[1]),
        )
        if self.frames:
            tensor = tensor.unsqueeze(2).repeat(1, 1, self.frames, 1, 1)
        return Prepared(tensor, geometry)

    def invert(self, tensor: Tensor) -> NDArray[np.uint8]:
        """The picture an input shows: normalisation undone, rounded, cut to 0..255.

        Parameters
        ----------
        tensor
            Shape ``(channels, rows, columns)``, or ``(channels, frames, rows, columns)`` for
            clips, of which the first frame is shown. Numbers that are not finite become 0.

        Returns
        -------
        ``uint8`` array of shape ``(rows, columns, 3)``; grey is repeated three times.
        """
        if tensor.ndim not in (3, 4) or tensor.shape[0] != self.channels:
            raise UsageError(
                f"`tensor` must have shape ({self.channels}, rows, columns); got {tuple(tensor.shape)}"
            )
        values = (tensor[:, 0] if tensor.ndim == 4 else tensor).detach().cpu().float()
        values = values * self._column(self.std) + self._column(self.mean)
        pixels = values.nan_to_num(0.0, 0.0, 0.0).mul(255).round().clamp(0, 255).byte()
        array: NDArray[np.uint8] = pixels.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()
        return array

    def without_normalization(self) -> Preprocessing:
        """The same steps, ending at 0..1: mean and standard deviation are not applied."""
        if not self.normalizes:
            return replace(self, note="normalisation skipped: this model has none, so nothing changes")
        centre = ", ".join(f"{value:g}" for value in self.mean)
        spread = ", ".join(f"{value:g}" for value in self.std)
        note = (
            "normalisation skipped: the model was trained on (pixel - mean) / std with mean "
            f"{centre} and std {spread} but sees pixels of 0 to 1, so its probabilities differ"
        )
        return replace(self, mean=(0.0,) * self.channels, std=(1.0,) * self.channels, note=note)

    def with_input_size(self, size: int | tuple[int, int]) -> Preprocessing:
        """The same steps for another input size, the margin cut off in the same proportion.

        Examples
        --------
        >>> Preprocessing(resize=256, crop=(224, 224)).with_input_size(112).resize
        128
        """
        rows, columns = (size, size) if isinstance(size, int) else size
        if rows < 1 or columns < 1:
            raise UsageError(f"`input_size` must be at least 1 pixel; got {size}")
        if self.crop is None:
            return replace(self, resize=(rows, columns), fit="exact")
        if self.resize is None:
            return replace(self, crop=(rows, columns))
        if isinstance(self.resize, int):
            margin = self.resize / min(self.crop)
            if rows == columns:
                return replace(self, resize=max(1, round(rows * margin)), crop=(rows, columns))
            wanted, fit = (round(rows * margin), round(columns * margin)), "cover"
        else:
            wanted = (
                round(rows * self.resize[0] / self.crop[0]),
                round(columns * self.resize[1] / self.crop[1]),
            )
            fit = self.fit
        return replace(self, resize=(max(1, wanted[0]), max(1, wanted[1])), crop=(rows, columns), fit=fit)

    def describe(self) -> str:
        """One line for people: what happens to a picture, in order.

        Examples
        --------
        >>> Preprocessing().describe()
        'shorter side to 256 (bilinear), middle 224 x 224, mean 0.485 0.456 0.406, std 0.229 0.224 0.225'
        """
        steps = ["grey"] if self.channels == 1 else []
        if isinstance(self.resize, int):
            steps.append(f"shorter side to {self.resize} ({self.interpolation})")
        elif self.resize is not None:
            verb = {"exact": "stretched to", "cover": "scaled to cover", "contain": "scaled to fit within"}
            steps.append(f"{verb[self.fit]} {self.resize[1]} x {self.resize[0]} ({self.interpolation})")
        if self.crop is not None:
            steps.append(f"middle {self.crop[1]} x {self.crop[0]}")
        if self.frames:
            steps.append(f"repeated as {self.frames} frames")
        if self.normalizes:
            steps.append("mean " + " ".join(f"{value:g}" for value in self.mean))
            steps.append("std " + " ".join(f"{value:g}" for value in self.std))
        else:
            steps.append("scaled to 0..1")
        return ", ".join(steps)

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the whole picture after resizing."""
        if self.resize is None:
            return height, width
        if isinstance(self.resize, int):
            # Truncated, not rounded: torchvision does, and one column moves every pixel.
            longer = int(self.resize * max(height, width) / min(height, width))
            return (longer, self.resize) if height > width else (self.resize, longer)
        if self.fit == "exact":
            return self.resize
        ratios = (height / self.resize[0], width / self.resize[1])
        ratio = min(ratios) if self.fit == "cover" else max(ratios)
        return max(1, round(height / ratio)), max(1, round(width / ratio))

    def _resize(self, pixels: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.uint8]:
        """``pixels`` as ``(rows, columns, channels)``."""
        from PIL import Image

        picture: Image.Image = Image.fromarray(pixels)
        if self.channels == 1:
            picture = picture.convert("L")
        if (picture.height, picture.width) != (rows, columns):
            if not self.antialias:
                return self._sample(np.asarray(picture).reshape(*pixels.shape[:2], -1), rows, columns)
            picture = picture.resize((columns, rows), Image.Resampling[self.interpolation.upper()])
        return np.asarray(picture).reshape(rows, columns, self.channels)

    def _sample(self, pixels: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.uint8]:
        """Bilinear sampling of four neighbours, without smoothing before it."""
        import torch
        from torch.nn import functional

        tensor = torch.from_numpy(np.array(pixels.transpose(2, 0, 1), order="C")).float().unsqueeze(0)
        sampled = functional.interpolate(tensor, (rows, columns), mode="bilinear", align_corners=False)
        array: NDArray[np.uint8] = sampled[0].round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
        return array

    def _crop(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int, int]:
        """Middle of ``pixels``, and the row and column it starts at (below 0 where padded)."""
        if self.crop is None:
            return pixels, 0, 0
        before = [max(0, (want - have) // 2) for want, have in zip(self.crop, pixels.shape[:2], strict=True)]
        after = [
            max(0, (want - have + 1) // 2) for want, have in zip(self.crop, pixels.shape[:2], strict=True)
        ]
        if any(after):
            size = (pixels.shape[0] + before[0] + after[0], pixels.shape[1] + before[1] + after[1])
            padded = np.empty((*size, self.channels), np.uint8)
            padded[:] = self.fill[: self.channels]
            padded[before[0] : before[0] + pixels.shape[0], before[1] : before[1] + pixels.shape[1]] = pixels
            pixels = padded
        # Halves round to even, as in torchvision: round(0.5) is 0, round(1.5) is 2.
        top = round((pixels.shape[0] - self.crop[0]) / 2)
        left = round((pixels.shape[1] - self.crop[1]) / 2)
        cut = pixels[top : top + self.crop[0], left : left + self.crop[1]]
        return cut, top - before[0], left - before[1]

    def _column(self, values: tuple[float, ...]) -> Tensor:
        """``values`` as a tensor of shape ``(channels, 1, 1)``."""
        import torch

        return torch.tensor(values, dtype=torch.float32).view(-1, 1, 1)
