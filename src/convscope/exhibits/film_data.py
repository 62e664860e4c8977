"""A film as text blocks of an HTML page: what the page must know as JSON, each frame as a packed chunk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convscope.exhibits.film_curves import curve_range, curves, told
from convscope.exhibits.film_survey import Survey, survey
from convscope.exhibits.film_view import (
    TILES,
    KernelView,
    as_bytes,
    image_number,
    kernel_view,
    layer_number,
    some_of,
    true_class,
)
from convscope.exhibits.player import chosen_steps
from convscope.exhibits.report_data import pack_chunk

if TYPE_CHECKING:
    from convscope.filming import Frame, Strip

#: Characters of all frames of a file; of a larger film it shows less.
MANY_CHARACTERS = 14_500_000


@dataclass(frozen=True)
class Room:
    """How much of each frame a file has room for: images, and channels of the maps after the first layer."""

    images: int
    channels: int

    def chosen(self, count: int, first: int) -> list[int]:
        """Which of ``count`` images there is room for; that which is shown first is among them.

        Examples
        --------
        >>> Room(3, 8).chosen(8, 0), Room(3, 8).chosen(8, 5)
        ([0, 1, 2], [0, 1, 5])
        """
        most = min(count, self.images)
        return [*range(most)] if first < most else [*range(most - 1), first]


#: From everything a frame has to the least that still shows something.
_ROOMS = (Room(8, 32), Room(8, 16), Room(4, 16), Room(3, 8), Room(2, 8))


@dataclass(frozen=True)
class _Packer:
    """What of a film is packed, and how."""

    strip: Strip
    views: Sequence[KernelView | None]
    seen: Survey
    channels: int
    images: Sequence[int]

    def arrays(self, frame: Frame) -> dict[str, NDArray[Any]]:
        """What the page has of a frame."""
        found: dict[str, NDArray[Any]] = {}
        for number, (view, limits) in enumerate(zip(self.views, self.seen.kernel_limits, strict=True)):
            maps = self.kept(frame.maps[number], number)
            found[f"maps/{number}"] = maps.reshape(-1, *maps.shape[2:])
            found[f"scales/{number}"] = self.kept(frame.scales[number], number)
            kernels = frame.kernels[number]
            if view is not None and kernels is not None and limits is not None:
                found[f"kernels/{number}"] = as_bytes(view.planes(kernels[:TILES]), limits[:TILES])
        return found

    def kept(self, array: NDArray[Any], layer: int) -> NDArray[Any]:
        """Of an array of a layer ``(images, channels, ...)`` what there is room for."""
        return array[list(self.images), : None if layer == 0 else self.channels]

    def text(self, frame: Frame) -> str:
        """The frame's chunk."""
        return pack_chunk(self.arrays(frame))[1]

    def shares(self, frame: Frame) -> list[list[float]]:
        """Probabilities of the classes shown, four digits, by image."""
        if frame.probabilities is None:
            return []
        rows = [frame.probabilities[n][self.seen.bars[n]] for n in self.images]
        return [np.round(row.astype(float), 4).tolist() for row in rows]

    def manifest(self, kept: Sequence[int]) -> dict[str, Any]:
        """What the page must know of the film, ``kept`` of whose frames it has."""
        images = self.strip.manifest["images"]
        bars = [self.seen.bars[n] for n in self.images]
        moments = [self.seen.moments[n] for n in kept]
        lines = curves(self.strip, moments)
        return {
            "title": self.strip.manifest["title"],
            "images": [{**images[n], "label": true_class(self.strip, n)} for n in self.images],
            "classes": self.strip.manifest["classes"],
            "names": {number: self.strip.classes[number] for row in bars for number in row},
            "layers": [self.layer(number) for number in range(len(self.strip.layers))],
            "frames": [{"step": moment.step, "told": told(self.strip, moment)} for moment in moments],
            "curves": lines,
            "curve_ranges": {words: curve_range(words, points) for words, points in lines.items()},
            "bars": bars,
        }

    def layer(self, number: int) -> dict[str, Any]:
        """What the page must know of a layer."""
        layer, view, weights = self.strip.layers[number], self.views[number], self.seen.kernel_limits[number]
        limits = self.kept(self.seen.map_limits[number], number)
        shape = layer["kernels"]
        return {
            "name": layer["name"],
            "words": view.words.replace(" x ", " × ") if view else "",
            "kind": view.kind if view else "",
            "kernels": [min(TILES, shape[0]), *shape[2:]] if view else None,
            "kernel_limits": [] if weights is None else weights[:TILES].tolist(),
            "maps": [limits.shape[1], *layer["maps"][1:]],
            "map_shape": layer["map_shape"],
            "limits": limits.tolist(),
        }


