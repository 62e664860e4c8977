"""The articles' networks by name, with the preprocessing and categories of CIFAR-10."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from convscope.errors import WeightsError
from convscope.models import article_nets
from convscope.models.building import RANDOM_NOTE, seeded
from convscope.models.matching import differences, load_state
from convscope.models.parts import Parts, Request
from convscope.models.preprocessing import Preprocessing
from convscope.models.weights import requested_state

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


_PICTURES = "article: Pictures from the convolutional world"
_BUILDING = "article: Building a convolutional network in PyTorch"


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
    label = "random"
    notes: tuple[str, ...] = (RANDOM_NOTE,)
    if request.kind in ("file", "given"):
        state, label, notes = requested_state(request)
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
        reference=_BUILDING if name == "tutorial_cnn" else _PICTURES,
    )
