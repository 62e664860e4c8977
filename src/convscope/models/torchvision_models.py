"""Models of torchvision, with the transform and categories that belong to their weights."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch import nn

from convscope.errors import WeightsError, nearest
from convscope.models.building import RANDOM_NOTE, empty_weights, quiet, seeded
from convscope.models.fetching import fetching
from convscope.models.listing import torchvision_registry
from convscope.models.matching import differences, load_state
from convscope.models.parts import Parts, Request
from convscope.models.preprocessing import Preprocessing
from convscope.models.weights import requested_state

if TYPE_CHECKING:
    from torch import Tensor

# Clips for the video models: as many frames as their authors trained on.
_FRAMES = {"mvit": 16, "swin3d": 16, "r3d": 16, "mc3": 16, "r2plus1d": 16, "s3d": 16}
_building = threading.RLock()


def load_torchvision(name: str, request: Request, categories: tuple[str, ...] | None) -> Parts:
    """Model ``name`` of torchvision with the weights asked for."""
    from torchvision import models

    entry = _entry(name, models.get_model_weights(name), request)
    preprocessing, notes = _preprocessing(name, entry)
    parts = Parts(
        module=_Unbuilt(),
        source="torchvision",
        weights="random",
        preprocessing=preprocessing,
        categories=tuple(entry.meta.get("categories") or ()),
        notes=notes,
        reference=str(entry.meta.get("recipe", "")),
    )
    builder = models.get_model_builder(name)
    if request.kind == "random":
        arguments = _arguments(name, entry)
        if categories and "num_classes" in arguments:
            arguments["num_classes"] = len(categories)
        with seeded(), quiet():
            module = builder(weights=None, progress=False, **arguments)
        return replace(parts, module=module, notes=(*notes, RANDOM_NOTE))
    if request.kind in ("default", "named"):
        with fetching(name):
            fetched = entry.get_state_dict(progress=True, check_hash=True, weights_only=True)
        return replace(parts, module=_build_with(builder, entry, fetched), weights=entry.name)
    state, label, file_notes = requested_state(request)
    parts = replace(parts, weights=label, notes=(*notes, *file_notes))
    if torchvision_registry()[name] == "detection":
        return replace(parts, module=_detection(builder, entry, state, label))
    return _with_own_weights(parts, builder, _arguments(name, entry), _current_names(name, state))


class _Unbuilt(nn.Module):
    """Stands in a card's parts until the network is built."""


def _detection(builder: Any, entry: Any, state: Mapping[str, Tensor], label: str) -> nn.Module:
    """A detection model; its frozen batch norm exists only where torchvision itself loads weights."""
    try:
        return _build_with(builder, entry, state)
    except RuntimeError as error:
        lines = [line.strip()[:160] for line in str(error).splitlines()[1:] if line.strip()]
        raise WeightsError(
            f"the weights of {label} do not fit the model", code="mismatch", hint="\n".join(lines[:10])
        ) from error


def _with_own_weights(
    parts: Parts, builder: Any, arguments: dict[str, Any], state: Mapping[str, Tensor]
) -> Parts:
    """The network with a person's own weights, with as many outputs as these have."""
    expected = arguments.get("num_classes")
    with empty_weights():
        module = builder(weights=None, progress=False, **arguments)
        outputs = _other_outputs(module, state, expected)
        if outputs:
            module = builder(weights=None, progress=False, **{**arguments, "num_classes": outputs})
    notes = parts.notes
    if outputs:
        notes = (*notes, f"the weights have {outputs} outputs instead of {expected}: their names are unknown")
        parts = replace(parts, categories=())
    return replace(parts, module=module, notes=(*notes, *load_state(module, state, parts.weights)))


def _entry(name: str, entries: Any, request: Request) -> Any:
    """The weights entry asked for, or the default one where another kind of weights is."""
    entry = entries.DEFAULT
    if request.kind == "named":
        wanted = request.name.rpartition(".")[2].upper()
        if wanted not in entries.__members__:
            known = [*entries.__members__, "none"]
            near = nearest(wanted, known) or known
            raise WeightsError(
                f"torchvision has no weights `{request.name}` for {name}, and there is no such file",
                code="missing",
                hint=f"There are: {', '.join(near)}.",
            )
        entry = entries[wanted]
    # Quantised weights need a backend of their own; their float origin shows the same layers.
    return entry.meta.get("unquantized", entry)


