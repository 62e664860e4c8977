"""What a person can change in a lesson: typed controls that check what they are given.

Each says in one sentence what it cannot take; the error's ``control`` names it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

from convscope.errors import ControlError
from convscope.lesson.kernels import KERNELS, read_numbers, typed
from convscope.lesson.result import Text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Control(ABC):
    """What all controls have.

    Parameters
    ----------
    name
        As it is called on the command line and in the address of the page.
    label
        As a person reads it.
    default
        Where it stands at first.
    when
        Other controls by name with the values at which this one matters; always, if empty.
    """

    kind: ClassVar[str] = ""
    name: str
    label: Text
    default: Any
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    @abstractmethod
    def check(self, value: Any) -> Any:
        """The value in its own type.

        Raises
        ------
        ControlError
            If it is not one this control can take.
        """

    def plain(self, value: Any) -> Any:
        """A checked value as plain JSON, such as ``check`` takes."""
        return value

    def to_json(self) -> dict[str, Any]:
        """The control as plain JSON."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        found["when"] = {name: list(values) for name, values in self.when.items()}
        return {"kind": self.kind, **found, "default": self.plain(self.check(self.default))}

    def wrong(self, expected: str, value: Any) -> ControlError:
        """The error for a value it cannot take."""
        shown = repr(value) if len(repr(value)) <= 60 else f"{repr(value)[:57]}..."
        return ControlError(f"`{self.name}` must be {expected}; got {shown}", control=self.name)


@dataclass(frozen=True, kw_only=True)
class Number(Control):
    """A number from ``low`` to ``high``; whole if ``step`` is a whole number.

    ``slider`` says whether a slider helps: not where most of its range depends on something else.
    """

    kind: ClassVar[str] = "number"
    low: float
    high: float
    step: float = 1
    slider: bool = True

    def check(self, value: Any) -> float | int:
        """The number."""
        whole = isinstance(self.step, int)
        expected = f"a {'whole ' if whole else ''}number from {self.low:,} to {self.high:,}"
        try:
            if isinstance(value, bool):
                raise ValueError
            found = float(value.strip() if isinstance(value, str) else value)
        except (TypeError, ValueError):
            raise self.wrong(expected, value) from None
        if not (math.isfinite(found) and self.low <= found <= self.high) or (whole and found != int(found)):
            raise self.wrong(expected, value)
        return int(found) if whole else found


@dataclass(frozen=True, kw_only=True)
class Choice(Control):
    """One of several, ``options`` by value with their texts."""

    kind: ClassVar[str] = "choice"
    options: Mapping[str, Text]

    def check(self, value: Any) -> str:
        """The value chosen."""
        if str(value) not in self.options:
            raise self.wrong(f"one of {', '.join(self.options)}", value)
        return str(value)


@dataclass(frozen=True, kw_only=True)
class Switch(Control):
    """On or off."""

    kind: ClassVar[str] = "switch"

    def check(self, value: Any) -> bool:
        """Whether it is on."""
        word = value.strip().lower() if isinstance(value, str) else value
        if word in (True, "on", "yes", "true", "1"):
            return True
        if word in (False, "off", "no", "false", "0"):
            return False
        raise self.wrong("on or off", value)


@dataclass(frozen=True, kw_only=True)
class Matrix(Control):
    """Rows of numbers, typed; ``largest`` rows and columns and ``channels`` channels at most."""

    kind: ClassVar[str] = "matrix"
    largest: int = 32
    channels: int = 1

    def check(self, value: Any) -> NDArray[np.float64]:
        """``float64 (rows, columns)``, or with channels before."""
        return read_numbers(value, self.name, largest=self.largest, channels=self.channels)

    def plain(self, value: Any) -> str:
        """The numbers as they are typed."""
        return typed(value)


@dataclass(frozen=True, kw_only=True)
class NumberList(Control):
    """A few numbers, ``at_least`` to ``at_most`` of them, each from ``low`` to ``high``."""

    kind: ClassVar[str] = "numbers"
    low: float
    high: float
    at_least: int = 1
    at_most: int = 8
    whole: bool = True

    def check(self, value: Any) -> tuple[float, ...]:
        """The numbers."""
        words = value.replace(",", " ").split() if isinstance(value, str) else value
        what = "whole numbers" if self.whole else "numbers"
        expected = f"{self.at_least} to {self.at_most} {what} from {self.low:,} to {self.high:,}"
        try:
            found = [float(word) for word in words]
        except (TypeError, ValueError):
            raise self.wrong(expected, value) from None
        fits = all(self.low <= n <= self.high and (n == int(n) or not self.whole) for n in found)
        if not fits or not self.at_least <= len(found) <= self.at_most:
            raise self.wrong(expected, value)
        return tuple(int(n) if self.whole else n for n in found)

    def plain(self, value: Any) -> str:
        """The numbers as they are typed."""
        return " ".join(f"{n:.10g}" for n in value)


