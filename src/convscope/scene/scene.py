"""The middle form between a network and every picture of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convscope.showing import Shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCHEMA = "convscope.scene/1"


@dataclass(frozen=True, eq=False)
class Scene(Shown):
    """What a person looks at: a manifest and arrays, without torch, HTML or pixels on a screen.

    Parameters
    ----------
    manifest
        Plain JSON of the schema ``convscope.scene/1``, as ARCHITECTURE.md gives it.
    arrays
        ``maps/ID``, ``stats/ID``, ``strip/ID``, ``filters/ID``, ``photo``, ... by name.

    Examples
    --------
    >>> import convscope, torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    >>> scene = convscope.make_scene(convscope.trace(net, torch.rand(1, 3, 8, 8)))
    >>> scene.node("1")["shape"], scene.arrays["maps/2"].shape
    ([1, 4, 6, 6], (4, 6, 6))
    """

    manifest: dict[str, Any]
    arrays: Mapping[str, NDArray[Any]] = field(repr=False)

    def node(self, name: str) -> dict[str, Any]:
        """The manifest's entry of an op by its name.

        Raises
        ------
        UnknownLayerError
            If there is none; the nearest names are given.
        """
        from convscope.errors import UnknownLayerError

        nodes: list[dict[str, Any]] = self.manifest["nodes"]
        for node in nodes:
            if node["name"] == name:
                return node
        raise UnknownLayerError(name, [node["name"] for node in nodes])

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the scene as one file, whole or not at all; returns its path.

        The file is a zip archive of ``manifest.json`` and one ``.npy`` file for each array.

        Raises
        ------
        OutputError
            If ``path`` cannot be written.
        """
        from convscope.scene.files import save_scene

        return save_scene(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, limit: int = 1 << 30) -> Scene:
        """Read a scene; no code in the file is ever run.

        Parameters
        ----------
        limit
            The most bytes the contents may have, unpacked.

        Raises
        ------
        SceneError
            If there is no such file, it is no scene, of another schema, damaged or too large.
        """
        from convscope.scene.files import load_scene

        return load_scene(path, limit=limit)
