"""The articles' networks by name, with the preprocessing and categories of CIFAR-10."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from convscope.errors import WeightsError
from convscope.models import article_nets
from convscope.models.building import RANDOM_NOTE, seeded
from convscope.models.matching import differences, load_state
from convscope.models.parts import Parts, Request
from convscope.models.preprocessing import Preprocessing
from convscope.models.weights import read_weights

CIFAR10_PREPROCESSING = Preprocessing(
    resize=32, crop=(32, 32), mean=article_nets.CIFAR10_MEAN, std=article_nets.CIFAR10_STD
)
_BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "tutorial_cnn": article_nets.TutorialCnn,
    "tutorial_mlp": article_nets.tutorial_mlp,
    "tutorial_tanh": article_nets.tutorial_tanh,
    "tutorial_tanh_functional": article_nets.TutorialTanhFunctional,
    "tutorial_tanh_modules": article_nets.TutorialTanhModules,
}


@dataclass(frozen=True)
class _Article:
    title: str


_PICTURES = _Article("article: Pictures from the convolutional world")
_ARTICLES = {
    "tutorial_cnn": _Article("article: Building a convolutional network in PyTorch"),
    "tutorial_mlp": _PICTURES,
    "tutorial_tanh": _PICTURES,
    "tutorial_tanh_functional": _PICTURES,
    "tutorial_tanh_modules": _PICTURES,
}


def load_article(name: str, request: Request) -> Parts:
    """Network ``name`` of the articles; they come without weights, so the default is random ones."""
    if request.kind == "named":
        raise WeightsError(
            f"{name} has no weights `{request.name}`, and there is no such file",
            code="missing",
            hint="It comes without trained weights: use --weights none, or a file of your own.",
        )
    with seeded():
        module = _BUILDERS[name]()
    label, notes = "random", (RANDOM_NOTE,)
    if request.kind in ("file", "given"):
        read = read_weights(request.path) if request.path is not None else None
        state = read.tensors if read else dict(request.state or {})
        label, notes = (request.name, read.notes) if read else ("given", ())
        if name.startswith("tutorial_tanh") and differences(module.state_dict(), state):
            respelled = article_nets.respell_tanh(state)
            if not differences(module.state_dict(), respelled):
                state = respelled
                notes = (*notes, "the weights were named as in another spelling of this network")
        notes = (*notes, *load_state(module, state, label))
    return Parts(
        module,
        source="article",
        weights=label,
        preprocessing=CIFAR10_PREPROCESSING,
        categories=article_nets.CIFAR10_CATEGORIES,
        notes=notes,
        reference=_ARTICLES[name].title,
    )


def article_names() -> tuple[str, ...]:
    """Names of the articles' networks, sorted."""
    return tuple(_BUILDERS)
