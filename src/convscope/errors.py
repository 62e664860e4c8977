"""Every error convscope raises on purpose, in one tree.

Each message is one clear sentence (what was expected, what came) and ``hint`` says
what to do. The command line prints both, without a traceback, and exits with
``exit_code``::

    ConvscopeError                 anything below
    ├── UsageError                 arguments that make no sense together (exit 2)
    │   └── ControlError           a value that a lesson's control cannot take; ``control`` names it
    ├── ImageError                 a picture that cannot be used; ``code`` says why
    ├── DatasetError               pictures with classes that cannot be had; ``code`` says why
    ├── ModelError                 a model that cannot be built or used
    │   ├── UnknownModelError      no model of that name
    │   ├── WeightsError           weights that cannot be read or do not fit; ``code`` says why
    │   ├── DownloadError          weights that could not be fetched
    │   └── MissingExtraError      an optional package is not installed
    ├── TraceError                 a forward pass that cannot be recorded or read
    │   ├── ForwardError           the model itself raised
    │   ├── UnknownLayerError      no op or module call of that name
    │   ├── NoSuchOpError          no op of that number; also an IndexError
    │   └── NotKeptError           the value was not kept in this trace
    ├── SceneError                 a scene file that cannot be read
    ├── FilmError                  a film of a training that cannot be begun or read; ``code`` says why
    ├── TrainingError              a training that cannot begin or go on
    │   ├── DivergedError          the loss is not a number any more
    │   └── RunError               a run folder that cannot be used; ``code`` says why
    ├── OutputError                a file that cannot be written
    └── GivenUp                    nobody wants the answer any more; seen by no person
"""

from __future__ import annotations

from collections.abc import Iterable


class ConvscopeError(Exception):
    """Anything convscope raises on purpose."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(ConvscopeError):
    """Arguments that make no sense, alone or together."""

    exit_code = 2


class ControlError(UsageError):
    """A value that an argument or control cannot take.

    ``control`` is its name, so that the page can show the sentence beside it.
    """

    def __init__(self, message: str, *, control: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.control = control


class ImageError(ConvscopeError):
    """A picture that cannot be used.

    ``code`` is one of ``damaged``, ``empty``, ``missing``, ``not_a_file``,
    ``not_an_image``, ``not_finite``, ``too_many_bytes``, ``too_many_pixels``,
    ``too_many_scans``, ``unreadable``, ``unsupported_depth``.
    """

    def __init__(self, message: str, *, code: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class DatasetError(ConvscopeError):
    """A data set that cannot be read, or a class that is not in it.

    ``code`` is one of ``bad_label``, ``bad_split``, ``checksum``, ``damaged``, ``download``, ``empty``,
    ``missing``, ``no_classes`` (exit 2), ``no_such_class``, ``not_a_dataset``, ``too_large``,
    ``unreadable``.
    """

    def __init__(self, message: str, *, code: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code
        if code == "no_classes":
            self.exit_code = UsageError.exit_code


class ModelError(ConvscopeError):
    """A model that cannot be built or used."""


class UnknownModelError(ModelError):
    """No model of that name."""


class WeightsError(ModelError):
    """Weights that cannot be read, or do not fit the model.

    ``code`` is one of ``code_inside``, ``damaged``, ``empty``, ``lfs_pointer``,
    ``mismatch``, ``missing``, ``not_a_file``, ``not_finite``, ``not_weights``,
    ``too_large``, ``torchscript``, ``unreadable``.
    """

    def __init__(self, message: str, *, code: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class DownloadError(ModelError):
    """Weights that could not be fetched from the network."""


class MissingExtraError(ModelError):
    """An optional package is not installed."""


class TraceError(ConvscopeError):
    """A forward pass that cannot be recorded or read."""


class ForwardError(TraceError):
    """The model itself raised during its forward pass."""


class UnknownLayerError(TraceError):
    """No op or module call of that name."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        near = nearest(name, known)
        hint = f"Did you mean {', '.join(near)}?" if near else "`convscope layers MODEL` lists the names."
        super().__init__(f"there is no layer `{name}` in this trace", hint=hint)
        self.name = name
        self.nearest = near


class NoSuchOpError(TraceError, IndexError):
    """No op of that number."""

    def __init__(self, number: int, count: int) -> None:
        has = f"ops 0 to {count - 1}" if count else "no ops"
        super().__init__(f"there is no op {number} in this trace: it has {has}")
        self.number = number


class NotKeptError(TraceError):
    """The value was not kept in this trace."""


class SceneError(ConvscopeError):
    """A scene that cannot be read."""


class FilmError(ConvscopeError):
    """A film of a training that cannot be begun, gone on with or read.

    ``code`` is one of ``damaged``, ``different``, ``empty``, ``exists``, ``missing``.
    """

    def __init__(self, message: str, *, code: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class TrainingError(ConvscopeError):
    """A training that cannot begin or go on."""


class DivergedError(TrainingError):
    """The loss is not a number any more; ``step`` says since when, counted from 1."""

    def __init__(self, message: str, *, step: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.step = step


class RunError(TrainingError):
    """A run folder that cannot be used.

    ``code`` is one of ``damaged``, ``different``, ``exists``, ``finished``, ``in_use``, ``missing``.
    """

    def __init__(self, message: str, *, code: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class OutputError(ConvscopeError):
    """A file that cannot be written."""


class GivenUp(ConvscopeError):
    """Nobody wants the answer any more."""


def nearest(name: str, known: Iterable[str], count: int = 4) -> list[str]:
    """Up to ``count`` of the ``known`` names that look most like ``name``.

    Examples
    --------
    >>> nearest("layer1.conv1", ["layer1.0.conv1", "fc", "layer1.0.conv2"])
    ['layer1.0.conv1', 'layer1.0.conv2']
    """
    from difflib import get_close_matches

    names = list(dict.fromkeys(known))
    close = get_close_matches(name, names, n=count, cutoff=0.6)
    inside = [other for other in names if name and name in other and other not in close]
    return (close + inside)[:count]
