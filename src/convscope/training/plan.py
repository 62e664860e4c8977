"""What a training is about to do: network, pictures, recipe and device, and the record of it."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from convscope._version import __version__
from convscope.datasets import Dataset, load_dataset, normalization
from convscope.datasets.classes import distinct
from convscope.datasets.load import NAMES, parse_spec
from convscope.errors import RunError, TrainingError, UsageError
from convscope.models import Model, Preprocessing, load_model
from convscope.models.heads import Head
from convscope.models.run_models import SCHEMA
from convscope.training.networks import Network, build
from convscope.training.pictures import Pictures, check_labels, ready
from convscope.training.recipes import Recipe, own_recipe
from convscope.training.recipes import recipe as named_recipe

if TYPE_CHECKING:
    Spec = str | Path | nn.Module | Model

_SAME = "the same seed gives the same weights bit for bit on this machine"
_OTHER = (
    "sums may be added in another order, so that a second run can differ in its last digits; one thread of "
    "one process on the CPU gives the same weights bit for bit"
)


@dataclass(frozen=True)
class Plan:
    """Everything a training needs, ready to begin."""

    network: Network
    dataset: Dataset
    train: Pictures
    test: Pictures
    classes: tuple[str, ...]
    recipe: Recipe
    seed: int
    device: torch.device
    preprocessing: Preprocessing
    transfer: bool = False
    frozen: bool = False
    weights: str = "none"
    data: Mapping[str, Any] = field(repr=False, default_factory=dict)
    processes: int = 1
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """A line for people."""
        return (
            f"{self.network.description['spec'] or self.network.description['type']} on {self.dataset.name}"
        )

    def config(self) -> dict[str, Any]:
        """What ``run.json`` says."""
        steps = self.preprocessing
        parameters = sum(p.numel() for p in self.network.module.parameters())
        threads = torch.get_num_threads()
        same = self.device.type == "cpu" and threads == 1 and self.processes == 1
        return {
            "schema": SCHEMA,
            "model": {**self.network.description, "parameters": parameters},
            "transfer": {"weights": self.weights, "frozen": self.frozen} if self.transfer else None,
            "classes": list(self.classes),
            "preprocessing": {
                "resize": list(steps.resize) if isinstance(steps.resize, tuple) else steps.resize,
                "crop": list(steps.crop) if steps.crop else None,
                "interpolation": steps.interpolation,
                "mean": list(steps.mean),
                "std": list(steps.std),
                "channels": steps.channels,
            },
            "data": dict(self.data),
            "recipe": self.recipe.to_json(),
            "seed": self.seed,
            "device": str(self.device),
            "threads": threads,
            "processes": self.processes,
            "reproducible": _SAME
            if same
            else f"{self.processes} x {threads} threads on {self.device}: {_OTHER}",
            "versions": _versions(),
            "machine": {
                "processor": platform.machine(),
                "system": platform.system(),
                "cores": os.cpu_count(),
            },
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Wish:
    """What was asked for; see ``train``."""

    model: Spec
    data: Any
    recipe: str | Recipe | None = None
    seed: int = 0
    size: int | None = None
    root: Any = None
    strict: bool = False
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    transfer: bool = False
    unfreeze: bool = False
    weights: str = "default"
    processes: int = 1


def prepare(
    wish: Wish, begun: Mapping[str, Any] | None = None, on_read: Callable[[int, int], None] | None = None
) -> Plan:
    """Read the data, build the network and fit the one to the other.

    Parameters
    ----------
    begun
        ``run.json`` of a run to go on with: what it says goes before the wish.

    Raises
    ------
    ConvscopeError
        For anything that cannot be used.
    """
    wish = _as_begun(wish, begun) if begun else wish
    recipe = choose_recipe(wish)
    if wish.transfer and recipe.whiten:
        raise UsageError(
            "filters that were learned cannot begin anew", hint="Leave them as they are: --set whiten=no."
        )
    if wish.transfer and recipe.mirrored_pairs:
        raise UsageError(
            "maps that were learned cannot be made mirrored pairs",
            hint="Leave it out: --set mirrored_pairs=no.",
        )
    if wish.transfer and recipe.inputs != "normalized":
        raise UsageError(
            "a trained network takes its inputs as it learned to",
            hint="Leave it out: --set inputs=normalized.",
        )
    learned = load_model(wish.model, weights=wish.weights, input_size=wish.size) if wish.transfer else None
    base = _base(learned) if learned else None
    dataset, side = _read(wish, base, on_read)
    if len(dataset.classes) < 2:
        raise TrainingError(
            f"{dataset.name} has pictures of one class only, {dataset.classes[0]}, "
            "and nothing to tell it from",
            hint="Training needs pictures of at least two classes.",
        )
    outputs = recipe.outputs or len(dataset.classes)
    if outputs < len(dataset.classes):
        raise UsageError(
            f"the recipe gives the network {outputs} outputs, and {dataset.name} has {len(dataset.classes)} "
            "classes",
            hint="Let the recipe choose: --set outputs=0.",
        )
    heads = (begun or {}).get("model", {}).get("heads", ())
    network = build(
        wish.model,
        dataset.classes,
        outputs=outputs,
        seed=wish.seed,
        learned=learned,
        size=side,
        heads=tuple(map(Head.from_json, heads)),
        hidden=recipe.hidden if wish.transfer else 0,
    )
    steps = base or _steps(network.preprocessing, side, dataset, recipe)
    for part, split in dataset.parts.items():
        if not len(split):
            raise TrainingError(f"the {part} part of {dataset.name} has no pictures")
        check_labels(split.labels, len(dataset.classes))
    # A random part is taken of the whole picture, so nothing is cut off it before.
    whole = replace(steps, resize=None, crop=None) if recipe.crop else steps
    train, test = ready(dataset.train, whole), ready(dataset.test, steps)
    data = _described(wish, dataset, side)
    if begun and begun["data"]["fingerprint"] != data["fingerprint"]:
        raise RunError(
            f"{dataset.name} is not the data the run was begun with: its pictures or labels have changed",
            code="different",
            hint="Put the same data back, or begin again with another --run.",
        )
    unused = (f"(unused output {i})" for i in range(len(dataset.classes), outputs))
    names = distinct([*dataset.classes, *unused])
    untaught = (
        (f"{learned.card.name} has random weights here, so there is no learning to transfer",)
        if learned and learned.card.random
        else ()
    )
    notes = (*untaught, *recipe.notes, *network.notes, *dataset.notes, *map(str, dataset.problems))
    return Plan(
        network,
        dataset,
        train,
        test,
        names,
        recipe,
        wish.seed,
        wish.device,
        steps,
        wish.transfer,
        wish.transfer and not wish.unfreeze,
        wish.weights,
        data,
        wish.processes,
        tuple(dict.fromkeys(notes)),
    )


def choose_recipe(wish: Wish) -> Recipe:
    """The recipe asked for, or the network's own."""
    if isinstance(wish.recipe, Recipe):
        return wish.recipe
    name = str(wish.model).strip() if isinstance(wish.model, str | Path) else ""
    network = f"transfer:{name}" if wish.transfer else name
    unasked = "finetune" if wish.transfer and wish.unfreeze else own_recipe(network, wish.data)
    return named_recipe(wish.recipe or unasked, network)


