"""A recipe's values: their names and ranges, and how they are read from text."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

import numpy as np

from convscope.errors import UsageError, nearest

OPTIMIZERS = ("sgd", "adam", "adamw", "muon")
SCHEDULES = ("constant", "linear", "cosine")
FLIPS = ("none", "random", "alternating")
PRECISIONS = ("fp32", "bf16", "auto")
AVERAGINGS = ("none", "ema", "lookahead")
INPUTS = ("normalized", "unit")
VIEWS = ("one", "mirror", "shifts")


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
        ``muon`` also brings those filters to one length at each step, even at a rate of 0.
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
    parts
        Images are random squares of themselves, which cost less, then whole: pairs of a side in pixels and
        of the share of the epochs it goes on to, as text ``24:0.5,28:0.9``.
    turn, zoom, warp_share
        In this share of the epochs, from the first, images are turned by at most so many degrees either way
        and scaled by 1 / ``zoom`` to ``zoom``, and moved as ``translate`` says.
    crop
        ``True``: a random part of 8 to 100 % of the area, its sides in proportion 3:4 to 4:3, is resized
        to the input (RandomResizedCrop).
    precision
        ``fp32``; ``bf16`` with fp32 masters of the weights; ``auto``: bf16 where the processor has it.
    channels_last, compile, fast_layers
        The layout of the maps in memory, where the network does not flatten them by ``view``;
        ``torch.compile``; layers exchanged for faster ones that compute the same.
    int8
        Convolutions of stride 1 compute in 8-bit whole numbers, forward and back to the maps, where the
        processor multiplies these twice as fast (VNNI), and in ``precision`` elsewhere. The gradients of the
        weights always are in ``precision``.
    averaging, averaging_decay, averaging_every
        The weights kept are a moving average: ``none``, ``ema`` or ``lookahead``; the average's share a
        step it is renewed; steps between.
    views
        What is averaged for the answer to a test image: ``one`` look at it; looks at it and its ``mirror``
        image; or at it and four ``shifts`` of it by a pixel.
    settle
        At the end the statistics of batch norm are taken anew, over some thousand training pictures that
        are neither parts nor moved (``settling``).
    freeze_scales
        The scales of normalisation layers stay at 1.
    whiten
        The filters of the first convolution begin along the principal directions of the training pictures'
        patches and against them, instead of at random (``whitening``).
    freeze_first
        The first convolution stays as it begins, which saves the way back to it.
    mirrored_pairs
        The network's maps are made pairs: one shows of a picture what the other shows of its mirror image, so
        that both get the same answer. Only for chains of convolutions that end in one linear layer.
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
    >>> Recipe(batch=64).replace(epochs=2).epochs
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
    parts: tuple[tuple[int, float], ...] = ()
    turn: float = 0.0
    zoom: float = 1.0
    warp_share: float = 1.0
    crop: bool = False
    precision: str = "fp32"
    channels_last: bool = True
    compile: bool = False
    fast_layers: bool = False
    int8: bool = False
    averaging: str = "none"
    averaging_decay: float = 0.99
    averaging_every: int = 1
    views: str = "one"
    settle: bool = False
    freeze_scales: bool = False
    whiten: bool = False
    freeze_first: bool = False
    mirrored_pairs: bool = False
    hidden: int = 0
    outputs: int = 0
    evaluate_every: int = 1
    notes: tuple[str, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            value = _of_kind(item.name, getattr(self, item.name), type(item.default))
            # Frozen for everybody else.
            object.__setattr__(self, item.name, value)
        for key, allowed in _CHOICES.items():
            if getattr(self, key) not in allowed:
                raise UsageError(f"`{key}` must be one of {', '.join(allowed)}; got {getattr(self, key)!r}")
        for key, (least, most) in _RANGES.items():
            value = getattr(self, key)
            if not least <= value <= most:
                both = most < _ANY or value > most
                limits = f"between {least:g} and {most:g}" if both else f"at least {least:g}"
                raise UsageError(f"`{key}` must be {limits}; got {value:g}")
        if self.optimizer in ("adam", "adamw") and self.momentum == 1:
            raise UsageError(f"`momentum` must be below 1 for {self.optimizer}; got 1")
        shares = [share for _, share in self.parts]
        if shares != sorted(shares) or any(side < 1 or not 0 <= share <= 1 for side, share in self.parts):
            raise UsageError(
                f"`parts` must be sides of at least 1 with shares that rise from 0 to 1; got {self.parts}"
            )

    def replace(self, **changes: Any) -> Recipe:
        """The same recipe with other values.

        Raises
        ------
        UsageError
            For a value of another kind, or out of its range.
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
        types = {f.name: type(f.default) for f in dataclasses.fields(self)}
        known = kinds()
        values = {}
        for key, text in changes.items():
            if key not in known:
                near = nearest(key, known)
                hint = f"Did you mean {', '.join(near)}?" if near else f"There are: {', '.join(known)}."
                raise UsageError(f"no recipe has a value `{key}`", hint=hint)
            values[key] = _read(key, text, types[key])
        return self.replace(**values)

    def to_text(self) -> dict[str, str]:
        """Every value as ``with_text`` reads it, by name.

        Examples
        --------
        >>> Recipe(batch=64, nesterov=False, parts=((24, 0.5),)).to_text()["parts"]
        '24:0.5'
        """
        return {key: _written(getattr(self, key)) for key in kinds()}

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
        return cls(**kept)


