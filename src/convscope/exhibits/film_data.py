"""A film as text blocks of an HTML page: what the page must know as JSON, each frame as a packed chunk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convscope.exhibits.film_frames import chosen_classes
from convscope.exhibits.film_view import as_bytes, curves, kernel_limits, kernel_view, map_limits, told
from convscope.exhibits.player import chosen_steps
from convscope.exhibits.report_data import pack_chunk

if TYPE_CHECKING:
    from convscope.filming import Frame, Strip

#: Characters of all frames of a file; a longer film is shown with fewer steps.
MANY_CHARACTERS = 14_500_000


def pack_film(strip: Strip, most: int = MANY_CHARACTERS) -> tuple[dict[str, Any], dict[str, str]]:
    """What the page must know of a film, and its frames as text by the name of their chunk.

    Parameters
    ----------
    most
        Characters of all frames; where they would be more, fewer steps are taken, evenly chosen, the first
        and the last among them.
    """
    frames = list(strip)
    views = [kernel_view(strip, number) for number in range(len(strip.layers))]
    ranges = [kernel_limits(frames, n, view) if view else None for n, view in enumerate(views)]
    arrays = [_frame(frame, views, ranges) for frame in frames]
    packed = [pack_chunk(found) for found in arrays]
    kept = list(range(len(frames)))
    size = sum(len(text) for _, text in packed)
    if size > most:
        kept = chosen_steps(len(frames), max(2, int(len(frames) * most / size)))
    manifest = _manifest(strip, [frames[n] for n in kept], views, ranges, frames)
    places, text = pack_chunk({"pictures": strip.pictures})
    manifest |= {
        "places": packed[0][0],
        "picture_places": places,
        "frame_bytes": sum(array.nbytes for array in arrays[0].values()),
    }
    chunks = {"film/pictures": text}
    chunks |= {f"film/{frames[number].step}": packed[number][1] for number in kept}
    return manifest, chunks


def _frame(frame: Frame, views: Sequence[Any], ranges: Sequence[Any]) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {}
    for number, (view, limits) in enumerate(zip(views, ranges, strict=True)):
        maps = frame.maps[number]
        found[f"maps/{number}"] = maps.reshape(-1, *maps.shape[2:])
        found[f"scales/{number}"] = frame.scales[number]
        kernels = frame.kernels[number]
        if view is not None and kernels is not None:
            found[f"kernels/{number}"] = as_bytes(view.planes(kernels), limits)
    return found


def _manifest(
    strip: Strip, kept: Sequence[Frame], views: Sequence[Any], ranges: Sequence[Any], every: Sequence[Frame]
) -> dict[str, Any]:
    images = strip.manifest["images"]
    bars = [chosen_classes(every, n, image["label"]) for n, image in enumerate(images)]
    layers = []
    for number, (layer, view) in enumerate(zip(strip.layers, views, strict=True)):
        shape = layer["kernels"]
        layers.append(
            {
                "name": layer["name"],
                "words": view.words.replace(" x ", " × ") if view else "",
                "kind": view.kind if view else "",
                "kernels": [shape[0], *shape[2:]] if view else None,
                "kernel_limits": [] if ranges[number] is None else ranges[number].tolist(),
                "maps": layer["maps"],
                "map_shape": layer["map_shape"],
                "limits": map_limits(every, number).tolist(),
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
