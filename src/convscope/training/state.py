"""The state of a training as one safetensors file: weights, optimizer, averages, random numbers, history.

Nested dicts and lists of tensors and plain values are taken apart into named tensors and JSON,
and put together again without running any code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from convscope.errors import RunError, WeightsError
from convscope.files import atomic_write
from convscope.models.weights import read_weights

FORMAT = "convscope.checkpoint/1"
_MARK = "$tensor"
_HINT = "The run cannot go on from it; begin again with another --run."


def flatten(value: Any, prefix: str, tensors: dict[str, Tensor]) -> Any:
    """``value`` as JSON; each tensor in it goes to ``tensors`` under a name that begins with ``prefix``.

    Examples
    --------
    >>> found = {}
    >>> flatten({"step": 3, "buffer": torch.ones(2)}, "optimizer", found)
    {'step': 3, 'buffer': {'$tensor': 'optimizer/buffer'}}
    >>> list(found)
    ['optimizer/buffer']
    """
    if isinstance(value, Tensor):
        # A copy of its own: safetensors refuses tensors that share memory.
        tensors[prefix] = value.detach().cpu().contiguous().clone()
        return {_MARK: prefix}
    if isinstance(value, Mapping):
        return {str(key): flatten(item, f"{prefix}/{key}", tensors) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [flatten(item, f"{prefix}/{i}", tensors) for i, item in enumerate(value)]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{prefix} is a {type(value).__name__}, which a checkpoint cannot hold")


def unflatten(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """What ``flatten`` took apart; keys of dicts that were numbers are numbers again.

    Examples
    --------
    >>> unflatten({"0": {"$tensor": "a"}}, {"a": torch.ones(1)})
    {0: tensor([1.])}
    """
    if isinstance(value, dict):
        if set(value) == {_MARK}:
            return tensors[value[_MARK]]
        return {_key(key): unflatten(item, tensors) for key, item in value.items()}
    if isinstance(value, list):
        return [unflatten(item, tensors) for item in value]
    return value


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Write a state as a whole or not at all.

    Raises
    ------
    OutputError
        If it cannot be written; the state that was there before is untouched.
    """
    from safetensors.torch import save as pack

    tensors: dict[str, Tensor] = {}
    plain = {key: flatten(value, key, tensors) for key, value in state.items()}
    text = json.dumps(plain, allow_nan=True)
    atomic_write(path, pack(tensors, metadata={"format": FORMAT, "state": text}))


def load(path: Path) -> dict[str, Any]:
    """The state ``save`` wrote.

    Raises
    ------
    RunError
        ``missing`` or ``damaged``.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise RunError(
            f"`{path.parent}` has no checkpoint to go on from",
            code="missing",
            hint="Begin again with another --run, or remove the folder.",
        )
    try:
        tensors = read_weights(path).tensors
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
        if metadata.get("format") != FORMAT:
            raise RunError(
                f"`{path}` is not a checkpoint of this release ({metadata.get('format')!r})", code="damaged"
            )
        plain = json.loads(metadata["state"])
    except WeightsError as error:
        raise RunError(error.message, code="damaged", hint=_HINT) from error
    except (SafetensorError, ValueError, KeyError, OSError) as error:
        raise RunError(
            f"the checkpoint `{path}` is damaged: {str(error).splitlines()[0]}",
            code="damaged",
            hint=_HINT,
        ) from error
    return {key: unflatten(value, tensors) for key, value in plain.items()}


def to_device(state: Any, like: Mapping[int, Tensor], device: torch.device) -> Any:
    """Optimizer state with each tensor on the device and in the memory order of its parameter.

    Fused optimizers walk a parameter and its momentum side by side in memory, so both must lie the
    same way round.
    """
    moved: dict[int, Any] = {}
    for index, entries in state.items():
        parameter = like[int(index)]
        moved[int(index)] = {
            key: _like(value, parameter, device) if isinstance(value, Tensor) else value
            for key, value in entries.items()
        }
    return moved


def _like(value: Tensor, parameter: Tensor, device: torch.device) -> Tensor:
    if value.shape != parameter.shape:
        # Step counters: fused optimizers keep them on the device, others on the CPU.
        return value.clone()
    return torch.empty_like(parameter, dtype=value.dtype, device=device).copy_(value)


def _key(key: str) -> Any:
    return int(key) if key.isdecimal() else key
