"""Where the pictures of ``filters`` and ``maps`` go."""

from __future__ import annotations

from pathlib import Path

from convscope.cli.options import say
from convscope.errors import UsageError

_OTHER_KINDS = (".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".svg", ".pdf", ".html")


def place(model: str, what: str) -> Path:
    """The folder pictures go to unless told otherwise.

    Examples
    --------
    >>> place("timm:resnet18", "maps"), place("nets/mine.py:Net", "filters")
    (PosixPath('timm-resnet18-maps'), PosixPath('mine.py-Net-filters'))
    """
    name = Path(model).name
    return Path(f"{_safe(name, other='-')}-{what}")


def check_place(output: Path | None, folder: Path) -> None:
    """Make sure that pictures can be written, before anything long is begun.

    Raises
    ------
    OutputError
        If they cannot.
    UsageError
        If ``output`` is named like a file of another kind.
    """
    from convscope.files import check_writable

    if output is not None and output.suffix.lower() in _OTHER_KINDS and not output.is_dir():
        raise UsageError(
            f"a picture is written as .png; got {output.name!r}",
            hint="`--output` takes a .png file for one layer, or a folder for several.",
        )

    if output is not None and output.suffix.lower() == ".png":
        check_writable(output)
    else:
        check_writable(output or folder, folder=True)


def targets(names: list[str], output: Path | None, folder: Path) -> dict[str, Path]:
    """A file for each layer: ``output`` itself if it ends in ``.png``, else files in a folder.

    Raises
    ------
    UsageError
        If one file is named for several layers.

    Examples
    --------
    >>> targets(["conv1"], Path("a.png"), Path("maps"))
    {'conv1': PosixPath('a.png')}
    >>> targets(["conv1", "fc"], None, Path("maps"))
    {'conv1': PosixPath('maps/conv1.png'), 'fc': PosixPath('maps/fc.png')}
    """
    if output is not None and output.suffix.lower() == ".png":
        if len(names) > 1:
            raise UsageError(
                f"`--output` must be a folder for {len(names)} layers; got the file {str(output)!r}",
                hint="Name one layer, or give a folder.",
            )
        return {names[0]: output}
    base = output or folder
    files: dict[str, Path] = {}
    taken: set[str] = set()
    for name in names:
        stem = _safe(name)
        number = 1
        # Disks that ignore case would write `A.png` over `a.png`.
        while stem.lower() in taken:
            number += 1
            stem = f"{_safe(name)}-{number}"
        taken.add(stem.lower())
        files[name] = base / f"{stem}.png"
    return files


def _safe(name: str, other: str = "_") -> str:
    return "".join(c if c.isalnum() or c in "._-+" else other for c in name)[:100].lstrip(".") or "layer"


def report(written: list[Path]) -> None:
    """Say what was written."""
    if len(written) == 1:
        say(f"picture: {written[0]}")
    elif written:
        say(f"{len(written)} pictures in {written[0].parent}/:")
        import textwrap

        names = ", ".join(path.name for path in written[:40])
        more = f", and {len(written) - 40} more" if len(written) > 40 else ""
        for line in textwrap.wrap(names + more, 76, break_on_hyphens=False, break_long_words=False):
            say(f"  {line}")
