"""The first look at a network that is to be filmed: what is kept of it, and whether there is its film."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from convscope.errors import FilmError, ForwardError, UsageError
from convscope.filming.keeping import choose_layers
from convscope.models import Model
from convscope.tracing import trace


def first_look(
    manifest: dict[str, Any], model: Model, inputs: Tensor, layers: Sequence[str], answers: bool
) -> dict[str, Any]:
    """The manifest of a film with what a first pass tells.

    Raises
    ------
    FilmError
        ``empty`` if the images do not go through the network, or it has no convolution over pictures.
    UsageError
        If a layer that is wanted is not there, or a label is beyond the outputs.
    """
    try:
        whole = trace(model, inputs, keep=[])
    except ForwardError as error:
        raise FilmError(
            f"the images do not go through the network: {error.message}",
            code="empty",
            hint="Give a batch (N, C, H, W) of the size it is trained on: torch.stack([...]).",
        ) from error
    images = len(inputs)
    chosen, convolutions = choose_layers(whole, images, layers)
    if not chosen:
        raise FilmError(
            f"{manifest['model']['name']} has no convolution over pictures, so there is nothing to film",
            code="empty",
        )
    logits = whole.logits if answers else None
    outputs = int(logits.shape[1]) if logits is not None and len(logits) == images else 0
    for number, image in enumerate(manifest["images"]):
        if outputs and image["label"] is not None and image["label"] >= outputs:
            raise UsageError(
                f"image {number} has the label {image['label']}, the network classes 0 to {outputs - 1}"
            )
    return {**manifest, "convolutions": convolutions, "layers": chosen, "outputs": outputs}


def check_same(kept: dict[str, Any], manifest: dict[str, Any], folder: Path) -> None:
    """Refuse to go on with a film of something else.

    Raises
    ------
    FilmError
        ``different``.
    """
    for key, what in (
        *(("layers", "another network"), ("images", "other images"), ("outputs", "another network")),
        *(("inputs", "other images"), ("picture", "other images")),
    ):
        # Films of before inputs were kept have none.
        if key in kept and kept[key] != manifest[key]:
            raise FilmError(
                f"the film in `{folder}` is of {what}", code="different", hint="Name another folder."
            )


def digest(inputs: Tensor) -> str:
    """What tells these inputs from others."""
    values = inputs.detach().to("cpu", torch.float32).contiguous().numpy()
    return hashlib.sha256(values.tobytes()).hexdigest()[:16]
