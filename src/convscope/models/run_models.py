"""Networks out of run folders: what `convscope train` made, as a model like any other.

A run folder holds ``run.json`` (how to build the network, and what it was trained on) and
``model.safetensors``; one that was broken off has its weights in ``checkpoint.safetensors``.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convscope.errors import ModelError, WeightsError
from convscope.models.building import RANDOM_NOTE
from convscope.models.matching import load_state
from convscope.models.parts import Parts, Request
from convscope.models.preprocessing import Preprocessing
from convscope.models.weights import read_weights, requested_state

if TYPE_CHECKING:
    from torch import Tensor, nn

SCHEMA = "convscope.run/1"
CONFIG_NAME = "run.json"
MODEL_NAME = "model.safetensors"
CHECKPOINT_NAME = "checkpoint.safetensors"
_WEIGHTS = "weights/"
_AVERAGE = "average/"


def is_run_folder(spec: str | Path) -> bool:
    """Whether ``spec`` is a folder that training made.

    Examples
    --------
    >>> is_run_folder("resnet18")
    False
    """
    return (Path(spec).expanduser() / CONFIG_NAME).is_file()


_KINDS = {"model": dict, "classes": list, "preprocessing": dict, "data": dict, "recipe": dict}


def read_config(folder: Path) -> dict[str, Any]:
    """What ``run.json`` of a run folder says.

    Raises
    ------
    ModelError
        If there is none, it is damaged, or written by a later release.
    """
    path = folder / CONFIG_NAME
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"`{folder}` is not a run folder: it has no {CONFIG_NAME}") from error
    except OSError as error:
        raise ModelError(f"`{path}` cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"`{path}` is damaged: it does not hold JSON") from error
    if not isinstance(config, dict) or config.get("schema") != SCHEMA:
        found = config.get("schema") if isinstance(config, dict) else None
        raise ModelError(f"`{path}` should be of schema {SCHEMA}; it says {found!r}")
    for key, kind in _KINDS.items():
        if not isinstance(config.get(key), kind):
            raise ModelError(f"`{path}` is damaged: its `{key}` is missing or of another kind")
    return config


def build_network(description: Mapping[str, Any]) -> nn.Module:
    """The network a run was trained with, its weights still random.

    Parameters
    ----------
    description
        ``spec`` (a name ``load_model`` knows), and ``heads``: what was put at its end.

    Raises
    ------
    ModelError
        If it was a module given in Python, which no name can build again.
    """
    from convscope.models.heads import Head, exchange
    from convscope.models.load import load_model

    spec = description.get("spec")
    if not spec:
        raise ModelError(
            f"this run trained a module given in Python ({description.get('type', '?')}), which cannot "
            "be built again from its name",
            hint="In Python: `model()` of the run that `train` gave; or load RUN/model.safetensors into your "
            "module, with safetensors.torch.load_model.",
        )
    module = load_model(str(spec), weights="none").module
    for head in description["heads"]:
        module = exchange(module, Head.from_json(head))
    return module


def load_run(folder: Path, request: Request) -> Parts:
    """A run folder's network with its weights, classes and preprocessing."""
    config = read_config(folder)
    module = build_network(config["model"])
    state: Mapping[str, Tensor] | None = None
    notes: tuple[str, ...] = ()
    if request.kind == "random":
        label, notes = "random", (RANDOM_NOTE,)
    elif request.kind in ("file", "given"):
        state, label, notes = requested_state(request)
    elif request.kind == "named":
        raise WeightsError(
            f"a run folder has no weights `{request.name}`, and there is no such file", code="missing"
        )
    else:
        state, notes = _trained(folder)
        label = f"trained on {config['data']['name']}"
    if state is not None:
        origin = label if request.kind in ("file", "given") else f"`{folder}` ({label})"
        notes = (*notes, *load_state(module, state, origin))
    return Parts(
        module,
        source="run",
        weights=label,
        preprocessing=preprocessing(config),
        categories=tuple(config["classes"]),
        notes=notes,
        reference=str(folder),
    )


def preprocessing(config: Mapping[str, Any]) -> Preprocessing:
    """How a picture becomes the input the run's network was trained on."""
    steps = config["preprocessing"]
    resize = steps["resize"]
    return Preprocessing(
        resize=tuple(resize) if isinstance(resize, list) else resize,
        crop=tuple(steps["crop"]) if steps["crop"] else None,
        interpolation=steps["interpolation"],
        mean=tuple(steps["mean"]),
        std=tuple(steps["std"]),
        channels=steps["channels"],
    )


def _trained(folder: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The weights of a run: those it ended with, else those of its last checkpoint."""
    path = folder / MODEL_NAME
    if path.is_file():
        return read_weights(path).tensors, ()
    path = folder / CHECKPOINT_NAME
    if not path.is_file():
        raise WeightsError(
            f"`{folder}` holds no weights yet: its training has not come to its first checkpoint",
            code="missing",
            hint="Wait for it if it is going on; if it was broken off, go on with it: "
            f"convscope train --resume --run {shlex.quote(str(folder))}",
        )
    tensors = read_weights(path).tensors
    prefix = _AVERAGE if any(name.startswith(_AVERAGE) for name in tensors) else _WEIGHTS
    state = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    return state, ("the training of this network is not at its end: weights of its last checkpoint",)
