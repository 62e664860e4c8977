"""``film``: keeps what a network is at chosen steps of its training, and leaves it as it was found."""

from __future__ import annotations

import math
import os
import warnings
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
from convscope.data.names import printable
from convscope.errors import ConvscopeError, FilmError, ForwardError, UnknownLayerError, UsageError
from convscope.files import check_writable
from convscope.filming import store
from convscope.filming.first_look import check_same, digest, first_look
from convscope.filming.given import Images, prepared
from convscope.filming.keeping import frame_arrays, kept_names
from convscope.filming.schedule import next_due
from convscope.models import Model, load_model
from convscope.tracing import trace

if TYPE_CHECKING:
    from typing import Self


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
        images: Images,
        folder: Path,
        manifest: dict[str, Any],
        *,
        resume: bool = False,
        strict: bool = False,
    ) -> None:
        self.folder = folder
        self.last = -1
        self._model = model
        self._images = images
        self._manifest = manifest
        self._every: int | None = manifest["every"]
        self._strict = strict
        #: The steps there are of the film that is gone on with; and whether this one has written anything.
        self._before = store.frame_steps(folder) if resume else []
        self._begun = resume and (folder / store.MANIFEST).is_file()
        self._first: int | None = None
        self._told = -1
        self._warned: set[str] = set()
        self._ended = False
        self._seen: tuple[int, int, dict[str, float]] | None = None

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
        last = self.last
        if self._first is None and self._before:
            last = max((old for old in self._before if old < step), default=-1)
        return not self._ended and step >= next_due(last, self._every)

    def snap(self, step: int, *, force: bool = False, **numbers: float | Tensor | None) -> bool:
        """Keep this step if it is one to be kept. Call it after the optimizer's step, as often as you like.

        A film must not end the training it is of: where a frame cannot be written or the network has
        changed, and where steps go back, that is told in a warning.

        Parameters
        ----------
        step
            Steps done since the training began, 0 before the first; it does not begin again each epoch.
        force
            Keep it in any case.
        numbers
            What is known of the step: ``loss``, ``accuracy`` and ``test_accuracy`` (0 to 1) are drawn as
            curves, others are kept with the frame.

        Returns
        -------
        Whether it was kept.

        Raises
        ------
        UsageError
            If ``step`` is below 0 or no whole number, or one of ``numbers`` is no single number.
        FilmError
            ``exists`` where a film is gone on with from a step that would replace all of it.
        """
        if isinstance(step, bool) or not isinstance(step, Integral) or not 0 <= step < store.MOST_STEPS:
            raise UsageError(f"`step` must be a whole number, at least 0; got {step!r}")
        step = int(step)
        told = {key: _number(value) for key, value in numbers.items() if value is not None}
        told = {key: value for key, value in told.items() if math.isfinite(value)}
        if self._ended or not self._goes_on(step):
            return False
        if not self.wants(step) and not force:
            self._seen = (step, self._mark(), told)
            return False
        try:
            self._keep(step, told)
        except ConvscopeError as error:
            if self._strict:
                raise
            self._trouble(error)
            return False
        self.last = step
        self._seen = None
        return True

    def _goes_on(self, step: int) -> bool:
        """Whether a step is later than the one kept last; a step that goes back is told of once."""
        if self._before and self._first is None and step <= self._before[0]:
            raise FilmError(
                f"the film in `{self.folder}` has steps {self._before[0]:,} to {self._before[-1]:,}; going "
                f"on with step {step:,} would replace them all",
                code="exists",
                hint="Tell the steps since that training began; or remove the film, or name another folder.",
            )
        if self._first is None:
            self._first = step
            self.last = max((old for old in self._before if old < step), default=-1)
        back = step < self._told
        if back and "back" not in self._warned:
            self._warned.add("back")
            warnings.warn(
                f"the film was told step {step:,} after step {self._told:,}: `step` counts from the "
                "beginning of the training, not of an epoch, and steps that go back are not kept",
                stacklevel=3,
            )
        self._told = max(self._told, step)
        return step > self.last

    def _keep(self, step: int, told: dict[str, float]) -> None:
        """Write the frame, and before the first what is the same for all."""
        layers: Sequence[dict[str, Any]] = self._manifest["layers"]
        try:
            seen = trace(self._model, self._images.inputs, keep=kept_names(layers))
            arrays = frame_arrays(seen, layers)
        except UnknownLayerError as error:
            raise self._changed(f"`{error.message}`") from error
        for layer in layers:
            if list(seen.op(layer["name"]).shape[1:]) != layer["map_shape"]:
                raise self._changed(f"the maps of `{layer['name']}` are of another shape")
        for name, (_, shape) in store.frame_types(self._manifest).items():
            if name not in arrays or arrays[name].shape != shape:
                raise self._changed(f"its {name.partition('_')[0]} are of another shape")
        self._begin()
        store.write_arrays(store.frame_path(self.folder, step), arrays, told)
        # What is replaced goes only after what replaces it has come.
        for old in self._before:
            if self._first is not None and old >= self._first and old != step:
                store.frame_path(self.folder, old).unlink(missing_ok=True)
        self._before = []

    def _changed(self, how: str) -> FilmError:
        return FilmError(
            f"the network has changed since its film began ({how})",
            code="different",
            hint="Begin another film, in another folder.",
        )

    def _begin(self) -> None:
        """Write what is the same for all frames, if it is not there."""
        there = (self.folder / store.MANIFEST).is_file()
        if there and self._begun:
            return
        if there:
            raise _exists(self.folder.parent)
        self.folder.mkdir(parents=True, exist_ok=True)
        store.write_arrays(self.folder / store.IMAGES, {"pictures": self._images.shown}, None)
        store.write_manifest(self.folder, self._manifest)
        self._begun = True

    def _trouble(self, error: ConvscopeError) -> None:
        """Tell once what is wrong; a frame that cannot be written is tried again, all else ends the film."""
        self._ended = isinstance(error, FilmError | ForwardError)
        kind = type(error).__name__
        if kind not in self._warned:
            self._warned.add(kind)
            what = "the film ends" if self._ended else "a frame of the film is left out"
            warnings.warn(f"{what}: {error}", stacklevel=3)

    def _mark(self) -> int:
        """Changes with every step of an optimizer, of those too that torch does not count (fused ones)."""
        versions, some = [], []
        for parameter in self._model.module.parameters():
            value = parameter.detach()
            versions.append(0 if value.is_inference() else parameter._version)
            if value.numel():
                ends = (value[(0,) * value.ndim], value[tuple(n // 2 for n in value.shape)])
                some += [end.to("cpu", torch.float64) for end in (*ends, value[(-1,) * value.ndim])]
        values = torch.stack(some).numpy().tobytes() if some else b""
        return hash((tuple(versions), values))


def film(
    model: nn.Module | Model | str,
    images: Tensor | Sequence[Any],
    run: str | os.PathLike[str],
    *,
    every: int | None = None,
    labels: Sequence[int | None] = (),
    classes: Sequence[str] = (),
    names: Sequence[str] = (),
    pictures: NDArray[np.uint8] | None = None,
    title: str = "",
    layers: Sequence[str] = (),
    answers: bool = True,
    resume: bool = False,
    strict: bool = False,
) -> Film:
    """A film of a training: filters, feature maps of a few images, and answers at chosen steps.

    The network is looked at in evaluation mode and left as it was: modes, weights, gradients and random
    numbers, so that a training with a film ends with the very same weights as without.

    Parameters
    ----------
    model
        The network being trained.
    images
        At most 8 are kept: a batch ``(N, C, H, W)`` prepared for the network, a list of such tensors or of
        pairs with labels (a part of a data set), or pictures (paths, arrays, ``sample:cat``) that are
        prepared as belongs to the model.
    run
        The folder; the film goes into ``film`` in it.
    every
        From step ``every`` on its multiples are kept (steps of an epoch, say), and before it two steps a
        doubling: 0, 1, 2, 3, 4, 6, 8, 11, ... Not given, four steps a doubling are kept to the end.
    labels, classes
        True classes of the images by number, ``None`` where not known; names of the network's classes.
    names
        Of the images.
    pictures
        ``uint8`` of shape ``(N, rows, columns, 3)``: how images of a prepared batch are shown; otherwise
        their smallest value is black, their largest white.
    title
        Stands above the film; the network's name if not given.
    layers
        Names of the convolutions kept; of more than 24 some, evenly chosen, if not given.
    answers
        Whether the network's outputs are scores of classes, to be shown as such.
    resume
        Go on with the film in the folder: frames from the next step told on are replaced.
    strict
        Raise what ``snap`` would warn of: a frame that cannot be written, a network that has changed.

    Raises
    ------
    FilmError
        ``exists`` if there is a film and it is not to be gone on with; ``different`` if that one is of
        another network or other images; ``empty`` without images, or without a convolution to film.
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
    if every is not None and (isinstance(every, bool) or not isinstance(every, Integral) or every < 1):
        raise UsageError(f"`every` must be a whole number, at least 1; got {every!r}")
    if not isinstance(run, str | os.PathLike):
        raise UsageError(f"`run` must be a folder; got {run!r:.60}")
    if isinstance(classes, str | bytes | dict):
        raise UsageError(f"`classes` must be a list of names; got {classes!r:.60}")
    loaded = load_model(model) if not isinstance(model, Model) else model
    taken = prepared(loaded, images, labels=labels, names=names, pictures=pictures)
    folder = Path(run) / store.FOLDER
    check_writable(folder, folder=True)
    if not resume and (store.frame_steps(folder) or (folder / store.MANIFEST).exists()):
        raise _exists(Path(run))
    manifest = {
        "schema": store.SCHEMA,
        "made_with": {"convscope": __version__, "torch": torch.__version__},
        "title": printable(title) or loaded.card.name,
        "model": {
            "name": loaded.card.name,
            "parameters": sum(p.numel() for p in loaded.module.parameters()),
        },
        "classes": [
            printable(str(name)) for name in (loaded.card.categories if len(classes) == 0 else classes)
        ],
        "images": [
            {"name": name, "label": label} for name, label in zip(taken.names, taken.labels, strict=True)
        ],
        "inputs": digest(taken.inputs),
        "picture": list(taken.shown.shape[1:3]),
        "every": None if every is None else int(every),
    }
    manifest = first_look(manifest, loaded, taken.inputs, layers, answers)
    if resume and (folder / store.MANIFEST).is_file():
        check_same(store.read_manifest(folder), manifest, folder)
    return Film(loaded, taken, folder, manifest, resume=resume, strict=strict)


def _exists(run: Path) -> FilmError:
    return FilmError(
        f"`{run}` holds a film already",
        code="exists",
        hint="Go on with it: resume=True. Or name another folder, or remove that one.",
    )


def _number(value: float | Tensor) -> float:
    try:
        return value.item() if isinstance(value, Tensor) else float(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"what is told of a step must be single numbers; got {value!r:.60}") from error