def _preprocessing(name: str, entry: Any) -> tuple[Preprocessing, tuple[str, ...]]:
    """The preset of a weights entry as our own steps, and what to know about it."""
    preset = entry.transforms()
    kind = type(preset).__name__
    if kind == "ObjectDetection":
        steps = Preprocessing(resize=None, crop=None, mean=(0.0,) * 3, std=(1.0,) * 3)
        return steps, ("the model resizes and normalises the picture by itself",)
    if kind == "OpticalFlow":
        steps = Preprocessing(resize=None, crop=None, mean=(0.5,) * 3, std=(0.5,) * 3)
        return steps, ("the model compares two pictures and takes two inputs",)
    size = preset.resize_size
    resize = None if size is None else int(size[0]) if len(size) == 1 else (int(size[0]), int(size[1]))
    crop = getattr(preset, "crop_size", None)
    frames = next(
        (count for head, count in _FRAMES.items() if kind.startswith("Video") and name.startswith(head)), 0
    )
    steps = Preprocessing(
        resize=resize,
        crop=None if crop is None else (int(crop[0]), int(crop[-1])),
        interpolation=preset.interpolation.value,
        mean=tuple(preset.mean),
        std=tuple(preset.std),
        frames=frames,
        antialias=not frames,
    )
    if frames:
        return steps, (f"the model watches clips: the picture is repeated as {frames} frames",)
    return steps, ()


def _arguments(name: str, entry: Any) -> dict[str, Any]:
    """What torchvision's builder is told by these weights, so that random ones get the same network."""
    from inspect import signature

    from torchvision import models

    builder = models.get_model_builder(name)
    known = signature(builder).parameters
    arguments: dict[str, Any] = {}
    if entry.meta.get("categories"):
        arguments["num_classes"] = len(entry.meta["categories"])
    if "weights_backbone" in known:
        arguments["weights_backbone"] = None
    if "aux_loss" in known:
        arguments["aux_loss"] = True
    plain = name.removeprefix("quantized_")
    if plain in ("googlenet", "inception_v3"):
        # Their own initialisation takes ten times as long as building them, and warns about it.
        arguments |= {"transform_input": True, "init_weights": False}
        arguments["aux_logits"] = name == "inception_v3"
    if name.startswith("vit_"):
        arguments["image_size"] = int(entry.meta["min_size"][0])
    return arguments


def _build_with(builder: Any, entry: Any, state: Mapping[str, Tensor]) -> nn.Module:
    """torchvision's own construction from ``entry``, fed with a state dict already at hand.

    Its builders do more than load: they drop auxiliary heads, freeze batch norm and rename keys
    of old files. They ask the entry for the state dict, so for that moment the entry's class answers.
    """
    kind = type(entry)
    with _building, empty_weights():
        kind.get_state_dict = lambda self, *args, **kwargs: dict(state)
        try:
            module: nn.Module = builder(weights=entry, progress=False)
        finally:
            del kind.get_state_dict
    return module


def _current_names(name: str, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """``state`` under the names torchvision uses today."""
    import re

    if name.startswith("densenet"):
        # Files from before modules could not have dots in their names: `norm.1` is now `norm1`.
        pattern = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")
        return {pattern.sub(r"\1\2", key): value for key, value in state.items()}
    if name == "googlenet":
        return {key: value for key, value in state.items() if not key.startswith(("aux1.", "aux2."))}
    return state


def _other_outputs(module: nn.Module, state: Mapping[str, Tensor], expected: int | None) -> int:
    """Number of outputs of weights that differ from the model in that alone, else 0."""
    own = module.state_dict()
    wrong = [key for key in own if key in state and state[key].shape != own[key].shape]
    if not wrong or expected is None or len(wrong) != len(differences(own, state)):
        return 0
    sizes = {int(state[key].shape[0]) if state[key].ndim else 0 for key in wrong}
    same_rest = all(
        own[key].ndim == state[key].ndim
        and own[key].shape[0] == expected
        and own[key].shape[1:] == state[key].shape[1:]
        for key in wrong
    )
    return sizes.pop() if same_rest and len(sizes) == 1 else 0
