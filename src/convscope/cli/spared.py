"""Outputs must not take the place of what a command was given."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from convscope.errors import UsageError


def spare_inputs(written: Iterable[Path | None], *given: str) -> None:
    """Make sure that no output replaces a photo, weights or code the command reads.

    Parameters
    ----------
    written
        The files to write; ``None`` for those not asked for.
    given
        Words of the command line that may name files: an image, weights, ``path/to/net.py:Net``.

    Raises
    ------
    UsageError
        If an output is one of these files, or two outputs are one file.

    Examples
    --------
    >>> spare_inputs([Path("report.html"), None], "photo.jpg", "net.py:Net")
    >>> spare_inputs([Path("a.zip"), Path("a.zip")])
    Traceback (most recent call last):
    ...
    convscope.errors.UsageError: two outputs are to be the one file 'a.zip'
    Give each a name of its own.
    """
    words = {word for name in given for word in (name, name.rpartition(":")[0])}
    read = [os.stat(word) for word in words if word and os.path.isfile(word)]
    taken: set[str] = set()
    for path in written:
        if path is None:
            continue
        if path.is_file() and any(os.path.samestat(path.stat(), one) for one in read):
            raise UsageError(
                f"the output {str(path)!r} is a file this command reads, and would replace it",
                hint="Name another file for the output.",
            )
        place = os.path.realpath(path)
        if place in taken and (path.is_file() or not path.exists()):
            raise UsageError(
                f"two outputs are to be the one file {str(path)!r}", hint="Give each a name of its own."
            )
        taken.add(place)


def spare_data(written: Iterable[Path | None], *given: str) -> None:
    """Make sure that no output replaces a file of a data set, or becomes a picture of it.

    Parameters
    ----------
    written
        The files to write; ``None`` for those not asked for.
    given
        Words of the command line that may name data folders, classes after a colon or not.

    Raises
    ------
    UsageError
        If an output is a file within such a folder, or would lie in one of its folders.

    Examples
    --------
    >>> spare_data([Path("sheet.png"), None], "digits", "no/such/photos:cat,dog")
    """
    from convscope.datasets.load import parse_spec

    outputs = [path for path in written if path is not None]
    for folder in {parse_spec(word)[0] for word in given if word}:
        if not os.path.isdir(folder):
            continue
        top = Path(os.path.realpath(folder))
        for path in outputs:
            place = Path(os.path.realpath(path))
            if top in place.parents and (place.is_file() or place.parent != top):
                what = "is a file of" if place.is_file() else "would lie among the pictures of"
                raise UsageError(
                    f"the output {str(path)!r} {what} the data set {folder!r}",
                    hint="Name a file outside of that folder.",
                )