def _as_begun(wish: Wish, begun: Mapping[str, Any]) -> Wish:
    data, transfer = begun["data"], begun["transfer"]
    if data["spec"] is None and isinstance(wish.data, str | os.PathLike):
        raise RunError(
            "the run was begun with data given in Python, which its folder cannot name",
            code="different",
            hint="Go on from Python, with the same `data`.",
        )
    return replace(
        wish,
        model=begun["model"]["begun_with"] or wish.model,
        data=data["spec"] or wish.data,
        recipe=Recipe.from_json(begun["recipe"]),
        seed=int(begun["seed"]),
        size=data["asked_size"],
        root=data["root"],
        strict=data["strict"],
        transfer=transfer is not None,
        unfreeze=transfer is not None and not transfer["frozen"],
        weights=transfer["weights"] if transfer else "default",
    )


def _base(learned: Model) -> Preprocessing:
    """How pictures become inputs of the trained network whose learning is transferred."""
    steps = learned.card.preprocessing
    if steps.crop is None or steps.frames:
        raise UsageError(
            "this network takes pictures of any size, or clips, so its learning cannot be transferred here",
            hint="Give --size.",
        )
    return replace(steps, note="")


def _read(
    wish: Wish, base: Preprocessing | None, on_read: Callable[[int, int], None] | None
) -> tuple[Dataset, int]:
    """The data set, and the side of the input in pixels."""
    if isinstance(wish.data, Dataset):
        own = max(32, min(wish.data.train.shape[:2]))
        return wish.data, max(base.crop or (own,)) if base else wish.size or natural_side(wish.model) or own

    def load(side: int | None) -> Dataset:
        return load_dataset(
            wish.data, root=wish.root, size=side, strict=wish.strict, seed=wish.seed, on_progress=on_read
        )

    if base is not None and base.crop is not None:
        around = base.resize if isinstance(base.resize, int) else max(base.resize or base.crop)
        return load(max(around, *base.crop)), max(base.crop)
    side = wish.size or natural_side(wish.model)
    dataset = load(side)
    if side is None:
        side = max(32, min(dataset.train.shape[:2]))
        if dataset.train.shape[:2] != (side, side):
            dataset = load(side)
    return dataset, side


