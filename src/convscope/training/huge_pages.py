"""Large pages for the memory a training uses again and again.

The maps of a step are tens of megabytes, walked through many times; with pages of 4 kB the processor
spends a part of its time finding out where they lie. Linux gives pages of 2 MB to memory that asks.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

from convscope.tracing.allocation import reuse_freed_memory

_HUGE = 2 * 2**20
# Linux' numbers: pages of 2 MB from now on, and for what is there already (since Linux 6.1).
_ADVICE_HUGE, _ADVICE_COLLAPSE = 14, 25


def use_huge_pages() -> int:
    """Put the allocator's heap, as large as it is by now, into huge pages.

    To be called when a step or two have been made and the heap has its size. Only with glibc on Linux, and
    not with ``CONVSCOPE_REUSE_MEMORY=0`` in the environment.

    Returns
    -------
    Bytes that asked for it, 0 where nothing was done.
    """
    if not sys.platform.startswith("linux") or not reuse_freed_memory():
        return 0
    try:
        rows = Path("/proc/self/maps").read_text(encoding="ascii", errors="replace").splitlines()
        advise = ctypes.CDLL(None).madvise
    except (OSError, AttributeError):
        return 0
    advise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    asked = 0
    for row in rows:
        if row.endswith("[heap]"):
            first, last = (int(part, 16) for part in row.split()[0].split("-"))
            first, last = -(-first // _HUGE) * _HUGE, last // _HUGE * _HUGE
            if last > first and advise(first, last - first, _ADVICE_HUGE) == 0:
                advise(first, last - first, _ADVICE_COLLAPSE)
                asked += last - first
    return asked
