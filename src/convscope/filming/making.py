"""``film``: keeps what a network is at chosen steps of its training, and leaves it as it was found."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from convscope._version import __version__
from convscope.data import Picture, load_image
from convscope.errors import FilmError, UsageError
from convscope.files import check_writable, remove_abandoned
from convscope.filming import store
from convscope.filming.keeping import MOST_IMAGES, choose_layers, frame_arrays
from convscope.filming.schedule import next_due
from convscope.models import Model, load_model
from convscope.tracing import Trace, trace

if TYPE_CHECKING:
    from typing import Self

#: Longest side of the images as they are shown.
_SHOWN_SIDE = 256


class Film:
    """A film being made; see :func:`film`.

    Attributes
    ----------
    folder
        Where its files are: ``film`` in the folder of the run.
    last
        The step of the frame kept last; -1 before the first.
    """

    def __init__(
        self,
        model: Model,
        inputs: Tensor,
        folder: Path,
        manifest: dict[str, Any],
        pictures: NDArray[np.uint8],
        every: int | None,
        *,
        resume: bool = False,
    ) -> None:
        self.folder = folder
        self.last = -1
        self._model = model
        self._inputs = inputs
        self._manifest = manifest
        self._pictures = pictures
        self._every = every
        self._resume = resume
        self._begun = False
        self._seen: tuple[int, int, dict[str, float]] | None = None
        self._parameters = list(model.module.parameters())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        # The state a training ends with belongs to its film, if it still is that of the last step told.
        if kind is None and self._seen is not None and self._seen[0] > self.last:
            step, mark, numbers = self._seen
            if mark == self._mark():
                self.snap(step, force=True, **numbers)

    def wants(self, step: int) -> bool:
        """Whether :meth:`snap` would keep this step.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     film(nn.Conv2d(1, 1, 3), torch.zeros(1, 1, 8, 8), place).wants(0)
        True
        """
        if self._resume and not self._begun:
            self._go_on(step)
        return step >= next_due(self.last, self._every)

    def snap(self, step: int, *, force: bool = False, **numbers: float | Tensor | None) -> bool:
        """Keep this step if it is one to be kept. Call it after the optimizer's step, as often as you like.

        Parameters
        ----------
        step
            Steps done, 0 before the first; never less than in the call before.
        force
            Keep it in any case.
        numbers
            What is known of the step, such as ``loss=...`` or ``accuracy=...`` (0 to 1), for the curves.

        Returns
        -------
        Whether it was kept.

        Raises
        ------
        UsageError
            If ``step`` is below 0 or no whole number, or one of ``numbers`` is no single number.
        FilmError
            ``different`` where a film is gone on with by another network.
        OutputError
            If the frame cannot be written; the frames before it stay.
        """
        if not isinstance(step, Integral) or step < 0:
            raise UsageError(f"`step` must be a whole number, at least 0; got {step!r}")
        step = int(step)
        told = {key: _number(value) for key, value in numbers.items() if value is not None}
        told = {key: value for key, value in told.items() if math.isfinite(value)}
        wanted = self.wants(step)
        if step <= self.last:
            return False
        if not wanted and not force:
            self._seen = (step, self._mark(), told)
            return False
        seen = trace(self._model, self._inputs, keep=[layer["name"] for layer in self._layers])
        store.write_arrays(store.frame_path(self.folder, step), frame_arrays(seen, self._layers), told)
        self.last = step
        self._seen = None
        return True

    @property
    def _layers(self) -> Sequence[dict[str, Any]]:
        if not self._begun:
            self._begin()
        layers: Sequence[dict[str, Any]] = self._manifest["layers"]
        return layers

    def _begin(self) -> None:
        """Choose what is kept, and write what is the same for all frames."""
        whole = trace(self._model, self._inputs, keep=[])
        self._manifest = _completed(self._manifest, whole, len(self._inputs))
        self.folder.mkdir(parents=True, exist_ok=True)
        remove_abandoned(self.folder)
        store.write_arrays(self.folder / store.IMAGES, {"pictures": self._pictures}, None)
        store.write_manifest(self.folder, self._manifest)
        self._begun = True

    def _go_on(self, step: int) -> None:
        """Go on with the film there is, less what came after the step it is gone on with from."""
        if not (self.folder / store.MANIFEST).is_file():
            self._resume = False
            return
        kept = store.read_manifest(self.folder)
        manifest = _completed(self._manifest, trace(self._model, self._inputs, keep=[]), len(self._inputs))
        for key, what in (("layers", "network"), ("images", "images"), ("outputs", "network")):
            if kept[key] != manifest[key]:
                raise FilmError(
                    f"the film in `{self.folder}` is of {'another' if what == 'network' else 'other'} {what}",
                    code="different",
                    hint="Name another folder.",
                )
        self._manifest = kept
        self._begun = True
        remove_abandoned(self.folder)
        for old in store.frame_steps(self.folder):
            if old >= step:
                store.frame_path(self.folder, old).unlink()
            else:
                self.last = old

    def _mark(self) -> int:
        """Changes with every step of an optimizer."""
        return sum(p._version for p in self._parameters)


def film(
    model: nn.Module | Model | str,
    images: Tensor | Sequence[Any],
    run: str | os.PathLike[str],
    *,
    every: int | None = None,
    labels: Sequence[int] = (),
    classes: Sequence[str] = (),
    names: Sequence[str] = (),
    pictures: NDArray[np.uint8] | None = None,
    title: str = "",
    resume: bool = False,
) -> Film:
    """A film of a training: filters, feature maps of a few images, and answers at chosen steps.

    The network is looked at in evaluation mode and left as it was: modes, weights, gradients and random
    numbers, so that a training with a film ends with the very same weights as without.

    Parameters
    ----------
    model
        The network being trained.
    images
        At most 8 are kept: a batch ``(N, C, H, W)`` prepared for the network, or pictures (paths, arrays,
        ``sample:cat``) that are prepared as belongs to the model.
    run
        The folder; the film goes into ``film`` in it.
    every
        From step ``every`` on its multiples are kept (steps of an epoch, say), and before it two steps a
        doubling: 0, 1, 2, 3, 4, 6, 8, 11, ... Not given, four steps a doubling are kept to the end.
    labels, classes
        True classes of the images by number, and the names of the network's classes.
    names
        Of the images.
    pictures
        ``uint8`` of shape ``(N, rows, columns, 3)``: how images of a prepared batch are shown; otherwise
        their smallest value is black, their largest white.
    title
        Stands above the film; the network's name if not given.
    resume
        Go on with the film in the folder: frames from the next step told on are replaced.

    Raises
    ------
    FilmError
        ``exists`` if there is a film and it is not to be gone on with; ``empty`` without images.
    UsageError
        If arguments do not fit each other.
    ConvscopeError
        If the model or an image cannot be used, or nothing can be written there.

    Examples
    --------
    >>> import tempfile
    >>> from convscope.filming import open_film
    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 2))
    >>> step_rule = torch.optim.SGD(net.parameters(), lr=0.1)
    >>> with tempfile.TemporaryDirectory() as place:
    ...     with film(net, torch.rand(2, 3, 8, 8), place) as made:
    ...         for step in range(1, 6):
    ...             net(torch.rand(8, 3, 8, 8)).square().mean().backward()
    ...             step_rule.step()
    ...             _ = made.snap(step)
    ...     open_film(place).steps
    (1, 2, 3, 4, 5)
    """
    if every is not None and every < 1:
        raise UsageError(f"`every` must be at least 1; got {every}")
    loaded = load_model(model) if not isinstance(model, Model) else model
    inputs, shown, found_names = _prepared(loaded, images)
    count = len(inputs)
    if pictures is not None:
        found = (pictures.dtype, pictures.ndim, pictures.shape[-1])
        if found != (np.uint8, 4, 3) or len(pictures) < count:
            raise UsageError(
                f"`pictures` must be uint8 of shape ({count}, rows, columns, 3); got {pictures.dtype} of "
                f"shape {pictures.shape}"
            )
        shown = _thinned(pictures[:count])
    for what, given in (("labels", labels), ("names", names)):
        if len(given) and len(given) < count:
            raise UsageError(f"`{what}` must be one for each of the {count} images; got {len(given)}")
    folder = Path(run) / store.FOLDER
    check_writable(folder, folder=True)
    if not resume and (store.frame_steps(folder) or (folder / store.MANIFEST).exists()):
        raise FilmError(
            f"`{run}` holds a film already",
            code="exists",
            hint="Go on with it: resume=True. Or name another folder, or remove that one.",
        )
    called = list(names) or found_names
    manifest = {
        "schema": store.SCHEMA,
        "made_with": {"convscope": __version__, "torch": torch.__version__},
        "title": title or loaded.card.name,
        "model": {
            "name": loaded.card.name,
            "parameters": sum(p.numel() for p in loaded.module.parameters()),
        },
        "classes": [str(name) for name in classes or loaded.card.categories],
        "images": [
            {"name": str(called[n]), "label": int(labels[n]) if len(labels) else None} for n in range(count)
        ],
        "picture": list(shown.shape[1:3]),
        "every": every,
    }
    return Film(loaded, inputs, folder, manifest, shown, every, resume=resume)


def _number(value: float | Tensor) -> float:
    try:
        return value.item() if isinstance(value, Tensor) else float(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"what is told of a step must be single numbers; got {value!r:.60}") from error


def _prepared(model: Model, images: Tensor | Sequence[Any]) -> tuple[Tensor, NDArray[np.uint8], list[str]]:
    """The batch, how each image is shown ``(N, rows, columns, 3)``, and their names."""
    if isinstance(images, Tensor):
        batch = images[None] if images.ndim == 3 else images
        if batch.ndim != 4 or not len(batch):
            raise FilmError(
                f"`images` must be a batch of shape (N, C, H, W), N at least 1; got {tuple(images.shape)}",
                code="empty",
            )
        # A copy: the person's own batch may be written into as the training goes on.
        batch = batch[:MOST_IMAGES].detach().clone()
        return batch, _thinned(_as_pictures(batch)), [f"image {n + 1}" for n in range(len(batch))]
    if isinstance(images, str | bytes | os.PathLike):
        images = [images]
    if not len(images):
        raise FilmError("a film needs at least one image", code="empty")
    steps = model.card.preprocessing
    opened = [one if isinstance(one, Picture) else load_image(one) for one in images[:MOST_IMAGES]]
    tensors = [steps.apply(picture.pixels).tensor for picture in opened]
    if len({tensor.shape for tensor in tensors}) > 1:
        raise UsageError(
            "the images of a film must become inputs of one size, and this model takes any",
            hint="Give a prepared batch (N, C, H, W).",
        )
    shown = np.stack([steps.cut(picture.pixels) for picture in opened])
    shown = np.repeat(shown, 3, axis=3) if shown.shape[3] == 1 else shown
    return torch.cat(tensors), _thinned(shown), [picture.name for picture in opened]


def _as_pictures(batch: Tensor) -> NDArray[np.uint8]:
    """Each image from its smallest value, black, to its largest, white."""
    values = batch.detach().to("cpu", torch.float32).nan_to_num()
    if values.shape[1] != 3:
        values = values.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    low, high = values.amin((1, 2, 3), keepdim=True), values.amax((1, 2, 3), keepdim=True)
    scaled = (values - low) / (high - low).clamp_min(1e-12) * 255
    found: NDArray[np.uint8] = scaled.round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return found


def _thinned(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pictures of at most 256 pixels a side: every second, third, ... one of larger ones."""
    step = -(-max(pictures.shape[1:3]) // _SHOWN_SIDE)
    return np.ascontiguousarray(pictures[:, ::step, ::step])


def _completed(manifest: dict[str, Any], whole: Trace, images: int) -> dict[str, Any]:
    """The manifest with what the first pass tells."""
    layers = choose_layers(whole, images)
    if not layers:
        raise FilmError(
            f"{manifest['model']['name']} has no convolution over pictures, so there is nothing to film",
            code="empty",
        )
    logits = whole.logits
    usable = logits is not None and logits.ndim == 2 and len(logits) == images
    return {
        **manifest,
        "layers": layers,
        "outputs": int(logits.shape[1]) if usable and logits is not None else 0,
    }
