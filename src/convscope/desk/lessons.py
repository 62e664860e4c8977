"""Lessons as a live host answers them: what they are, and runs of them as one piece of bytes.

The answer to a run is a JSON head and arrays. Large maps travel as bytes that are already places in a
256-entry colour table, small ones as the numbers themselves.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Collection, Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from convscope.desk.answers import PageError
from convscope.desk.plain import plain, plain_json
from convscope.lesson.registry import LESSONS
from convscope.lesson.wanted import still_wanted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from convscope.lesson import Convolution, Lesson, LessonResult, Map, Tools

#: Maps of at most so many cells travel as numbers.
EXACT_CELLS = 16384
#: Longest side of a map as it is sent; larger ones are averaged down to it.
SHOWN_SIDE = 1024
#: Pictures of at least so many bytes are sent once only.
NAMED_BYTES = 1 << 15
#: Steps sent at a time.
STEPS = 256
#: Cells of maps that are written into a file of numbers.
FILED_CELLS = 200_000
#: Frames of an animation.
FRAMES = 200
LANGUAGES = ("en", "zh")


def lesson_list() -> list[dict[str, Any]]:
    """All lessons with their texts and controls, as plain JSON.

    Examples
    --------
    >>> lesson_list()[0]["name"], lesson_list()[0]["title"]["en"]
    ('steps', 'Step by step')
    """
    return [plain(lesson.to_json()) for lesson in LESSONS.values()]


def known_lesson(name: str) -> Lesson:
    """The lesson of that name.

    Raises
    ------
    PageError
        404 if there is none.
    """
    if name not in LESSONS:
        raise PageError(404, "no_such_lesson", "there is no such lesson")
    return LESSONS[name]


def picture_of(lesson: Lesson, values: Mapping[str, Any]) -> str | None:
    """What the lesson's picture control stands on, where the lesson needs a picture with these values.

    Examples
    --------
    >>> picture_of(LESSONS["cut"], {}), picture_of(LESSONS["steps"], {}), picture_of(LESSONS["softmax"], {})
    ('sample:coins', None, None)
    """
    checked = lesson.check(values)
    for control in lesson.controls:
        wanted = all(checked.get(name) in among for name, among in control.when.items())
        if control.kind == "picture" and wanted:
            return str(checked[control.name])
    return None


def model_of(lesson: Lesson, values: Mapping[str, Any]) -> tuple[str, str] | None:
    """Name and weights of the model whose kernel is asked for, where one is.

    Examples
    --------
    >>> model_of(LESSONS["detectors"], {"kernel": "resnet18 conv1 12"})
    ('resnet18', 'default')
    """
    checked = lesson.check(values)
    for control in lesson.controls:
        chosen = checked[control.name]
        if control.kind == "kernel" and chosen.model is not None:
            return chosen.model[0], str(checked.get("weights", "default"))
    return None


def run_bytes(
    lesson: Lesson, values: Mapping[str, Any], tools: Tools, *, known: Collection[str] = ()
) -> bytes:
    """One run: four bytes with the length of the JSON head, the head, and the arrays it places.

    The head is :meth:`~convscope.lesson.LessonResult.to_json` with, for each map, where its ``array`` is
    (``dtype``, ``shape``, ``offset`` from the end of the head, ``bytes``), and with what a ``player`` needs.
    All numbers are little-endian. Large pictures have an ``id`` made of their bytes: one that is ``known``,
    by an answer before, has neither ``offset`` nor ``bytes`` and is not sent again.
    """
    result = lesson.run(tools, **values)
    packer = _Packer(known)
    head = result.to_json()
    for name, one in result.maps.items():
        head["maps"][name]["array"] = packer.picture(one)
    head["player"] = None if result.player is None else _player(result.player, packer)
    text = plain_json(head)
    text += b" " * (-(len(text) + 4) % 8)
    return b"".join([struct.pack("<I", len(text)), text, *packer.parts])


class _Packer:
    def __init__(self, known: Collection[str]) -> None:
        self.parts: list[bytes | memoryview] = []
        self._size = 0
        self._known = known
        self._added: dict[int, tuple[Map, dict[str, Any]]] = {}

    def picture(self, one: Map) -> dict[str, Any]:
        """A map as it is shown; the same picture on several maps is sent once."""
        still_wanted()
        key = id(one.values)
        if one.role != "rgb":
            return self.add(_shown(one))
        if key not in self._added:
            self._added[key] = (one, self.add(_shown(one), named=True))
        return self._added[key][1]

    def add(self, array: NDArray[Any], *, named: bool = False) -> dict[str, Any]:
        import numpy as np

        data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data.cast("B")
        place: dict[str, Any] = {"dtype": array.dtype.name, "shape": list(array.shape)}
        if named and data.nbytes >= NAMED_BYTES:
            place["id"] = blake2b(data, digest_size=12).hexdigest()
            if place["id"] in self._known:
                return place
        place |= {"offset": self._size, "bytes": data.nbytes}
        padding = -data.nbytes % 8
        self.parts += [data, bytes(padding)]
        self._size += data.nbytes + padding
        return place


def _shown(one: Map) -> NDArray[Any]:
    """A map as it is sent: ``uint8`` colours or places in a colour table (0: not finite), or ``float32``."""
    import numpy as np

    from convscope import raster

    values = one.values
    if one.role != "rgb" and values.size <= EXACT_CELLS:
        return values.astype(np.float32)
    if max(values.shape[:2]) > SHOWN_SIDE:
        planes = np.moveaxis(values, 2, 0) if one.role == "rgb" else values[None]
        small = raster.shrink(planes.astype(np.float64), SHOWN_SIDE)
        values = np.rint(np.moveaxis(small, 0, 2)) if one.role == "rgb" else small[0]
    if one.role == "rgb":
        return np.asarray(values, np.uint8)
    low, high = one.range()
    seen = np.isfinite(values)
    known = values if seen.all() else np.where(seen, values, low)
    if one.role == "signed":
        places = known * (127 / (high or 1.0))
        places += 128
    else:
        places = (known - low) * (254 / ((high - low) or 1.0))
        places += 1
    np.rint(places, out=places)
    found: NDArray[np.uint8] = np.clip(places, 1, 255, out=places).astype(np.uint8)
    if known is not values:
        found[~seen] = 0
    return found


def _player(done: Convolution, packer: _Packer) -> dict[str, Any]:
    import numpy as np

    where = done.geometry
    return {
        "padded": packer.add(np.asarray(done.padded, np.float64)),
        "kernel": packer.add(np.asarray(done.kernel, np.float64)),
        "maps": packer.add(np.asarray(done.maps, np.float64)),
        "origins": [places.tolist() for places in where.origins()],
        "offset": [where.padding[0], where.padding[2]],
        "image": list(where.image),
        "spread_image": list(where.spread_image),
        "stride": list(where.stride),
        "dilation": list(where.dilation),
        "spread": list(where.spread),
        "window": list(where.window),
        "groups": done.groups,
        "flip": done.flip,
        "transposed": done.transposed,
        "count": len(done),
        "steps": _steps(done, 0),
    }


def _steps(done: Convolution, first: int) -> dict[str, Any]:
    some = [done[index] for index in range(first, min(len(done), first + STEPS))]
    return {
        "first": first,
        "sum": [step.sum for step in some],
        "sums": [step.sums.tolist() for step in some],
        "bias": [step.bias for step in some],
        "output": [step.output for step in some],
        "agrees": [step.agrees for step in some],
    }


def steps_bytes(lesson: Lesson, values: Mapping[str, Any], tools: Tools, first: int) -> bytes:
    """Sums of the 256 steps from ``first`` on, as JSON.

    Raises
    ------
    PageError
        404 if the lesson has no such step.
    """
    return plain_json(_steps(_played(lesson, values, tools, first), first))


def proof_bytes(lesson: Lesson, values: Mapping[str, Any], tools: Tools, index: int) -> bytes:
    """The arithmetic of one step, as :func:`convscope.desk.values.explain` gives a network's."""
    from convscope.desk.values import described

    found = _played(lesson, values, tools, index).arithmetic(index)
    return plain_json(described(found, {}))


