"""Frames as a GIF, an animated WebP or an MP4 film, written whole or not at all.

A GIF has 256 colours: they are chosen once, from several frames, and every frame uses the same, so that
nothing flickers. Where none of them is near, neighbouring ones are mixed in a pattern that keeps its place.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from PIL import Image

from convscope.errors import OutputError, UsageError
from convscope.exhibits.drawing import ACCENT, INK, LINE, PAPER, RAISED, SOFT, STRONG_LINE, TONES, WASH
from convscope.files import atomic_write

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: What an animation's file may end in.
ENDINGS = (".gif", ".webp", ".mp4")
#: How long the last frame stays, in frames.
_HOLD = 6
#: Bits of a colour's channels by which the nearest of the palette is looked up.
_BITS = 6
#: Levels by which a colour may miss its palette entry before two are mixed, and how far apart they may be.
_ROUGH, _MIXED = 6, 28
#: Palette entry of what a frame leaves as it was.
_CLEAR = 255
#: Thresholds from -1/2 to 1/2, evenly spread (Bayer, "An optimum method for two-level rendition", 1973).
_BAYER = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]) / 15 - 0.5


@runtime_checkable
class Frames(Protocol):
    """Frames by number, ``uint8 (rows, columns, 3)``: a list, or what draws each when it is asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> NDArray[np.uint8]: ...


def check_animation(path: str | os.PathLike[str], per_second: float = 4.0) -> str:
    """The kind of animation a file name asks for: ``".gif"``, ``".webp"`` or ``".mp4"``.

    Raises
    ------
    UsageError
        If it is none of these, or ``per_second`` is not from 0.1 to 50.
    OutputError
        If it is a film and no encoder is installed.

    Examples
    --------
    >>> check_animation("steps.GIF")
    '.gif'
    """
    ending = Path(path).suffix.lower()
    if ending not in ENDINGS:
        raise UsageError(
            f"an animation must end in {', '.join(ENDINGS)}; got {str(path)!r}",
            hint="For example: --animate steps.gif",
        )
    if not 0.1 <= per_second <= 50:
        raise UsageError(f"`per_second` must lie between 0.1 and 50; got {per_second}")
    if ending == ".mp4" and find_spec("av") is None:
        raise OutputError(
            "MP4 films need the package `av`, which is not installed",
            hint="Install it with: pip install 'convscope[video]', or write a .gif or .webp instead.",
        )
    return ending


