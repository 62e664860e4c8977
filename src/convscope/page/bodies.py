"""Bodies of requests."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Key = Annotated[str, Field(max_length=200)]
Count = Annotated[int, Field(ge=0, le=1 << 30)]
Pixel = Annotated[float, Field(ge=-1e6, le=1e6)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class SampleBody(_Body):
    """A sample photo, by its name."""

    sample: Key


class EditBody(_Body):
    """One change of a layer's output: channels (all where null) multiplied by a factor; 0 switches off."""

    node: Count
    channels: Annotated[list[Count], Field(max_length=1 << 16)] | None = None
    factor: Annotated[float, Field(ge=-1e6, le=1e6)] = 0.0


class LookBody(_Body):
    """What is to be looked at.

    With ``base``, another look, model and photo are that look's unless they are given; ``edits`` is always
    the whole list.
    """

    model: Key | None = None
    photo: Key | None = None
    weights: Key | None = None
    normalize: bool | None = None
    edits: Annotated[list[EditBody], Field(max_length=1000)] = []
    base: Key | None = None


class BoxBody(_Body):
    """A box on the model's input, in its pixels, and how many channels are wanted."""

    top: Pixel
    left: Pixel
    bottom: Pixel
    right: Pixel
    count: Annotated[int, Field(ge=1, le=1000)] = 50


class AttributionBody(_Body):
    """A class (the most probable one where null), a layer (the last map where null) and a method."""

    target: Count | None = None
    node: Count | None = None
    method: Literal["grad_cam"] = "grad_cam"


Setting = (
    Annotated[str, Field(max_length=60_000)]
    | bool
    | int
    | float
    | Annotated[list[Annotated[str, Field(max_length=100)] | float], Field(max_length=64)]
)


class LessonBody(_Body):
    """What a lesson's controls stand on; those that are not named stand on their default.

    Whether a value is one its control can take, the control says. With ``preview`` a large photo is made
    smaller first, to answer at once.
    """

    values: Annotated[dict[Key, Setting], Field(max_length=64)] = {}
    preview: bool = False


class LessonRunBody(LessonBody):
    """A run of a lesson; pictures of former answers that are ``known`` by their ids are not sent again."""

    known: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=32)] = []


class LessonStepBody(LessonBody):
    """One step of a lesson's convolution."""

    step: Count = 0


class LessonFileBody(LessonStepBody):
    """A file to keep; an animation begins with ``step``."""

    what: Literal["png", "gif", "webp", "mp4", "json", "csv"]
    language: Literal["en", "zh"] = "en"
    per_second: Annotated[float, Field(ge=0.1, le=50)] = 4.0
