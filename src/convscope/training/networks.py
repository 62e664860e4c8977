"""The network to be trained: built with seeded weights, its end fitted to the classes there are."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from convscope.errors import ModelError
from convscope.models import Model, Preprocessing, load_model
from convscope.models.building import initial_seed, seeded
from convscope.models.heads import Head, exchange
from convscope.tracing import blank_input, trace
from convscope.tracing.answers import find_logits


@dataclass(frozen=True)
class Network:
    """A network ready to be trained, and how to build it again.

    Parameters
    ----------
    module
        With its weights before the first step.
    description
        ``spec``, ``type`` and ``head``, as a run folder keeps them.
    preprocessing
        How a picture becomes its input; mean and standard deviation may still change.
    outputs
        Class scores it gives.
    notes
        One sentence each, for people.
    """

    module: nn.Module = field(repr=False)
    description: dict[str, Any]
    preprocessing: Preprocessing
    outputs: int
    notes: tuple[str, ...] = ()


def build(
    spec: str | Path | nn.Module | Model,
    classes: int,
    *,
    seed: int = 0,
    weights: str = "none",
    size: int | None = None,
    head: Head | None = None,
) -> Network:
    """A network with as many class scores as there are classes.

    Parameters
    ----------
    spec
        Anything ``load_model`` takes. A module given in Python is trained in place and keeps the
        weights it has.
    classes
        Scores wanted; where the network gives another number, its last layer is exchanged for a
        fresh one.
    seed
        Of the random weights.
    weights
        ``none`` for random ones; ``default`` or a file to begin with trained ones.
    size
        Side of the input in pixels, if not the network's own.
    head
        What to put at the end instead of a single layer.

    Raises
    ------
    ModelError
        If the network gives no class scores, or no layer can be found that makes them.

    Examples
    --------
    >>> network = build("tutorial_tanh", 3)
    >>> network.outputs, sum(p.numel() for p in network.module.parameters())
    (3, 18123)
    """
    given = isinstance(spec, nn.Module)
    with initial_seed(seed):
        if given:
            model = load_model(spec, input_size=size)
        else:
            model = load_model(spec, weights=weights, input_size=size)
    model, found = _measured(model, fallback_size=None if size else 32)
    old = len(found.scores)
    description: dict[str, Any] = {
        "spec": None if given or isinstance(spec, Model) else _absolute(str(spec).strip()),
        "type": type(model.module).__name__,
        "head": None,
    }
    module = model.module
    notes: tuple[str, ...] = ()
    if head is None and old != classes:
        head = found.head(classes)
        notes = (f"its last layer `{head.path}` gives {classes} scores instead of {old}",)
    if head is not None:
        with seeded(seed):
            module = exchange(module, head)
        description["head"] = head.to_json()
    return Network(module, description, model.card.preprocessing, classes, notes)


@dataclass(frozen=True)
class Scores:
    """Where a network's class scores come from: ``path`` and ``layer``; ``scores`` of a blank picture."""

    path: str
    layer: nn.Module | None = field(repr=False)
    scores: torch.Tensor = field(repr=False)
    model: str = ""

    def head(self, classes: int) -> Head:
        """A fresh layer of the same kind with ``classes`` scores.

        Raises
        ------
        ModelError
            If no layer makes the scores alone.
        """
        layer = self.layer
        if isinstance(layer, nn.Linear):
            kind = {"kind": "linear", "inputs": layer.in_features, "outputs": classes}
        elif isinstance(layer, nn.Conv2d):
            kind = {"kind": "conv2d", "inputs": layer.in_channels, "outputs": classes}
        else:
            raise ModelError(
                f"{self.model} gives {len(self.scores)} class scores, and no single Linear or 1 x 1 "
                "convolution was found that makes them",
                hint=f"Exchange its end so that it gives {classes}, and train the module from Python.",
            )
        return Head(self.path, ({**kind, "bias": layer.bias is not None},))


def find_scores(model: Model) -> Scores:
    """The layer that makes a network's class scores, found by one pass of a blank picture.

    From the scores the ops are followed backwards, past those without weights (dropout, pooling,
    reshaping, softmax), to the first with weights: the last Linear or 1 x 1 convolution.

    Raises
    ------
    ModelError
        If the network gives no class scores at all.

    Examples
    --------
    >>> find_scores(load_model("tutorial_cnn", weights="none")).path
    'fc4'
    >>> find_scores(load_model("squeezenet1_1", weights="none")).path
    'classifier.1'
    """
    recorded = trace(model, blank_input(model), keep=[])
    logits = find_logits(recorded.output)
    if logits is None:
        raise ModelError(
            f"{model.card.name} gives no class scores, so there is nothing to train it for",
            hint="A network for training gives one number a class: shape [N, classes].",
        )
    classes = logits.shape[1]
    waiting = [index for index, _ in recorded.calls[0].outputs][:1]
    ends: dict[str, nn.Module | None] = {}
    seen: set[int] = set()
    while waiting:
        index = waiting.pop()
        if index in seen:
            continue
        seen.add(index)
        op = recorded.ops[index]
        if not op.parameters:
            waiting.extend(op.inputs)
            continue
        weight = next((name for name in op.parameters if name.endswith("weight")), "")
        path = weight.rpartition(".")[0]
        ends[path] = _fitting(recorded.model.module, path, classes)
    path, layer = next(iter(ends.items())) if len(ends) == 1 else ("", None)
    return Scores(path, layer, logits[0].detach(), model.card.name)


def _fitting(module: nn.Module, path: str, classes: int) -> nn.Module | None:
    """The layer at ``path``, if it is one that gives ``classes`` scores and nothing else."""
    layer = module.get_submodule(path) if path else module
    if type(layer).forward not in (nn.Linear.forward, nn.Conv2d.forward):
        return None
    if isinstance(layer, nn.Linear):
        return layer if layer.out_features == classes else None
    if isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1) and layer.groups == 1:
        return layer if layer.out_channels == classes else None
    return None


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


def _absolute(spec: str) -> str:
    """A person's own file by its whole path: a run folder may be read from elsewhere."""
    location, colon, name = spec.rpartition(":")
    return f"{Path(location).expanduser().resolve()}{colon}{name}" if location.endswith(".py") else spec
