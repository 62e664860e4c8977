"""Photos as the server keeps them: decoded once, by the worker, and never again what was uploaded."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from secrets import token_urlsafe
from typing import Any

from convscope.desk.answers import PageError, busy, unknown
from convscope.page.hosts import WorkerHost
from convscope.page.settings import Bounds
from convscope.page.shelf import Parcel, Shelf

NAME_LENGTH = 120


@dataclass(frozen=True)
class Photo:
    """One decoded photo; ``key`` is random and all that a request can name it by."""

    key: str
    name: str
    width: int
    height: int
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """What is told of it."""
        return {
            "id": self.key,
            "name": self.name,
            "width": self.width,
            "height": self.height,
            "notes": list(self.notes),
        }


class Photos:
    """The photos of one server."""

    def __init__(self, decoder: WorkerHost, bounds: Bounds) -> None:
        self._decoder = decoder
        self._bounds = bounds
        self._shelf = Shelf(size=bounds.photo_bytes, count=bounds.photos, free_disk=bounds.free_disk)
        self._known: OrderedDict[str, Photo] = OrderedDict()
        self._coming = 0

    def admit(self) -> Admission:
        """A place for one photo that is about to be received.

        Raises
        ------
        PageError
            503 if too many come at once, 507 if the disk is full.
        """
        if self._coming >= self._bounds.uploads:
            raise busy("photos")
        self._shelf.check_disk()
        return Admission(self)

    async def add(self, data: bytes, name: str) -> Photo:
        """Decode and keep a picture file.

        Raises
        ------
        PageError
            If it is no picture that can be read.
        """
        told, pixels = await self._decoder.submit(
            "decode", {"name": name[:NAME_LENGTH]}, data, seconds=self._bounds.decode_seconds
        )
        width, height = int(told["width"]), int(told["height"])
        if len(pixels) != width * height * 3:
            raise PageError(422, "damaged", f"`{name[:NAME_LENGTH]}` could not be decoded")
        photo = Photo(token_urlsafe(12), str(told["name"]), width, height, tuple(told["notes"]))
        parcel = Parcel()
        # A large photo on a slow disk would hold up everybody else.
        try:
            await asyncio.to_thread(parcel.add, "pixels", pixels)
        except OSError as error:
            parcel.close()
            raise PageError(507, "disk_full", f"the photo could not be kept: {error.strerror}") from error
        for gone in self._shelf.put(photo.key, parcel):
            self._known.pop(gone, None)
        self._known[photo.key] = photo
        return photo

    def get(self, key: str) -> Photo:
        """The photo of a key.

        Raises
        ------
        PageError
            404 if there is none, or no longer.
        """
        if key not in self._known:
            raise unknown("photo")
        return self._known[key]

    def has(self, key: str) -> bool:
        """Whether a photo is still kept."""
        return key in self._known

    async def pixels(self, key: str) -> bytes:
        """Its RGB bytes, row by row."""
        return await asyncio.to_thread(self._parcel(key).read, "pixels")

    async def png(self, key: str) -> bytes:
        """It as a PNG file, at most 2,048 pixels a side."""
        photo, parcel = self.get(key), self._parcel(key)
        if "png" not in parcel.parts:
            size = {"width": photo.width, "height": photo.height}
            _, data = await self._decoder.submit(
                "png", size, await self.pixels(key), seconds=self._bounds.decode_seconds
            )
            if "png" not in parcel.parts:
                parcel.add("png", data)
        return parcel.read("png")

    def _parcel(self, key: str) -> Parcel:
        parcel = self._shelf.get(key)
        if parcel is None:
            raise unknown("photo")
        return parcel

    def close(self) -> None:
        """Forget all of them."""
        self._shelf.close()
        self._known.clear()


class Admission:
    """A place taken while a photo is received and decoded."""

    def __init__(self, photos: Photos) -> None:
        self._photos = photos

    def __enter__(self) -> None:
        self._photos._coming += 1

    def __exit__(self, *failure: object) -> None:
        self._photos._coming -= 1
