"""How many threads torch shares its work out among."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_thread() -> Iterator[int]:
    """Within it torch works in one thread; gives how many there were, which are restored.

    For what is small: threads wait for one another at the end of each op, and as soon as another program
    wants the processor, that takes far longer than the work (5 to 13 times for a lesson's preview). The
    number is that of the whole process.

    Examples
    --------
    >>> import torch
    >>> with one_thread():
    ...     torch.get_num_threads()
    1
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)
