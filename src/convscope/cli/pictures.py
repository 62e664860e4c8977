"""Where the pictures of ``filters`` and ``maps`` go."""

from __future__ import annotations

from pathlib import Path

from convscope.cli.options import say
from convscope.errors import UsageError


def targets(names: list[str], output: Path | None, folder: Path) -> dict[str, Path]:
    """A file for each layer: ``output`` itself if it ends in ``.png``, else files in a folder.

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
    return {name: base / f"{_safe(name)}.png" for name in names}


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "._-+" else "_" for c in name)[:200].lstrip(".") or "layer"


def report(written: list[Path]) -> None:
    """Say what was written."""
    if len(written) == 1:
        say(f"picture: {written[0]}")
    elif written:
        say(f"{len(written)} pictures in {written[0].parent}/")
