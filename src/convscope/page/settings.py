"""What a server is started with; nothing of it can be changed by a request."""

from __future__ import annotations

from dataclasses import dataclass, field
from secrets import token_urlsafe

from convscope.desk.catalog import GivenModel

#: Names under which a browser on this machine reaches a loopback server.
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
MIB = 1 << 20


@dataclass(frozen=True)
class Bounds:
    """How much of everything there may be at once.

    Parameters
    ----------
    upload_bytes
        Of one photo as it arrives.
    json_bytes
        Of any other request's body.
    uploads
        Photos being received or decoded at one time; one more is told to come again.
    waiting
        Jobs waiting for the model; one more is told to come again.
    photo_bytes, photos
        Decoded photos kept on disk, in unnamed files; the least recently used goes.
    look_bytes, looks
        Scenes kept on disk likewise.
    trace_bytes
        Recorded passes kept in memory by the model worker; one that went is recorded again when needed.
    connections
        Open at once; further ones are closed.
    head_seconds, body_seconds, send_seconds
        Time to send a request's head and its body, and to take a piece of an answer.
    idle_seconds
        How long a connection is kept for a next request.
    decode_seconds, look_seconds, ask_seconds
        Time to decode a photo, to load a model and run it, and to answer a question about a pass.
    decode_memory, model_memory
        Address space, in bytes, of the worker that decodes photos, and of the one that runs models
        beyond what torch itself takes.
    free_disk
        Below so many bytes of free disk nothing more is kept.
    """

    upload_bytes: int = 32 * MIB
    json_bytes: int = 256 * 1024
    uploads: int = 8
    waiting: int = 8
    photo_bytes: int = 1024 * MIB
    photos: int = 128
    look_bytes: int = 1024 * MIB
    looks: int = 64
    trace_bytes: int = 1024 * MIB
    connections: int = 2000
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    send_seconds: float = 30.0
    idle_seconds: float = 20.0
    decode_seconds: float = 10.0
    look_seconds: float = 600.0
    ask_seconds: float = 60.0
    decode_memory: int = 2048 * MIB
    model_memory: int = 16384 * MIB
    free_disk: int = 256 * MIB


@dataclass(frozen=True)
class GivenPhoto:
    """A photo named on the command line: the bytes of its file."""

    name: str
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Settings:
    """What one server is started with.

    Parameters
    ----------
    port
        Where it listens; part of every Host it answers to.
    hosts
        Names it answers to, without the port, IPv6 in brackets.
    token
        Secret that every request to the interface must carry; new at each start.
    models, photos
        Given on the command line.
    schema
        Whether the description of the interface is served (in tests).

    Examples
    --------
    >>> sorted(Settings(port=8000).allowed_hosts)
    ['127.0.0.1:8000', '[::1]:8000', 'localhost:8000']
    """

    port: int = 8000
    hosts: tuple[str, ...] = LOOPBACK_NAMES
    token: str = field(default_factory=lambda: token_urlsafe(32), repr=False)
    models: tuple[GivenModel, ...] = ()
    photos: tuple[GivenPhoto, ...] = ()
    bounds: Bounds = field(default_factory=Bounds)
    schema: bool = False

    @property
    def allowed_hosts(self) -> frozenset[str]:
        """Exact values of the Host header that are answered."""
        names = {name.lower() for name in self.hosts}
        # A browser leaves the port out where it is the scheme's own.
        return frozenset(f"{name}:{self.port}" for name in names) | (names if self.port == 80 else set())
