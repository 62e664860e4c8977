"""Recipes: how a network is trained, as data and not as code.

``article`` trains as the article that brought the network says, with its mistakes mended and named
in ``notes``. ``plain`` is what any other network gets unless told otherwise.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_type_hints

from convscope.errors import UsageError, nearest

OPTIMIZERS = ("sgd", "adam", "adamw", "muon")
SCHEDULES = ("constant", "linear", "cosine")
FLIPS = ("none", "random", "alternating")
PRECISIONS = ("fp32", "bf16", "auto")
AVERAGINGS = ("none", "ema", "lookahead")
INPUTS = ("normalized", "unit")


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Parameters
    ----------
    name
        What the recipe is called; changes made to it are recorded beside the name.
    epochs
        Passes over the training images, at least 1.
    batch
        Images a step, for each process.
    optimizer
        ``sgd``, ``adam``, ``adamw`` or ``muon``: filters along orthogonal directions, the rest by SGD.
    learning_rate
        Its largest value, for the mean loss over a batch.
    schedule
        How the rate goes on after the warm-up: ``constant``, ``linear`` or ``cosine``, down to
        ``final_rate`` times the largest.
    warmup
        Share of all steps, 0 to 1, in which the rate climbs from ``initial_rate`` times the largest.
    initial_rate, final_rate
        Shares of ``learning_rate`` at the first and the last step.
    momentum, nesterov
        Of ``sgd``; for the others ``momentum`` is beta 1.
    weight_decay
        As torch's optimizer of that name applies it.
    bias_rate, head_rate
        The rate of biases and of the shifts of normalisation layers, and that of the last linear layer's
        weights, as multiples of ``learning_rate``.
    filter_rate, filter_momentum
        Of ``muon``: the rate of every convolution but the first, as a multiple of ``learning_rate``, and
        its momentum.
    label_smoothing
        0 to 1.
    inputs
        ``normalized``: (pixel - mean) / std with the numbers of the training images (of ImageNet for
        weights that were trained on it); ``unit``: pixels of 0 to 1 as they are.
    flip
        Mirrored left to right: ``none``, each image with chance one half (``random``), or every other
        epoch (``alternating``).
    translate
        Images are moved by up to so many pixels each way, what is missing mirrored from the edge.
    crop
        ``True``: a random part of 8 to 100 % of the area, its sides in proportion 3:4 to 4:3, is resized
        to the input (RandomResizedCrop).
    precision
        ``fp32``; ``bf16`` with fp32 masters of the weights; ``auto``: bf16 where the processor has it.
    channels_last, compile, fast_layers
        The layout of the maps in memory; ``torch.compile``; layers exchanged for faster ones that
        compute the same.
    averaging, averaging_decay, averaging_every
        The weights kept are a moving average: ``none``, ``ema`` or ``lookahead``; the average's share a
        step it is renewed; steps between.
    mirror
        Test images are also looked at mirrored, and the two answers averaged.
    freeze_scales
        The scales of normalisation layers stay at 1.
    hidden
        When learning is transferred: values of a hidden layer before the class scores. The network's
        whole old classifier is then exchanged, and its scores are logarithms of probabilities.
    outputs
        Class scores the network has; 0 for as many as there are classes.
    evaluate_every
        Epochs between two measurements on the test images; the last epoch always ends in one.
    notes
        One sentence each: what was mended in an article's recipe, where the numbers are from.

    Examples
    --------
    >>> recipe("article", "tutorial_tanh").replace(epochs=2).epochs
    2
    """

    name: str = "plain"
    epochs: int = 20
    batch: int = 128
    optimizer: str = "sgd"
    learning_rate: float = 0.05
    schedule: str = "linear"
    warmup: float = 0.2
    initial_rate: float = 0.1
    final_rate: float = 0.0
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    bias_rate: float = 1.0
    head_rate: float = 1.0
    filter_rate: float = 1.0
    filter_momentum: float = 0.6
    label_smoothing: float = 0.0
    inputs: str = "normalized"
    flip: str = "none"
    translate: int = 0
    crop: bool = False
    precision: str = "fp32"
    channels_last: bool = True
    compile: bool = False
    fast_layers: bool = False
    averaging: str = "none"
    averaging_decay: float = 0.99
    averaging_every: int = 1
    mirror: bool = False
    freeze_scales: bool = False
    hidden: int = 0
    outputs: int = 0
    evaluate_every: int = 1
    notes: tuple[str, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        for key, allowed in (
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("flip", FLIPS),
            ("precision", PRECISIONS),
            ("averaging", AVERAGINGS),
            ("inputs", INPUTS),
        ):
            value = getattr(self, key)
            if value not in allowed:
                raise UsageError(f"`{key}` must be one of {', '.join(allowed)}; got {value!r}")
        for key, least, most in _RANGES:
            value = getattr(self, key)
            if not least <= value <= most:
                limits = f"between {least:g} and {most:g}" if most < _ANY else f"at least {least:g}"
                raise UsageError(f"`{key}` must be {limits}; got {value:g}")

    def replace(self, **changes: Any) -> Recipe:
        """The same recipe with other values.

        Raises
        ------
        UsageError
            For a value out of its range.
        """
        return dataclasses.replace(self, **changes)

    def with_text(self, changes: Mapping[str, str]) -> Recipe:
        """The same recipe with values typed as text, such as ``{"batch": "128", "nesterov": "no"}``.

        Raises
        ------
        UsageError
            For a name no recipe has, or a value that is not of its kind.

        Examples
        --------
        >>> Recipe().with_text({"batch": "64", "nesterov": "no"}).nesterov
        False
        """
        kinds = {k: v for k, v in get_type_hints(Recipe).items() if k not in ("name", "notes")}
        values = {}
        for key, text in changes.items():
            if key not in kinds:
                near = nearest(key, kinds)
                hint = f"Did you mean {', '.join(near)}?" if near else f"There are: {', '.join(kinds)}."
                raise UsageError(f"no recipe has a value `{key}`", hint=hint)
            values[key] = _read(key, text, kinds[key])
        return self.replace(**values)

    def to_json(self) -> dict[str, Any]:
        """Every value by name, as JSON can hold it."""
        return {**dataclasses.asdict(self), "notes": list(self.notes)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Recipe:
        """The recipe ``to_json`` wrote; names this release does not know are left out.

        Examples
        --------
        >>> Recipe.from_json(Recipe(batch=7).to_json()).batch
        7
        """
        known = {f.name for f in dataclasses.fields(cls)}
        kept = {key: value for key, value in values.items() if key in known}
        return cls(**{**kept, "notes": tuple(values.get("notes", ()))})


_ANY = 1e9
_RANGES = (
    ("epochs", 1, _ANY),
    ("batch", 1, _ANY),
    ("learning_rate", 0, _ANY),
    ("warmup", 0, 1),
    ("initial_rate", 0, 1),
    ("final_rate", 0, 1),
    ("momentum", 0, 1),
    ("weight_decay", 0, _ANY),
    ("bias_rate", 0, _ANY),
    ("head_rate", 0, _ANY),
    ("filter_rate", 0, _ANY),
    ("filter_momentum", 0, 1),
    ("label_smoothing", 0, 1),
    ("translate", 0, 1000),
    ("averaging_decay", 0, 1),
    ("averaging_every", 1, _ANY),
    ("hidden", 0, _ANY),
    ("outputs", 0, _ANY),
    ("evaluate_every", 1, _ANY),
)
_WORDS = {
    "yes": True,
    "true": True,
    "1": True,
    "on": True,
    "no": False,
    "false": False,
    "0": False,
    "off": False,
}


def _read(key: str, text: str, kind: type) -> Any:
    if kind is bool:
        if text.lower() not in _WORDS:
            raise UsageError(f"`{key}` must be yes or no; got {text!r}")
        return _WORDS[text.lower()]
    try:
        return kind(text)
    except ValueError as error:
        what = "a whole number" if kind is int else "a number"
        raise UsageError(f"`{key}` must be {what}; got {text!r}") from error


_HELD_APART = (
    "the article's test loader reads the training images and measures with dropout on; here accuracy is "
    "measured on images never trained on, in evaluation mode"
)
_ARTICLE_C = Recipe(
    name="article",
    epochs=20,
    batch=32,
    learning_rate=0.001,
    schedule="constant",
    warmup=0.0,
    momentum=0.9,
    nesterov=False,
    weight_decay=0.0,
    inputs="unit",
    channels_last=False,
    outputs=10,
    notes=(
        _HELD_APART,
        "the article draws feature maps from pixels of 0 to 255 although it trained on 0 to 1; a run "
        "remembers the pixels it was trained on",
    ),
)
_ARTICLE_D = Recipe(
    name="article",
    epochs=100,
    batch=64,
    learning_rate=0.01,
    schedule="constant",
    warmup=0.0,
    momentum=0.0,
    nesterov=False,
    weight_decay=0.0,
    channels_last=False,
    outputs=10,
    notes=(
        "the article's text says airplane, automobile, ship, its notebook takes airplane, automobile, bird; "
        "here the classes are named: cifar10:airplane,automobile,ship",
    ),
)
_PLAIN = Recipe(
    name="plain", notes=("no recipe of an article: SGD with a rate that climbs, then falls linearly to 0",)
)

_TRANSFER = Recipe(
    name="transfer",
    epochs=5,
    batch=32,
    optimizer="adam",
    learning_rate=0.001,
    warmup=0.0,
    weight_decay=0.0,
    flip="random",
    crop=True,
    notes=("only the new classifier is trained, the rest stays as it is",),
)
_FINETUNE = _TRANSFER.replace(
    name="finetune",
    optimizer="adamw",
    learning_rate=1e-4,
    warmup=0.1,
    weight_decay=0.01,
    notes=("every weight is trained, at a low rate",),
)
_ARTICLE_B = _TRANSFER.replace(
    name="article",
    hidden=1024,
    flip="none",
    schedule="constant",
    notes=(
        "the article's new classifier for AlexNet: 9216 to 1024 to the classes, log-softmax; random parts of "
        "the photo resized to 224 x 224 (RandomResizedCrop); optimizer, rate and epochs are ours",
    ),
)

_FAST_C = _PLAIN.replace(
    name="fast",
    epochs=4,
    batch=128,
    learning_rate=0.06,
    warmup=0.15,
    label_smoothing=0.1,
    flip="alternating",
    precision="auto",
    fast_layers=True,
    outputs=10,
    evaluate_every=4,
    notes=("the article's network, not its program: larger batches, a rate that climbs and falls, flips",),
)
_SMALL = Recipe(
    name="fast",
    epochs=19,
    batch=512,
    optimizer="muon",
    learning_rate=0.75,
    warmup=0.1,
    initial_rate=0.2,
    momentum=0.85,
    weight_decay=0.00133,
    bias_rate=64.0,
    head_rate=1 / 81,
    filter_rate=0.16,
    label_smoothing=0.2,
    flip="alternating",
    translate=4,
    precision="auto",
    freeze_scales=True,
    outputs=10,
    evaluate_every=10,
    notes=(
        "after airbench94 (Jordan, 2024): orthogonal steps for the filters; the first layer's own decay "
        "keeps its 7 x 7 filters smooth",
    ),
)
_RESNET9 = Recipe(
    name="fast",
    epochs=10,
    batch=512,
    learning_rate=0.4,
    warmup=0.2,
    initial_rate=0.0,
    momentum=0.9,
    weight_decay=5e-4,
    label_smoothing=0.1,
    flip="random",
    translate=4,
    precision="auto",
    outputs=10,
    notes=("after Page (2018): Nesterov's momentum, a rate that climbs for a fifth of the steps and falls",),
)

# By network; "" is every other one, "transfer" every one whose learning is transferred. A network's own
# recipe is the first of its row.
_RECIPES: dict[str, dict[str, Recipe]] = {
    "": {"plain": _PLAIN},
    "transfer": {"transfer": _TRANSFER, "finetune": _FINETUNE},
    "transfer:alexnet": {"transfer": _TRANSFER, "article": _ARTICLE_B},
    "cifar10_small": {"fast": _SMALL},
    "resnet9": {"fast": _RESNET9},
    "tutorial_cnn": {"article": _ARTICLE_C, "fast": _FAST_C},
    "tutorial_mlp": {"article": _ARTICLE_D},
    "tutorial_tanh": {"article": _ARTICLE_D},
    "tutorial_tanh_functional": {"article": _ARTICLE_D},
    "tutorial_tanh_modules": {"article": _ARTICLE_D},
}


def recipe_names(network: str) -> tuple[str, ...]:
    """Names of the recipes there are for a network, its own first.

    ``transfer:NAME`` stands for the network ``NAME`` whose learning is transferred to other classes.

    Examples
    --------
    >>> recipe_names("tutorial_cnn")[0], "plain" in recipe_names("resnet18")
    ('article', True)
    """
    return tuple(dict.fromkeys([*_RECIPES.get(network, {}), *_RECIPES[_others(network)]]))


def _others(network: str) -> str:
    return "transfer" if network.startswith("transfer") else ""


def own_recipe(network: str, data: Any) -> str:
    """The recipe a network gets unless told otherwise: an article's for the article's pictures.

    Examples
    --------
    >>> own_recipe("tutorial_cnn", "cifar10"), own_recipe("tutorial_cnn", "my_photos")
    ('article', 'plain')
    """
    names = recipe_names(network)
    if "article" not in names or network.startswith("transfer"):
        return names[0]
    return "article" if isinstance(data, str) and data.partition(":")[0] == "cifar10" else "plain"


def recipe(name: str = "", network: str = "") -> Recipe:
    """A recipe by name, in the version for ``network``.

    Parameters
    ----------
    name
        ``article``, ``plain``, or what else ``recipe_names`` lists; empty for the network's own.

    Raises
    ------
    UsageError
        If there is none of that name for the network.

    Examples
    --------
    >>> recipe("article", "tutorial_cnn").batch
    32
    """
    names = recipe_names(network)
    wanted = name or names[0]
    if wanted not in names:
        elsewhere = [net for net, row in _RECIPES.items() if net and wanted in row]
        hint = f"There are: {', '.join(names)}."
        if elsewhere:
            hint += f" `{wanted}` is a recipe of {', '.join(elsewhere)}.".replace("transfer:", "--transfer ")
        whose = network.replace("transfer:", "the transfer of ") or "this network"
        raise UsageError(f"there is no recipe `{wanted}` for {whose}", hint=hint)
    own = _RECIPES.get(network, {})
    return own[wanted] if wanted in own else _RECIPES[_others(network)][wanted]
