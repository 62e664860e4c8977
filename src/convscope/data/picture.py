"""A picture as convscope uses it: plain RGB bytes and where they came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Longest side of a picture shown in a notebook.
_SHOWN_SIDE = 1024


@dataclass(frozen=True)
class Picture:
    """An image, decoded, turned upright and converted to RGB.

    Parameters
    ----------
    pixels
        ``uint8`` array of shape ``(height, width, 3)``, values 0 to 255, sRGB as stored.
    name
        File name or sample name, as shown to people; always printable.
    origin
        ``"file"``, ``"bytes"``, ``"sample"``, ``"array"`` or ``"pillow"``.
    notes
        One sentence for each conversion that changed the pixels ("transparent parts
        drawn over white", "16-bit grey scaled to 8 bits", "12 frames, the first is used").
    """

    pixels: NDArray[np.uint8]
    name: str
    origin: str = "array"
    notes: tuple[str, ...] = ()

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return int(self.pixels.shape[1])

    def _repr_png_(self) -> bytes:
        """It as a notebook shows it, at most 1,024 pixels a side."""
        import io

        from PIL import Image

        image = Image.fromarray(self.pixels)
        image.thumbnail((_SHOWN_SIDE, _SHOWN_SIDE), Image.Resampling.BOX)
        out = io.BytesIO()
        image.save(out, "PNG")
        return out.getvalue()
