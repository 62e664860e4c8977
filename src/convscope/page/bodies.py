"""Bodies of requests."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Key = Annotated[str, Field(max_length=200)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class SampleBody(_Body):
    """A sample photo, by its name."""

    sample: Key


class LookBody(_Body):
    """What is to be looked at."""

    model: Key
    photo: Key
    weights: Key = "default"
    normalize: bool = True