def _played(lesson: Lesson, values: Mapping[str, Any], tools: Tools, index: int) -> Convolution:
    done = lesson.run(tools, **values).player
    if done is None or not 0 <= index < len(done):
        raise PageError(404, "no_such_step", f"there is no step {index}")
    return done


def file_bytes(
    lesson: Lesson,
    values: Mapping[str, Any],
    tools: Tools,
    *,
    what: str,
    language: str = "en",
    per_second: float = 4.0,
    first: int = 0,
) -> tuple[str, bytes]:
    """A file to keep, and its name.

    Parameters
    ----------
    what
        ``png`` (the lesson as one picture), ``gif``, ``webp`` or ``mp4`` (its steps from ``first`` on, at
        most 200 of them), ``json`` or ``csv`` (its numbers).
    language
        ``en`` or ``zh``; pictures are English where no font has Chinese signs.
    """
    result = lesson.run(tools, **values)
    name = f"convscope-{lesson.name}.{what}"
    if what == "json":
        small = sum(one.values.size for one in result.maps.values()) <= FILED_CELLS
        whole = {"title": lesson.title[language], **result.to_json(arrays=small)}
        return name, json.dumps(plain(whole), indent=1, ensure_ascii=False).encode()
    if what == "csv":
        return name, _csv(result, language).encode()
    language = _drawable(language)
    if what == "png":
        import io

        from convscope.exhibits.lesson_picture import draw_lesson

        out = io.BytesIO()
        draw_lesson(result, lesson, language=language).save(out, "PNG")
        return name, out.getvalue()
    return name, _animation(result, lesson, what, language, per_second, first)


def _drawable(language: str) -> str:
    from convscope import raster

    return language if language == "en" or raster.has_chinese() else "en"


def _animation(
    result: LessonResult, lesson: Lesson, what: str, language: str, per_second: float, first: int
) -> bytes:
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from convscope.exhibits.animation import save_animation
    from convscope.exhibits.player import Player, chosen_steps

    if result.player is None:
        raise PageError(422, "no_steps", "this lesson has no steps to animate")
    player = Player(result, title=lesson.title[language], language=language)
    first = min(first, len(player) - 1)
    chosen = chosen_steps(len(player) - first, FRAMES)

    def frame(index: int) -> NDArray[np.uint8]:
        still_wanted()
        return player.frame(first + index)

    with TemporaryDirectory() as folder:
        path = Path(folder) / f"steps.{what}"
        save_animation(path, map(frame, chosen), per_second=per_second)
        return path.read_bytes()


def _csv(result: LessonResult, language: str) -> str:
    """The numbers by name, one a row, and every table as it is shown."""
    import csv
    import io

    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n").writerow
    write(["name", "value"])
    for name, value in _flat("", plain(dict(result.numbers))):
        write([name, value])
    for table in result.tables.values():
        write([])
        write([table.caption[language]])
        write([head[language] for head in table.head])
        for row in table.rows:
            write([cell[language] if isinstance(cell, Mapping) else cell for cell in row])
    return out.getvalue()


def _flat(name: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        inner = [(f"{name}.{key}".lstrip("."), one) for key, one in value.items()]
    elif isinstance(value, list):
        inner = [(f"{name}[{place}]", one) for place, one in enumerate(value)]
    else:
        return [(name, value)]
    return [pair for key, one in inner for pair in _flat(key, one)]
