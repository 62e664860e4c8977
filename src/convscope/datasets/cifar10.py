"""CIFAR-10: the release's own files where they lie, a copy of it as pictures, or fetched by torchvision."""

from __future__ import annotations

import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from convscope.data.names import printable
from convscope.datasets.dataset import Dataset
from convscope.datasets.from_tree import read_tree
from convscope.datasets.problems import listed
from convscope.datasets.release import CLASSES, FILES, read_release
from convscope.datasets.settings import Settings
from convscope.datasets.trees import FolderTree, Tree
from convscope.datasets.zip_tree import ZipTree, refuse_cut_zip
from convscope.errors import DatasetError

ARCHIVE = "cifar-10-python.tar.gz"
FOLDER = "cifar-10-batches-py"
OFFLINE = (
    f"With the files at hand: --root FOLDER, which holds {ARCHIVE} or {FOLDER}, or a folder or zip file of "
    "CIFAR-10 as pictures (train/cat/1.png ...). What needs no files at all: digits."
)
_RELEASE_BYTES = 64 * 2**20  # the largest file has 31 million bytes


def read_cifar10(name: str, root: str | os.PathLike[str] | None, settings: Settings) -> Dataset:
    """CIFAR-10, 32 x 32, 50,000 pictures to train on and 10,000 to test.

    Parameters
    ----------
    root
        See :func:`convscope.datasets.load_dataset`.

    Raises
    ------
    DatasetError
        ``missing`` if ``root`` holds no CIFAR-10, ``download`` if it cannot be fetched, ``checksum``
        if a file is not the release's, and those of :func:`read_tree`.

    References
    ----------
    A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    """
    if root is None:
        return read_release(_fetched(), name, settings)
    place = Path(root)
    if not place.exists():
        raise DatasetError(
            f"there is no `{printable(place)}` to read CIFAR-10 from", code="missing", hint=OFFLINE
        )
    refuse_cut_zip(place)
    tree = _pictures(place)
    if tree is not None:
        return _from_pictures(tree, name, settings)
    files = _release(place)
    if files is None:
        raise DatasetError(f"`{printable(place)}` holds no CIFAR-10", code="missing", hint=OFFLINE)
    return read_release(files, name, settings)


def _from_pictures(tree: Tree, name: str, settings: Settings) -> Dataset:
    tops = {folder.rpartition("/")[2] for folder in tree.folders}
    missing = [class_ for class_ in CLASSES if class_ not in tops]
    if missing:
        raise DatasetError(
            f"`{tree.name}` is not CIFAR-10: it has no class folder {listed(missing)}",
            code="missing",
            hint="Without `cifar10` it is read for what it is: give its path alone.",
        )
    made = read_tree(tree, name, settings)
    if not any(file.lower().endswith((".jpg", ".jpeg")) for file in tree.files[:1]):
        return made
    remark = (
        "a JPEG copy of CIFAR-10, which is harder than the release: compare accuracies on it only with "
        "others on it"
    )
    return replace(made, notes=(remark, *made.notes))


def _pictures(place: Path) -> Tree | None:
    """The folder or zip file of pictures at ``place``, or in it."""
    if place.is_file():
        return ZipTree(place) if zipfile.is_zipfile(place) else None
    if any((place / folder).is_dir() for folder in ("train", "test", *CLASSES)):
        return FolderTree(place)
    zips = sorted(path for path in place.glob("*.zip") if path.name.lower().startswith("cifar"))
    return ZipTree(zips[0]) if len(zips) == 1 and zipfile.is_zipfile(zips[0]) else None


def _release(place: Path) -> Iterable[tuple[str, bytes]] | None:
    """Names and contents of the release's files at ``place``, or in it."""
    if place.is_file():
        return _from_archive(place)
    for folder in (place, place / FOLDER):
        if all((folder / file).is_file() for file in FILES):
            return _from_folder(folder)
    return _from_archive(place / ARCHIVE) if (place / ARCHIVE).is_file() else None


def _from_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    for file in FILES:
        try:
            with open(folder / file, "rb") as opened:
                yield file, opened.read(_RELEASE_BYTES)
        except OSError as error:
            reason = error.strerror or str(error)
            raise DatasetError(
                f"`{printable(folder / file)}` cannot be read: {reason}", code="unreadable"
            ) from error


def _from_archive(path: Path) -> Iterator[tuple[str, bytes]]:
    """The files of the release's archive, which is not unpacked to disk."""
    try:
        with tarfile.open(path, "r|*") as archive:
            for member in archive:
                file = member.name.rpartition("/")[2]
                opened = archive.extractfile(member) if member.isfile() and file in FILES else None
                if opened is not None:
                    yield file, opened.read(_RELEASE_BYTES)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise DatasetError(
            f"`{printable(path)}` is not an archive of CIFAR-10 that can be read: {error}",
            code="damaged",
            hint=OFFLINE,
        ) from error


def cache_folder() -> Path:
    """Where what is fetched is kept: ``CONVSCOPE_CACHE``, or ``convscope`` in the user's cache folder."""
    given = os.environ.get("CONVSCOPE_CACHE")
    if given:
        return Path(given)
    base = os.environ.get("LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "convscope"


def _fetched() -> Iterable[tuple[str, bytes]]:
    folder = cache_folder() / "cifar10"
    at_hand = _release(folder) if folder.is_dir() else None
    return at_hand if at_hand is not None else _from_archive(_download(folder))


def _download(folder: Path) -> Path:
    """Fetch the archive; it has its own name only once it is whole and its checksum is right."""
    from tempfile import TemporaryDirectory

    from torchvision.datasets import CIFAR10
    from torchvision.datasets.utils import download_url

    from convscope.models.fetching import reason

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder, prefix=".fetching-") as place:
            download_url(CIFAR10.url, place, ARCHIVE, CIFAR10.tgz_md5)
            os.replace(Path(place) / ARCHIVE, folder / ARCHIVE)
    except (OSError, RuntimeError, ValueError) as error:
        raise DatasetError(
            f"CIFAR-10 is not in {printable(folder)} and could not be downloaded: {reason(error)}",
            code="download",
            hint=OFFLINE,
        ) from error
    return folder / ARCHIVE
