"""Recipes: how a network is trained, as data and not as code.

``article`` trains as the article that brought the network says, with its mistakes mended and named
in ``notes``. ``plain`` is what any other network gets unless told otherwise.
"""

from __future__ import annotations

from typing import Any

from convscope.errors import UsageError
from convscope.training.recipe_values import Recipe

__all__ = ["Recipe", "own_recipe", "recipe", "recipe_names"]

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
    whiten=True,
    freeze_first=True,
    outputs=10,
    evaluate_every=4,
    notes=(
        "the article's network, not its program: first filters along the pictures' principal directions, "
        "which stay, larger batches, a rate that climbs and falls, flips",
    ),
)
_SMALL = Recipe(
    name="fast",
    epochs=14,
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
    parts=((24, 0.54),),
    translate=4,
    turn=8.0,
    zoom=1.2,
    warp_share=0.85,
    settle=True,
    precision="auto",
    fast_layers=True,
    int8=True,
    freeze_scales=True,
    mirrored_pairs=True,
    outputs=10,
    evaluate_every=14,
    notes=(
        "after airbench94 (Jordan, 2024): orthogonal steps for the filters; the first layer's own decay "
        "keeps its 7 x 7 filters smooth",
        "maps in mirrored pairs, so that no picture is shown mirrored; first turned and scaled parts of "
        "them, then all",
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
