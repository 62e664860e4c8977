"""Memory freed by one trace is used again by the next.

By default glibc gives every freed block of a few megabytes back to the system, and the next
pass pays for it again, page by page: on ResNet-50 that costs more than all the recording.
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_HEAP_BLOCK = 32 * 2**20
_KEPT_FREE = 256 * 2**20


@cache
def reuse_freed_memory() -> bool:
    """Let the process hold on to up to 256 MB of freed memory; once, and only with glibc.

    ``CONVSCOPE_REUSE_MEMORY=0`` in the environment leaves the allocator as it is. Returns
    whether anything was changed.
    """
    if not sys.platform.startswith("linux") or os.environ.get("CONVSCOPE_REUSE_MEMORY") == "0":
        return False
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    done = set_option(_MMAP_THRESHOLD, _LARGEST_HEAP_BLOCK) and set_option(_TRIM_THRESHOLD, _KEPT_FREE)
    return bool(done)