_ANY = 1e9
# Of one layer: far more than any known set of classes has, far fewer than fill a memory.
_VALUES = 100_000
_CHOICES = {
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "flip": FLIPS,
    "precision": PRECISIONS,
    "averaging": AVERAGINGS,
    "inputs": INPUTS,
    "views": VIEWS,
}
_RANGES = {
    "epochs": (1, _ANY),
    "batch": (1, _ANY),
    "learning_rate": (0, _ANY),
    "warmup": (0, 1),
    "initial_rate": (0, 1),
    "final_rate": (0, 1),
    "momentum": (0, 1),
    "weight_decay": (0, _ANY),
    "bias_rate": (0, _ANY),
    "head_rate": (0, _ANY),
    "filter_rate": (0, _ANY),
    "filter_momentum": (0, 1),
    "label_smoothing": (0, 1),
    "translate": (0, 1000),
    "turn": (0, 180),
    "zoom": (1, 10),
    "warp_share": (0, 1),
    "averaging_decay": (0, 1),
    "averaging_every": (1, _ANY),
    "hidden": (0, _VALUES),
    "outputs": (0, _VALUES),
    "evaluate_every": (1, _ANY),
}
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


def _read(key: str, text: str, kind: Any) -> Any:
    if key == "parts":
        return _read_parts(text)
    if kind is bool:
        if text.lower() not in _WORDS:
            raise UsageError(f"`{key}` must be yes or no; got {text!r}")
        return _WORDS[text.lower()]
    try:
        return kind(text)
    except ValueError as error:
        raise UsageError(f"`{key}` must be {_kind(kind is int)}; got {text!r}") from error


def kinds() -> dict[str, str]:
    """What each value that ``with_text`` takes may be, in words, by name.

    Examples
    --------
    >>> kinds()["momentum"], kinds()["batch"]
    ('a number from 0 to 1', 'a whole number of at least 1')
    """
    return {
        item.name: _in_words(item.name, type(item.default))
        for item in dataclasses.fields(Recipe)
        if item.name not in ("name", "notes")
    }


def _in_words(key: str, kind: type) -> str:
    if key in _CHOICES:
        return ", ".join(_CHOICES[key])
    if kind is bool:
        return "yes or no"
    if key not in _RANGES:
        return "sides and shares such as 24:0.5,28:0.9, or none"
    least, most = _RANGES[key]
    limits = f"from {least:g} to {most:g}" if most < _ANY else f"of at least {least:g}"
    return f"{_kind(kind is int)} {limits}"


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ",".join(f"{side}:{share!r}" for side, share in value) or "none"
    return str(value)


def _of_kind(key: str, value: Any, kind: type) -> Any:
    """``value`` as Python's own kind of it, numpy's numbers too, so that JSON and torch can hold it."""
    if key == "parts":
        return _pairs(value)
    if key == "notes":
        return _sentences(value)
    if kind is str:
        fits, wanted = isinstance(value, str), "a text"
    elif kind is bool:
        fits, wanted = isinstance(value, bool | np.bool_), "True or False"
    else:
        fits, wanted = _is_number(value, kind is int), _kind(kind is int)
    if not fits:
        allowed = f"one of {', '.join(_CHOICES[key])}" if key in _CHOICES else wanted
        raise UsageError(f"`{key}` must be {allowed}; got {value!r}")
    return kind(value)


def _pairs(value: Any) -> tuple[tuple[int, float], ...]:
    pairs = value if isinstance(value, list | tuple) else (None,)
    for pair in pairs:
        two = isinstance(pair, list | tuple) and len(pair) == 2
        if not (two and _is_number(pair[0], True) and _is_number(pair[1], False)):
            raise UsageError(
                "`parts` must be pairs of a side, a whole number, and a share, such as "
                f"((24, 0.5), (28, 0.9)); got {value!r}"
            )
    return tuple((int(side), float(share)) for side, share in pairs)


def _sentences(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(text, str) for text in value):
        raise UsageError(f"`notes` must be sentences, one text each in a tuple; got {value!r}")
    return tuple(map(str, value))


def _is_number(value: Any, whole: bool) -> bool:
    return isinstance(value, Integral if whole else Real) and not isinstance(value, bool)


def _kind(whole: bool) -> str:
    return "a whole number" if whole else "a number"


def _read_parts(text: str) -> tuple[tuple[int, float], ...]:
    """Sides and shares of ``24:0.5,28:0.9``; none of an empty text or of ``none``."""
    if text.lower() == "none":
        return ()
    try:
        pairs = [pair.split(":") for pair in text.split(",") if pair.strip()]
        return tuple((int(side), float(share)) for side, share in pairs)
    except ValueError as error:
        raise UsageError(f"`parts` must be sides and shares such as 24:0.5,28:0.9; got {text!r}") from error