def _described(wish: Wish, dataset: Dataset, side: int) -> dict[str, Any]:
    return {
        "spec": lasting_data(wish.data),
        "root": None if wish.root is None else os.path.abspath(wish.root),
        "asked_size": wish.size,
        "size": list(dataset.train.shape[:2]),
        "strict": wish.strict,
        "name": dataset.name,
        "classes": list(dataset.classes),
        "train": len(dataset.train),
        "test": len(dataset.test),
        "split": dataset.split,
        "fingerprint": fingerprint(dataset),
        "notes": list(dataset.notes),
        "problems": [str(problem) for problem in dataset.problems],
    }


def natural_side(model: Spec) -> int | None:
    """The side of the pictures a network is made for, ``None`` where it takes any.

    Examples
    --------
    >>> natural_side("tutorial_cnn"), natural_side("resnet18")
    (32, None)
    """
    if isinstance(model, str | Path):
        from convscope.models.listing import ARTICLE_NAMES, OWN_NAMES

        return 32 if str(model) in ARTICLE_NAMES | OWN_NAMES else None
    return None


def pick_device(text: str) -> torch.device:
    """The device of that name; ``auto`` is a GPU where there is one.

    Raises
    ------
    UsageError
        If there is none of that name, or it cannot be used here.

    Examples
    --------
    >>> pick_device("cpu")
    device(type='cpu')
    """
    if text == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(text)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, ImportError) as error:
        there = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
        there += ["mps"] if torch.backends.mps.is_available() else []
        known = text.partition(":")[0] in {name.partition(":")[0] for name in there}
        why = f" ({str(error).splitlines()[0]})" if known else ""
        raise UsageError(
            f"the device `{text}` cannot be used here{why}; there {'is' if len(there) == 1 else 'are'} "
            + " and ".join(f"`{name}`" for name in there),
            hint="`auto` takes the quickest there is.",
        ) from error
    return device


def lasting_data(data: Any) -> str | None:
    """What data is asked for by, a folder or file by its whole path; ``None`` for what came from Python.

    Examples
    --------
    >>> lasting_data("cifar10:cat,dog"), lasting_data("/photos/../mine:cat,dog"), lasting_data(object())
    ('cifar10:cat,dog', '/mine:cat,dog', None)
    """
    if not isinstance(data, str | os.PathLike):
        return None
    name, classes = parse_spec(os.fspath(data))
    place = name if name in NAMES else os.path.abspath(os.path.expanduser(name))
    return place if classes is None else f"{place}:{','.join(classes)}"


def fingerprint(dataset: Dataset) -> str:
    """A short text that changes with the labels, names or sampled pixels of either part."""
    digest = hashlib.sha256()
    for part in (dataset.train, dataset.test):
        digest.update(np.ascontiguousarray(part.labels).tobytes())
        digest.update("\0".join(map(str, part.names)).encode("utf-8", "surrogateescape"))
        if len(part):
            sample = np.unique(np.linspace(0, len(part) - 1, 16).astype(np.int64))
            digest.update(part.read(sample).tobytes())
    return digest.hexdigest()[:16]


def _steps(own: Preprocessing, side: int, dataset: Dataset, recipe: Recipe) -> Preprocessing:
    """From a picture to the input: of the network's channels, with the numbers the recipe asks for."""
    channels = own.channels
    mean, std = (0.0,) * channels, (1.0,) * channels
    if recipe.inputs == "normalized":
        found_mean, found_std = normalization(dataset.train)
        mean = _spread(found_mean, channels)
        # A channel that never changes has no deviation to divide by.
        std = tuple(value if value > 1e-6 else 1.0 for value in _spread(found_std, channels))
    return replace(
        own,
        resize=side,
        crop=(side, side),
        interpolation="bilinear",
        mean=mean,
        std=std,
        fit="exact",
        note="",
    )


def _spread(values: Any, channels: int) -> tuple[float, ...]:
    found = tuple(float(value) for value in values)
    if len(found) == channels:
        return found
    return found * channels if len(found) == 1 else (sum(found) / len(found),)


def _versions() -> dict[str, str]:
    found = {"convscope": __version__, "python": platform.python_version()}
    for name in ("torch", "torchvision", "numpy", "pillow", "timm", "scikit-learn", "lightning-fabric"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
