"""Running the server: a socket, its names, and a clean end."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import logging
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace

import uvicorn

from convscope.errors import UsageError
from convscope.page.app import make_app
from convscope.page.protocol import patient
from convscope.page.settings import LOOPBACK_NAMES, Settings
from convscope.page.shield import HEAD_BYTES

STOP_SECONDS = 1


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises
    ------
    UsageError
        If the address cannot be listened at.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            bound.listen(2048)
        except OSError:
            bound.close()
            raise
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise UsageError(
                f"cannot listen at {host}: {why}",
                hint="`--host` takes an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all.",
            ) from error
        raise UsageError(
            f"cannot listen at {host}, port {port}: {why}",
            hint="Another program may be there: leave `--port` out to take a free one.",
        ) from error
    bound.set_inheritable(False)
    return bound


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server at ``host``.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host.lower() == "localhost"


def names_of(host: str) -> tuple[str, ...]:
    """Names under which a server bound to ``host`` is reached; of all addresses those of this machine.

    Examples
    --------
    >>> names_of("127.0.0.1"), names_of("192.0.2.7")[-1]
    (('127.0.0.1', 'localhost', '[::1]'), '192.0.2.7')
    """
    if is_loopback(host):
        return LOOPBACK_NAMES
    found = [*LOOPBACK_NAMES]
    if host in ("0.0.0.0", "::", ""):
        own = socket.gethostname()
        found.append(own)
        with contextlib.suppress(OSError):
            found += [str(entry[4][0]) for entry in socket.getaddrinfo(own, None)]
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # sends nothing; tells the address that would be used
            found.append(probe.getsockname()[0])
    else:
        found.append(host)
    bracketed = (f"[{name}]" if ":" in name and not name.startswith("[") else name for name in found)
    return tuple(dict.fromkeys(name.lower() for name in bracketed))


class Server(uvicorn.Server):
    """uvicorn's server, which tells when it listens and by which signal it was ended."""

    def __init__(self, config: uvicorn.Config, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_start = on_start
        self.ended_by: int | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets=sockets)
        if self.started:
            self._on_start()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn does, but without raising the signal again at the end: to stop is what was asked."""
        with super().capture_signals():
            try:
                yield
            finally:
                self.ended_by = self._captured_signals[0] if self._captured_signals else None
                self._captured_signals.clear()


def serve(settings: Settings, bound: socket.socket, on_start: Callable[[str], None]) -> int | None:
    """Serve until told to end; the number of the signal that did.

    Parameters
    ----------
    bound
        From :func:`bind`; its port takes the place of the settings' own.
    on_start
        Called with the page's address, the token in its fragment, once the server listens. A fragment
        never leaves the browser, so the token is in no request line and no log.
    """
    port = bound.getsockname()[1]
    settings = replace(settings, port=port)
    name = settings.hosts[0] if bound.getsockname()[0] in ("127.0.0.1", "::1") else settings.hosts[-1]
    address = f"http://{name}:{port}/#token={settings.token}"
    # Nothing of a request is logged but what failed, and that by our own logger.
    for logger in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    config = uvicorn.Config(
        make_app(settings),
        http=patient(settings.bounds),
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        # The protocol has deadlines of its own.
        timeout_keep_alive=3600,
        timeout_graceful_shutdown=STOP_SECONDS,
        h11_max_incomplete_event_size=HEAD_BYTES,
        backlog=2048,
    )
    server = Server(config, lambda: on_start(address))
    server.run(sockets=[bound])
    return server.ended_by
