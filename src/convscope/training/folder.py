"""The run folder: who may write to it, and everything that stands in it.

``run.json`` (how it was made), ``metrics.csv`` and ``metrics.parquet`` (one row an epoch),
``checkpoint.safetensors`` (the whole state, to go on from), ``model.safetensors`` (the weights it
ended with), ``evaluation.json``, ``confusion.csv``, ``classes.csv``, and pictures.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shlex
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from convscope.datasets import Dataset
from convscope.datasets.load import parse_spec
from convscope.datasets.split import CANNOT_BE_READ
from convscope.errors import ConvscopeError, OutputError, RunError, UsageError
from convscope.files import atomic_write, check_writable, remove_abandoned
from convscope.models.run_models import CHECKPOINT_NAME, CONFIG_NAME, MODEL_NAME, read_config
from convscope.training.evaluation import Evaluation

LOCK_NAME = ".lock"
_OURS = (CONFIG_NAME, CHECKPOINT_NAME, MODEL_NAME)


class RunFolder:
    """Paths and writers of one run folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def checkpoint(self) -> Path:
        """The whole state after some step."""
        return self.path / CHECKPOINT_NAME

    @property
    def model(self) -> Path:
        """The weights the run ended with."""
        return self.path / MODEL_NAME

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return self.model.is_file()

    def begin(self, config: Mapping[str, Any]) -> None:
        """Make the folder's first file.

        Raises
        ------
        RunError
            ``exists`` if a run, or anything else, is there already.
        OutputError
            If nothing can be written there.
        """
        self.refuse_what_exists()
        self.write_json(CONFIG_NAME, config)

    @contextlib.contextmanager
    def given_up_unless_saved(self) -> Iterator[None]:
        """A run that ends within, before its first checkpoint, cannot be gone on with: it leaves nothing."""
        try:
            yield
        except OutputError:
            # Where there was no room, there may be some later.
            raise
        except (ConvscopeError, KeyboardInterrupt):
            if not self.checkpoint.exists():
                for place in self.path.iterdir():
                    if place.is_dir():
                        shutil.rmtree(place, ignore_errors=True)
                    elif place.name != LOCK_NAME:
                        place.unlink(missing_ok=True)
            raise

    def refuse_what_exists(self) -> None:
        """Refuse a folder with anything in it."""
        if (self.path / CONFIG_NAME).exists():
            go_on = f"Go on with it: --resume --run {shlex.quote(str(self.path))}. Or name another"
            raise RunError(
                f"`{self.path}` holds a {'finished ' if self.finished else ''}run already",
                code="exists",
                hint=f"{'Name another' if self.finished else go_on} folder with --run.",
            )
        if self.path.is_dir() and set(os.listdir(self.path)) - {LOCK_NAME}:
            raise RunError(
                f"`{self.path}` is a folder with other things in it",
                code="exists",
                hint="Name a new folder with --run.",
            )

    def config(self) -> dict[str, Any]:
        """What ``run.json`` says."""
        if not (self.path / CONFIG_NAME).exists():
            raise RunError(
                f"there is no run in `{self.path}`", code="missing", hint="`--run` names the folder of a run."
            )
        return read_config(self.path)

    def write_json(self, name: str, value: Any) -> None:
        """A file of JSON, whole or not at all."""
        text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        atomic_write(self.path / name, text.encode("utf-8", "surrogateescape"))

    def write_table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """``NAME.csv``, and ``NAME.parquet`` where pyarrow is installed."""
        columns = list(dict.fromkeys(key for row in rows for key in row))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([_cell(row.get(column)) for column in columns])
        atomic_write(self.path / f"{name}.csv", text.getvalue().encode("utf-8", "surrogateescape"))
        if find_spec("pyarrow") is not None:
            import pyarrow
            import pyarrow.parquet

            table = pyarrow.table({column: [row.get(column) for row in rows] for column in columns})
            atomic_write(self.path / f"{name}.parquet", lambda file: pyarrow.parquet.write_table(table, file))

    def write_evaluation(self, found: Evaluation, extra: Mapping[str, Any]) -> None:
        """``evaluation.json``, ``confusion.csv`` (rows: true class) and ``classes.csv``."""
        self.write_json("evaluation.json", {**found.to_json(), **extra})
        rows = [
            {"true class": name, **dict(zip(found.classes, map(int, found.confusion[i]), strict=True))}
            for i, name in enumerate(found.classes)
        ]
        self.write_plain("confusion.csv", rows)
        totals = found.confusion.sum(1)
        self.write_plain(
            "classes.csv",
            [
                {
                    "class": name,
                    "images": int(totals[i]),
                    "right": int(found.confusion[i, i]),
                    "accuracy": float(found.confusion[i, i] / totals[i]) if totals[i] else None,
                }
                for i, name in enumerate(found.classes)
            ],
        )

    def write_plain(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """A CSV file alone."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(list(rows[0]))
        writer.writerows([_cell(value) for value in row.values()] for row in rows)
        atomic_write(self.path / name, text.getvalue().encode("utf-8", "surrogateescape"))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Within, no other process may train into this folder.

        The lock is the system's and goes with the process, however it ends.

        Raises
        ------
        RunError
            ``in_use``, naming the process that holds it.
        """
        check_writable(self.path, folder=True)
        made = [place for place in (self.path, *self.path.parents) if not place.exists()]
        self.path.mkdir(parents=True, exist_ok=True)
        remove_abandoned(self.path)
        handle = self._hold()
        try:
            yield
        finally:
            # What never began leaves nothing behind.
            if made and set(os.listdir(self.path)) <= {LOCK_NAME}:
                with contextlib.suppress(OSError):
                    (self.path / LOCK_NAME).unlink()
                    for place in made:
                        place.rmdir()
            os.close(handle)

    def _hold(self) -> int:
        """The lock file, open and locked."""
        place = self.path / LOCK_NAME
        while True:
            handle = os.open(place, os.O_RDWR | os.O_CREAT, 0o644)
            if not _take(handle):
                holder = os.pread(handle, 200, 0).decode("utf-8", "replace").strip() or "another process"
                os.close(handle)
                raise RunError(
                    f"`{self.path}` is used by {holder}",
                    code="in_use",
                    hint="Wait until it ends, or name another folder with --run.",
                )
            # One that was removed between opening and locking it locks nothing.
            if place.exists() and os.path.samestat(os.fstat(handle), place.stat()):
                os.ftruncate(handle, 0)
                os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
                return handle
            os.close(handle)


def with_problems(config: Mapping[str, Any], dataset: Dataset) -> tuple[Mapping[str, Any], list[str]]:
    """What ``run.json`` says at the end, and the problems met since it was written.

    Of pictures that are streamed it is known only now which could not be read.
    """
    told = list(config["data"]["problems"])
    now = [str(problem) for problem in dataset.problems]
    unread = [text for text in now if text not in told]
    if not unread:
        return config, []
    met = [str(problem) for split in dataset.parts.values() for problem in split.problems]
    # A count that was written when training began, of the same pictures, is not said beside the new one.
    kept = [text for text in told if text in now or not (met and CANNOT_BE_READ in text)]
    data = {**config["data"], "problems": [*kept, *unread]}
    notes = [text for text in config["notes"] if text not in told or text in kept]
    return {**config, "data": data, "notes": [*notes, *unread]}, unread


def refuse_within(run: Path, data: Any) -> None:
    """Refuse a run folder inside the data folder, where it would be taken for a class.

    Raises
    ------
    UsageError
        Naming a place beside the data.
    """
    if not isinstance(data, str | os.PathLike):
        return
    place = Path(os.path.realpath(os.path.expanduser(parse_spec(os.fspath(data))[0])))
    own = Path(os.path.realpath(run.expanduser()))
    if place.is_dir() and (own == place or place in own.parents):
        raise UsageError(
            f"the run folder `{run}` would lie inside the data folder `{data}`",
            hint=f"Name a folder elsewhere: --run {shlex.quote(str(place.parent / 'runs' / own.name))}",
        )


def next_free(folder: Path) -> Path:
    """``folder``, or the first of ``folder-2``, ``folder-3``, ... that does not exist.

    Examples
    --------
    >>> next_free(Path("no/such/run")).name
    'run'
    """
    number, candidate = 1, folder
    while candidate.exists():
        number += 1
        candidate = folder.with_name(f"{folder.name}-{number}")
    return candidate


def _take(handle: int) -> bool:
    try:
        import fcntl
    except ImportError:  # pragma: no cover - not POSIX
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return repr(value) if isinstance(value, float) else value