@dataclass(frozen=True, kw_only=True)
class Padding(Control):
    """``none``, ``same`` or rows of padding, up to ``high``."""

    kind: ClassVar[str] = "padding"
    high: int = 32

    def check(self, value: Any) -> str | int:
        """``"none"``, ``"same"`` or a number."""
        word = value.strip().lower() if isinstance(value, str) else value
        if word in ("none", "valid"):
            return "none"
        if word == "same":
            return "same"
        try:
            found = int(word)
            if found != float(word) or isinstance(word, bool) or not 0 <= found <= self.high:
                raise ValueError
        except (TypeError, ValueError, OverflowError):
            raise self.wrong(f"none, same or a whole number from 0 to {self.high}", value) from None
        return found


@dataclass(frozen=True, kw_only=True)
class Box(Control):
    """A box on the picture that the control ``of`` chooses: top, left, rows, columns, in its pixels.

    ``largest`` and ``smallest`` are the most and fewest rows and columns. Whether it lies within the picture
    is known only when the picture is.
    """

    kind: ClassVar[str] = "box"
    of: str = "picture"
    largest: int = 4096
    smallest: int = 1

    def check(self, value: Any) -> tuple[int, int, int, int]:
        """Top, left, rows and columns."""
        words = value.replace(",", " ").split() if isinstance(value, str) else value
        expected = "top, left, rows and columns, four whole numbers"
        try:
            top, left, rows, columns = (int(n) for n in words)
            if any(int(n) != float(n) for n in words):
                raise ValueError
        except (TypeError, ValueError, OverflowError):
            raise self.wrong(expected, value) from None
        if min(top, left) < 0 or max(top, left) > 1 << 20:
            raise self.wrong("inside the picture, its top and left at least 0", value)
        if not all(self.smallest <= n <= self.largest for n in (rows, columns)):
            raise self.wrong(f"{self.smallest} to {self.largest} rows and columns large", value)
        return top, left, rows, columns

    def plain(self, value: Any) -> str:
        """The four numbers."""
        return ",".join(map(str, value))


@dataclass(frozen=True, kw_only=True)
class PictureChoice(Control):
    """A picture: a sample's name, on the command line a file, in Python whatever ``load_image`` takes."""

    kind: ClassVar[str] = "picture"

    def check(self, value: Any) -> Any:
        """What names the picture; it is read later."""
        if value is None or (isinstance(value, str) and not value.strip()):
            raise self.wrong("a picture, such as sample:cat", value)
        return value

    def plain(self, value: Any) -> str:
        """Its name."""
        return value if isinstance(value, str) else str(getattr(value, "name", "picture"))


@dataclass(frozen=True)
class KernelChoice:
    """What a kernel control stands on: ``how`` is ``named``, ``typed``, ``cut`` or ``model``."""

    how: str
    text: str
    values: Any = None
    model: tuple[str, str, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Kernel(Control):
    """A kernel: one of ``KERNELS``, typed numbers, and where allowed ``cut`` or ``MODEL LAYER CHANNEL``.

    ``cut`` is where the kernel is cut from the picture: the control ``box`` says which part.
    """

    kind: ClassVar[str] = "kernel"
    largest: int = 32
    channels: int = 3
    cut: str = ""
    models: bool = False

    def check(self, value: Any) -> KernelChoice:
        """What was chosen; a model is loaded later."""
        if isinstance(value, KernelChoice):
            return value
        if not isinstance(value, str):
            numbers = read_numbers(value, self.name, largest=self.largest, channels=self.channels)
            return KernelChoice("typed", typed(numbers), numbers)
        text = " ".join(value.split())
        if text in KERNELS:
            return KernelChoice("named", text, read_numbers(KERNELS[text][0], self.name))
        if text == "cut" and self.cut:
            return KernelChoice("cut", "cut")
        words = text.split(" ")
        if self.models and len(words) == 3 and not _numeric(words[0]) and words[2].isdecimal():
            return KernelChoice("model", text, model=(words[0], words[1], int(words[2])))
        if not any(sign.isdigit() for sign in text) or text[:1].isalpha():
            more = (", cut" if self.cut else "") + (
                ", or MODEL LAYER CHANNEL such as `resnet18 conv1 12`" if self.models else ""
            )
            raise ControlError(
                f"`{self.name}` must be a kernel's name or rows of numbers; got {text[:40]!r}",
                control=self.name,
                hint=f"Named are {', '.join(KERNELS)}{more}.",
            )
        numbers = read_numbers(value, self.name, largest=self.largest, channels=self.channels)
        return KernelChoice("typed", typed(numbers), numbers)

    def plain(self, value: Any) -> str:
        """The name, the typed numbers, ``cut`` or the model's layer and channel."""
        found: str = value.text
        return found

    def to_json(self) -> dict[str, Any]:
        """The control as plain JSON, with the kernels that have names."""
        named = {name: {"text": text, "label": dict(label)} for name, (text, label) in KERNELS.items()}
        return {**super().to_json(), "named": named}


def _numeric(word: str) -> bool:
    return word[:1].isdigit() or word[:1] in "-+."
