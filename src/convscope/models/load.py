"""``load_model``: from a name, a file or a module to a network with its card."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from convscope.errors import ModelError, UnknownModelError, UsageError, nearest
from convscope.models.card import Card, Model
from convscope.models.listing import ARTICLE_NAMES, LITE0, OWN_NAMES
from convscope.models.parts import WEIGHT_SUFFIXES, Parts, read_request

if TYPE_CHECKING:
    from torch import nn

    from convscope.models.parts import Weights

    Spec = str | Path | nn.Module | Model


def load_model(
    spec: Spec,
    *,
    weights: Weights = "default",
    normalize: bool = True,
    input_size: int | tuple[int, int] | None = None,
    categories: Sequence[str] | None = None,
) -> Model:
    """A network ready to be looked at, with its card.

    Parameters
    ----------
    spec
        ``efficientnet_lite0``, a torchvision name (``resnet50``), ``timm:NAME``, an article's
        network (``tutorial_tanh``), ``cifar10_small``, a run folder of ``convscope train``,
        ``path/to/net.py:Net``, or a ``torch.nn.Module``. A ``Model`` is returned as it is.
    weights
        ``"default"`` for those that belong to the name; a name of the library
        (``"IMAGENET1K_V1"``); ``"none"`` for random ones, the same every time; a file
        (safetensors, or a state dict saved by torch); or a state dict.
    normalize
        ``False`` leaves out mean and standard deviation, and the card says what that changes.
    input_size
        Side of the input in pixels, or ``(height, width)``, instead of the model's own.
    categories
        Class names in the order of the logits, instead of the model's own.

    Returns
    -------
    The module in evaluation mode if it was built here; one that was passed in stays as it was.
    The caller's random numbers go on undisturbed.

    Raises
    ------
    UnknownModelError
        If there is no such model, naming the nearest ones.
    WeightsError
        If weights cannot be read or do not fit.
    DownloadError
        If weights could not be fetched.
    MissingExtraError
        If a package is not installed.
    ModelError
        If a person's own file or class cannot be used.

    Examples
    --------
    >>> model = load_model("tutorial_tanh", weights="none")
    >>> sum(parameter.numel() for parameter in model.module.parameters())
    18354
    >>> model.card.weights, model.card.categories[3], model.card.preprocessing.crop
    ('random', 'cat', (32, 32))
    """
    if isinstance(spec, Model):
        return spec
    from torch import nn

    from convscope.models.checks import not_finite, refuse_unfilled

    names = None if categories is None else tuple(str(category) for category in categories)
    given = isinstance(spec, nn.Module)
    parts = _load(spec, weights, names)
    refuse_unfilled(parts.module)
    if not given:
        parts.module.eval()
    broken = not_finite(parts.module)
    return Model(parts.module, _card(spec, parts, names, normalize, input_size, broken))


def _load(spec: Spec, weights: Weights, categories: tuple[str, ...] | None) -> Parts:
    from torch import nn

    request = read_request(weights)
    if isinstance(spec, nn.Module):
        from convscope.models.given_models import load_given

        return load_given(spec, request)
    if not isinstance(spec, str | Path):
        raise UsageError(f"`model` must be a name, a file or a torch.nn.Module; got {type(spec).__name__}")
    text = str(spec).strip()
    if text.startswith("timm:"):
        from convscope.models.timm_models import load_timm

        return load_timm(text.removeprefix("timm:"), request, categories)
    if text == LITE0:
        from convscope.models.package_models import load_lite0

        return load_lite0(request, categories)
    if _is_run(text):
        from convscope.models.run_models import load_run

        return load_run(Path(text).expanduser(), request)
    if text in OWN_NAMES:
        from convscope.models.small_models import load_small

        return load_small(text, request)
    if text in ARTICLE_NAMES:
        from convscope.models.article_models import load_article

        return load_article(text, request)
    if text.endswith((".py", ".py:")) or ".py:" in text:
        from convscope.models.file_models import load_file_model

        return load_file_model(text, request)
    from convscope.models.listing import known_names, torchvision_registry

    if text in torchvision_registry():
        from convscope.models.torchvision_models import load_torchvision

        return load_torchvision(text, request, categories)
    if text.lower().endswith(WEIGHT_SUFFIXES):
        raise ModelError(
            f"`{text}` is a weights file, and weights do not say which network they belong to",
            hint=f"Name the model and give the file as its weights: --model resnet18 --weights {text}",
        )
    folder = Path(text).expanduser()
    if folder.is_dir():
        film = (folder / "film" / "film.json").is_file()
        raise UnknownModelError(
            f"the folder `{text}` is no run of `convscope train`: it has no run.json",
            hint=f"It holds the film of a training, and no weights: convscope film {shlex.quote(text)}"
            if film
            else "Name the folder of a run, or a model and its weights file.",
        )
    near = nearest(text, known_names())
    raise UnknownModelError(
        f"there is no model `{text}`",
        hint=f"Did you mean {', '.join(near)}?" if near else "`convscope models` lists them all.",
    )


def _is_run(text: str) -> bool:
    return (Path(text).expanduser() / "run.json").is_file()


def _card(
    spec: Spec,
    parts: Parts,
    categories: tuple[str, ...] | None,
    normalize: bool,
    input_size: int | tuple[int, int] | None,
    broken: tuple[str, ...],
) -> Card:
    preprocessing, notes = parts.preprocessing, list(parts.notes)
    if input_size is not None:
        preprocessing = preprocessing.with_input_size(input_size)
    if not normalize:
        preprocessing = preprocessing.without_normalization()
    assumed = "preprocessing assumed: "
    # What was assumed may have been changed by the options above.
    notes = [assumed + preprocessing.describe() if n.startswith(assumed) else n for n in notes]
    if preprocessing.note:
        notes.append(preprocessing.note)
    if broken:
        more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
        notes.append(f"NaN or infinity in the weights {', '.join(broken[:3])}{more}: no class can be named")
    name = str(spec).strip() if isinstance(spec, str | Path) else type(parts.module).__name__
    return Card(
        name=name,
        source=parts.source,
        weights=parts.weights,
        preprocessing=preprocessing,
        categories=parts.categories if categories is None else categories,
        notes=tuple(dict.fromkeys(notes)),
        reference=parts.reference,
        not_finite=broken,
    )
