"""What a widget begins with: passes recorded before, models and photos, and what else can be chosen."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convscope.data import Picture, load_image, samples
from convscope.desk.answers import PageError, unknown
from convscope.desk.catalog import Catalog
from convscope.desk.passes import Passes

if TYPE_CHECKING:
    from convscope.models import Model
    from convscope.tracing import Trace

#: Photos kept beside those given; the oldest goes.
MOST_PHOTOS = 64


@dataclass(frozen=True)
class Photo:
    """Something to look at; ``seeing`` gives what a pass is recorded of."""

    key: str
    name: str
    width: int
    height: int
    notes: tuple[str, ...]
    seeing: Callable[[], Any]
    picture: Picture | None

    def as_dict(self) -> dict[str, Any]:
        """What the viewer is told of it."""
        told = {"id": self.key, "name": self.name, "width": self.width, "height": self.height}
        return {**told, "notes": list(self.notes)}


class Given:
    """Models, photos and passes of one widget.

    Attributes
    ----------
    passes
        Where recorded passes are kept.
    first, second
        Model and photo to begin with, as the viewer is told; those of a second look beside, if any.
    """

    def __init__(self, trace_bytes: int = 1 << 30) -> None:
        self.passes = Passes(trace_bytes)
        self.catalog = Catalog(())
        self.first: dict[str, str | None] = {"model": self.catalog.default, "photo": None}
        self.second: dict[str, str | None] | None = None
        self._models: dict[str, Model] = {}
        self._photos: OrderedDict[str, Photo] = OrderedDict()
        self._taken: set[tuple[str, str]] = set()
        self._kept = 0

    def add_trace(self, recorded: Trace) -> dict[str, str | None]:
        """Take a pass as it is: nothing is run for it. Gives the ids of its model and its photo."""
        photo = self._photo_of(recorded)
        model = self.add_model(recorded.model)
        if (model, photo) in self._taken:
            model = self.add_model(recorded.model, again=True)
        self._taken.add((model, photo))
        self.passes.adopt({"model": self.find(model), "photo": photo, "edits": []}, recorded)
        return {"model": model, "photo": photo}

    def add_model(self, model: Model, *, again: bool = False) -> str:
        """The id of a model that was made by the caller; one of its own where ``again``."""
        for key, known in self._models.items():
            if known.module is model.module and not again:
                return key
        key = f"given-{len(self._models) + 1}"
        self._models[key] = model
        self.passes.adopt_model(self.find(key), model)
        return key

    def _photo_of(self, recorded: Trace) -> str:
        if recorded.picture is not None:
            return self.add_picture(recorded.picture, given=True).key
        inputs = recorded.inputs
        for photo in self._photos.values():
            if photo.picture is None and photo.seeing() is inputs:
                return photo.key
        shape = tuple(getattr(inputs, "shape", ()))
        rows, columns = shape[-2:] if len(shape) >= 2 else (0, 0)
        photo = Photo(self._key("given"), "prepared input", int(columns), int(rows), (), lambda: inputs, None)
        self._photos[photo.key] = photo
        return photo.key

    def add_picture(self, picture: Picture, *, given: bool = False) -> Photo:
        """Keep a picture, once."""
        for known in self._photos.values():
            if known.picture is picture:
                return known
        key = self._key("given" if given else "photo")
        size = (picture.width, picture.height)
        photo = Photo(key, picture.name, *size, tuple(picture.notes), lambda: picture, picture)
        self._photos[key] = photo
        added = [key for key in self._photos if key.startswith("photo")]
        for old in added[: max(0, len(added) - MOST_PHOTOS)]:
            del self._photos[old]
        return photo

    def _key(self, kind: str) -> str:
        self._kept += 1
        return f"{kind}-{self._kept}"

    def photo(self, key: str) -> Photo:
        """The photo of an id.

        Raises
        ------
        PageError
            404 if there is none, or no longer.
        """
        if key not in self._photos:
            raise unknown("photo")
        return self._photos[key]

    def find(self, model: str, weights: str = "default") -> dict[str, Any]:
        """What a pass is told of a model.

        Raises
        ------
        PageError
            404 if there is no model of that id; 422 if it has no other weights to be shown with.
        """
        if model not in self._models:
            return self.catalog.find(model, weights)
        if weights != "default":
            raise PageError(
                422,
                "weights",
                f"`{self._models[model].card.name}` was given with its weights; it has no others",
            )
        return {"spec": model, "weights": "given", "normalize": True, "size": None}

    def entries(self, search: str) -> list[dict[str, Any]]:
        """Models whose name contains ``search``, those given first."""
        told = {"source": "given", "weights": None, "note": ""}
        named = [{"id": key, "name": self.name(key), **told} for key in self._models]
        wanted = search.strip().lower()
        found = [entry for entry in named if wanted in str(entry["name"]).lower()]
        return found + self.catalog.entries(search)

    def name(self, model: str) -> str:
        """What a given model is called; numbered where two have one name."""
        names = {key: given.card.name for key, given in self._models.items()}
        same = [key for key, name in names.items() if name == names[model]]
        return names[model] if same[0] == model else f"{names[model]} ({same.index(model) + 1})"

    def start(self) -> dict[str, Any]:
        """What the viewer begins with, in the words of the live server."""
        return {
            "models": [{"id": key, "name": self.name(key)} for key in self._models],
            "photos": [photo.as_dict() for photo in self._photos.values()],
            "default_model": self.first["model"],
            "default_photo": self.first["photo"],
            "samples": list(samples()),
            "versus": self.second,
        }

    def add_sample(self, name: str) -> Photo:
        """Keep a sample photo by its name.

        Raises
        ------
        PageError
            404 if there is no such sample.
        """
        if name not in samples():
            raise unknown("sample")
        for known in self._photos.values():
            if known.picture is not None and (known.picture.origin, known.name) == ("sample", name):
                return known
        return self.add_picture(load_image(f"sample:{name}"), given=True)