def pack_film(
    strip: Strip,
    most: int = MANY_CHARACTERS,
    *,
    layer: str | None = None,
    image: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Any], dict[str, str]]:
    """What the page must know of a film, and its frames as text by the name of their chunk.

    Parameters
    ----------
    most
        Characters of all frames. Where they would be more, fewer channels are taken, then fewer images, at
        last fewer steps, evenly chosen, the first and the last among them; ``left_out`` says so.
    layer, image
        What the page shows first.
    progress
        Called with how many frames are read, and of how many: all of them for the ranges of the colours, and
        then those that are taken.

    Raises
    ------
    UsageError
        If the film has no such layer or image.
    FilmError
        If a frame cannot be read.
    """
    shown = strip.layers[layer_number(strip, layer)]["name"], image_number(strip, image)
    tell = progress or (lambda done, total: None)
    views = [kernel_view(strip, number) for number in range(len(strip.layers))]
    seen = survey(strip, views, lambda done, count: tell(done, 2 * count))
    last = strip[-1]
    for room in _ROOMS:
        images = room.chosen(len(strip.manifest["images"]), shown[1])
        packer = _Packer(strip, views, seen, room.channels, images)
        size = len(packer.text(last)) * len(strip)
        if size <= most:
            break
    kept = chosen_steps(len(strip), max(2, int(len(strip) * most / size)) if size > most else None)
    chunks, shares = {}, []
    for count, number in enumerate(kept, 1):
        frame = strip[number]
        chunks[f"film/{frame.step}"] = packer.text(frame)
        shares.append(packer.shares(frame))
        tell(len(strip) + count, len(strip) + len(kept))
    places, pictures = pack_chunk({"pictures": strip.pictures[images]})
    arrays = packer.arrays(last)
    manifest = packer.manifest(kept) | {
        "shares": shares,
        "first": {"layer": shown[0], "image": str(images.index(shown[1]))},
        "places": pack_chunk(arrays)[0],
        "picture_places": places,
        "frame_bytes": sum(array.nbytes for array in arrays.values()),
        "left_out": _left_out(packer, len(kept)),
    }
    return manifest, {"film/pictures": pictures} | chunks


def _left_out(packer: _Packer, steps: int) -> str:
    """What a person should know is not there; ``""`` if everything is."""
    strip, kept = packer.strip, len(packer.strip.layers)
    images = len(strip.manifest["images"])
    deeper = max((layer["maps"][0] for layer in strip.layers[1:]), default=0)
    parts = []
    if deeper > packer.channels:
        parts.append(f"{packer.channels} channels of each layer after the first")
    if images > len(packer.images):
        parts.append(f"{some_of(len(packer.images), images)} images")
    if steps < len(strip):
        parts.append(f"{some_of(steps, len(strip))} steps")
    found = [f"to keep this small: {', '.join(parts)}"] if parts else []
    convolutions = strip.manifest.get("convolutions", kept)
    if convolutions > kept:
        found.insert(0, f"{some_of(kept, convolutions)} convolutions are kept")
    return "; ".join(found)
