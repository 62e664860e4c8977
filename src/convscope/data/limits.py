"""How large a picture may be before it is refused, checked before its pixels are decoded."""

from __future__ import annotations

from dataclasses import dataclass

from convscope.errors import ImageError


@dataclass(frozen=True)
class Limits:
    """The largest picture that is read.

    Decoding costs time and memory in proportion to what the header *claims*, and a few
    bytes can claim billions of pixels; the limits are held before anything is decoded.

    Parameters
    ----------
    pixels
        Width times height; 40 million are 120 MB as RGB.
    side
        Width or height, in pixels.
    file_bytes
        Size of the file, in bytes.
    pixel_scans
        Pixels times the scans of a JPEG. Every scan of a progressive JPEG is a pass over
        the whole picture; an ordinary file has 10, a hostile one thousands.

    Examples
    --------
    >>> Limits().pixels
    40000000
    >>> Limits(side=100).check(101, 5, "wide.png")
    Traceback (most recent call last):
    convscope.errors.ImageError: `wide.png` is 101 x 5 pixels, but a side may have at most 100
    Make it smaller first; in Python, `limits=Limits(...)` allows more.
    """

    pixels: int = 40_000_000
    side: int = 30_000
    file_bytes: int = 32 * 2**20
    pixel_scans: int = 800_000_000

    def check(self, width: int, height: int, name: str, *, scans: int = 1) -> None:
        """Refuse a picture of ``width`` x ``height`` pixels drawn in ``scans`` passes.

        Raises
        ------
        ImageError
            With the code ``too_many_pixels`` or ``too_many_scans``.
        """
        hint = "Make it smaller first; in Python, `limits=Limits(...)` allows more."
        if width * height > self.pixels:
            raise ImageError(
                f"`{name}` is {width} x {height} pixels, {_millions(width * height)} million, "
                f"but at most {_millions(self.pixels)} million are read",
                code="too_many_pixels",
                hint=hint,
            )
        if max(width, height) > self.side:
            raise ImageError(
                f"`{name}` is {width} x {height} pixels, but a side may have at most {self.side}",
                code="too_many_pixels",
                hint=hint,
            )
        if scans > 1 and width * height * scans > self.pixel_scans:
            raise ImageError(
                f"`{name}` is drawn in {scans} scans of {width} x {height} pixels, "
                f"but at most {max(1, self.pixel_scans // (width * height))} are read at that size",
                code="too_many_scans",
                hint="Save it again as an ordinary JPEG.",
            )

    def check_bytes(self, count: int, name: str) -> None:
        """Refuse a file of ``count`` bytes, with the code ``too_many_bytes``, if that is too many."""
        if count > self.file_bytes:
            raise ImageError(
                f"`{name}` has {_millions(count)} million bytes, "
                f"but at most {_millions(self.file_bytes)} million are read",
                code="too_many_bytes",
                hint="Save it smaller, as a JPEG for example; in Python, `limits=Limits(...)` allows more.",
            )


def _millions(count: int) -> str:
    return f"{count / 1e6:,.{1 if count < 1e9 else 0}f}".removesuffix(".0")
