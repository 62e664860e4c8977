"""Going on with a run from its last checkpoint, as what it was begun as."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from convscope.errors import RunError
from convscope.models.matching import differences
from convscope.models.run_models import is_run_folder
from convscope.training import state as states
from convscope.training.engine import Engine
from convscope.training.folder import RunFolder
from convscope.training.networks import lasting
from convscope.training.plan import lasting_data
from convscope.training.recipes import Recipe


def restore(folder: RunFolder, engine: Engine) -> str:
    """Put the state of the last checkpoint into ``engine``; a sentence about it.

    Raises
    ------
    RunError
        If the checkpoint is of another network, or of a training of another length.
    """
    if not folder.checkpoint.is_file():
        return "no checkpoint was written before it was broken off: beginning with the first step"
    state = states.load(folder.checkpoint)
    wrong = differences(engine.module.state_dict(), state["weights"])
    if wrong or int(state["steps"]) != engine.steps:
        lines = wrong[:10] or [f"it counts {state['steps']} steps, this training {engine.steps}"]
        raise RunError(
            f"the checkpoint in `{folder.path}` is of another network or training",
            code="different",
            hint="\n".join(lines),
        )
    engine.restore(state)
    return f"going on after step {engine.step:,} of {engine.steps:,}"


def refuse_other(folder: RunFolder, config: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Refuse to go on with a run as something else than it was begun as.

    Parameters
    ----------
    config
        What its ``run.json`` says.
    asked
        What is wanted now, by name; ``None`` for what was left open.

    Raises
    ------
    RunError
        If it is at its end, or was begun with something else.
    """
    if folder.finished:
        raise RunError(
            f"the run in `{folder.path}` is at its end already",
            code="finished",
            hint="Look at it: convscope evaluate RUN, convscope look PHOTO --model RUN.",
        )
    recipe = asked["recipe"]
    pairs = {
        "model": (_lasting_model(asked["model"]), config["model"]["begun_with"]),
        "data": (lasting_data(asked["data"]), config["data"]["spec"]),
        "seed": (asked["seed"], config["seed"]),
        "size": (asked["size"], config["data"]["asked_size"]),
        "processes": (asked["processes"], config["processes"]),
        "recipe": (
            recipe.to_json() if isinstance(recipe, Recipe) else recipe,
            Recipe.from_json(config["recipe"]).to_json()
            if isinstance(recipe, Recipe)
            else config["recipe"]["name"],
        ),
    }
    for name, (wanted, was) in pairs.items():
        if wanted is None or was is None or not isinstance(wanted, str | int | dict) or wanted == was:
            continue
        if isinstance(wanted, dict):
            name, wanted, was = next(
                (key, wanted[key], was.get(key)) for key in wanted if wanted[key] != was.get(key)
            )
        raise RunError(
            f"the run in `{folder.path}` was begun with {name} {was}, not {wanted}",
            code="different",
            hint="To go on with it, leave that out; to train anew, name another folder with --run.",
        )


def as_begun(
    config: Mapping[str, Any], threads: int | None, device: str, say: Callable[[str], None]
) -> tuple[int, str]:
    """Threads and device to go on with: those the run was begun with, unless others are asked for.

    Parameters
    ----------
    config
        What its ``run.json`` says.
    threads, device
        As ``train`` takes them. Of a run begun elsewhere no more threads are used than torch has here.
    say
        Is told where the threads are not as many as at the beginning.
    """
    begun = int(config["threads"])
    count = min(begun, torch.get_num_threads()) if threads is None else threads
    if count != begun:
        say(f"begun with --threads {begun}, going on with {count}: the weights' last digits will differ")
    return count, config["device"] if device == "auto" else device


def _lasting_model(model: Any) -> str | None:
    if not isinstance(model, str | Path):
        return None
    return os.path.abspath(model) if is_run_folder(model) else lasting(str(model).strip())
