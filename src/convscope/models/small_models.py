"""``cifar10_small``, whose weights come with this package, and ``resnet9``, to be trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn

from convscope.errors import WeightsError
from convscope.models import article_nets, small_nets
from convscope.models.building import RANDOM_NOTE, empty_weights, seeded
from convscope.models.matching import load_state
from convscope.models.mirrored import unfolded
from convscope.models.parts import Parts, Request
from convscope.models.preprocessing import Preprocessing
from convscope.models.weights import read_weights, requested_state

WEIGHTS = Path(__file__).parent / "weights" / "cifar10_small.safetensors"
# Mean and standard deviation of the JPEG copy's 50,000 training images, on which it was trained.
PREPROCESSING = Preprocessing(
    resize=32, crop=(32, 32), mean=(0.49125, 0.48209, 0.44652), std=(0.24523, 0.24278, 0.26063)
)
# Of the JPEG copy's 10,000 test images; the model card says more.
RIGHT = 9042
_BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "cifar10_small": small_nets.cifar10_small,
    "resnet9": small_nets.resnet9,
}
_NOTE = (
    f"right on {RIGHT / 100:.2f} % of 10,000 test images; trained and tested on CIFAR-10 saved as small "
    "JPEGs (quality 75, halved colour resolution), so accuracies on the original release do not compare"
)


def load_small(name: str, request: Request) -> Parts:
    """``cifar10_small`` with its own weights, or either network with random ones or a person's own.

    Raises
    ------
    WeightsError
        ``missing`` for weights there are none of.
    """
    own = name == "cifar10_small"
    if request.kind == "named":
        there = (
            "There are: default, none." if own else "It comes without trained weights: use --weights none."
        )
        raise WeightsError(
            f"{name} has no weights `{request.name}`, and there is no such file", code="missing", hint=there
        )
    notes: tuple[str, ...] = ()
    if request.kind == "random" or (request.kind == "default" and not own):
        with seeded():
            module, label, notes = _BUILDERS[name](), "random", (RANDOM_NOTE,)
    else:
        with empty_weights():
            module = _BUILDERS[name]()
        if request.kind == "default":
            stored = read_weights(WEIGHTS).tensors
            state = unfolded(module, {key: _single(value) for key, value in stored.items()})
            label, notes = "cifar10_small of convscope", (_NOTE,)
        else:
            state, label, notes = requested_state(request)
        notes = (*notes, *load_state(module, state, label))
    return Parts(
        module,
        source="own",
        weights=label,
        preprocessing=PREPROCESSING if own else article_preprocessing(),
        categories=article_nets.CIFAR10_CATEGORIES,
        notes=notes,
        reference="convscope: models/weights/cifar10_small.md"
        if own
        else "Page, How to train your ResNet, 2018",
    )


def _single(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value


def article_preprocessing() -> Preprocessing:
    """CIFAR-10's own numbers."""
    return Preprocessing(
        resize=32, crop=(32, 32), mean=article_nets.CIFAR10_MEAN, std=article_nets.CIFAR10_STD
    )
