"""The network to be trained: built with seeded weights, its end fitted to the classes there are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import nn

from convscope.errors import ModelError
from convscope.models import Model, Preprocessing, load_model
from convscope.models.building import initial_seed, seeded
from convscope.models.heads import Head, exchange
from convscope.models.run_models import is_run_folder, read_config
from convscope.tracing import blank_input, trace
from convscope.tracing.answers import find_logits


@dataclass(frozen=True)
class Network:
    """A network ready to be trained, and how to build it again.

    Parameters
    ----------
    model
        The module, its weights as they are before the first step, with its card.
    description
        ``spec``, ``type`` and ``heads``, as a run folder keeps them.
    outputs
        Class scores it gives.
    heads
        Paths of the parts that make them.
    notes
        One sentence each, for people.
    """

    model: Model = field(repr=False)
    description: dict[str, Any]
    outputs: int
    heads: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def module(self) -> nn.Module:
        """What is trained."""
        return self.model.module

    @property
    def preprocessing(self) -> Preprocessing:
        """How a picture becomes its input; mean and standard deviation may still change."""
        return self.model.card.preprocessing


def build(
    spec: str | Path | nn.Module | Model,
    classes: tuple[str, ...],
    *,
    outputs: int = 0,
    seed: int = 0,
    learned: Model | None = None,
    size: int | None = None,
    heads: tuple[Head, ...] = (),
    hidden: int = 0,
) -> Network:
    """A network with as many class scores as there are classes.

    Parameters
    ----------
    spec
        Anything ``load_model`` takes. A module given in Python is trained in place and keeps the
        weights it has.
    classes
        Names of the classes; where the network gives another number of scores, or scores of other
        classes it has learned, its last layer is exchanged for a fresh one.
    outputs
        Scores wanted, if there are to be more than classes.
    seed
        Of the random weights.
    learned
        The network with trained weights, where they are to be kept.
    size
        Side of the input in pixels, if not the network's own.
    heads
        What to put at the end, known from before.
    hidden
        Values of a hidden layer; the whole old classifier is then exchanged.

    Raises
    ------
    ModelError
        If the network gives no class scores, or no layer can be found that makes them.

    Examples
    --------
    >>> network = build("tutorial_tanh", ("airplane", "automobile", "ship"))
    >>> network.outputs, sum(p.numel() for p in network.module.parameters())
    (3, 18123)
    """
    given = isinstance(spec, nn.Module | Model)
    with initial_seed(seed):
        model = learned or load_model(spec, weights="default" if given else "none", input_size=size)
    outputs = outputs or len(classes)
    model, found = _measured(model, fallback_size=None if size else 32)
    old = len(found.scores)
    description = _description(spec, model)
    notes: tuple[str, ...] = ()
    if found.kind != "logits":
        notes = (
            f"the network ends in a {found.kind}, and the loss (cross entropy) takes softmax of that again: "
            "it learns better from the values before it",
        )
    others = learned is not None and model.card.categories[: len(classes)] != classes
    if not heads and (old != outputs or others or hidden):
        heads = found.classifier(outputs, hidden) if hidden else found.heads(outputs)
        places = " and ".join(f"`{head.path or 'the only layer'}`" for head in heads)
        notes = (*notes, f"{places}: exchanged, with {outputs} class scores instead of {old}")
    module = model.module
    with seeded(seed):
        for head in heads:
            module = exchange(module, head)
    paths = tuple(head.path for head in heads) or tuple(found.ends)
    if heads:
        description["heads"] = [head.to_json() for head in heads]
    return Network(Model(module, model.card), description, outputs, paths, notes)


def _description(spec: str | Path | nn.Module | Model, model: Model) -> dict[str, Any]:
    """How to build the network again, before anything is exchanged."""
    if isinstance(spec, str | Path) and is_run_folder(spec):
        description: dict[str, Any] = read_config(Path(spec).expanduser())["model"]
        kept = {key: description[key] for key in ("spec", "type", "heads")}
        return {**kept, "begun_with": os.path.abspath(Path(spec).expanduser())}
    name = lasting(str(spec).strip()) if isinstance(spec, str | Path) else None
    return {"spec": name, "type": type(model.module).__name__, "heads": [], "begun_with": name}


@dataclass(frozen=True)
class Scores:
    """Where a network's class scores come from.

    Parameters
    ----------
    ends
        The layers that make them, by path: one, or several whose scores are averaged; empty where no
        layer makes the scores alone.
    scores
        Of a blank picture, shape ``(classes,)``.
    model
        Whose they are.
    kind
        ``"logits"``, or ``"softmax"`` or ``"sigmoid"``, where the network ends in one.
    """

    ends: Mapping[str, nn.Linear | nn.Conv2d] = field(repr=False)
    scores: torch.Tensor = field(repr=False)
    model: Model = field(repr=False)
    kind: str = "logits"

    def heads(self, classes: int) -> tuple[Head, ...]:
        """Fresh layers of the same kind with ``classes`` scores.

        Raises
        ------
        ModelError
            If no layer makes the scores alone.
        """
        if not self.ends:
            raise ModelError(
                f"{self.model.card.name} gives {len(self.scores)} class scores, and no single Linear or "
                "1 x 1 convolution was found that makes them",
                hint=f"Exchange its end so that it gives {classes}, and train the module from Python.",
            )
        return tuple(Head(path, (_like(layer, classes),)) for path, layer in self.ends.items())

    def classifier(self, classes: int, hidden: int) -> tuple[Head, ...]:
        """A fresh classifier with a hidden layer, in the place of the whole old one.

        The old one is the score layer, or the ``Sequential`` of linear layers that it ends.

        Raises
        ------
        ModelError
            If the scores are not made by one linear layer.
        """
        self.heads(classes)
        path, first = next(iter(self.ends.items()))
        parent, _, _ = path.rpartition(".")
        around = self.model.module.get_submodule(parent) if parent else None
        if isinstance(around, nn.Sequential):
            parts = list(around)
            if parts[-1] is first and all(isinstance(part, _PLAIN) for part in parts):
                path, first = parent, next(part for part in parts if isinstance(part, nn.Linear))
        if len(self.ends) > 1 or not isinstance(first, nn.Linear):
            raise ModelError(
                f"{self.model.card.name} does not end in one linear layer, which a hidden layer needs",
                hint="Leave the hidden layer out: --set hidden=0.",
            )
        layers = (
            {"kind": "linear", "inputs": first.in_features, "outputs": hidden},
            {"kind": "relu"},
            {"kind": "linear", "inputs": hidden, "outputs": classes},
            {"kind": "log_softmax"},
        )
        return (Head(path, layers),)


_PLAIN = (nn.Linear, nn.ReLU, nn.GELU, nn.Tanh, nn.Dropout, nn.Identity)


def _like(layer: nn.Linear | nn.Conv2d, classes: int) -> dict[str, Any]:
    kind, inputs = (
        ("linear", layer.in_features) if isinstance(layer, nn.Linear) else ("conv2d", layer.in_channels)
    )
    return {"kind": kind, "inputs": inputs, "outputs": classes, "bias": layer.bias is not None}


def find_scores(model: Model) -> Scores:
    """The layer that makes a network's class scores, found by one pass of a blank picture.

    From the scores the ops are followed backwards, past those without weights (dropout, pooling,
    reshaping, softmax, the mean of two heads), to the first with weights: the last Linear or 1 x 1
    convolution.

    Raises
    ------
    ModelError
        If the network gives no class scores at all.

    Examples
    --------
    >>> list(find_scores(load_model("tutorial_cnn", weights="none")).ends)
    ['fc4']
    >>> list(find_scores(load_model("squeezenet1_1", weights="none")).ends)
    ['classifier.1']
    """
    recorded = trace(model, blank_input(model), keep=[])
    logits = find_logits(recorded.output)
    if logits is None:
        raise ModelError(
            f"{model.card.name} gives no class scores, so there is nothing to train it for",
            hint="A network for training gives one number a class: shape [N, classes].",
        )
    waiting = [index for index, _ in recorded.calls[0].outputs][:1]
    found: dict[str, nn.Module] = {}
    seen: set[int] = set()
    while waiting:
        index = waiting.pop(0)
        if index in seen:
            continue
        seen.add(index)
        op = recorded.ops[index]
        if not op.parameters:
            waiting.extend(op.inputs)
            continue
        weight = next((name for name in op.parameters if name.endswith("weight")), "")
        path = weight.rpartition(".")[0]
        found[path] = model.module.get_submodule(path) if path else model.module
    classes = logits.shape[1]
    ends = {path: layer for path, layer in found.items() if _makes(layer, classes)}
    return Scores(ends if len(ends) == len(found) else {}, logits[0].detach(), model, recorded.scores_are)


def _makes(layer: nn.Module, classes: int) -> TypeGuard[nn.Linear | nn.Conv2d]:
    """Whether a layer gives ``classes`` scores and nothing else."""
    if isinstance(layer, nn.Linear):
        return layer.out_features == classes
    return (
        isinstance(layer, nn.Conv2d)
        and layer.kernel_size == (1, 1)
        and layer.groups == 1
        and layer.out_channels == classes
    )


def _measured(model: Model, fallback_size: int | None) -> tuple[Model, Scores]:
    """The model with an input size it works at, and where its scores come from."""
    training = {name: part.training for name, part in model.module.named_modules()}
    model.module.eval()
    try:
        try:
            return model, find_scores(model)
        except ModelError:
            raise
        except Exception:
            # A module given in Python says nothing of its size: 224 is assumed, 32 is the other usual one.
            card = model.card
            if card.source not in ("module", "file") or fallback_size is None:
                raise
            smaller = replace(
                card,
                preprocessing=replace(card.preprocessing, resize=fallback_size, crop=(fallback_size,) * 2),
            )
            model = Model(model.module, smaller)
            return model, find_scores(model)
    finally:
        for name, part in model.module.named_modules():
            part.training = training[name]


def lasting(spec: str) -> str:
    """The name of a network, a person's own file by its whole path: a run may be read from elsewhere.

    Examples
    --------
    >>> lasting("resnet18"), lasting("/home/nets/../net.py:Net")
    ('resnet18', '/home/net.py:Net')
    """
    location, colon, name = spec.rpartition(":")
    return f"{Path(location).expanduser().resolve()}{colon}{name}" if location.endswith(".py") else spec
