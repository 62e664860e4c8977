"""A film as text blocks of an HTML page: what the page must know as JSON, each frame as a packed chunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convscope.exhibits.film_frames import TILES, chosen_classes
from convscope.exhibits.film_view import as_bytes, curves, kernel_limits, kernel_view, map_limits, told
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

    def maps(self, number: int) -> tuple[slice, slice]:
        """Which images and channels of a layer's maps."""
        return slice(self.images), slice(None if number == 0 else self.channels)


#: From everything a frame has to the least that still shows something.
_ROOMS = (Room(8, 32), Room(8, 16), Room(4, 16), Room(3, 8), Room(2, 8))


def pack_film(strip: Strip, most: int = MANY_CHARACTERS) -> tuple[dict[str, Any], dict[str, str]]:
    """What the page must know of a film, and its frames as text by the name of their chunk.

    Parameters
    ----------
    most
        Characters of all frames. Where they would be more, fewer channels are taken, then fewer images, at
        last fewer steps, evenly chosen, the first and the last among them; ``left_out`` says so.
    """
    frames = list(strip)
    views = [kernel_view(strip, number) for number in range(len(strip.layers))]
    ranges = [kernel_limits(frames, n, view) if view else None for n, view in enumerate(views)]
    last = frames[-1]
    room = next((r for r in _ROOMS if _size(last, views, ranges, r) * len(frames) <= most), _ROOMS[-1])
    kept = frames
    size = _size(last, views, ranges, room) * len(frames)
    if size > most:
        chosen = chosen_steps(len(frames), max(2, int(len(frames) * most / size)))
        kept = [frames[n] for n in chosen]
    packed = {frame.step: pack_chunk(_frame(frame, views, ranges, room)) for frame in kept}
    manifest = _manifest(strip, kept, views, ranges, frames, room)
    places, text = pack_chunk({"pictures": strip.pictures[: room.images]})
    manifest |= {
        "places": packed[last.step][0],
        "picture_places": places,
        "frame_bytes": sum(array.nbytes for array in _frame(last, views, ranges, room).values()),
        "left_out": _left_out(strip, room, len(kept)),
    }
    return manifest, {"film/pictures": text} | {f"film/{step}": text for step, (_, text) in packed.items()}


def _size(frame: Frame, views: Sequence[Any], ranges: Sequence[Any], room: Room) -> int:
    return len(pack_chunk(_frame(frame, views, ranges, room))[1])


def _frame(frame: Frame, views: Sequence[Any], ranges: Sequence[Any], room: Room) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {}
    for number, (view, limits) in enumerate(zip(views, ranges, strict=True)):
        images, channels = room.maps(number)
        maps = frame.maps[number][images, channels]
        found[f"maps/{number}"] = maps.reshape(-1, *maps.shape[2:])
        found[f"scales/{number}"] = frame.scales[number][images, channels]
        kernels = frame.kernels[number]
        if view is not None and kernels is not None:
            found[f"kernels/{number}"] = as_bytes(view.planes(kernels[:TILES]), limits[:TILES])
    return found


def _left_out(strip: Strip, room: Room, steps: int) -> str:
    """What a person should know is not in the file; ``""`` if everything is."""
    images = len(strip.manifest["images"])
    deeper = max((layer["maps"][0] for layer in strip.layers[1:]), default=0)
    parts = []
    if deeper > room.channels:
        parts.append(f"{room.channels} channels of each layer after the first")
    if images > room.images:
        parts.append(f"{room.images} of {images} images")
    if steps < len(strip):
        parts.append(f"{steps} of {len(strip)} steps")
    return f"to keep this small: {', '.join(parts)}" if parts else ""


def _manifest(
    strip: Strip,
    kept: Sequence[Frame],
    views: Sequence[Any],
    ranges: Sequence[Any],
    every: Sequence[Frame],
    room: Room,
) -> dict[str, Any]:
    images = strip.manifest["images"][: room.images]
    bars = [chosen_classes(every, n, image["label"]) for n, image in enumerate(images)]
    layers = []
    for number, (layer, view) in enumerate(zip(strip.layers, views, strict=True)):
        shape = layer["kernels"]
        limits = map_limits(every, number)[room.maps(number)]
        layers.append(
            {
                "name": layer["name"],
                "words": view.words.replace(" x ", " × ") if view else "",
                "kind": view.kind if view else "",
                "kernels": [min(TILES, shape[0]), *shape[2:]] if view else None,
                "kernel_limits": [] if ranges[number] is None else ranges[number].tolist(),
                "maps": [limits.shape[1], *layer["maps"][1:]],
                "map_shape": layer["map_shape"],
                "limits": limits.tolist(),
            }
        )
    return {
        "title": strip.manifest["title"],
        "images": images,
        "classes": strip.manifest["classes"],
        "names": {number: strip.classes[number] for row in bars for number in row},
        "layers": layers,
        "frames": [{"step": frame.step, "told": told(strip, frame)} for frame in kept],
        "curves": curves(strip, kept),
        "bars": bars,
        "shares": [_shares(frame, bars) for frame in kept],
    }


def _shares(frame: Frame, bars: Sequence[Sequence[int]]) -> list[list[float]]:
    """Probabilities of the classes shown, four digits, by image."""
    if frame.probabilities is None:
        return []
    return [
        np.round(frame.probabilities[n][list(row)].astype(float), 4).tolist() for n, row in enumerate(bars)
    ]