def save_animation(
    path: str | os.PathLike[str],
    frames: Iterable[NDArray[np.uint8]],
    *,
    per_second: float = 4.0,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write frames as an animation; its kind follows from the name's ending.

    Parameters
    ----------
    path
        A file ending in ``.gif``, ``.webp`` or ``.mp4``.
    frames
        ``uint8 (rows, columns, 3)``, all of one size, at least one. Those that can be had by number, and say
        how many they are, are had when they are needed, some twice, and not held all at once.
    per_second
        Frames shown in a second, 0.1 to 50. The last one stays a little longer.
    progress
        Called with how many frames are drawn, and of how many.

    Returns
    -------
    ``path``.

    Raises
    ------
    UsageError
        If the ending is another, or there are no frames.
    OutputError
        If it cannot be written, or MP4 is asked for and no encoder is installed.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made = save_animation(f"{folder}/a.gif", [np.zeros((8, 8, 3), np.uint8)] * 3)
    ...     made.stat().st_size > 0
    True
    """
    ending = check_animation(path, per_second)
    shown = frames if isinstance(frames, Frames) else list(frames)
    if not len(shown):
        raise UsageError("an animation needs at least one frame")
    counted = _counted(shown, progress or (lambda done, total: None))
    content = {".gif": _gif, ".webp": _webp, ".mp4": _mp4}[ending](shown, counted, per_second)
    return atomic_write(path, content)


def _times(count: int, per_second: float) -> list[int]:
    """Milliseconds of each frame; GIF counts hundredths of a second."""
    each = max(20, round(100 / per_second) * 10)
    return [*[each] * (count - 1), each * _HOLD]


def _counted(frames: Frames, progress: Callable[[int, int], None]) -> Iterator[NDArray[np.uint8]]:
    """The frames in order; tells of each when the next is asked for."""
    for number in range(len(frames)):
        yield frames[number]
        progress(number + 1, len(frames))


def _gif(frames: Frames, counted: Iterator[NDArray[np.uint8]], per_second: float) -> bytes:
    images = _indexed(counted, common_palette(frames))
    buffer = io.BytesIO()
    next(images).save(
        buffer,
        "GIF",
        save_all=True,
        append_images=images,
        duration=_times(len(frames), per_second),
        loop=0,
        optimize=False,
        disposal=1,
        transparency=_CLEAR,
    )
    return buffer.getvalue()


def _indexed(frames: Iterable[NDArray[np.uint8]], palette: NDArray[np.uint8]) -> Iterator[Image.Image]:
    """Frames in the colours of a palette, what has not changed left clear."""
    table = _nearest(palette[:_CLEAR])
    rough = _rough(palette, table)
    before: NDArray[np.uint8] | None = None
    for frame in frames:
        indices = _indices(frame, table, rough)
        # Long runs of one entry pack best.
        shown = indices if before is None else np.where(indices == before, np.uint8(_CLEAR), indices)
        before = indices
        image = Image.fromarray(shown, "P")
        image.putpalette(palette.tobytes())
        image.info["transparency"] = _CLEAR
        yield image


def common_palette(frames: Frames) -> NDArray[np.uint8]:
    """255 colours for all frames, from up to six of them, and one more entry: ``uint8 (256, 3)``."""
    some = [frames[int(n)] for n in np.linspace(0, len(frames) - 1, min(6, len(frames)))]
    seen = np.concatenate([_weighed(frame) for frame in some])
    side = int(np.ceil(np.sqrt(len(seen))))
    padded = np.concatenate([seen, np.repeat(seen[:1], side * side - len(seen), axis=0)])
    square = Image.fromarray(padded.reshape(side, side, 3))
    greys = [(n, n, n) for n in range(0, 256, 17)]
    own = [PAPER, RAISED, INK, SOFT, LINE, STRONG_LINE, ACCENT, WASH, *TONES.values(), *greys]
    chosen = square.quantize(_CLEAR - len(own), Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    colors = np.array(chosen.getpalette("RGB"), np.uint8).reshape(-1, 3)
    palette = np.full((256, 3), 255, np.uint8)
    colors = np.concatenate([np.array(own, np.uint8), colors])[:_CLEAR]
    palette[: len(colors)] = colors
    return palette


def _weighed(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The frame's colours, each as often as the root of its pixels, 32 times at most.

    A wide white sheet must not crowd out the colours of small cells, nor letters those of a photo.
    """
    flat = frame.reshape(-1, 3).astype(np.uint32)
    codes, counts = np.unique((flat[:, 0] << 16) | (flat[:, 1] << 8) | flat[:, 2], return_counts=True)
    codes = np.repeat(codes, np.clip(np.sqrt(counts), 1, 32).astype(np.intp))
    return np.stack([codes >> 16, (codes >> 8) & 255, codes & 255], axis=1).astype(np.uint8)


def _nearest(palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Palette entry by the first bits of red, green and blue."""
    steps = 1 << _BITS
    # The ends of the scale are met exactly: the last step stands for 255 and not for less.
    levels = np.rint(np.arange(steps) * (255 / (steps - 1))).astype(np.float32)
    green, blue = np.meshgrid(levels, levels, indexing="ij")
    colors = palette.astype(np.float32)
    # Of the squared distance only what differs between entries of the palette, one red at a time.
    rest = (colors**2).sum(1) - 2 * np.stack([green, blue], axis=-1).reshape(-1, 2) @ colors[:, 1:].T
    found = [(rest - 2 * red * colors[:, 0]).argmin(axis=1) for red in levels]
    table: NDArray[np.uint8] = np.concatenate(found).astype(np.uint8)
    return table


def _rough(palette: NDArray[np.uint8], table: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which colours, by their first bits, the palette misses by more than ``_ROUGH`` levels."""
    steps = 1 << _BITS
    levels = np.rint(np.arange(steps) * (255 / (steps - 1))).astype(np.int16)
    found = np.empty(steps**3, bool)
    for number, red in enumerate(levels):
        part = slice(number * steps**2, (number + 1) * steps**2)
        near = palette[table[part]].astype(np.int16).reshape(steps, steps, 3)
        off = np.maximum(abs(near[..., 1] - levels[:, None]), abs(near[..., 2] - levels[None, :]))
        found[part] = (np.maximum(off, abs(near[..., 0] - red)) > _ROUGH).ravel()
    return found


def _indices(
    frame: NDArray[np.uint8], table: NDArray[np.uint8], rough: NDArray[np.bool_] | None = None
) -> NDArray[np.uint8]:
    """Palette entries of a frame; even areas of a ``rough`` colour become a pattern of two near ones."""
    code = _codes(frame)
    found: NDArray[np.uint8] = table[code]
    if rough is None:
        return found
    mixed = rough[code]
    # Letters stay sharp: only what is like its neighbours is mixed.
    mixed[1:] &= code[1:] == code[:-1]
    mixed[:, 1:] &= code[:, 1:] == code[:, :-1]
    rows, columns = np.nonzero(mixed)
    if len(rows):
        shift = (_BAYER[rows % 4, columns % 4] * _MIXED).astype(np.int16)
        moved = np.clip(frame[rows, columns] + shift[:, None], 0, 255).astype(np.uint8)
        found[rows, columns] = table[_codes(moved)]
    return found


def _codes(colors: NDArray[np.uint8]) -> NDArray[Any]:
    short = (colors >> (8 - _BITS)).astype(np.uint32)
    found: NDArray[Any] = (short[..., 0] << (2 * _BITS)) | (short[..., 1] << _BITS) | short[..., 2]
    return found


class _Reel(Image.Image):
    """Frames as one image of several, each drawn when Pillow comes to it; of a list it would hold all."""

    def __init__(self, frames: Iterator[NDArray[np.uint8]], count: int) -> None:
        super().__init__()
        self.n_frames = count
        self._frames = frames
        self._at = -1
        self.seek(0)

    def seek(self, frame: int) -> None:
        """Go on to a frame; none before the one shown can be had again."""
        while self._at < frame:
            self.__dict__ |= Image.fromarray(next(self._frames)).__dict__
            self._at += 1

    def tell(self) -> int:
        """The frame shown."""
        return self._at


def _webp(frames: Frames, counted: Iterator[NDArray[np.uint8]], per_second: float) -> bytes:
    buffer = io.BytesIO()
    _Reel(counted, len(frames)).save(
        buffer,
        "WEBP",
        save_all=True,
        duration=_times(len(frames), per_second),
        loop=0,
        lossless=True,
        quality=20,
        method=1,
        # Without key frames in between, which nobody seeks in a loop of seconds.
        kmax=0,
    )
    return buffer.getvalue()


def _mp4(frames: Frames, counted: Iterator[NDArray[np.uint8]], per_second: float) -> bytes:
    from fractions import Fraction

    import av

    rows, columns = (size - size % 2 for size in frames[0].shape[:2])
    buffer = io.BytesIO()
    container: Any = av.open(buffer, "w", format="mp4")
    with container:
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        stream = container.add_stream(codec, rate=Fraction(per_second).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = columns, rows, "yuv420p"
        if codec == "libx264":
            stream.options = {"crf": "18", "preset": "veryfast", "tune": "animation"}
        else:
            stream.bit_rate = 4_000_000
        for frame in chain(counted, repeat(frames[len(frames) - 1], _HOLD - 1)):
            image = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:rows, :columns]), format="rgb24")
            container.mux(stream.encode(image))
        container.mux(stream.encode())
    return buffer.getvalue()
