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
from convscope.datasets import Dataset, load_dataset
from convscope.errors import RunError, TrainingError, UsageError
from convscope.models import Model, Preprocessing
from convscope.models.heads import Head
from convscope.models.run_models import SCHEMA
from convscope.training.networks import Network, build
from convscope.training.pictures import Pictures, normalization, ready
from convscope.training.recipes import Recipe, own_recipe
from convscope.training.recipes import recipe as named_recipe

if TYPE_CHECKING:
    Spec = str | Path | nn.Module | Model

# Networks made for pictures of one size, whatever the data's.
_FIXED = ("article", "small")


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
    data: Mapping[str, Any] = field(repr=False, default_factory=dict)
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
        same = self.device.type == "cpu" and threads == 1
        return {
            "schema": SCHEMA,
            "model": {**self.network.description, "parameters": parameters},
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
            "reproducible": "the same seed gives the same weights bit for bit on this machine"
            if same
            else f"{threads} threads on {self.device}: sums may be added in another order, so that a second "
            "run can differ in its last digits; one thread on the CPU gives the same weights bit for bit",
            "versions": _versions(),
            "machine": {
                "processor": platform.machine(),
                "system": platform.system(),
                "cores": os.cpu_count(),
            },
            "notes": list(self.notes),
        }


def prepare(
    model: Spec,
    data: Any,
    recipe: str | Recipe | None,
    *,
    seed: int,
    size: int | None,
    root: Any,
    strict: bool,
    device: str,
    begun: Mapping[str, Any],
    on_read: Callable[[int, int], None] | None,
) -> Plan:
    """Read the data, build the network and fit the one to the other.

    Parameters
    ----------
    begun
        ``run.json`` of a run to go on with: what it says goes before the other arguments.

    Raises
    ------
    ConvscopeError
        For anything that cannot be used.
    """
    if begun:
        model = begun["model"]["spec"] or model
        data = begun["data"]["spec"] or data
        root, size, strict = begun["data"]["root"], begun["data"]["size"], begun["data"]["strict"]
        recipe, seed = Recipe.from_json(begun["recipe"]), int(begun["seed"])
    chosen = (
        recipe
        if isinstance(recipe, Recipe)
        else named_recipe(recipe or own_recipe(_name(model), data), _name(model))
    )
    where = pick_device(device)
    side = size or natural_side(model)
    dataset = _load(data, side, root, strict, seed, on_read)
    if side is None:
        side = min(dataset.train.shape[:2])
        if side < 32:
            side = 32
            dataset = _load(data, side, root, strict, seed, on_read)
    head = Head.from_json(begun["model"]["head"]) if begun.get("model", {}).get("head") else None
    outputs = chosen.outputs or len(dataset.classes)
    if outputs < len(dataset.classes):
        raise UsageError(
            f"the recipe gives the network {outputs} outputs, and {dataset.name} has {len(dataset.classes)} "
            "classes",
            hint="Let the recipe choose: --set outputs=0.",
        )
    network = build(model, outputs, seed=seed, size=side, head=head)
    steps = _steps(network.preprocessing, side, dataset, chosen)
    names = (*dataset.classes, *(f"(unused output {i})" for i in range(len(dataset.classes), outputs)))
    train, test = (ready(part, steps, outputs, dataset.classes) for part in (dataset.train, dataset.test))
    for part, pictures in (("train", train), ("test", test)):
        if not len(pictures):
            raise TrainingError(f"the {part} part of {dataset.name} has no pictures")
    described = {
        "spec": data if isinstance(data, str) else os.fspath(data) if isinstance(data, os.PathLike) else None,
        "root": None if root is None else os.path.abspath(root),
        "size": side,
        "strict": strict,
        "name": dataset.name,
        "classes": list(dataset.classes),
        "train": len(train),
        "test": len(test),
        "split": dataset.split,
        "fingerprint": fingerprint(dataset),
        "notes": list(dataset.notes),
        "problems": [str(problem) for problem in dataset.problems],
    }
    if begun and begun["data"]["fingerprint"] != described["fingerprint"]:
        raise RunError(
            f"{dataset.name} is not the data the run was begun with: its pictures or labels have changed",
            code="different",
            hint="Put the same data back, or begin again with another --run.",
        )
    notes = (*chosen.notes, *network.notes, *dataset.notes, *map(str, dataset.problems))
    return Plan(
        network,
        dataset,
        train,
        test,
        names,
        chosen,
        seed,
        where,
        steps,
        described,
        tuple(dict.fromkeys(notes)),
    )


def natural_side(model: Spec) -> int | None:
    """The side of the pictures a network is made for, ``None`` where it takes any.

    Examples
    --------
    >>> natural_side("tutorial_cnn"), natural_side("resnet18")
    (32, None)
    """
    if isinstance(model, str | Path):
        from convscope.models.listing import ARTICLE_NAMES

        return 32 if str(model) in ARTICLE_NAMES else None
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
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(
            f"the device `{text}` cannot be used here: {str(error).splitlines()[0]}",
            hint="`cpu` always works; `auto` takes what there is.",
        ) from error
    return device


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


def _load(
    data: Any,
    side: int | None,
    root: Any,
    strict: bool,
    seed: int,
    on_read: Callable[[int, int], None] | None,
) -> Dataset:
    if isinstance(data, Dataset):
        return data
    return load_dataset(data, root=root, size=side, strict=strict, seed=seed, on_progress=on_read)


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


def _name(model: Spec) -> str:
    return str(model).strip() if isinstance(model, str | Path) else ""


def _versions() -> dict[str, str]:
    found = {"convscope": __version__, "python": platform.python_version()}
    for name in ("torch", "torchvision", "numpy", "pillow", "timm", "scikit-learn", "lightning-fabric"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
