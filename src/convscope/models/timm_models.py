"""Models of timm: ``timm:NAME``, with the data configuration that belongs to their weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from convscope.errors import MissingExtraError, UnknownModelError, WeightsError, nearest
from convscope.models.building import RANDOM_NOTE, empty_weights, quiet, seeded
from convscope.models.fetching import fetching, no_waiting_for_hub
from convscope.models.matching import load_state
from convscope.models.names import imagenet_categories
from convscope.models.parts import Parts, Request
from convscope.models.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from convscope.models.weights import requested_state

if TYPE_CHECKING:
    from torch import nn


def load_timm(name: str, request: Request, categories: tuple[str, ...] | None) -> Parts:
    """timm's model ``name`` (an architecture, or ``architecture.tag``) with the weights asked for."""
    timm = import_timm()
    if request.kind == "named":
        name, request = f"{name.partition('.')[0]}.{request.name}", Request("default")
    architecture = name.partition(".")[0]
    if not timm.is_model(architecture):
        near = nearest(architecture, timm.list_models())
        raise UnknownModelError(
            f"timm has no model `{architecture}`",
            hint=f"Did you mean {', '.join('timm:' + other for other in near)}?"
            if near
            else "`convscope models 'timm:*'` lists them.",
        )
    tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{architecture}.*")]
    tag = name.partition(".")[2]
    if tag and tag not in tags:
        raise WeightsError(
            f"timm has no weights `{tag}` for {architecture}",
            code="missing",
            hint=f"There are: {', '.join([*tags[:8], 'none'])}.",
        )
    notes: tuple[str, ...] = ()
    if request.kind == "default":
        if not tags and not timm.is_model_pretrained(name):
            raise WeightsError(
                f"timm has no trained weights for {architecture}",
                code="missing",
                hint="Look at random weights with --weights none, or give a file of your own.",
            )
        with fetching(f"timm:{name}"), no_waiting_for_hub(), empty_weights():
            module = timm.create_model(name, pretrained=True)
        label = str(module.pretrained_cfg.get("tag") or "default")
    elif request.kind == "random":
        sizes = {"num_classes": len(categories)} if categories else {}
        with seeded(), quiet():
            module = timm.create_model(name, pretrained=False, **sizes)
        label, notes = "random", (RANDOM_NOTE,)
    else:
        with quiet(), seeded():
            module = timm.create_model(name, pretrained=False)
        state, label, notes = requested_state(request)
        notes = (*notes, *load_state(module, state, label))
    config: dict[str, Any] = dict(module.pretrained_cfg)
    return Parts(
        module,
        source="timm",
        weights=label,
        preprocessing=timm_preprocessing(config),
        categories=_fitting(module, timm_categories(config)),
        notes=notes,
        reference=str(config.get("paper_name") or config.get("origin_url") or ""),
    )


def import_timm() -> Any:
    """The timm package.

    Raises
    ------
    MissingExtraError
        If it is not installed, with the line that installs it.
    """
    if find_spec("timm") is None:
        raise MissingExtraError(
            "models of timm need the package timm, which is not installed",
            hint="Install it with: pip install 'convscope[timm]'",
        )
    import timm

    return timm


def timm_preprocessing(config: Mapping[str, Any]) -> Preprocessing:
    """timm's evaluation transform for a pretrained configuration, as our own steps.

    Examples
    --------
    >>> steps = timm_preprocessing({"input_size": (3, 240, 240), "crop_pct": 0.875})
    >>> steps.resize, steps.crop, steps.interpolation
    (274, (240, 240), 'bicubic')
    """
    channels, rows, columns = config.get("input_size") or (3, 224, 224)
    share = config.get("crop_pct") or 0.875
    mean = tuple(config.get("mean") or IMAGENET_MEAN)
    std = tuple(config.get("std") or IMAGENET_STD)
    resized = (math.floor(rows / share), math.floor(columns / share))
    mode = config.get("crop_mode") or "center"
    resize: int | tuple[int, int] = resized
    fit, fill = "exact", (0, 0, 0)
    if mode == "border":
        fit = "contain"
        red, green, blue = (round(255 * value) for value in (mean * 3)[:3])
        fill = (red, green, blue)
    elif mode != "squash":
        fit = "cover"
        if resized[0] == resized[1]:
            resize, fit = resized[0], "exact"
    interpolation = config.get("interpolation") or "bicubic"
    grey = channels == 1
    return Preprocessing(
        resize=resize,
        crop=(rows, columns),
        interpolation="bilinear" if interpolation == "random" else interpolation,
        mean=mean[:1] if grey else (mean * 3)[:3],
        std=std[:1] if grey else (std * 3)[:3],
        channels=1 if grey else 3,
        fit=fit,
        fill=fill,
    )


def timm_categories(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Class names for a pretrained configuration; empty where timm knows none."""
    if config.get("num_classes") == 1000:
        return imagenet_categories()
    try:
        from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset

        subset = infer_imagenet_subset(dict(config))
        return tuple(ImageNetInfo(subset).label_descriptions()) if subset else ()
    except (ImportError, AssertionError, KeyError, ValueError, FileNotFoundError):
        return ()


def _fitting(module: nn.Module, categories: tuple[str, ...]) -> tuple[str, ...]:
    outputs = getattr(module, "num_classes", len(categories))
    return categories if outputs == len(categories) else ()
